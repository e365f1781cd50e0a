# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Gated ensembler: weighs two predictions of a pixel by what they say and how sure they are.

SparseRefine, section 3.3, as released and not as in Eq. 1: the weights are a softmax over the two
predictions, and the fused logits have no residual. Different from the release: it starts as the
identity on the coarse logits, see `start_as_identity`; beyond 32 classes that takes a residual.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sparse_seg_ros.methods.sparse_refine.selection import entropy_of

HIDDEN = 64
CPU_BLOCK = 8192  # pixels at a time, so that they stay in the cache: twice as fast
INITIAL_WEIGHT = 0.9  # near 1, and far enough from it for the gate to learn


class Ensembler(nn.Module):
    """y = fuse(w1 * coarse + w2 * refined), (w1, w2) = softmax(gate(both and their entropies))."""

    needs_labels = False

    def __init__(self, num_classes: int, starts_from_equals: bool = False):
        """Start as the identity on coarse; starts_from_equals: refined starts equal to it."""
        super().__init__()
        self.gate = nn.Sequential(
            nn.Linear(2 * (num_classes + 1), HIDDEN), nn.ReLU(inplace=True), nn.Linear(HIDDEN, 2)
        )
        self.fuse = nn.Sequential(
            nn.Linear(num_classes, HIDDEN), nn.ReLU(inplace=True), nn.Linear(HIDDEN, num_classes)
        )
        # Two hidden units per class carry the identity; where there are too few, a residual does.
        self.skip = nn.Parameter(torch.ones(())) if 2 * num_classes > HIDDEN else None
        self.start_as_identity(num_classes, starts_from_equals)

    def forward(self, coarse: Tensor, refined: Tensor, targets: Tensor | None = None) -> Tensor:
        """(N, C) logits of both -> (N, C) logits; targets are for ensemblers that know them."""
        if coarse.device.type != 'cpu':
            return self._ensemble(coarse, refined)
        blocks = zip(coarse.split(CPU_BLOCK), refined.split(CPU_BLOCK))
        return torch.cat([self._ensemble(*block) for block in blocks])

    def _ensemble(self, coarse: Tensor, refined: Tensor) -> Tensor:
        described = torch.cat((_describe(coarse), _describe(refined)))  # (2 * (C + 1), N)
        weights = self.gate(described.t()).softmax(dim=1)  # (N, 2)
        mixed = weights[:, :1] * coarse + weights[:, 1:] * refined  # (N, C)
        fused = self.fuse(mixed)
        return fused if self.skip is None else fused + self.skip * mixed

    @torch.no_grad()
    def start_as_identity(self, num_classes: int, starts_from_equals: bool):
        """
        Make the output the coarse logits, whatever training will add.

        A refined prediction that starts as the coarse one is given 0.9 of the weight. One that
        starts at zero is given 0.1 (not less: the softmax must have a gradient), and the fusing
        layers begin as x -> x / 0.9 to make up for it, written relu(x) - relu(-x). That takes two
        hidden units per class, which there are for 32 classes. Beyond, the residual begins as
        x -> x / 0.9, and the fusing layers add nothing to it.
        """
        coarse_weight = 1 - INITIAL_WEIGHT if starts_from_equals else INITIAL_WEIGHT
        gain = 1.0 if starts_from_equals else 1 / INITIAL_WEIGHT
        self.gate[2].weight.zero_()
        self.gate[2].bias.copy_(torch.tensor([coarse_weight, 1 - coarse_weight]).log())
        first, last = self.fuse[0], self.fuse[2]
        if self.skip is not None:
            self.skip.fill_(gain)
            last.weight.zero_()
            last.bias.zero_()
            return
        identity = torch.eye(num_classes)
        first.weight[: 2 * num_classes] = torch.cat((identity, -identity))
        first.bias[: 2 * num_classes] = 0
        last.weight.zero_()
        last.weight[:, : 2 * num_classes] = torch.cat((identity, -identity), 1) * gain
        last.bias.zero_()


def _describe(logits: Tensor) -> Tensor:
    """(N, C) logits -> (C + 1, N): probabilities and entropy; pixels last is far faster on CPU."""
    by_class = logits.t()[None]  # (1, C, N)
    log_p = by_class.log_softmax(dim=1)
    return torch.cat((log_p.exp()[0], entropy_of(log_p)))
