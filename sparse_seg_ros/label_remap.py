# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The classes of a label set as those of another: a table that is looked up after the argmax.

Labels alone are remapped. Uncertainty and confidence stay those of the model's own classes: two
classes that become one may still be hard to tell apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from sparse_seg_ros.config import nearest
from sparse_seg_ros.files import share
from sparse_seg_ros.labels import VOID, LabelSet, load_labels
from sparse_seg_ros.texts import cut
from sparse_seg_ros.yaml_files import read_yaml

NO_CLASS = 'void'


@dataclass(frozen=True)
class LabelRemap:
    """source: names of the former classes. labels: the new label set. ids: new id of each."""

    name: str
    source: tuple[str, ...]
    labels: LabelSet
    ids: tuple[int, ...]

    def __call__(self, labels: np.ndarray) -> np.ndarray:
        """(H, W) uint8 ids of the former classes -> (H, W) uint8 ids of the new ones."""
        return cv2.LUT(labels, self.table)

    @cached_property
    def table(self) -> np.ndarray:
        """(256,) uint8: former id -> new id; void stays void."""
        table = np.full(256, VOID, np.uint8)
        table[:len(self.ids)] = self.ids
        return table


def load_remap(name: str | Path) -> LabelRemap:
    """Name of a remap in config/remaps, or path of such a YAML -> LabelRemap."""
    path, remaps = Path(name), share() / 'config' / 'remaps'
    if path.suffix not in ('.yaml', '.yml'):
        path = remaps / f'{name}.yaml'
    if not path.is_file():
        known = ', '.join(sorted(each.stem for each in remaps.glob('*.yaml')))
        raise FileNotFoundError(f'no remap {str(name)!r} at {path}; known remaps: {known}; or '
                                'give the path of a YAML of your own')
    content = read_yaml(path)
    if not isinstance(content, dict) or content.keys() != {'from', 'to', 'classes'} \
            or not isinstance(content['classes'], dict):
        raise ValueError(f"{path}: expected 'from:' a label set, 'to:' another, and 'classes:' "
                         "with 'former class: new class' lines")
    source = load_labels(str(content['from'])).names
    labels = target_of(content['to'], path)
    return LabelRemap(path.stem, source, labels, ids_of(content['classes'], source, labels, path))


def target_of(entry: Any, path: Path) -> LabelSet:
    """Entry 'to' -> the label set that it names, or whose classes and colours it lists."""
    if not isinstance(entry, dict):
        return load_labels(str(entry))
    return LabelSet(path.stem, tuple(map(str, entry)), tuple(
        tuple(color) if isinstance(color, list) else color for color in entry.values()))


def ids_of(classes: dict, source: tuple[str, ...], labels: LabelSet, path: Path
           ) -> tuple[int, ...]:
    """Entry 'classes' -> new id of each former class; ValueError unless it has them all."""
    odd = next((name for name in (*source, *classes) if (name in source) != (name in classes)), '')
    if odd:
        problem = 'no new class' if odd in source else 'a new class, and is no former one'
        raise ValueError(f"{path}: 'classes' must have each class of 'from' and no other, but "
                         f'{cut(repr(odd))} has {problem}')
    for name in classes.values():
        if name not in (*labels.names, NO_CLASS):
            raise ValueError(f'{path}: a new class must be one of {labels.name!r}, or void, got '
                             f'{cut(repr(name))}; {nearest(str(name), labels.names)}')
    ids = {name: number for number, name in enumerate(labels.names)} | {NO_CLASS: VOID}
    return tuple(ids[classes[name]] for name in source)
