# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures of a replay: overlays, uncertainties, a contact sheet and a film."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sparse_seg_ros import pictures
from sparse_seg_ros.data.frame import Frame
from sparse_seg_ros.labels import LabelSet
from sparse_seg_ros.new_paths import write
from sparse_seg_ros.prediction import Prediction
from sparse_seg_ros.report.contact_sheet import ContactSheet
from sparse_seg_ros.report.film import Film

EVERY = 10  # frames between two stills


class Preview:
    """
    Writes into a folder while frames come in.

    overlay_*.png and uncertainty_*.png of every tenth frame, merged_*.png where tokens merge,
    contact_sheet.jpg with image, overlay and uncertainty of a few of them, overlay.webm with all
    where OpenCV can write WebM. notes: what a user should know of them.
    """

    def __init__(self, folder: Path, labels: LabelSet):
        self.folder, self.labels = Path(folder), labels
        self.number, self.notes = 0, []
        self.sheet = ContactSheet(labels)
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
            self.sheet.add(image, lambda: overlay, lambda: heat)
        self.number += 1

    def save(self, name: str, picture: np.ndarray) -> None:
        """Write one picture."""
        write(self.folder / name, pictures.encode(picture, Path(name).suffix))

    def close(self) -> None:
        """Write the contact sheet and end the film."""
        self.notes += self.film.close()
        sheet = self.sheet.picture()
        if sheet is not None:
            self.save('contact_sheet.jpg', sheet)
