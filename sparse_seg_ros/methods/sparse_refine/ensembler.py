# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Gated ensembler: weighs two predictions of a pixel by what they say and how sure they are.

SparseRefine, section 3.3, as released and as in Eq. 1, which differ: released, the gate sees
probabilities, and gives a softmax over the two predictions. Different from both: it starts as the
identity on the coarse logits, see `start_as_identity`; beyond 32 classes that takes a residual.
"""

from __future__ import annotations

from types import ModuleType

import torch
from torch import Tensor, nn

from sparse_seg_ros.kernels.switch import kernels_of
from sparse_seg_ros.methods.reading import LOG_FLOOR, entropy_of

HIDDEN = 64
CPU_BLOCK = 8192  # pixels at a time, so that they stay in the cache
INITIAL_WEIGHT = 0.9  # near 1, and far enough from it for the gate to learn


class Ensembler(nn.Module):
    """y = fuse(w1 * coarse + w2 * refined), (w1, w2) = softmax(gate(both and their entropies))."""

    needs_truth = False

    def __init__(self, num_classes: int, trusts_refined: bool = False):
        """Start as the identity on coarse; trusts_refined: refined starts equal, or better."""
        super().__init__()
        self.gate = perceptron(2 * (num_classes + 1), len(self.as_weights(0.5)))
        self.fuse = perceptron(num_classes, num_classes)
        # Two hidden units per class carry the identity; where there are too few, a residual does.
        self.skip = nn.Parameter(torch.ones(())) if 2 * num_classes > HIDDEN else None
        self.start_as_identity(num_classes, trusts_refined)

    def forward(self, coarse: Tensor, refined: Tensor, targets: Tensor | None = None) -> Tensor:
        """
        (M, C) coarse, (k M, C) refined logits -> (k M, C); targets: for ensemblers that know them.

        Row m of coarse belongs to rows m, m + M, m + 2M and so on of refined: k pixels that one
        low-resolution pixel covers. Fastest, and without a copy, where .t() of both is contiguous.
        """
        sites = len(coarse)
        per_site = max(1, len(refined) // max(1, sites))
        coarse, refined = coarse.t(), refined.t()
        refined = refined.reshape(len(coarse), per_site, sites)  # (C, k, M)
        if kernels := self.kernels_for(coarse):
            kind = coarse.device.type
            dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) \
                else torch.float32
            return kernels.ensemble(coarse, refined, layers_of(self.gate), layers_of(self.fuse),
                                    LOG_FLOOR, dtype).flatten(1).t()
        refined = refined.to(coarse.dtype)
        if coarse.device.type != 'cpu':
            return self._ensemble(coarse, refined).flatten(1).t()
        count = max(1, CPU_BLOCK // per_site)
        with torch.autocast('cpu', enabled=False):  # products this small are no faster in bfloat16
            parts = [self._ensemble(*part) for part in zip(
                coarse.split(count, 1), refined.split(count, 2))]
        return torch.cat(parts, 2).flatten(1).t()

    def kernels_for(self, coarse: Tensor) -> ModuleType | None:
        """Return the kernels that do for (C, M) logits what torch does, None without."""
        if torch.is_grad_enabled() or self.skip is not None or coarse.dtype == torch.float64:
            return None
        return kernels_of('ensemble', coarse.device.type)

    def _ensemble(self, coarse: Tensor, refined: Tensor) -> Tensor:
        """(C, m), (C, k, m) -> (C, k, m); classes come first, which is far faster on a CPU."""
        (first, second), (fuse, fuse_again) = layers_of(self.gate), layers_of(self.fuse)
        coarse_weight, refined_weight = first.weight.split(len(coarse) + 1, dim=1)
        of_coarse = coarse_weight @ self.describe(coarse) + first.bias[:, None]  # (64, m)
        hidden = refined_weight @ self.describe(refined).flatten(1)  # (64, k * m)
        hidden.unflatten(1, refined.shape[1:]).add_(of_coarse[:, None])
        trust = self.trust(_linear(second, hidden.relu_()))  # (k * m,) in the refined prediction
        mixed = torch.lerp(coarse[:, None], refined,
                           trust.view(refined.shape[1:]).to(refined.dtype))
        hidden = _linear(fuse, mixed.flatten(1)).relu_()
        fused = _linear(fuse_again, hidden).view(refined.shape)
        return fused if self.skip is None else fused + self.skip * mixed

    def describe(self, logits: Tensor) -> Tensor:
        """(C, ...) logits -> (C + 1, ...) what the gate sees: probabilities and entropy."""
        log_p = logits.log_softmax(dim=0)
        return torch.cat((log_p.exp(), entropy_of(log_p[None])))

    def trust(self, gated: Tensor) -> Tensor:
        """(2, N) of the gate -> (N,) weight of the refined prediction, in [0, 1]."""
        return gated.softmax(dim=0)[1]

    def as_weights(self, coarse_weight: float) -> Tensor:
        """Weight of the coarse prediction -> what the gate has to give for it."""
        return torch.tensor([coarse_weight, 1 - coarse_weight]).log()

    @torch.no_grad()
    def start_as_identity(self, num_classes: int, trusts_refined: bool):
        """
        Make the output the coarse logits, whatever training will add.

        A refined prediction that starts as the coarse one is given 0.9 of the weight. One that
        starts at zero is given 0.1 (not less: the softmax must have a gradient), and the fusing
        layers begin as x -> x / 0.9 to make up for it, written relu(x) - relu(-x). That takes two
        hidden units per class, which there are for 32 classes. Beyond, the residual begins as
        x -> x / 0.9, and the fusing layers add nothing to it.
        """
        coarse_weight = 1 - INITIAL_WEIGHT if trusts_refined else INITIAL_WEIGHT
        gain = 1.0 if trusts_refined else 1 / INITIAL_WEIGHT
        _, weighs = layers_of(self.gate)
        weighs.weight.zero_()
        weighs.bias.copy_(self.as_weights(coarse_weight))
        first, last = layers_of(self.fuse)
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


class SigmoidEnsembler(Ensembler):
    """As in Eq. 1: the gate sees the raw predictions, and w1 = sigmoid(gate), w2 = 1 - w1."""

    def describe(self, logits: Tensor) -> Tensor:
        """(C, ...) logits -> (C + 1, ...) what the gate sees: the logits and their entropy."""
        return torch.cat((logits, entropy_of(logits.log_softmax(dim=0)[None])))

    def trust(self, gated: Tensor) -> Tensor:
        """(1, N) of the gate -> (N,) weight of the refined prediction, in [0, 1]."""
        return 1 - gated[0].sigmoid()

    def as_weights(self, coarse_weight: float) -> Tensor:
        """Weight of the coarse prediction -> what the gate has to give for it."""
        return torch.tensor([coarse_weight]).logit()


def perceptron(in_features: int, out_features: int) -> nn.Sequential:
    """Build two linear layers: (..., in_features) -> (..., out_features)."""
    return nn.Sequential(nn.Linear(in_features, HIDDEN), nn.ReLU(inplace=True),
                         nn.Linear(HIDDEN, out_features))


def layers_of(module: nn.Sequential) -> tuple[nn.Linear, nn.Linear]:
    """Return the linear layers of a perceptron."""
    first, last = (layer for layer in module if isinstance(layer, nn.Linear))
    return first, last


def _linear(layer: nn.Linear, x: Tensor) -> Tensor:
    """(a, N) -> (b, N)."""
    return (layer.weight @ x).add_(layer.bias[:, None])
