# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Sparse refiner: a second look, at full resolution, at what a low-resolution network is unsure of.

SparseRefine, section 3. Different from the release: the selection is made on the low-resolution
grid (the same pixels), the head starts at zero, so that training starts from the low-resolution
prediction, and probabilities may join the input (Table 5c). With them the head predicts a
correction of the low-resolution logits: a short training then learns edges, not classes.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sparse_seg_ros.methods.sparse_refine.ensembler import Ensembler
from sparse_seg_ros.methods.sparse_refine.extractor import Extractor
from sparse_seg_ros.methods.sparse_refine.released import released_name
from sparse_seg_ros.methods.sparse_refine.selection import (
    count_affordable,
    nearest_rows,
    select,
    upsample,
)
from sparse_seg_ros.sparse.level import Level
from sparse_seg_ros.sparse.tensor import SparseTensor


@dataclass(frozen=True)
class Refinement:
    """What a refiner says about the selected pixels, in row-major order; logits are (N, C)."""

    level: Level
    coarse: Tensor
    refined: Tensor
    ensembled: Tensor
    low_resolution: Tensor  # (B, C, h, w) logits

    @property
    def selected(self) -> Tensor:
        """(B, H, W) bool."""
        return self.level.mask

    @property
    def sites(self) -> Tensor:
        """(N, 3) int64 as (b, y, x)."""
        return self.level.sites

    def full(self) -> Tensor:
        """(B, C, H, W) logits of all pixels. Large: for training and tests only."""
        size_hw = self.selected.shape[1:]
        logits = nn.functional.interpolate(self.low_resolution, size=size_hw, mode='nearest')
        batch, y, x = self.sites.unbind(1)
        pixels = logits.movedim(1, -1).contiguous()  # (B, H, W, C)
        ensembled = self.ensembled.to(logits.dtype)
        return pixels.index_put((batch, y, x), ensembled).movedim(-1, 1)


class SparseRefiner(nn.Module):
    """Selection, extractor, head and ensembler."""

    released_name = staticmethod(released_name)  # of its tensors, for checkpoints.load and save

    def __init__(
        self,
        num_classes: int = 19,
        planes: tuple[int, ...] = (32, 64, 128, 256, 512, 1024),
        alpha: float = 0.3,
        inputs: tuple[str, ...] = ('rgb',),
        budget: float = 1.0,
    ):
        """
        Build a refiner.

        alpha: entropy in nats above which a pixel is refined.
        inputs: ('rgb',) as released, or ('rgb', 'logits'): the latter adds the low-resolution
        probabilities to what the extractor sees, and their logits to what the head says.
        budget: at most this fraction of an image is refined, where it is most uncertain.
        """
        super().__init__()
        inputs = tuple(inputs)
        if inputs not in (('rgb',), ('rgb', 'logits')):
            raise ValueError(f"inputs must be ('rgb',) or ('rgb', 'logits'), got {inputs}")
        self.num_classes, self.alpha, self.inputs = num_classes, alpha, inputs
        self.budget = budget
        self.corrects = 'logits' in inputs
        self.extractor = Extractor(3 + num_classes * self.corrects, planes)
        self.head = nn.Linear(planes[0], num_classes)
        self.ensembler = Ensembler(num_classes, starts_from_equals=self.corrects)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, image: Tensor, logits: Tensor, clock=nullcontext) -> Refinement:
        """
        (B, 3, H, W) normalised, (B, C, h, w) low-resolution logits -> refined unsure pixels.

        clock: called with 'select', 'extract' and 'ensemble', returns a context to time each in.
        """
        self._check(image, logits)
        with clock('select'):
            count = count_affordable(self.budget, logits.shape[2:], image.shape[2:]) \
                if self.budget < 1 else None
            level = Level(upsample(select(logits, self.alpha, count), image.shape[2:]))
            coarse = self._coarse(level, logits)  # (N, C)
        with clock('extract'):
            features = self.extractor(self._input(image, level, coarse)).features  # (N, planes[0])
            refined = self.head(features)  # (N, C)
            if self.corrects:
                refined = coarse + refined
        with clock('ensemble'):
            ensembled = self.ensembler(coarse, refined)
        return Refinement(level, coarse, refined, ensembled, logits)

    def _coarse(self, level: Level, logits: Tensor) -> Tensor:
        """Low-resolution logits at the selected pixels, (N, C)."""
        batch, y, x = level.sites.unbind(1)
        y = nearest_rows(logits.shape[2], level.mask.shape[1], logits.device)[y]
        x = nearest_rows(logits.shape[3], level.mask.shape[2], logits.device)[x]
        return logits.movedim(1, -1)[batch, y, x]

    def _input(self, image: Tensor, level: Level, coarse: Tensor) -> SparseTensor:
        batch, y, x = level.sites.unbind(1)
        features = image.movedim(1, -1)[batch, y, x]  # (N, 3)
        if self.corrects:
            features = torch.cat((features, coarse.t().softmax(dim=0).t()), dim=1)  # (N, 3 + C)
        return SparseTensor(features, level)

    def _check(self, image: Tensor, logits: Tensor):
        if image.dim() != 4 or image.shape[1] != 3:
            raise ValueError(
                f'image must be (B, 3, H, W) normalised RGB, got {tuple(image.shape)}'
            )
        expected = (image.shape[0], self.num_classes)
        if logits.dim() != 4 or logits.shape[:2] != expected:
            raise ValueError(
                f'logits must be ({expected[0]}, {expected[1]}, h, w), got {tuple(logits.shape)}; '
                'build the refiner with the num_classes of its low-resolution network'
            )
