# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The table of engines: one network that has none does not stop the others."""

from __future__ import annotations

import pytest

from sparse_seg_ros.bench import onnxruntime_against_torch


def test_a_network_without_an_engine_is_a_row_with_the_reason(capsys):
    pytest.importorskip('onnxruntime')
    pytest.importorskip('onnxscript')
    figures = onnxruntime_against_torch.run(['compacd', 'compact'], [(32, 64)], repeats=1)
    failed, worked = figures['rows']
    assert "unknown network 'compacd'" in failed['failed'] and failed['size_hw'] == [32, 64]
    assert worked['labels_equal'] >= 0.999 and worked['ratio'] > 0
    text = onnxruntime_against_torch.describe(figures).splitlines()
    assert text[-2].startswith('| compacd | 32x64 | unknown network')
    assert text[-1].startswith('| compact | 32x64 | ') and capsys.readouterr().out == ''
