# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures of a replay to look at: overlays, uncertainties, a contact sheet and a film."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from sparse_seg_ros import pictures
from sparse_seg_ros.labels import LabelSet
from sparse_seg_ros.prediction import Prediction

EVERY = 10  # frames between two stills
SHEET_WIDTH, SHEET_ROWS = 640, 8
FILM_FRAMES_PER_SECOND = 15.0


class Preview:
    """
    Writes into a folder while frames come in.

    overlay_*.png and uncertainty_*.png of every tenth frame, merged_*.png where tokens merge,
    contact_sheet.jpg with image, overlay and uncertainty of a few of them, overlay.mp4 with all
    where OpenCV can write MP4.
    """

    def __init__(self, folder: Path, labels: LabelSet):
        self.folder, self.labels = Path(folder), labels
        self.number, self.rows, self.film = 0, [], None
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ValueError(f'cannot write pictures to {self.folder}: {error.strerror}; choose '
                             'a folder that you may write to') from None

    def add(self, stamp: int, image: np.ndarray, seen: Prediction) -> None:
        """Add one frame."""
        overlay = pictures.overlay(image, seen.labels, self.labels)
        self.extend_film(overlay)
        if self.number % EVERY == 0:
            heat = pictures.heat(seen.uncertainty)
            self.save(f'overlay_{stamp}.png', overlay)
            self.save(f'uncertainty_{stamp}.png', heat)
            if seen.merged is not None:
                self.save(f'merged_{stamp}.png', pictures.merged(seen.merged))
            self.rows.append(make_row(image, overlay, heat))
        self.number += 1

    def extend_film(self, picture: np.ndarray) -> None:
        """Add a picture to the MP4."""
        height, width = picture.shape[:2]
        if self.film is None:
            self.film = cv2.VideoWriter(str(self.folder / 'overlay.mp4'),
                                        cv2.VideoWriter_fourcc(*'mp4v'),
                                        FILM_FRAMES_PER_SECOND, (width, height))
        self.film.write(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))

    def save(self, name: str, picture: np.ndarray) -> None:
        """Write one picture."""
        path = self.folder / name
        if not cv2.imwrite(str(path), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)):
            raise ValueError(f'cannot write {path}; is the disk full?')

    def close(self) -> None:
        """Write the contact sheet and end the film."""
        if self.film is not None:
            self.film.release()
        if self.rows:
            spread = np.linspace(0, len(self.rows) - 1, min(SHEET_ROWS, len(self.rows)))
            self.save('contact_sheet.jpg', np.vstack([self.rows[round(k)] for k in spread]))


def make_row(*images: np.ndarray) -> np.ndarray:
    """(H, W, 3) pictures of one frame -> one row of the contact sheet, side by side."""
    height, width = images[0].shape[:2]
    size = (SHEET_WIDTH, round(height * SHEET_WIDTH / width))
    return np.hstack([cv2.resize(image, size, interpolation=cv2.INTER_AREA)
                      for image in images])
