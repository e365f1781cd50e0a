# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Label sets: the ids, names and colours of the classes a network tells apart."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sparse_seg_ros.files import share
from sparse_seg_ros.texts import cut
from sparse_seg_ros.yaml_files import read_yaml

VOID = 255  # unlabelled in every mask of this package
GOLDEN_RATIO = 0.618034


@dataclass(frozen=True)
class LabelSet:
    """Classes 0..C-1 in order; id 255 is void and has no class."""

    name: str
    names: tuple[str, ...]
    colors: tuple[tuple[int, int, int], ...]

    def __post_init__(self):
        if not 1 <= len(self.names) <= VOID:
            raise ValueError(f'label set {self.name!r} must have 1 to {VOID} classes, '
                             f'got {len(self.names)}')
        if len(self.colors) != len(self.names):
            raise ValueError(f'label set {self.name!r} has {len(self.names)} names but '
                             f'{len(self.colors)} colours; give one [r, g, b] per class')
        for color in self.colors:
            if not is_color(color):
                got = list(color) if isinstance(color, tuple) else color
                raise ValueError(f'label set {self.name!r}: a colour is [r, g, b] in 0..255, '
                                 f'got {cut(got)}')

    def __len__(self) -> int:
        return len(self.names)

    @property
    def palette(self) -> np.ndarray:
        """(256, 3) uint8 RGB, indexed by label id; void is black."""
        palette = np.zeros((256, 3), np.uint8)
        palette[:len(self)] = self.colors
        return palette


def is_color(value: object) -> bool:
    """Tell whether a value is three whole numbers from 0 to 255."""
    return isinstance(value, (list, tuple)) and len(value) == 3 and all(
        type(channel) is int and 0 <= channel <= 255 for channel in value)


def load_labels(name: str | Path) -> LabelSet:
    """Name of a set in config/labels, or path of such a YAML -> LabelSet."""
    path, content = read_label_file(name)
    classes = content.get('classes')
    if not isinstance(classes, dict) or not classes:
        raise ValueError(f"{path}: expected 'classes:' with 'name: [r, g, b]' lines in id order")
    for class_name in classes:
        if not isinstance(class_name, str):  # YAML reads no, off and 1 as other things than words
            raise ValueError(f'{path}: the name of a class must be text, got '
                             f'{cut(repr(class_name))}; put it in quotes')
    return LabelSet(path.stem, tuple(classes), tuple(
        tuple(color) if isinstance(color, list) else color for color in classes.values()))


def read_label_file(name: str | Path) -> tuple[Path, dict]:
    """
    Name of a set in config/labels, or path of such a YAML -> its path and content.

    A file with 'classes_of' has the classes of that set, and its 'files' if it has none itself.
    """
    path, sets = Path(name), share() / 'config' / 'labels'
    if path.suffix not in ('.yaml', '.yml'):
        path = sets / f'{name}.yaml'
    if not path.is_file():
        known = sorted(p.stem for p in sets.glob('*.yaml'))
        raise FileNotFoundError(f'no label set {str(name)!r} at {path}; known sets: '
                                f'{", ".join(known)}; or give the path of a YAML of your own')
    content = read_yaml(path)
    content = content if isinstance(content, dict) else {}
    other = content.pop('classes_of', None)
    if other is None:
        return path, content
    if 'classes' in content or not isinstance(other, str) or Path(other).stem == path.stem:
        raise ValueError(f"{path}: 'classes_of' must name another label set, in place of "
                         f"'classes', got {cut(repr(other))}")
    return path, {**read_label_file(other)[1], **content}


def find_labels(names: tuple[str, ...]) -> LabelSet:
    """Class names in id order -> the known set of just these, else one with colours made up."""
    for path in sorted((share() / 'config' / 'labels').glob('*.yaml')):
        content = read_yaml(path)
        if tuple(content.get('classes', ())) == names:  # one that has them from another has none
            return load_labels(path)
    hues = (GOLDEN_RATIO * place % 1 for place in range(len(names)))  # neighbours far apart
    return LabelSet('unnamed', names, tuple(
        tuple(round(255 * part) for part in colorsys.hsv_to_rgb(hue, 0.75, 0.95))
        for hue in hues))
