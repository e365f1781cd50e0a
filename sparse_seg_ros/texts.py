# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Foreign texts in our messages, cut to a length that a terminal, log or topic can bear."""

from __future__ import annotations

from typing import Any

SHORT, LONG = 100, 1000  # characters: of a name or value in a message; of a sentence, or an error


def cut(value: Any, longest: int = SHORT) -> str:
    """
    Text as it is, any other value as Python writes it; without its middle where it is too long.

    The end stays, because an error ends with its cure.
    """
    text = value if isinstance(value, str) else repr(value)
    if len(text) <= longest:
        return text
    gap = f' ... {len(text)} characters in all ... '
    kept = longest - len(gap)
    end = kept // 3
    return text[:kept - end] + gap + text[-end:]


def one_line(error: BaseException, longest: int = 2 * SHORT) -> str:
    """Return the text of an error on one line, or its type where it has no text."""
    return cut(' '.join(str(error).split()) or type(error).__name__, longest)


def describe_error(error: BaseException) -> str:
    """Return type and reason of an error, and of the one that it would hide."""
    text = f'{type(error).__name__}: {error}'.rstrip(': ')
    hidden = None if error.__suppress_context__ else error.__context__
    return cut(text if hidden is None else f'{text}; after {describe_error(hidden)}', LONG)
