# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
What the pixels of a data set's label files mean: value -> id of the class, or void.

A label set's YAML says it under 'files', once for every form that its labels are published in:

    files:
      labelIds:
        ids: {road: 7, sidewalk: [8, 9]}  # or the first of consecutive ids, 'ids: 1'
        void: [0, 255]
      masks:
        colors: {road: [64, 32, 32]}  # or 'colors: own', the colours of the classes
        void: [[0, 0, 0]]
        threshold: 128  # of channels that are not quite 0 or 255

Void is what the YAML names as void. Any other value is an error that names the file.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from sparse_seg_ros.labels import VOID, LabelSet, is_color, load_labels, read_label_file
from sparse_seg_ros.texts import cut

UNKNOWN = -1
KEYS = {'ids', 'colors', 'void', 'threshold'}


@dataclass(frozen=True)
class Encoding:
    """
    A form of label files.

    values: id in a file, or packed colour, -> id of the class, 255 for void. threshold: channels
    of a colour from it on are 255, others 0; None: they are taken as they are.
    """

    values: Mapping[int, int]
    is_color: bool = False
    threshold: int | None = None

    @cached_property
    def table(self) -> np.ndarray:
        """(2^16,) or, for colours, (2^24,) int16: value -> id, -1 for values without a meaning."""
        table = np.full(1 << (24 if self.is_color else 16), UNKNOWN, np.int16)
        table[[*self.values]] = [*self.values.values()]
        return table

    def decode(self, picture: np.ndarray, path: Path | str) -> np.ndarray:
        """(H, W) ids or (H, W, 3) uint8 RGB of a file -> (H, W) uint8 ids, 255 for void."""
        values = pack(picture, self.threshold) if self.is_color else picture
        label = self.table[values]
        unknown = label == UNKNOWN
        if unknown.any():
            value = int(values[unknown][0])
            what = f'colour {unpack(value)}' if self.is_color else f'id {value}'
            raise ValueError(f'{path}: {what} is no class and no void of its label set, in '
                             f'{unknown.sum()} pixels; name it there, or correct the label')
        return label.astype(np.uint8)


def pack(picture: np.ndarray, threshold: int | None = None) -> np.ndarray:
    """(H, W, 3) uint8 RGB -> (H, W) int32 0xRRGGBB."""
    if threshold is not None:
        picture = np.where(picture >= threshold, 255, 0)
    red, green, blue = np.moveaxis(picture.astype(np.int32), 2, 0)
    return red << 16 | green << 8 | blue


def unpack(value: int) -> list[int]:
    """0xRRGGBB -> [r, g, b]."""
    return [value >> 16, value >> 8 & 255, value & 255]


def load_encoding(name: str | Path, form: str = '') -> Encoding | None:
    """
    Label set and the name of a form under its 'files' -> Encoding; '': its only form, if any.

    Raises ValueError for a form that is not there, or that does not give each class its values.
    """
    path, content = read_label_file(name)
    forms = content.get('files', {})
    if not isinstance(forms, dict) or form and form not in forms or not form and len(forms) > 1:
        got = list(forms) if isinstance(forms, dict) else forms
        raise ValueError(f"{path}: 'files' must have {form and repr(form) or 'one form'}, got "
                         f'{cut(repr(got))}')
    if not forms:
        return None
    form = form or next(iter(forms))
    return read_form(forms[form], load_labels(name), f'{path}: {form}')


def read_form(entry: Any, labels: LabelSet, where: str) -> Encoding:
    """Entry of 'files' -> Encoding."""
    if not isinstance(entry, dict) or len({'ids', 'colors'} & entry.keys()) != 1 \
            or entry.keys() - KEYS or 'void' not in entry:
        raise ValueError(f"{where} must have 'ids' or 'colors', and 'void', got "
                         f'{cut(repr(entry))}')
    is_color, threshold = 'colors' in entry, entry.get('threshold')
    if threshold is not None and not (is_color and threshold in range(1, 256)):
        raise ValueError(f"{where}: 'threshold' is from 1 to 255 and goes with 'colors', got "
                         f'{cut(repr(threshold))}')
    values: dict[int, int] = {}
    named = {**classes_of(entry, labels, where), None: entry['void']}
    for number, (name, meant) in enumerate(named.items()):
        for value in packed(meant, is_color, f'{where}: {name or "void"}'):
            if value in values:
                raise ValueError(f'{where}: {name or "void"} has a value that another has, too; '
                                 'give each value one meaning')
            values[value] = VOID if name is None else number
    if threshold is not None:
        check_full_channels(values, where)
    return Encoding(values, is_color, threshold)


def check_full_channels(colors: Iterable[int], where: str) -> None:
    """Raise ValueError for a packed colour that no picture has behind a threshold."""
    for color in map(unpack, colors):
        if not {*color} <= {0, 255}:
            raise ValueError(f"{where}: with 'threshold' a channel of a colour is 0 or 255, got "
                             f"{color}; change it, or remove 'threshold'")


def classes_of(entry: Mapping, labels: LabelSet, where: str) -> dict[str, Any]:
    """Entry of 'files' -> class -> its values, in the order of the label set."""
    meant = entry.get('ids', entry.get('colors'))
    if meant == 'own':
        return {name: list(color) for name, color in zip(labels.names, labels.colors)}
    if type(meant) is int:
        return {name: meant + number for number, name in enumerate(labels.names)}
    if not isinstance(meant, dict) or set(meant) != set(labels.names):
        odd = sorted(set(meant) ^ set(labels.names))[:1] if isinstance(meant, dict) else meant
        raise ValueError(f'{where} must give values for each class of {labels.name!r} and for no '
                         f'other, got {cut(repr(odd))}')
    return {name: meant[name] for name in labels.names}


def packed(meant: Any, is_color: bool, where: str) -> list[int]:
    """Id or colour, or a list of them, -> the values in a table."""
    single = is_color and is_color_list(meant) or not is_color and type(meant) is int
    values = [meant] if single else meant
    if not isinstance(values, list) or not all(
            is_color_list(value) if is_color else type(value) is int and 0 <= value < 1 << 16
            for value in values):
        what = 'a colour [r, g, b]' if is_color else 'an id from 0 to 65535'
        raise ValueError(f'{where} must be {what} or a list of those, got {cut(repr(meant))}')
    return [int(pack(np.array([[value]], np.uint8))[0, 0]) if is_color else value
            for value in values]


def is_color_list(value: Any) -> bool:
    """Tell whether a value is [r, g, b]."""
    return isinstance(value, list) and is_color(value)
