# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The outputs for one frame, as arrays: the one table that node and replay share.

messages/fields.py makes messages of the arrays.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from sparse_seg_ros import pictures
from sparse_seg_ros.labels import LabelSet
from sparse_seg_ros.messages.region import scaled_size
from sparse_seg_ros.methods.request import OPTIONAL
from sparse_seg_ros.prediction import Prediction

if TYPE_CHECKING:
    from sparse_seg_ros.methods.kind import Method  # imports torch: seconds


@dataclass(frozen=True)
class SegmentedFrame:
    """One frame with all that its outputs are made of."""

    image: np.ndarray
    prediction: Prediction
    labels: LabelSet
    uncertainty_encoding: str = '32FC1'
    overlay_alpha: float = 0.5


@dataclass(frozen=True)
class Output:
    """A topic under segmentation/; a lazy one is made only while somebody listens."""

    encoding: Callable[[SegmentedFrame], str]
    make: Callable[[SegmentedFrame], np.ndarray]
    is_lazy: bool = True
    interpolation: int = cv2.INTER_NEAREST  # of ids, which have no mean

    def scaled(self, array: np.ndarray, scale: float) -> np.ndarray:
        """(H, W) or (H, W, 3) of the image's size -> the same of the size of the outputs."""
        height, width = scaled_size((array.shape[0], array.shape[1]), scale)
        if (height, width) == array.shape[:2]:
            return array
        return cv2.resize(array, (width, height), interpolation=self.interpolation)


def make_uncertainty(frame: SegmentedFrame) -> np.ndarray:
    """Return (H, W) float32 in [0, 1], or uint8 0..255 where that is the encoding."""
    uncertainty = frame.prediction.uncertainty
    return to_levels(uncertainty) if frame.uncertainty_encoding == 'mono8' else uncertainty


def make_refined(frame: SegmentedFrame) -> np.ndarray:
    """Return (H, W) uint8, 255 where the sparse stage ran; all 0 for methods without one."""
    refined = frame.prediction.refined
    if refined is None:
        return np.zeros_like(frame.prediction.labels)
    return refined.view(np.uint8) * np.uint8(255)


def make_overlay(frame: SegmentedFrame) -> np.ndarray:
    """Return (H, W, 3) RGB, the classes' colours over the image."""
    return pictures.overlay(frame.image, frame.prediction.labels, frame.labels,
                            frame.overlay_alpha)


def to_levels(values: np.ndarray) -> np.ndarray:
    """(H, W) float32 in [0, 1] -> (H, W) uint8 in 0..255."""
    return np.rint(values * 255).astype(np.uint8)


def required(frame: SegmentedFrame, name: str) -> np.ndarray:
    """Return an optional output of a frame; ValueError where it was not wanted."""
    array = getattr(frame.prediction, name)
    if array is None:
        raise ValueError(f'the frame was segmented without {name!r}; ask for it in wants')
    return array


OUTPUTS = {
    'mask': Output(lambda frame: 'mono8', lambda frame: frame.prediction.labels, is_lazy=False),
    'uncertainty': Output(lambda frame: frame.uncertainty_encoding, make_uncertainty,
                          interpolation=cv2.INTER_LINEAR),
    'refined': Output(lambda frame: 'mono8', make_refined),
    'confidence': Output(lambda frame: 'mono8',
                         lambda frame: to_levels(required(frame, 'confidence')),
                         interpolation=cv2.INTER_LINEAR),
    'merged': Output(lambda frame: 'rgb8',
                     lambda frame: pictures.merged(required(frame, 'merged'))),
    'color': Output(lambda frame: 'rgb8',
                    lambda frame: pictures.color(frame.prediction.labels, frame.labels),
                    interpolation=cv2.INTER_AREA),
    'overlay': Output(lambda frame: 'rgb8', make_overlay, interpolation=cv2.INTER_AREA),
}


def topics_of(method: Method) -> tuple[str, ...]:
    """Return the outputs that a method can fill: all but OPTIONAL ones that it does not make."""
    return tuple(name for name in OUTPUTS
                 if name not in OPTIONAL or name in method.optional)
