# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Torch itself: eager, channels last, under autocast; compiled by torch.compile on request.

It is the one engine without a file of its own: its artefact is the weights file. It takes images
of any shape.
"""

from __future__ import annotations

import logging

import torch
from torch import Tensor, nn

from sparse_seg_ros.device import autocast
from sparse_seg_ros.engines.contract import Outputs, as_tuple
from sparse_seg_ros.engines.network import copy_attributes

LOG = logging.getLogger(__name__)


class TorchEngine:
    """
    (B, 3, h, w) float32 -> (B, C, h', w') float32 logits on the same device.

    Where compiling fails, for want of a compiler for instance, the log says so once and the
    network runs eagerly from then on; `failure` keeps the reason.
    """

    def __init__(self, network: nn.Module, device: str = 'cpu', precision: str = 'fp32',
                 is_compiled: bool = False):
        self.network = network.to(device, memory_format=torch.channels_last)
        self.device_type, self.precision, self.failure = torch.device(device).type, precision, ''
        self.compiled = torch.compile(network, dynamic=False) if is_compiled else None
        copy_attributes(network, self)

    @property
    def about(self) -> str:
        """Return engine, version and precision in words."""
        kind = 'torch' if self.compiled is None else 'torch.compile'
        return f'{kind} {torch.__version__} {self.precision}'

    def __call__(self, images: Tensor) -> Tensor:
        """(B, 3, h, w) -> (B, C, h', w')."""
        return self.with_maps(images)[0]

    def with_maps(self, images: Tensor) -> tuple[Tensor, ...]:
        """(B, 3, h, w) -> logits, and what else the network returns."""
        return tuple(part.float() for part in as_tuple(self.run(images)))

    def run(self, images: Tensor) -> Outputs:
        """(B, 3, h, w) -> what the network returns."""
        with autocast(self.device_type, self.precision):
            compiled = self.compiled  # which another thread may give up meanwhile
            if compiled is not None:
                try:
                    return compiled(images)
                except RuntimeError as error:  # of the compiler; a real one comes again below
                    self.failure = str(error).strip().partition('\n')[0]
                    self.compiled = None
                    LOG.warning('torch.compile failed (%s); the network runs eagerly, without '
                                'it: engine: torch', self.failure)
            return self.network(images)
