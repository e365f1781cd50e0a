# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
What the pages share: embedded pictures, the legend, the table of stages, the templates.

A page is one HTML file with everything in it. Its template extends page.html, which has the style,
and imports the pieces that it needs from parts.html.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from sparse_seg_ros.files import PACKAGE
from sparse_seg_ros.labels import LabelSet

EMBEDDED_WIDTH, JPEG_QUALITY = 720, 84
SUMS = ('segment', 'total')  # of other stages
STAGES = {
    'wait': 'in the slot, until the worker is free', 'decode': 'message to array',
    'upload': 'array to tensor, normalised', 'dense': 'network at low resolution',
    'select': 'entropy, choice of pixels', 'extract': 'sparse network on the chosen pixels',
    'ensemble': 'both predictions weighed', 'label': 'labels and uncertainty',
    'download': 'tensor to array', 'publish': 'arrays to messages, sent',
    'segment': 'upload to download', 'total': 'callback to publish'}


@dataclass(frozen=True)
class Figure:
    """One picture of a page: path of the full-size file, data URL of the shown one, caption."""

    file: str
    data: str
    title: str
    time: str = ''
    note: str = ''


@dataclass(frozen=True)
class Strip:
    """One frame on the page: when it was, in words, and its pictures."""

    title: str
    figures: list[Figure]
    about: str = ''


@dataclass(frozen=True)
class StageRow:
    """Times of one stage, in milliseconds; widths of its bars in percent, none for a sum."""

    name: str
    about: str
    p50: float
    p95: float
    bars: Mapping[str, float]


def render(template: str, values: Mapping[str, Any]) -> str:
    """Fill a template of the package, such as 'demo/page.html' -> HTML; texts are escaped."""
    environment = Environment(loader=FileSystemLoader(PACKAGE), autoescape=True,
                              undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.get_template(template).render(values)


def save(path: Path, picture: np.ndarray) -> None:
    """Write a picture; a full disk is an error in words."""
    if not cv2.imwrite(str(path), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)):
        raise OSError(f'cannot write {path}; is the disk full?')


def shrink(picture: np.ndarray, width: int) -> np.ndarray:
    """(H, W, 3) -> (h, width, 3)."""
    height = max(1, round(picture.shape[0] * width / picture.shape[1]))
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)


def embed(picture: np.ndarray) -> str:
    """(H, W, 3) RGB -> data URL of a JPEG, not wider than a column of the page needs."""
    if picture.shape[1] > EMBEDDED_WIDTH:
        picture = shrink(picture, EMBEDDED_WIDTH)
    coded = cv2.imencode('.jpg', cv2.cvtColor(picture, cv2.COLOR_RGB2BGR),
                         [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1]
    return f'data:image/jpeg;base64,{base64.b64encode(coded).decode()}'


def stage_rows(milliseconds: Mapping[str, Mapping[str, float]]) -> list[StageRow]:
    """Stage -> 'p50' and 'p95' -> rows in their order; the longest p95 has a bar of 100 %."""
    longest = max(ranks['p95'] for stage, ranks in milliseconds.items() if stage not in SUMS)
    order = [*(stage for stage in STAGES if stage in milliseconds),
             *(stage for stage in milliseconds if stage not in STAGES)]
    return [StageRow(stage, STAGES.get(stage, ''), milliseconds[stage]['p50'],
                     milliseconds[stage]['p95'], bars(stage, milliseconds[stage], longest))
            for stage in order]


def bars(stage: str, ranks: Mapping[str, float], longest: float) -> dict[str, float]:
    """Return the widths, the wider one first, as the other is drawn over it; sums have none."""
    return {} if stage in SUMS else {
        rank: 100 * ranks[rank] / max(longest, 1e-9) for rank in ('p95', 'p50')}


def legend(labels: LabelSet) -> list[tuple[str, tuple[int, int, int]]]:
    """Return name and colour of every class."""
    return [(name.replace('_', ' '), color) for name, color in zip(labels.names, labels.colors)]
