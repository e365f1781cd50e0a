# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
A folder of label PNGs for frames that come from elsewhere: pictures, a video, a bag.

A label has the name of its frame, perhaps with an ending such as _ids: `street.png` of
`street.jpg`; `drive_000012.png`, or `000012.png`, of frame 12 of `drive.mp4`, counted from 1; the
stamp of an image in a bag, as nanoseconds or as `seconds.nanoseconds`. A labels.yaml beside the
labels names the classes, and what the pixels mean.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from sparse_seg_ros.data.encoding import load_encoding
from sparse_seg_ros.data.frame import Frame
from sparse_seg_ros.data.frames import check_label, read_encoded
from sparse_seg_ros.labels import load_labels
from sparse_seg_ros.texts import cut

ENDING = re.compile(r'_(ids|labels?|labelIds|labelTrainIds|mask|gt|gtFine_labelIds|L)$')
STAMP = re.compile(r'(\d{1,10})[._](\d{9})')
NUMBER = re.compile(r'_(\d{6})$')  # of a frame of a video


class LabelFolder:
    """
    The label PNGs of a folder, by the name of their frame.

    classes: names of the ids where a labels.yaml tells them; else empty. Raises FileNotFoundError
    without the folder, ValueError without labels or where two are of one frame.
    """

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        if not self.folder.is_dir():
            raise FileNotFoundError(f'no folder of labels {folder}; give a folder of PNGs, or '
                                    'the topic of a bag, such as /camera/label')
        self.paths: dict[str, Path] = {}
        for path in sorted(self.folder.glob('*.png')):
            name = name_of(path.stem)
            if name in self.paths:
                raise ValueError(f'{self.paths[name]} and {path.name} are labels of one frame, '
                                 f'{name}; remove one of them')
            self.paths[name] = path
        if not self.paths:
            raise ValueError(f'{folder} holds no labels; they must be PNGs with the names of '
                             'their frames')
        meaning = self.folder / 'labels.yaml'
        is_told = meaning.is_file()
        self.classes = load_labels(meaning).names if is_told else ()
        self.encoding = load_encoding(meaning) if is_told else None

    def __len__(self) -> int:
        return len(self.paths)

    def find(self, frame: Frame) -> Path | None:
        """Return the label of a frame; None where there is none."""
        number = NUMBER.search(frame.name)
        names = [frame.name, name_of(frame.name), *([number[1]] if number else ())]
        return next((self.paths[name] for name in names if name in self.paths), None)

    def read(self, path: Path) -> np.ndarray:
        """Path of a label -> (H, W) uint8 ids."""
        label = read_encoded(path, self.encoding)
        if self.classes:
            check_label(label, len(self.classes), path)
        return label


def name_of(stem: str) -> str:
    """Name of a label, or of a frame that is written in the same way -> name of the frame."""
    name = ENDING.sub('', stem)
    stamp = STAMP.fullmatch(name)
    return str(int(stamp[1] + stamp[2])) if stamp else name


class LabelledFrames:
    """
    The frames of a source that have a label in a folder; with keeps_all, the others, too.

    classes: of the labels. notes: of the last pass, which labels fitted no frame. Raises
    ValueError where none does.
    """

    def __init__(self, frames: Iterable[Frame], labels: LabelFolder, keeps_all: bool = False):
        self.frames, self.labels, self.keeps_all = frames, labels, keeps_all
        self.classes, self.notes = labels.classes, []

    def __len__(self) -> int:
        return len(self.frames) if self.keeps_all else len(self.labels)

    def __iter__(self) -> Iterator[Frame]:
        left, name, count = {*self.labels.paths.values()}, '', 0
        for frame in self.frames:
            name, count = frame.name, count + 1
            path = self.labels.find(frame)
            if path is not None:
                if path not in left:
                    raise ValueError(f'{path} fits {frame.source} and a frame before it; give '
                                     'frames of one name to separate runs')
                left.remove(path)
                yield replace(frame, read_label=partial(self.labels.read, path))
            elif self.keeps_all:
                yield frame
        self.notes = []
        if len(left) == len(self.labels):
            raise ValueError(f'no label in {self.labels.folder} fits one of {count} frames; '
                             f'expected names such as {cut(name)}.png, got {min(left).name}')
        if left:
            self.notes = [f'{len(left)} of {len(self.labels)} labels in {self.labels.folder} fit '
                          f'no frame, such as {min(left).name}']
