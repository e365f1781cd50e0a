# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Whether the pictures of a camera are such as the model was calibrated on, by how sure it is."""

from __future__ import annotations

import math
from typing import Any

from sparse_seg_ros.prediction import Prediction

UNCERTAIN, UNCERTAIN_SMOOTH, UNCERTAIN_LIMIT = (
    'uncertain fraction', 'uncertain fraction, smoothed', 'uncertain limit')
NOT_LEARNT = 'not learnt; run sparse_seg calibrate'
SMOOTH_FRAMES = 10  # of a running mean: a lorry that fills one frame is no other domain
CALM_SHARE = 0.9  # of the limit, below which the frames are in the domain again


class DomainWatch:
    """
    Smooths the uncertain fraction over frames and compares it with a limit, None if not known.

    is_out: whether the frames are out of the domain.
    """

    def __init__(self, limit: float | None):
        self.limit, self.latest, self.smooth, self.frames = limit, math.nan, 0.0, 0
        self.is_out = False

    def note(self, prediction: Prediction) -> None:
        """Take the next frame."""
        self.latest, self.frames = prediction.uncertain, self.frames + 1
        self.smooth += (self.latest - self.smooth) / min(self.frames, SMOOTH_FRAMES)
        if self.limit is not None and self.frames >= SMOOTH_FRAMES:
            bound = self.limit * (CALM_SHARE if self.is_out else 1.0)
            self.is_out = self.smooth > bound

    def figures(self) -> dict[str, Any]:
        """Return what the status has beside its message."""
        return {UNCERTAIN: f'{self.latest:.4f}' if self.frames else 'n/a',
                UNCERTAIN_SMOOTH: f'{self.smooth:.4f}' if self.frames else 'n/a',
                UNCERTAIN_LIMIT: NOT_LEARNT if self.limit is None else f'{self.limit:.4f}'}
