# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Methods that fail on command, hang, or end the thread that runs them."""

from __future__ import annotations

import math
import threading
from dataclasses import replace

import torch
from ros_fakes import LABELS, Brightness

from sparse_seg_ros.segmenter import Segmenter


class Held(Brightness):
    """Waits, from the moment `hold` is called until `free` is set."""

    def __init__(self):
        super().__init__()
        self.free, self.entered = threading.Event(), threading.Event()
        self.free.set()

    def hold(self) -> None:
        self.free.clear()
        self.entered.clear()

    def __call__(self, images, request, clock):
        self.entered.set()
        self.free.wait(30)
        return super().__call__(images, request, clock)


class Deadly(Brightness):
    """Ends its thread on every image whose first pixel is white."""

    def __call__(self, images, request, clock):
        if bool((images[0, :, 0, 0] == 1).all()):
            raise SystemExit('the library ends')
        return super().__call__(images, request, clock)


def raise_error(output):
    raise RuntimeError('a layer breaks')


def run_out_of_memory(output):
    raise torch.OutOfMemoryError('CUDA out of memory')


FAULTS = {  # name: MethodOutput -> what the method does in its place
    'exception': raise_error, 'memory': run_out_of_memory,
    'nan': lambda output: replace(output, uncertainty=output.uncertainty * math.nan),
    'shape': lambda output: replace(output, labels=output.labels[:, 1:]),
    'all shapes': lambda output: replace(output, **{
        name: part[:, 1:] for name, part in vars(output).items() if torch.is_tensor(part)}),
    'dtype': lambda output: replace(output, labels=output.labels.long()),
    'ids': lambda output: replace(output, labels=output.labels + 7)}


class Faulty(Brightness):
    """Fails in one of FAULTS the next `times` times, or where it refines alone."""

    def __init__(self):
        super().__init__()
        self.fault, self.times, self.only_refined = 'exception', 0.0, False

    def fail(self, fault: str, times: float = math.inf, only_refined: bool = False) -> None:
        self.fault, self.times, self.only_refined = fault, times, only_refined

    def __call__(self, images, request, clock):
        output = super().__call__(images, request, clock)
        if request.budget == 0:
            output = replace(output, refined=torch.zeros_like(output.refined))
        if not self.times or (self.only_refined and request.budget == 0):
            return output
        self.times -= 1
        return FAULTS[self.fault](output)


def segmenter(method: Brightness) -> Segmenter:
    """Return a Segmenter around a method."""
    return Segmenter(method, LABELS, (127.5,) * 3, (127.5,) * 3)


def status(node, task: str):
    """Return the status of a task now."""
    return next(each for each in node.diagnostics.collect() if each.task == task)
