# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Texts of others do not flood terminal, log and diagnostics."""

from __future__ import annotations

from sparse_seg_ros.texts import LONG, cut, describe_error, one_line


def test_a_short_text_stays_and_a_long_one_keeps_its_start_and_its_end():
    assert cut('rgb8') == 'rgb8' and cut([1, 2]) == '[1, 2]'
    text = cut('start ' + 'x' * 100_000 + '; the cure')
    assert len(text) == 100
    assert text.startswith('start xx') and text.endswith('xx; the cure')
    assert ' 100016 characters in all ' in text


def test_an_error_fits_on_one_line_and_is_never_empty():
    assert one_line(ValueError('line 1\n  line 2')) == 'line 1 line 2'
    assert one_line(MemoryError()) == 'MemoryError'
    assert len(one_line(ValueError('x' * 1000))) == 200


def test_an_error_is_its_type_and_its_reason():
    assert describe_error(KeyError('mean')) == "KeyError: 'mean'"
    assert describe_error(MemoryError()) == 'MemoryError'
    try:
        try:
            raise KeyError('first')
        except KeyError:
            raise ValueError('second')  # noqa: B904
    except ValueError as error:
        assert describe_error(error) == "ValueError: second; after KeyError: 'first'"
    assert len(describe_error(ValueError('x' * 28_000_000))) == LONG
