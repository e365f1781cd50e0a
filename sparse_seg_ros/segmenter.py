# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""READ FIRST: image -> method -> Prediction, timed. The border between arrays and tensors."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, nullcontext
from copy import copy
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sparse_seg_ros.config import nearest
from sparse_seg_ros.cuda_graphs import FrameGraphs
from sparse_seg_ros.data.picture_files import read_image
from sparse_seg_ros.device import autocast, download, own_stream
from sparse_seg_ros.label_remap import LabelRemap
from sparse_seg_ros.labels import VOID, LabelSet
from sparse_seg_ros.methods.kind import Method
from sparse_seg_ros.methods.output import MethodOutput
from sparse_seg_ros.methods.request import DEFAULTS, PROPER_SCORES, Budget, Request
from sparse_seg_ros.normalisation import Normalisation
from sparse_seg_ros.prediction import Prediction
from sparse_seg_ros.texts import cut
from sparse_seg_ros.timing import Stopwatch

OUTPUTS = ('labels', 'uncertainty', 'refined', 'confidence', 'merged', 'nll', 'brier')


class Segmenter:
    """
    Segments images one at a time: `seen = segment(image)`, `segment(image, budget=0.05)`.

    image (H, W, 3) uint8 RGB -> Prediction at the same size. A bad image raises ValueError and
    leaves the segmenter as it was. exposure: 'as_is', or 'lifted', which brightens images that
    are darker than mean. sizes_hw: sizes of the images that its engine was built for; empty if
    images may have any size.
    """

    def __init__(self, method: Method, labels: LabelSet, mean: tuple[float, ...],
                 std: tuple[float, ...], *, exposure: str = 'as_is', device: str = 'cpu',
                 precision: str = 'fp32', description: dict[str, str] | None = None,
                 sizes_hw: tuple[tuple[int, int], ...] = ()):
        self.method, self.labels, self.sizes_hw = method, labels, sizes_hw
        self.num_classes = len(labels)  # of the method
        self.remap: LabelRemap | None = None
        self.request = DEFAULTS  # for calls that name nothing else
        self.normalisation = Normalisation(mean, std, exposure, device, precision)
        self.device, self.precision = torch.device(device), precision
        self.description = {**(description or {}), 'device': str(self.device),
                            'precision': precision}
        self.origin: dict[str, str] = {}  # 'licence' and 'source' of the weights, where known
        self.graphs: FrameGraphs | None = None  # None: frames are not replayed
        self.uncertain_limit: float | None = None  # of Prediction.uncertain; None: not learnt
        self.choice = ''  # of method auto, in words; empty where there was none

    @property
    def weights(self) -> dict[str, str | None]:
        """File name and sha256 of the weights; None where they have no file."""
        return {'file': self.description.get('weights'),
                'sha256': self.description.get('weights_hash')}

    @property
    def alpha(self) -> float | None:
        """Score above which pixels are refined, for calls that name none; None: has none."""
        return self.default_of('alpha')

    @property
    def budget(self) -> float | None:
        """Largest fraction that is refined, for calls that name none; None: refines nothing."""
        return self.default_of('budget')

    @property
    def has_static_shapes(self) -> bool:
        """Whether the budget of a frame decides what it costs, whatever the image shows."""
        with torch.inference_mode():
            return self.method.has_static_shapes(self.device, Request(budget=0.5))

    def default_of(self, name: str) -> float | None:
        """Return the value of a limit for calls that name none."""
        limit, own = self.method.limits().get(name), getattr(self.request, name)
        return limit.default if limit and own is None else own

    def with_limits(self, alpha: float | None = None, budget: float | None = None) -> Segmenter:
        """Return a segmenter of the same model for whose calls these limits hold."""
        other = self.with_method(self.method)
        other.request = self.make_request(alpha, budget)
        return other

    def make_request(self, alpha: float | None = None, budget: Budget | None = None,
                     wants: Collection[str] = (), truth: np.ndarray | None = None) -> Request:
        """Return the Request of a call; limits that it does not name are the segmenter's own."""
        limits = self.method.limits()
        values: dict[str, Any] = {name: value for name, value in (
            ('alpha', alpha), ('budget', budget)) if value is not None}
        for name, value in values.items():
            if name not in limits:
                raise ValueError(f'{name} needs a method with refinement that has one; this model '
                                 f"runs {self.description.get('method', 'dense')!r}")
            if not callable(value):
                limits[name].check(name, value)
        wants = frozenset((wants,) if isinstance(wants, str) else wants)
        if unknown := wants - {*self.method.optional}:
            raise ValueError(f'this model has no optional output {min(unknown)!r}; '
                             f'{nearest(min(unknown), self.method.optional)}')
        if truth is not None and self.needs_truth(wants):
            if self.remap is not None:
                raise ValueError('an oracle needs labels of the classes of the model, got those '
                                 f'of remap {self.remap.name!r}; leave the remap out')
            values['truth'] = torch.tensor(truth, device=self.device)[None]
        return replace(self.request, wants=wants, **values)

    def needs_truth(self, wants: frozenset[str]) -> bool:
        """Return whether the method looks at the truth; a remap has no PROPER_SCORES."""
        return self.method.needs_truth or (PROPER_SCORES in wants and self.remap is None)

    def __call__(self, image: np.ndarray | str | Path, alpha: float | None = None,
                 budget: Budget | None = None, wants: Collection[str] = (),
                 truth: np.ndarray | None = None) -> Prediction:
        """
        (H, W, 3) uint8 RGB, or the path of a picture, which is turned upright -> Prediction.

        alpha, budget: limits of this call; `method.limits()` has their ranges. A budget may be a
        function, which is called once the dense stage is done. wants: optional outputs,
        'confidence', 'merged', and 'proper_scores' of the truth. truth: (H, W) ids, which only
        these and an oracle look at.
        """
        if isinstance(image, (str, Path)):
            image = read_image(Path(image), is_upright=True)
        check_image(image)
        request, start = self.make_request(alpha, budget, wants, truth), time.perf_counter()
        clock = Stopwatch(self.device)
        if callable(request.budget):
            request = replace(request, budget=clock.then(request.budget))
        with own_stream(self.device), torch.inference_mode(), \
                autocast(self.device, self.precision), \
                self.computed(image, request, clock) as output:
            with clock('download'):
                seen = download({name: part for name in OUTPUTS
                                 if (part := getattr(output, name)) is not None})
                is_cut = output.is_cut if output.is_cut is None else bool(output.is_cut)
            milliseconds = clock.milliseconds
        self.check_output(image, seen['labels'], seen['uncertainty'])
        if self.remap is not None:
            seen['labels'] = self.remap(seen['labels'])
        total = (time.perf_counter() - start) * 1e3 - milliseconds.pop(PROPER_SCORES, 0.0)
        return Prediction(**seen, work=output.work, image=image, label_set=self.labels,
                          is_cut=is_cut, milliseconds={**milliseconds, 'total': total})

    @contextmanager
    def computed(self, image: np.ndarray, request: Request, clock: Stopwatch
                 ) -> Iterator[MethodOutput]:
        """Yield what the method says of an image, valid within the context."""
        size_hw = image.shape[:2]
        with nullcontext() if self.graphs is None else self.graphs.borrowed(
                self.method, size_hw, request) as recorded:
            if recorded is not None:
                yield recorded(self.normalisation.lifted(image[None])[0], clock)
                return
            with clock('upload'):
                images = self.normalise(image)
            yield self.method(images, request, clock)

    def check_output(self, image: np.ndarray, labels: np.ndarray, uncertainty: np.ndarray
                     ) -> None:
        """Raise ValueError for a bad output: not-a-number would read as a sure class 0."""
        if labels.shape != image.shape[:2] or labels.dtype != np.uint8:
            raise ValueError(f'labels must be {image.shape[:2]} uint8 like the image, got '
                             f'{labels.shape} {labels.dtype}; the method or its engine is for '
                             'other images')
        if not math.isfinite(uncertainty.min() + uncertainty.max()):
            count = np.count_nonzero(~np.isfinite(uncertainty))
            raise ValueError(f'the network did not give finite numbers for {count} of '
                             f'{uncertainty.size} pixels in {self.precision}; set precision: fp32,'
                             ' and if it recurs, use other weights')
        if labels.max() >= self.num_classes and (beyond := labels[
                (labels != VOID) & (labels >= self.num_classes)]).size:
            raise ValueError(f'labels must be below {self.num_classes} or {VOID}, got '
                             f'{beyond[0]}; the weights have other classes than their card')

    @property
    def temperature(self) -> float:
        """Divisor of the logits before they become uncertainty and confidence."""
        return self.method.temperature

    def with_temperature(self, value: float) -> Segmenter:
        """Return a segmenter of the same model with another temperature."""
        if not 0 < value <= 20:
            raise ValueError(f'temperature must be above 0 and at most 20, got {value}')
        method = copy(self.method)
        method.temperature = value
        other = self.with_method(method)
        other.uncertain_limit = None  # which holds for the former probabilities
        return other

    def with_uncertain_limit(self, value: float) -> Segmenter:
        """Return a segmenter of the same model with another limit of Prediction.uncertain."""
        other = self.with_method(self.method)
        other.uncertain_limit = value
        return other

    def with_remap(self, remap: LabelRemap) -> Segmenter:
        """Return a segmenter of the same model whose labels are of the classes of a remap."""
        if self.remap is not None:
            raise ValueError(f'remap {self.remap.name!r} holds already; remap the labels of the '
                             'model itself')
        if remap.source != self.labels.names:
            raise ValueError(f'remap {remap.name!r} is for the classes '
                             f'{cut(", ".join(remap.source))}, the model has '
                             f'{cut(", ".join(self.labels.names))}; choose one that is for those')
        other = self.with_method(self.method)
        other.remap, other.labels = remap, remap.labels
        other.description['labels_remap'] = remap.name
        return other

    def with_method(self, method: Method) -> Segmenter:
        """Return a segmenter that differs in its method alone."""
        other = copy(self)
        other.method, other.description = method, dict(self.description)
        return other

    def coarse_logits(self, image: np.ndarray) -> Tensor:
        """(H, W, 3) uint8 RGB -> (1, C, h, w) logits of the dense stage, before temperature."""
        return self.read(image, self.method.coarse_logits)

    def full_logits(self, image: np.ndarray, truth: np.ndarray | None = None) -> Tensor:
        """(H, W, 3) uint8 RGB -> (1, C, H, W) logits of every pixel, before temperature."""
        request = self.make_request(truth=truth)
        return self.read(image, partial(self.method.full_logits, request=request))

    def read(self, image: np.ndarray, make: Callable[[Tensor], Tensor]) -> Tensor:
        """Check and normalise an image -> the result of `make` for it, without gradients."""
        check_image(image)
        with torch.inference_mode(), autocast(self.device, self.precision):
            values = make(self.normalise(image)).float()
        if not values.isfinite().all():
            raise ValueError(f'the network did not give finite numbers in {self.precision}; set '
                             'precision: fp32, and if it recurs, use other weights')
        return values

    def normalise(self, image: np.ndarray) -> Tensor:
        """(H, W, 3) uint8 RGB -> (1, 3, H, W) float32, zero mean and unit variance, on device."""
        return self.normalisation(image[None])


def check_image(image: np.ndarray) -> None:
    """Raise ValueError unless image is (H, W, 3) uint8 with pixels in it."""
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim != 3 \
            or image.shape[2] != 3 or 0 in image.shape:
        got = f'{image.shape} {image.dtype}' if isinstance(image, np.ndarray) \
            else type(image).__name__
        cure = '; drop the alpha channel' if got.startswith('(') and ', 4)' in got else ''
        raise ValueError(f'image must be (H, W, 3) uint8 RGB, got {got}{cure}')
