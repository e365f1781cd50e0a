# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Patch refiner: a second look, at full resolution, at the patches a network is most unsure of.

The comparison of SparseRefine's Table 4. The paper only says that such methods refine "in a
coarse-grained patch level", with patches of 256 or 512 pixels. The plain reading is taken: all is
as in SparseRefine but what is selected and how it is convolved. Of a grid of patches without
overlap, those with a mean entropy above alpha, at most the budget, go through a dense U-Net with
the extractor's channels, each by itself, and the gated ensembler joins what it says to the coarse
prediction. Head and ensembler start as SparseRefiner's: as the coarse prediction.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sparse_seg_ros.methods.patch_refine.patches import Patches, choose, mean_per_patch
from sparse_seg_ros.methods.patch_refine.unet import UNet
from sparse_seg_ros.methods.reading import enlarge, entropy_map
from sparse_seg_ros.methods.request import DEFAULTS, Request
from sparse_seg_ros.methods.sparse_refine.ensembler import Ensembler
from sparse_seg_ros.networks.images import size_of


@dataclass(frozen=True)
class PatchRefinement:
    """
    What a patch refiner says of the pixels in the chosen patches; logits are (N, C).

    chosen: (B, rows, columns) bool; positions: (N,) int64 of the pixels in flattened (B, H, W).
    """

    chosen: Tensor
    positions: Tensor
    refined: Tensor
    ensembled: Tensor
    shape: tuple[int, int, int]  # B, H, W
    is_cut: bool  # whether the budget kept patches out

    @property
    def selected(self) -> Tensor:
        """(B, H, W) bool."""
        mask = torch.zeros(self.shape, dtype=torch.bool, device=self.positions.device)
        mask.view(-1)[self.positions] = True
        return mask


class PatchRefiner(nn.Module):
    """Selection of patches, dense U-Net, head and ensembler."""

    where_absent = ('ensembler.skip',)  # as of SparseRefiner

    def __init__(self, num_classes: int, planes: tuple[int, ...], alpha: float,
                 inputs: tuple[str, ...] = ('rgb',), patch: int = 256):
        """
        Build a refiner.

        alpha: mean entropy in nats above which a patch is refined where a request names none;
        patch: its side in pixels. inputs: ('rgb',) or ('rgb', 'logits'), as of SparseRefiner.
        """
        super().__init__()
        if tuple(inputs) not in (('rgb',), ('rgb', 'logits')):
            raise ValueError("inputs of patch_refine must be ('rgb',) or ('rgb', 'logits'), got "
                             f'{tuple(inputs)}')
        halvings = 2 ** (len(planes) - 1)
        if patch < 1 or patch % halvings:
            raise ValueError(f'patch must be a multiple of {halvings} pixels for {len(planes)} '
                             f'planes, got {patch}; the paper has 256 and 512')
        self.num_classes, self.alpha, self.patch = num_classes, alpha, patch
        self.corrects = 'logits' in inputs
        self.unet = UNet(3 + num_classes * self.corrects, tuple(planes))
        self.head = nn.Conv2d(planes[0], num_classes, 1)
        self.ensembler = Ensembler(num_classes, trusts_refined=self.corrects)
        for parameter in self.head.parameters():
            nn.init.zeros_(parameter)

    def forward(self, image: Tensor, logits: Tensor, clock=nullcontext,
                request: Request = DEFAULTS) -> PatchRefinement:
        """
        (B, 3, H, W) normalised, (B, C, h, w) low-resolution logits -> refined unsure patches.

        clock: called with 'select', 'extract' and 'ensemble', returns a context to time each in.
        """
        size_hw = size_of(image)
        with clock('select'):
            chosen, is_cut = self.choose(logits, size_hw, request)
            patches = Patches.of(chosen, self.patch, size_hw)
            coarse, pixels = patches.cut(logits), patches.cut(image)  # (P, C or 3, S, S)
        with clock('extract'):
            refined = self.refine(pixels, coarse)  # (P, C, S, S)
        with clock('ensemble'):
            is_inside = patches.inside()
            coarse, refined = (said.movedim(1, -1)[is_inside] for said in (coarse, refined))
            ensembled = self.ensembler(coarse, refined)  # (N, C)
        return PatchRefinement(chosen, patches.positions(), refined, ensembled,
                               (len(image), *size_hw), is_cut)

    def choose(self, logits: Tensor, size_hw: tuple[int, int], request: Request
               ) -> tuple[Tensor, bool]:
        """(B, C, h, w) -> (B, rows, columns) bool, to refine; whether the budget kept some out."""
        alpha = self.alpha if request.alpha is None else request.alpha
        budget, scores = request.fraction(), self.scores(logits, size_hw)
        count = None if budget is None or budget == 1 else \
            int(budget * size_hw[0] * size_hw[1]) // self.patch ** 2
        chosen = choose(scores, alpha, count)
        return chosen, count is not None and bool(((scores > alpha) & ~chosen).any())

    def scores(self, logits: Tensor, size_hw: tuple[int, int]) -> Tensor:
        """(B, C, h, w) -> (B, rows, columns) mean entropy of each patch, nats."""
        return mean_per_patch(enlarge(entropy_map(logits), size_hw), self.patch)

    def refine(self, pixels: Tensor, coarse: Tensor) -> Tensor:
        """(P, 3, S, S) normalised, (P, C, S, S) logits -> (P, C, S, S) logits."""
        inputs = torch.cat((pixels, coarse.softmax(dim=1)), dim=1) if self.corrects else pixels
        predicted = self.head(self.unet(inputs))
        return coarse + predicted if self.corrects else predicted
