# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The result of one segmented frame: the only result type of the package, always checked."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from sparse_seg_ros import pictures
from sparse_seg_ros.labels import VOID, LabelSet
from sparse_seg_ros.new_paths import write

# Of the highest entropy, from which a pixel counts as uncertain. At 0.4 the fraction of such
# pixels tells frames in thick fog, of poor JPEG or upside down best from those of an unseen drive
# at dusk: it is 2.7 times as high, and the mean uncertainty 1.6 times. It is not alpha, which
# changes live and is another number for every method.
UNCERTAIN = 0.4
EVERY = 4  # pixels in both directions that are looked at for such a fraction


@dataclass(frozen=True)
class Prediction:
    """
    Labels and their uncertainty for one image of H x W pixels.

    labels:       (H, W) uint8, ids of the label set.
    uncertainty:  (H, W) float32, entropy / ln C, from 0 (sure) to 1 (no idea).
    refined:      (H, W) bool, where the sparse stage ran; None for methods without one.
    confidence:   (H, W) float32, probability of the label; None unless the call wants it.
    merged:       (H, W) int32, number of the token that a pixel's patch shares with others, from
                  1; 0 for a patch of its own; None unless the call wants it of such a method.
    nll:          (H', W') float32, negative log-likelihood of the true class in nats, and
    brier:        (H', W') float32, sum of the squared errors of the probabilities, from 0 to 2;
                  both of every pixel, or of a lattice where there are more than 2^18; nan where
                  the truth is void; None unless the call wants 'proper_scores'.
    milliseconds: time spent per stage, with 'total'.
    work:         what the method's count_macs has to know about it.
    is_cut:       whether the budget kept pixels out that were to be refined; None where there is
                  no budget.
    image:        (H, W, 3) uint8 RGB that was segmented, not copied.
    label_set:    names and colours of the ids.
    """

    labels: np.ndarray
    uncertainty: np.ndarray
    refined: np.ndarray | None = None
    confidence: np.ndarray | None = None
    merged: np.ndarray | None = None
    nll: np.ndarray | None = None
    brier: np.ndarray | None = None
    milliseconds: dict[str, float] = field(default_factory=dict)
    work: Any = field(default=None, repr=False, compare=False)
    is_cut: bool | None = field(default=None, compare=False)
    image: np.ndarray | None = field(default=None, repr=False, compare=False)
    label_set: LabelSet | None = field(default=None, repr=False, compare=False)

    def __post_init__(self):
        for name, dtype in (('labels', np.uint8), ('uncertainty', np.float32),
                            ('refined', np.bool_), ('confidence', np.float32),
                            ('merged', np.int32)):
            array = getattr(self, name)
            if name not in ('labels', 'uncertainty') and array is None:
                continue
            if array.dtype != dtype or array.shape != self.labels.shape or array.ndim != 2:
                raise ValueError(
                    f'{name} must be (H, W) {np.dtype(dtype).name} like the labels '
                    f'{self.labels.shape}, got {array.shape} {array.dtype}')

    @property
    def density(self) -> float:
        """Fraction of pixels that the sparse stage refined, in [0, 1]."""
        return 0.0 if self.refined is None else float(self.refined.mean())

    @property
    def uncertain(self) -> float:
        """Fraction of pixels whose uncertainty is high, in [0, 1]; estimated on every 16th."""
        return float((self.uncertainty[::EVERY, ::EVERY] > UNCERTAIN).mean())

    def picture(self) -> np.ndarray:
        """Return (H + h, W, 3) uint8 RGB: the colours laid over the image, a legend below."""
        if self.image is None or self.label_set is None:
            raise ValueError('this prediction knows neither image nor label set; make it with '
                             'segment(image), or draw it with overlay(image, labels, label_set)')
        return pictures.with_legend(
            pictures.overlay(self.image, self.labels, self.label_set), self.label_set)

    def save(self, path: str | Path) -> None:
        """Write the picture as PNG or JPEG; ValueError for another ending or a full disk."""
        write(Path(path), pictures.encode(self.picture(), Path(path).suffix))

    def _repr_png_(self) -> bytes | None:
        """Return what a notebook shows; None where there is no image to show."""
        return None if self.image is None else pictures.encode(self.picture(), '.png')

    def to_detections(self) -> Any:
        """Return supervision.Detections, one for each class; ImportError without supervision."""
        from sparse_seg_ros.with_supervision import to_detections
        names = self.label_set.names if self.label_set else tuple(map(str, range(VOID)))
        return to_detections(self.labels, self.uncertainty, names)
