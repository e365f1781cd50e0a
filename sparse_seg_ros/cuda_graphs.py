# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
What a GPU does for a frame, recorded once and replayed as one CUDA graph.

A refined frame is some hundreds of small kernels, which a host may launch more slowly than a fast
GPU runs them. A graph is launched at once. It holds for images of one size and one request, whose
shapes must not depend on what an image shows. Implemented but untested: no GPU has run this.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from sparse_seg_ros.methods.kind import Method
from sparse_seg_ros.methods.output import MethodOutput
from sparse_seg_ros.methods.request import Request
from sparse_seg_ros.normalisation import Normalisation
from sparse_seg_ros.timing import Stopwatch

LOG = logging.getLogger(__name__)
MOST = 4  # combinations of size and request whose recordings are kept
WARM_UP = 3  # frames before the one that is recorded: in them kernels are compiled and chosen
Compute = Callable[[Tensor, Stopwatch], MethodOutput]  # of (1, H, W, 3) uint8 on the device


class Recording(Protocol):
    """A recorded frame, which computes another image's output into the same memory."""

    def __call__(self, image: np.ndarray, clock: Stopwatch) -> MethodOutput:
        """(H, W, 3) uint8 -> output, valid until the next call; the clock gets its times."""
        ...


class RecordedFrame:
    """A CUDA graph of a frame, with its input and its output."""

    def __init__(self, compute: Compute, size_hw: tuple[int, ...], device: torch.device):
        self.host = torch.zeros((1, *size_hw, 3), dtype=torch.uint8, pin_memory=True)
        self.pixels = self.host.to(device)
        for _ in range(WARM_UP):
            compute(self.pixels, Stopwatch(device))
        self.graph, self.stages = torch.cuda.CUDAGraph(), Stopwatch(device, is_recorded=True)
        torch.clear_autocast_cache()  # the weights in it are freed before a replay reads them
        with torch.cuda.graph(self.graph, stream=torch.cuda.current_stream(device),
                              capture_error_mode='thread_local'):
            self.output = compute(self.pixels, self.stages)
        torch.clear_autocast_cache()  # the weights in it have no values before a replay

    def __call__(self, image: np.ndarray, clock: Stopwatch) -> MethodOutput:
        """(H, W, 3) uint8 -> output, valid until the next call; the clock gets its times."""
        with clock('upload'):
            np.copyto(self.host[0].numpy(), image)
            self.pixels.copy_(self.host, non_blocking=True)
        self.graph.replay()
        clock.marks += self.stages.marks
        return self.output


class FrameGraphs:
    """
    The recordings of a segmenter, by method, size of image and request; the last used are kept.

    Threads may share it. Each has recordings of its own, because a recording serves one frame at a
    time and uses the thread's context of a TensorRT engine. record: as RecordedFrame.
    """

    def __init__(self, normalisation: Normalisation,
                 record: Callable[[Compute, tuple[int, ...], torch.device], Recording]
                 = RecordedFrame):
        self.normalisation, self.record, self.device = normalisation, record, normalisation.device
        self.own, self.lock = threading.local(), threading.Lock()
        self.failure = ''  # why none can be made
        self.is_told = False  # that a frame was not replayed for want of a budget

    @property
    def idle(self) -> OrderedDict[Any, Recording]:
        """The calling thread's recordings, the last used one at the end."""
        return self.own.__dict__.setdefault('idle', OrderedDict())

    @contextmanager
    def borrowed(self, method: Method, size_hw: tuple[int, ...], request: Request
                 ) -> Iterator[Recording | None]:
        """
        Yield the recording of such a frame for one call; None where there can be none.

        One that fails is not used again.
        """
        if not self.can_replay(method, request):
            yield None
            return
        key = method, size_hw, request
        recording = self.idle.pop(key, None)
        if recording is None:
            if len(self.idle) == MOST:  # its memory is free before more is taken
                self.idle.popitem(last=False)
            recording = self.make(*key)
        yield recording
        if recording is not None and not self.failure:  # else others need its memory
            self.idle[key] = recording

    def can_replay(self, method: Method, request: Request) -> bool:
        """Tell whether such a frame may be recorded; a warning says once that a budget is due."""
        if self.failure:
            self.idle.clear()
        if self.failure or request.truth is not None or callable(request.budget):
            return False
        is_static = method.has_static_shapes(self.device, request)
        if not is_static and not self.is_told:
            self.is_told = True
            LOG.warning("frames without a 'budget' below 1 are not replayed, in spite of "
                        "cuda_graph: true; set 'budget'")
        return is_static

    def make(self, method: Method, size_hw: tuple[int, ...], request: Request
             ) -> Recording | None:
        """Record a frame; where that fails a warning says so, and nothing is replayed any more."""
        def compute(pixels: Tensor, clock: Stopwatch) -> MethodOutput:
            with clock('upload'):
                images = self.normalisation.scaled(pixels)
            return method(images, request, clock)

        with self.lock:  # one at a time
            try:
                return None if self.failure else self.record(compute, size_hw, self.device)
            except (RuntimeError, TypeError) as error:  # no memory, or torch is older than 2.7
                self.failure = str(error).strip().partition('\n')[0] or type(error).__name__
                self.idle.clear()
                LOG.warning('no CUDA graph could be recorded (%s); frames run without, as with '
                            'cuda_graph: false', self.failure)
                return None
