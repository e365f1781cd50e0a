# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
What a model must reach: a YAML of figures and bounds, for continuous integration.

    miou: '>= 0.62'
    class.pedestrian.iou: '>= 0.4'
    latency.p99_ms: '<= 500'

A figure is named by its path in summary.json.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sparse_seg_ros.config import nearest
from sparse_seg_ros.texts import cut
from sparse_seg_ros.yaml_files import read_yaml

RELATIONS = {'>=': operator.ge, '<=': operator.le, '>': operator.gt, '<': operator.lt}
STAGES = 'latency.stages.'  # whose names come with the frames
BOUND = re.compile(r'\s*(>=|<=|>|<)\s*(\S+)\s*')


@dataclass(frozen=True)
class Threshold:
    """A figure, and the bound that it must keep."""

    figure: str
    relation: str
    bound: float

    def check(self, figures: Mapping[str, float | None]) -> None:
        """Raise ValueError for a name that no figure has."""
        if self.figure not in figures:
            raise ValueError(f'no figure {cut(self.figure)!r} in this evaluation; '
                             f'{nearest(self.figure, list(figures))}')

    def failure(self, figures: Mapping[str, float | None]) -> str | None:
        """Figures by name -> what is wrong, in words; None where the bound is kept."""
        self.check(figures)
        value, wanted = figures[self.figure], f'{self.relation} {self.bound:g}'
        if value is None:
            return f'{self.figure} must be {wanted}, but nothing in these frames tells it'
        if RELATIONS[self.relation](value, self.bound):
            return None
        return f'{self.figure} must be {wanted}, got {value:.6g}'


def read_thresholds(path: str | Path) -> tuple[Threshold, ...]:
    """YAML of 'figure: bound' lines -> thresholds; ValueError where a line is none."""
    content = read_yaml(path)
    if not isinstance(content, dict) or not content:
        raise ValueError(f"{path}: expected lines such as miou: '>= 0.62', got "
                         f'{cut(repr(content))}')
    return tuple(read_threshold(str(figure), bound, path) for figure, bound in content.items())


def read_threshold(figure: str, bound: Any, path: str | Path) -> Threshold:
    """Line of a YAML -> its threshold."""
    match = BOUND.fullmatch(bound) if isinstance(bound, str) else None
    try:
        value = float(match[2]) if match else math.nan
    except ValueError:
        value = math.nan
    if match is None or not math.isfinite(value):
        raise ValueError(f'{path}: {cut(figure)} must have one of {", ".join(RELATIONS)} and a '
                         f"number, such as '>= 0.62', got {cut(repr(bound))}")
    return Threshold(figure, match[1], value)


def flat(summary: Mapping[str, Any], path: str = '') -> Iterator[tuple[str, float | None]]:
    """Summary -> every figure in it by its path, 'class.pedestrian.iou'."""
    for name, value in summary.items():
        if isinstance(value, Mapping):
            yield from flat(value, f'{path}{name}.')
        elif value is None or isinstance(value, (int, float)):
            yield f'{path}{name}', value


def check_names(summary: Mapping[str, Any], thresholds: Iterable[Threshold]) -> None:
    """Summary of no frames -> ValueError for figures that no frame can bring."""
    figures = dict(flat(summary))
    for each in thresholds:
        if not each.figure.startswith(STAGES):
            each.check(figures)


def failures(summary: Mapping[str, Any], thresholds: tuple[Threshold, ...]) -> list[str]:
    """Return what a summary does not keep, in words; ValueError for unknown figures."""
    figures = dict(flat(summary))
    return [words for each in thresholds if (words := each.failure(figures))]
