# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One network at low resolution, refined and at full resolution, on the same frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sparse_seg_ros import pictures
from sparse_seg_ros.segmenter import Segmenter

ROUNDS = 3  # of each frame, of which the median is shown


@dataclass(frozen=True)
class Compared:
    """A frame by one of them: its name, (H, W, 3) uint8 RGB, time, fraction refined."""

    title: str
    overlay: np.ndarray
    milliseconds: float
    refined: float


def compare(segmenters: Mapping[str, Segmenter], images: Sequence[np.ndarray]
            ) -> list[dict[str, Compared]]:
    """Segmenters by name, of load_resolutions, and frames -> every frame by each."""
    for segment in segmenters.values():
        segment(images[0])  # to warm up
    return [compare_one(segmenters, image) for image in images] if segmenters else []


def compare_one(segmenters: Mapping[str, Segmenter], image: np.ndarray) -> dict[str, Compared]:
    """Let each segment one frame in turn, several times."""
    rounds = [{name: segment(image) for name, segment in segmenters.items()}
              for _ in range(ROUNDS)]
    return {name: Compared(
        title(name, segment), pictures.overlay(image, rounds[-1][name].labels, segment.labels),
        float(np.median([each[name].milliseconds['total'] for each in rounds])),
        rounds[-1][name].density) for name, segment in segmenters.items()}


def title(name: str, segment: Segmenter) -> str:
    """Return what one is called where people read it."""
    if name == 'refined':
        return name
    scale = segment.method.scale
    return {0.5: 'half resolution', 1.0: 'full resolution'}.get(scale,
                                                                f'{scale:g} of the resolution')


def middle_times(compared: Sequence[Mapping[str, Compared]]) -> dict[str, float]:
    """Compared frames -> title: median milliseconds."""
    names = compared[0] if compared else ()
    return {compared[0][name].title: round(float(np.median([row[name].milliseconds
                                                            for row in compared])), 1)
            for name in names}
