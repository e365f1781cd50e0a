# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
What is published for one frame, as arrays: the one table that node and replay share.

No ROS here; messages.py makes messages of the arrays.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from sparse_seg_ros import pictures
from sparse_seg_ros.config import NodeConfig
from sparse_seg_ros.labels import LabelSet
from sparse_seg_ros.methods.request import OPTIONAL
from sparse_seg_ros.prediction import Prediction


@dataclass(frozen=True)
class Segmented:
    """One frame with all that its outputs are made of."""

    image: np.ndarray
    seen: Prediction
    labels: LabelSet
    config: NodeConfig


@dataclass(frozen=True)
class Output:
    """A topic under segmentation/; a lazy one is made only while somebody listens."""

    encoding: Callable[[NodeConfig], str]
    make: Callable[[Segmented], np.ndarray]
    is_lazy: bool = True


def make_uncertainty(frame: Segmented) -> np.ndarray:
    """Return (H, W) float32 in [0, 1], or uint8 0..255 where configured as mono8."""
    if frame.config.uncertainty_encoding == 'mono8':
        return to_levels(frame.seen.uncertainty)
    return frame.seen.uncertainty


def make_refined(frame: Segmented) -> np.ndarray:
    """Return (H, W) uint8, 255 where the sparse stage ran; all 0 for methods without one."""
    if frame.seen.refined is None:
        return np.zeros_like(frame.seen.labels)
    return frame.seen.refined.view(np.uint8) * np.uint8(255)


def make_overlay(frame: Segmented) -> np.ndarray:
    """Return (H, W, 3) RGB, the classes' colours over the image."""
    return pictures.overlay(frame.image, frame.seen.labels, frame.labels,
                            frame.config.overlay_alpha)


def to_levels(values: np.ndarray) -> np.ndarray:
    """(H, W) float32 in [0, 1] -> (H, W) uint8 in 0..255."""
    return np.rint(values * 255).astype(np.uint8)


OUTPUTS = {
    'mask': Output(lambda config: 'mono8', lambda frame: frame.seen.labels, is_lazy=False),
    'uncertainty': Output(lambda config: config.uncertainty_encoding, make_uncertainty,
                          is_lazy=False),
    'refined': Output(lambda config: 'mono8', make_refined),
    'confidence': Output(lambda config: 'mono8', lambda frame: to_levels(frame.seen.confidence)),
    'merged': Output(lambda config: 'rgb8', lambda frame: pictures.merged(frame.seen.merged)),
    'color': Output(lambda config: 'rgb8',
                    lambda frame: pictures.color(frame.seen.labels, frame.labels)),
    'overlay': Output(lambda config: 'rgb8', make_overlay),
}


def topics_of(method: object) -> tuple[str, ...]:
    """Return the outputs that a method can fill: all but OPTIONAL ones that it does not make."""
    return tuple(name for name in OUTPUTS
                 if name not in OPTIONAL or name in method.optional)
