# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the pages share."""

from __future__ import annotations

import base64

import cv2
import numpy as np
import pytest
from jinja2 import UndefinedError
from ros_fakes import LABELS

from sparse_seg_ros.report.page import (
    EMBEDDED_WIDTH,
    STAGES,
    embed,
    legend,
    render,
    save,
    stage_rows,
)


def test_stages_come_in_their_order_with_bars_but_for_sums():
    times = {'own': {'p50': 1.0, 'p95': 2.0}, 'total': {'p50': 9.0, 'p95': 99.0},
             'dense': {'p50': 4.0, 'p95': 8.0}}
    rows = stage_rows(times)
    assert [row.name for row in rows] == ['dense', 'total', 'own']
    assert rows[0].about == STAGES['dense'] and rows[2].about == ''
    assert [row.bars for row in rows] == [
        {'p95': 100.0, 'p50': 50.0}, {}, {'p95': 25.0, 'p50': 12.5}]


def test_the_legend_names_every_class():
    assert legend(LABELS) == [('dark', (10, 20, 30)), ('bright', (200, 100, 50))]


def test_a_wide_picture_is_embedded_at_the_width_of_a_column():
    data = embed(np.zeros((8, 4 * EMBEDDED_WIDTH, 3), np.uint8)).partition('base64,')[2]
    picture = cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape == (2, EMBEDDED_WIDTH, 3)


def test_a_picture_that_cannot_be_written_is_an_error(tmp_path):
    with pytest.raises(OSError, match='cannot write .*is the disk full'):
        save(tmp_path / 'absent' / 'picture.png', np.zeros((2, 2, 3), np.uint8))


def test_a_value_that_a_template_lacks_is_an_error():
    with pytest.raises(UndefinedError, match='headline'):
        render('demo/page.html', {})
