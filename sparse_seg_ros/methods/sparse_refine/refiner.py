# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Sparse refiner: a second look, at full resolution, at what a low-resolution network is unsure of.

SparseRefine, section 3. Different from the release: the selection is made on the low-resolution
grid (the same pixels), the head starts at zero, so that training starts from the low-resolution
prediction, and probabilities and features may join the input (Table 5c). With probabilities the
head predicts a correction of the low-resolution logits: a short training then learns edges, not
classes. So it does where the ensembler is 'direct', whose start would else erase the prediction.
The paper's row 'direct' is a refiner of RGB, trained gated, evaluated with `ensembler: direct`.
The extractor 'network' has a head that is trained, and starts from what that says.
"""

from __future__ import annotations

from contextlib import nullcontext
from copy import deepcopy
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from sparse_seg_ros.methods.request import DEFAULTS, Request
from sparse_seg_ros.methods.sparse_refine.blocks import (
    Blocks,
    Pixels,
    enlarged,
    highest_of_blocks,
)
from sparse_seg_ros.methods.sparse_refine.parts import EXTRACTORS, Parts, check_inputs
from sparse_seg_ros.methods.sparse_refine.released import released_name
from sparse_seg_ros.methods.sparse_refine.selection import (
    Selection,
    choose,
    count_affordable,
    upsample,
)
from sparse_seg_ros.methods.sparse_refine.selector import Scene
from sparse_seg_ros.methods.sparse_refine.sparse_network import SparseNetwork
from sparse_seg_ros.networks.features import Features
from sparse_seg_ros.networks.images import size_of
from sparse_seg_ros.sparse.backend import backend_of
from sparse_seg_ros.sparse.grid import write_rows
from sparse_seg_ros.sparse.reference import rounded
from sparse_seg_ros.sparse.tensor import SparseTensor


def build_head(in_features: int, out_features: int) -> nn.Linear:
    """Return a layer that begins as zero."""
    head = nn.Linear(in_features, out_features)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    return head


@dataclass(frozen=True)
class Refinement:
    """
    What a refiner says about the N selected pixels; refined and ensembled logits are (N, C).

    coarse: (M, C) logits of the low-resolution pixels. Row m belongs to the rows m, m + M, m + 2M
    and so on of the others.
    """

    selected: Tensor  # (B, H, W) bool
    flat: Tensor  # (N,) int64 position of each row in the flattened (B, H, W)
    coarse: Tensor
    refined: Tensor
    ensembled: Tensor
    low_resolution: Tensor  # (B, C, h, w) logits
    scores: Tensor  # (B, h, w) of the selector
    is_cut: bool | Tensor  # whether the budget kept some out
    is_padded: bool  # whether some rows stand for no pixel; their position is one past the last

    def full(self) -> Tensor:
        """(B, C, H, W) logits of all pixels. Large: for training and tests only."""
        size_hw = self.selected.shape[1:]
        logits = nn.functional.interpolate(self.low_resolution, size=size_hw, mode='nearest')
        pixels = logits.movedim(1, -1)  # (B, H, W, C)
        ensembled = self.ensembled.to(logits.dtype)
        return write_rows(pixels.flatten(0, 2), self.flat, ensembled).view(
            pixels.shape).movedim(-1, 1)


class SparseRefiner(nn.Module):
    """Selection, extractor, head and ensembler."""

    released_name = staticmethod(released_name)  # of its tensors, for checkpoints.load and save
    where_absent = ('ensembler.skip',)  # as in the release
    static_on = ('cuda',)  # types of devices; see has_static_shapes

    def __init__(
        self,
        num_classes: int = 19,
        planes: tuple[int, ...] = (32, 64, 128, 256, 512, 1024),
        alpha: float = 0.3,
        inputs: tuple[str, ...] = ('rgb',),
        parts: Parts = Parts(),  # noqa: B008 frozen
    ):
        """
        Build a refiner.

        alpha: score of the selector above which a pixel is refined where a request names none;
        entropy in nats by default.
        inputs: ('rgb',) as released; with 'logits', the low-resolution probabilities join what
        the extractor sees, and their logits what the head says; with 'features', the network's
        last ones join. The extractor 'network' has its own, and neither planes nor a head.
        """
        super().__init__()
        self.num_classes, self.alpha, self.inputs = num_classes, alpha, check_inputs(inputs)
        self.parts = parts
        self.is_network = parts.extractor == 'network'
        self.corrects = not self.is_network and (
            'logits' in self.inputs or parts.ensembler == 'direct')
        self.selector = parts.build_selector(num_classes)
        kind = EXTRACTORS[parts.extractor]
        if issubclass(kind, SparseNetwork):
            self.extractor, self.head = kind(num_classes), None
        else:
            self.extractor = kind(self.count_channels(), planes)
            self.head = build_head(self.extractor.width, num_classes * parts.side ** 2)
        self.trusts_refined = self.corrects or self.is_network
        self.ensembler = parts.build_ensembler(num_classes, self.trusts_refined)
        self.check_alpha()

    def count_channels(self) -> int:
        """Return the number of input channels of the extractor per site."""
        channels = {'rgb': 3 * self.parts.side ** 2, 'logits': self.num_classes,
                    'features': self.parts.feature_channels}
        return sum(channels[name] for name in self.inputs)

    @property
    def needs_features(self) -> bool:
        """True if it must be called with the network's features."""
        return self.is_network or 'features' in self.inputs or self.selector.needs_features

    @property
    def needs_truth(self) -> bool:
        """True if one of its parts is an oracle, which needs the labels."""
        return self.selector.needs_truth or self.ensembler.needs_truth

    def forward(self, image: Tensor, logits: Tensor, clock=nullcontext,
                features: Features | None = None, request: Request = DEFAULTS,
                full_hw: tuple[int, int] | None = None) -> Refinement:
        """
        (B, 3, H, W) normalised, (B, C, h, w) low-resolution logits -> refined unsure pixels.

        clock: called with 'select', 'extract' and 'ensemble', returns a context to time each in.
        features, and the truth (B, H, W) of the request: where `needs_features` and `needs_truth`
        say so. full_hw: size of the camera's image, of which the budget is a fraction, if not
        image's.
        """
        scene = Scene(image, logits, features, request.truth)
        self._check(scene)
        with clock('select'):
            scores = self._score(scene)  # (B, h, w)
            selection = self._select(scores, request, full_hw or size_of(image))
            covered = self._cover(selection, size_of(image), size_of(logits))
            coarse = logits.movedim(1, -1)[covered.low].t().contiguous()  # (C, M)
        with clock('extract'):
            if len(covered.level) or torch.is_grad_enabled():
                refined, coarse = covered.spread(self._extract(scene, covered, coarse), coarse)
                if self.corrects:
                    refined = coarse[:, None] + refined  # (C, k, M)
            else:  # part of an extractor may be dense, and none of it is needed
                refined = coarse[:, None]
        refined, coarse = refined.flatten(1).t(), coarse.t()
        with clock('ensemble'):
            targets = scene.require_truth().flatten()[covered.flat] \
                if self.ensembler.needs_truth else None
            ensembled = self.ensembler(coarse, refined, targets)
        return Refinement(covered.selected, covered.flat, coarse, refined, ensembled, logits,
                          scores, selection.is_cut, covered.level.is_padded)

    def _score(self, scene: Scene) -> Tensor:
        """Return (B, h, w) scores, or (B, H, W) of a selector that scores every pixel."""
        scores, low_hw = self.selector(scene), size_of(scene.logits)
        if self.parts.has_blocks and scores.shape[1:] != low_hw:
            return highest_of_blocks(scores, low_hw)
        return scores

    def _select(self, scores: Tensor, request: Request, full_hw: tuple[int, int]) -> Selection:
        """(B, h, w) scores, the request, size of the camera's image -> what is refined."""
        alpha, budget = self.alpha if request.alpha is None else request.alpha, request.fraction()
        is_static = self.has_static_shapes(scores.device, replace(request, budget=budget))
        count = None if budget is None or budget == 1 else count_affordable(
            budget, scores.shape[1:], full_hw)
        return choose(scores, alpha, count, is_static)

    def has_static_shapes(self, device: torch.device, request: Request) -> bool:
        """
        Tell whether a budget alone decides the shapes of a frame, whatever is selected.

        On a GPU the host then does not wait to learn that. A CPU refines what is selected only.
        """
        return device.type in self.static_on and self.parts.convolves \
            and request.truth is None and not torch.is_grad_enabled() \
            and request.budget not in (None, 1)

    def _cover(self, selection: Selection, size_hw: tuple[int, int],
               low_hw: tuple[int, int]) -> Pixels | Blocks:
        """(B, h, w) or (B, H, W) bool -> the selected pixels as sites of the extractor."""
        chosen, bound = selection.chosen, selection.bound
        if self.parts.has_blocks:
            return Blocks(chosen, size_hw, self.parts.side, bound)
        return Pixels(upsample(chosen, size_hw), low_hw,
                      enlarged(bound, size_of(chosen), size_hw))

    def _extract(self, scene: Scene, covered: Pixels | Blocks, coarse: Tensor) -> Tensor:
        """(C, M) logits -> (C, M), or (C * side * side, M), what the extractor says of sites."""
        if self.head is None:
            return self.extractor(scene.image, covered, scene.require_features().maps)
        parts = [covered.gather(scene.image)]  # (M, 3), or (M, side * side * 3)
        if 'logits' in self.inputs:
            parts.append(coarse.softmax(dim=0).t())  # (M, C)
        if 'features' in self.inputs:
            parts.append(scene.require_features().at(*covered.low).to(parts[0].dtype))  # (M, F)
        inputs = torch.cat(parts, dim=1)
        backend = backend_of(inputs.device.type)
        features = self.extractor(SparseTensor(inputs, covered.level, backend)).features
        predicted = self.head.weight @ rounded(features).t()
        return predicted[:, :len(features)] + self.head.bias[:, None]

    def input_hw(self, low_hw: tuple[int, int], size_hw: tuple[int, int]) -> tuple[int, int]:
        """Sizes of the low resolution and of an image -> that at which the refiner sees it."""
        side = self.parts.side
        return (side * low_hw[0], side * low_hw[1]) if self.is_network else size_hw

    def with_parts(self, selector: str | None = None, ensembler: str | None = None
                   ) -> SparseRefiner:
        """
        Return itself, or a copy with another selector or ensembler; None is its own.

        Only parts without weights can take another's place. A copy keeps alpha, which has another
        meaning for another selector: name one in each request.
        """
        wanted = {'selector': selector, 'ensembler': ensembler}
        changes = {kind: name for kind, name in wanted.items()
                   if name not in (None, getattr(self.parts, kind))}
        if not changes:
            return self
        twin = deepcopy(self)
        twin.parts = replace(self.parts, **changes)
        for kind, name in changes.items():
            part = twin.parts.build_selector(self.num_classes) if kind == 'selector' \
                else twin.parts.build_ensembler(self.num_classes, self.trusts_refined)
            if part.state_dict():
                raise ValueError(f'{kind} {name!r} has weights of its own, and these were trained '
                                 f'with {getattr(self.parts, kind)!r}; train a refiner with it')
            setattr(twin, kind, part.eval())
        return twin

    def check_alpha(self) -> None:
        """Raise ValueError unless alpha is in the range of the selector's scores."""
        if not 0 <= self.alpha <= self.selector.most:
            raise ValueError(f'alpha must be from 0 to {self.selector.most:.3g} for selector '
                             f'{self.parts.selector!r} and {self.num_classes} classes, got '
                             f'{self.alpha}')

    def _check_network(self, scene: Scene):
        size_hw, low_hw = size_of(scene.image), size_of(scene.logits)
        if size_hw != self.input_hw(low_hw, size_hw):
            raise ValueError(f'image must be {self.parts.side} times as large as the logits, got '
                             f'{size_hw} and {low_hw}; resize it to `input_hw`')
        if not scene.require_features().maps:
            raise ValueError("extractor 'network' needs the maps of its dense network's encoder; "
                             'take them from networks.features.run_with_features')

    def _check(self, scene: Scene):
        image, logits = scene.image, scene.logits
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
        if self.needs_features:
            scene.require_features()
        if self.is_network:
            self._check_network(scene)
        if self.needs_truth:
            scene.require_truth()
