# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Charts place points where their axes say, and say in words what they show."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from sparse_seg_ros.report.charts import (
    BOTTOM,
    HEIGHT,
    LEFT,
    RIGHT,
    TOP,
    WIDTH,
    Axis,
    Series,
    histogram,
    line_chart,
)

UNIT = Axis('x & y', 0, 10)


def lines_of(chart) -> list[str]:
    return [node.get('d') for node in ElementTree.fromstring(str(chart))
            if str(node.get('class')).startswith('line')]


def test_a_line_goes_from_corner_to_corner():
    chart = line_chart('all <of> it', UNIT, UNIT, [Series('a', [0, 10], [0, 10])])
    assert ElementTree.fromstring(str(chart)).get('aria-label') == 'all <of> it'
    assert lines_of(chart) == [f'M{LEFT:.1f} {HEIGHT - BOTTOM:.1f}L'
                               f'{WIDTH - RIGHT:.1f} {TOP:.1f}']


def test_a_line_breaks_where_there_is_no_value_and_stays_short_for_many():
    assert len(lines_of(line_chart('t', UNIT, UNIT, [
        Series('a', [0, 1, 2, 3, 4], [1, 2, None, 3, 4])]))) == 2
    many = line_chart('t', Axis('', 0, 9999), UNIT, [Series('a', range(9999), [5] * 9999)])
    assert lines_of(many)[0].count('L') < 400


@pytest.mark.parametrize(('low', 'high', 'ticks'), [
    (0, 100, [0, 20, 40, 60, 80, 100]), (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1.0]), (3, 3, [3.0])])
def test_ticks_are_round(low, high, ticks):
    assert Axis('', low, high).ticks() == pytest.approx(ticks)


@pytest.mark.parametrize('values', [[1.0, 2.0, 2.1, 9.0], [5.0, 5.0]])
def test_a_histogram_counts_every_value(values):
    chart = str(histogram('t', 'ms', values, bins=4))
    heights = [float(height) for height in re.findall(r'class="bar".*?height="([\d.]+)"', chart)]
    tallest = max(values.count(5.0), 3)
    assert sum(heights) == pytest.approx(
        len(values) * (HEIGHT - BOTTOM - TOP) / (tallest if values[0] == 1 else 2), rel=0.01)
