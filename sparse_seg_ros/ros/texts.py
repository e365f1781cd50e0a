# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Texts of others, cut to a length that log and diagnostics can bear; without ROS."""

from __future__ import annotations

SHORT, LONG = 200, 1000  # characters: of a name in a message; of a sentence, or of an error


def cut(text: str, longest: int = SHORT) -> str:
    """Return a text without its middle where it is too long: an error ends with its cure."""
    if len(text) <= longest:
        return text
    gap = f' ... {len(text)} characters in all ... '
    kept = longest - len(gap)
    end = kept // 3
    return text[:kept - end] + gap + text[-end:]


def describe_error(error: BaseException) -> str:
    """Return type and reason of an error, and of the one that it would hide."""
    text = f'{type(error).__name__}: {error}'.rstrip(': ')
    hidden = None if error.__suppress_context__ else error.__context__
    return cut(text if hidden is None else f'{text}; after {describe_error(hidden)}', LONG)
