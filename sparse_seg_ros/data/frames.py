# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Labelled frames on disk: a split file of "image label" lines beside the pictures."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from sparse_seg_ros.data.frame import Frame
from sparse_seg_ros.data.picture_files import is_turned, read_image, read_label
from sparse_seg_ros.labels import VOID, load_labels
from sparse_seg_ros.texts import cut

WORD = re.compile(r'"([^"]*)"|\'([^\']*)\'|(\S+)')


class Frames:
    """
    A sequence of labelled Frames, which are read when they are used.

    classes: names of the ids, if a labels.yaml lies beside the split; else empty. A label with
    other ids is refused when it is read.
    """

    def __init__(self, paths: list[tuple[Path, Path]], classes: tuple[str, ...] = ()):
        self.paths, self.classes = paths, classes

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Frame:
        picture = LabelledPicture(*self.paths[index], len(self.classes))
        return Frame(str(picture.image_path), picture.image, picture.label)

    def __iter__(self) -> Iterator[Frame]:
        return (self[index] for index in range(len(self)))

    def spread(self, count: int) -> Frames:
        """Return at most this many of the frames, evenly chosen, with the first and the last."""
        places = np.linspace(0, len(self) - 1, min(count, len(self))).round().astype(int)
        return Frames([self.paths[place] for place in places], self.classes)


class LabelledPicture:
    """An image and its label on disk; num_classes: of the label, 0 where they are not known."""

    def __init__(self, image_path: Path, label_path: Path, num_classes: int = 0):
        self.image_path, self.label_path = image_path, label_path
        self.num_classes, self.size_hw = num_classes, None

    def image(self) -> np.ndarray:
        """Read the image."""
        image = read_image(self.image_path)
        self.size_hw = image.shape[:2]
        return image

    def label(self) -> np.ndarray:
        """Read the label; ValueError unless it fits the image and the classes."""
        label = read_label(self.label_path)
        size_hw = self.size_hw or self.image().shape[:2]
        if size_hw != label.shape:
            cure = ('; an EXIF tag turns the image, which is not done here: label it as it is '
                    'stored' if is_turned(self.image_path, label.shape) else '')
            raise ValueError(f'{self.label_path} is {label.shape}, its image {size_hw}; both must '
                             f'have the same size{cure}')
        if self.num_classes:
            check_label(label, self.num_classes, self.label_path)
        return label


def check_label(label: np.ndarray, num_classes: int, path: Path | str) -> None:
    """Raise ValueError if a label has an id that is no class, and not void."""
    counts = np.bincount(label.ravel(), minlength=VOID + 1)[num_classes:VOID]
    if counts.any():
        raise ValueError(f'{path}: labels must be below {num_classes} or {VOID} for void, got '
                         f'{num_classes + int(counts.argmax())}; does the label set match the '
                         'frames?')


def frames(split: str | Path) -> Frames:
    """
    Path 'dataset/test' -> the frames listed in dataset/test.txt.

    Each line names an image and its label (ids, 255 void), relative to the folder; names with
    blanks are put in quotes or divided by a tab. A labels.yaml beside it names the classes.
    """
    listing = listing_of(split)
    if not listing.is_file():
        raise FileNotFoundError(f'no split file {listing}; it must list "image label" per line, '
                                'paths relative to its folder')
    lines = [line for line in read_text(listing).splitlines() if line.strip()]
    if not lines:
        raise ValueError(f"{listing}: expected \"image label\" on every line, got 'no lines'")
    paths = [read_pair(line, listing) for line in lines]
    for path in (path for pair in paths for path in pair):
        if not path.is_file():
            raise FileNotFoundError(f'{listing}: no picture {path}')
    return Frames(paths, classes_beside(listing))


def listing_of(split: str | Path) -> Path:
    """'dataset/test' -> path of its split file, dataset/test.txt, which may be missing."""
    return Path(split if str(split).endswith('.txt') else f'{split}.txt')


def read_text(path: Path) -> str:
    """Text file of any editor -> its text."""
    data = path.read_bytes()
    encoding = 'utf-16' if data[:2] in (b'\xff\xfe', b'\xfe\xff') else 'utf-8-sig'
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        raise ValueError(f'{path}: expected text in UTF-8, got other bytes; save it as '
                         'UTF-8') from None


def read_pair(line: str, listing: Path) -> tuple[Path, Path]:
    """Line of a split -> its two paths: divided by a tab, by quotes, or by files that exist."""
    folder, line = listing.parent, line.strip()
    words = [part.strip(' "\'') for part in line.split('\t') if part.strip()]
    if len(words) == 1:
        words = [''.join(groups) for groups in WORD.findall(line)]
    if len(words) != 2:
        gaps = [match.span() for match in re.finditer(r'\s+', line)]
        fitting = [(line[:start], line[end:]) for start, end in gaps
                   if (folder / line[:start]).is_file() and (folder / line[end:]).is_file()]
        words = fitting[0] if len(fitting) == 1 else words
    if len(words) != 2:
        raise ValueError(f'{listing}: expected "image label" on every line, got '
                         f'{cut(repr(line))}; put names with blanks in quotes')
    return folder / words[0], folder / words[1]


def classes_beside(listing: Path) -> tuple[str, ...]:
    """Split file -> class names of the labels.yaml beside it; empty where there is none."""
    path = listing.parent / 'labels.yaml'
    return load_labels(path).names if path.is_file() else ()


def check_classes(pairs: object, names: tuple[str, ...], source: str) -> None:
    """Raise ValueError if frames say that their ids are other classes than those of a source."""
    own = getattr(pairs, 'classes', ())
    if own and own != names:
        raise ValueError(f'the frames have the classes {cut(", ".join(own))}, {source} has '
                         f'{cut(", ".join(names))}; use frames and model of one label set')
