# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures of a replay: overlays, uncertainties, a contact sheet and a film."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from sparse_seg_ros import pictures
from sparse_seg_ros.data.frame import Frame
from sparse_seg_ros.labels import LabelSet
from sparse_seg_ros.new_paths import write
from sparse_seg_ros.prediction import Prediction
from sparse_seg_ros.report.film import Film, draw_legend, fit

EVERY = 10  # frames between two stills
SHEET_HW, SHEET_ROWS = (640, 640), 8  # largest picture on the sheet


class Preview:
    """
    Writes into a folder while frames come in.

    overlay_*.png and uncertainty_*.png of every tenth frame, merged_*.png where tokens merge,
    contact_sheet.jpg with image, overlay and uncertainty of a few of them, overlay.webm with all
    where OpenCV can write WebM. notes: what a user should know of them.
    """

    def __init__(self, folder: Path, labels: LabelSet):
        self.folder, self.labels = Path(folder), labels
        self.number, self.rows, self.notes = 0, [], []
        self.stamps: set[int] = set()  # some drivers stamp all images alike
        self.film = Film(self.folder / 'overlay.webm', labels)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ValueError(f'cannot write pictures to {self.folder}: {error.strerror}; choose '
                             'a folder that you may write to') from None

    def __call__(self, frame: Frame, image: np.ndarray, seen: Prediction) -> None:
        """Add one frame."""
        stamp = frame.stamp
        overlay = pictures.overlay(image, seen.labels, self.labels)
        self.film.add(overlay)
        if self.number % EVERY == 0:
            heat = pictures.heat(seen.uncertainty)
            name = f'{stamp}.png' if stamp not in self.stamps else f'{stamp}_{self.number}.png'
            self.stamps.add(stamp)
            self.save(f'overlay_{name}', overlay)
            self.save(f'uncertainty_{name}', heat)
            if seen.merged is not None:
                self.save(f'merged_{name}', pictures.merged(seen.merged))
            self.rows.append(make_row(image, overlay, heat))
        self.number += 1

    def save(self, name: str, picture: np.ndarray) -> None:
        """Write one picture."""
        done, data = cv2.imencode(Path(name).suffix, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        if not done:
            raise OSError(f'OpenCV cannot encode {name}')
        write(self.folder / name, data.tobytes())

    def close(self) -> None:
        """Write the contact sheet and end the film."""
        self.notes += self.film.close()
        if self.rows:
            spread = np.linspace(0, len(self.rows) - 1, min(SHEET_ROWS, len(self.rows)))
            rows = [self.rows[round(k)] for k in spread]
            width = max(row.shape[1] for row in rows)
            rows = [np.pad(row, ((0, 0), (0, width - row.shape[1]), (0, 0))) for row in rows]
            self.save('contact_sheet.jpg', np.vstack([*rows, draw_legend(self.labels, width)]))


def make_row(*images: np.ndarray) -> np.ndarray:
    """(H, W, 3) pictures of one frame -> one row of the contact sheet, side by side."""
    return np.hstack([fit(image, SHEET_HW) for image in images])
