# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Labelled frames on disk: of a published data set, or in a split file of "image label" lines.

Images and labels are read in the grid in which they are stored: no EXIF tag turns an image, as
labels are drawn, and published, for the stored pixels.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import numpy as np

from sparse_seg_ros.data.datasets import DATASETS, kind_of, refuse_unknown_kind
from sparse_seg_ros.data.encoding import Encoding, load_encoding
from sparse_seg_ros.data.frame import Frame
from sparse_seg_ros.data.mat_files import read_mat
from sparse_seg_ros.data.picture_files import (
    is_turned,
    read_colors,
    read_ids,
    read_image,
    read_label,
)
from sparse_seg_ros.labels import VOID, load_labels
from sparse_seg_ros.texts import cut

WORD = re.compile(r'"([^"]*)"|\'([^\']*)\'|(\S+)')
LOOKS = 5  # labels of a split that tell whether it is a mask of 0 and 255


class Frames:
    """
    A sequence of labelled Frames, which are read when they are used.

    classes: names of the ids, if they are known; else empty. A label with other ids is refused
    when it is read. encoding: what the pixels of the label files mean; None: they are ids.
    """

    def __init__(self, paths: list[tuple[Path, Path]], classes: tuple[str, ...] = (),
                 encoding: Encoding | None = None):
        self.paths, self.classes, self.encoding = paths, classes, encoding

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Frame:
        picture = LabelledPicture(*self.paths[index], len(self.classes), self.encoding)
        return Frame(str(picture.image_path), picture.image, lambda: self.read(picture),
                     name=picture.image_path.stem)

    def __iter__(self) -> Iterator[Frame]:
        return (self[index] for index in range(len(self)))

    def spread(self, count: int) -> Frames:
        """Return at most this many of the frames, evenly chosen, with the first and the last."""
        places = np.linspace(0, len(self) - 1, min(count, len(self))).round().astype(int)
        return Frames([self.paths[place] for place in places], self.classes, self.encoding)

    def read(self, picture: LabelledPicture) -> np.ndarray:
        """Read a label; ValueError where 255 seems to be a class of this split."""
        label = picture.label()
        if self.encoding is None and is_mask(label) and self.holds_masks:
            raise ValueError(f'{picture.label_path} holds 0 and 255 alone, as other labels of '
                             'this split do, and 255 is void here; save the class as 1, or give '
                             "255 to a class under 'files' of a labels.yaml beside the split")
        return label

    @cached_property
    def holds_masks(self) -> bool:
        """Tell whether labels have no other ids than 0 and 255, of more than one class."""
        return len(self.classes) != 1 and all(
            is_mask(read_label(label)) for _, label in self.spread(LOOKS).paths)


def is_mask(label: np.ndarray) -> bool:
    """Tell whether a label has pixels of 0, of 255, and no others."""
    counts = np.bincount(label.ravel(), minlength=VOID + 1)
    return bool(counts[0] and counts[VOID] and not counts[1:VOID].any())


class LabelledPicture:
    """
    An image and its label on disk.

    num_classes: of the label, 0 where they are not known. encoding: as of Frames.
    """

    def __init__(self, image_path: Path, label_path: Path, num_classes: int = 0,
                 encoding: Encoding | None = None):
        self.image_path, self.label_path = image_path, label_path
        self.num_classes, self.encoding, self.size_hw = num_classes, encoding, None

    def image(self) -> np.ndarray:
        """Read the image."""
        image = read_image(self.image_path)
        self.size_hw = image.shape[:2]
        return image

    def label(self) -> np.ndarray:
        """Read the label; ValueError unless it fits the image and the classes."""
        label = self.read()
        size_hw = self.size_hw or self.image().shape[:2]
        if size_hw != label.shape:
            cure = ('; an EXIF tag turns the image, which is not done here: label it as it is '
                    'stored' if is_turned(self.image_path, label.shape) else '')
            raise ValueError(f'{self.label_path} is {label.shape}, its image {size_hw}; both must '
                             f'have the same size{cure}')
        if self.num_classes:
            check_label(label, self.num_classes, self.label_path)
        return label

    def read(self) -> np.ndarray:
        """Read the (H, W) ids of the label, whatever their size."""
        return read_encoded(self.label_path, self.encoding)


def read_encoded(path: Path, encoding: Encoding | None) -> np.ndarray:
    """Label file, and what its pixels mean -> (H, W) uint8 ids; None: they are ids."""
    if encoding is None:
        return read_label(path)
    read = read_mat if path.suffix == '.mat' else read_colors if encoding.is_color else read_ids
    return encoding.decode(read(path), path)


def check_label(label: np.ndarray, num_classes: int, path: Path | str) -> None:
    """Raise ValueError if a label has an id that is no class, and not void."""
    counts = np.bincount(label.ravel(), minlength=VOID + 1)[num_classes:VOID]
    if counts.any():
        raise ValueError(f'{path}: labels must be below {num_classes} or {VOID} for void, got '
                         f'{num_classes + int(counts.argmax())}; does the label set match the '
                         'frames?')


def frames(split: str | Path, root: str | Path | None = None, name: str = '') -> Frames:
    """
    Name of a split -> its frames.

    'cityscapes:data/cityscapes/val', or 'cityscapes', 'data/cityscapes', 'val': of a data set in
    its published folders; DATASETS has them all. 'dataset/test': those listed in
    dataset/test.txt. There each line names an image and its label (ids, 255 void), relative to
    the folder; names with blanks are put in quotes or divided by a tab. A labels.yaml beside it
    names the classes, and what the pixels of the labels mean.
    """
    if root is not None:
        split = f'{split}:{Path(root) / name}'
    kind = kind_of(split)
    return of_data_set(*kind) if kind else of_listing(split)


def of_data_set(kind: str, path: Path) -> Frames:
    """Kind of data set, and the path of a split in it -> its frames."""
    data_set, root = DATASETS[kind], path.parent
    try:
        layout, paths = data_set.pairs(root, path.name)
    except (FileNotFoundError, ValueError) as error:
        raise type(error)(f'{kind}, split {path.name!r}: {error}') from None
    labels = data_set.labels or root / 'labels.yaml'
    if not data_set.labels and not labels.is_file():
        return Frames(paths)
    return Frames(paths, load_labels(labels).names, load_encoding(labels, layout.form))


def of_listing(split: str | Path) -> Frames:
    """Path of a split file -> the frames that it lists."""
    listing = listing_of(split)
    if not listing.is_file():
        refuse_unknown_kind(split)
        raise FileNotFoundError(f'no split file {listing}; it must list "image label" per line, '
                                'paths relative to its folder')
    lines = [line for line in read_text(listing).splitlines() if line.strip()]
    if not lines:
        raise ValueError(f"{listing}: expected \"image label\" on every line, got 'no lines'")
    paths = [read_pair(line, listing) for line in lines]
    for path in (path for pair in paths for path in pair):
        if not path.is_file():
            raise FileNotFoundError(f'{listing}: no picture {path}')
    labels = listing.parent / 'labels.yaml'
    if not labels.is_file():
        return Frames(paths)
    return Frames(paths, load_labels(labels).names, load_encoding(labels))


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


def check_classes(pairs: object, names: tuple[str, ...], source: str) -> None:
    """Raise ValueError if frames say that their ids are other classes than those of a source."""
    own = getattr(pairs, 'classes', ())
    if own and own != names:
        raise ValueError(f'the frames have the classes {cut(", ".join(own))}, {source} has '
                         f'{cut(", ".join(names))}; use frames and model of one label set')
