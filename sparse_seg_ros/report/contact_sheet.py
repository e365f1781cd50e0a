# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A picture with image, overlay and uncertainty of a few frames, spread over all of them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sparse_seg_ros.labels import LabelSet
from sparse_seg_ros.pictures import with_legend
from sparse_seg_ros.report.film import fit

SHEET_HW, SHEET_ROWS = (640, 640), 8  # largest picture on the sheet


class ContactSheet:
    """Takes any number of frames, and keeps at most twice as many as it shows."""

    def __init__(self, labels: LabelSet):
        self.labels, self.rows = labels, []
        self.stride, self.number = 1, 0

    def add(self, image: np.ndarray, *draw: Callable[[], np.ndarray]) -> None:
        """Add the (H, W, 3) RGB image of a frame and, if it is kept, what is drawn beside it."""
        if self.number % self.stride == 0:
            pictures = [image, *(picture() for picture in draw)]
            self.rows.append(np.hstack([fit(picture, SHEET_HW) for picture in pictures]))
            if len(self.rows) > 2 * SHEET_ROWS:
                self.rows, self.stride = self.rows[::2], 2 * self.stride
        self.number += 1

    def picture(self) -> np.ndarray | None:
        """Return the sheet as (H, W, 3) RGB; None without frames."""
        if not self.rows:
            return None
        spread = np.linspace(0, len(self.rows) - 1, min(SHEET_ROWS, len(self.rows)))
        rows = [self.rows[round(place)] for place in spread]
        width = max(row.shape[1] for row in rows)
        rows = [np.pad(row, ((0, 0), (0, width - row.shape[1]), (0, 0))) for row in rows]
        return with_legend(np.vstack(rows), self.labels)
