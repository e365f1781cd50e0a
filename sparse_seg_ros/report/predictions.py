# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The results for pictures and videos as files that people and other programs open."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np

from sparse_seg_ros import pictures
from sparse_seg_ros.data.frame import Frame
from sparse_seg_ros.labels import LabelSet
from sparse_seg_ros.new_paths import write
from sparse_seg_ros.prediction import Prediction
from sparse_seg_ros.report.contact_sheet import ContactSheet
from sparse_seg_ros.report.film import Film


def overlay(seen: Prediction) -> np.ndarray:
    """Return the colours over the image."""
    return pictures.overlay(seen.image, seen.labels, seen.label_set)


def side_by_side(seen: Prediction) -> np.ndarray:
    """Return image, colours over it, and uncertainty."""
    return np.hstack([seen.image, overlay(seen), pictures.heat(seen.uncertainty)])


def add_to(sheet: ContactSheet, image: np.ndarray, seen: Prediction) -> None:
    """Add a frame to a sheet: image, colours over it, uncertainty."""
    sheet.add(image, lambda: overlay(seen), lambda: pictures.heat(seen.uncertainty))


KINDS = {  # name of a file -> what it shows
    'overlay': overlay,
    'ids': lambda seen: seen.labels,  # (H, W) uint8, 255 for void
    'uncertainty': lambda seen: pictures.heat(seen.uncertainty),
    'side': side_by_side,
}
FILMED = ('overlay', 'side', 'uncertainty')
WITH_LEGEND = ('overlay', 'side')


def free_name(name: str, used: set[str]) -> str:
    """Return a name that is not used yet, numbered from 2 where it is, and note it as used."""
    names = (name, *(f'{name}_{number}' for number in range(2, len(used) + 3)))
    free = next(each for each in names if each not in used)
    used.add(free)
    return free


class PictureFiles:
    """
    Writes NAME_overlay.png, NAME_ids.png, NAME_uncertainty.png and NAME_side.png of every frame.

    kinds: which of them. NAME is that of the picture, numbered where it is in names_used.
    """

    def __init__(self, folder: Path, labels: LabelSet, kinds: Collection[str],
                 names_used: set[str]):
        self.folder, self.labels, self.kinds = folder, labels, kinds
        self.names_used = names_used
        self.sheet = ContactSheet(labels)

    def __call__(self, frame: Frame, image: np.ndarray, seen: Prediction) -> None:
        """Write the files of one frame."""
        name = free_name(Path(frame.source).stem, self.names_used)
        for kind in self.kinds:
            picture = KINDS[kind](seen)
            if kind in WITH_LEGEND:
                picture = pictures.with_legend(picture, self.labels)
            write(self.folder / f'{name}_{kind}.png', pictures.encode(picture, '.png'))
        add_to(self.sheet, image, seen)


class VideoFiles:
    """
    Writes NAME_overlay.mp4, NAME_uncertainty.mp4, NAME_side.mp4 and NAME_000001_ids.png.

    kinds: which of them. film: where the only film goes, in the place of NAME_overlay.mp4.
    """

    def __init__(self, folder: Path, name: str, labels: LabelSet, kinds: Collection[str],
                 frames_per_second: float, film: Path | None = None):
        self.folder, self.name, self.number = folder, name, 0
        folder.mkdir(parents=True, exist_ok=True)
        self.films = {kind: Film(film or folder / f'{name}_{kind}.mp4', labels, frames_per_second,
                                 largest_hw=None) for kind in kinds if kind in FILMED}
        self.writes_ids, self.sheet = 'ids' in kinds, ContactSheet(labels)

    def __call__(self, frame: Frame, image: np.ndarray, seen: Prediction) -> None:
        """Add one frame."""
        self.number += 1
        for kind, film in self.films.items():
            film.add(KINDS[kind](seen))
        if self.writes_ids:
            write(self.folder / f'{self.name}_{self.number:06d}_ids.png',
                  pictures.encode(seen.labels, '.png'))
        add_to(self.sheet, image, seen)

    def close(self) -> list[str]:
        """End the films -> what a user should know of them."""
        return [note for film in self.films.values() for note in film.close()]
