# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Sums of parts that come one by one, and have lists in them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


class RunningSum:
    """
    Adds parts in their order, as they come.

    Sums of 1, 2, 4, 8 ... parts are kept, so few are in memory, and lists in them are copied a few
    times each, not once for every part that follows.
    """

    def __init__(self, parts: Iterable[Any] = ()):
        self.sums: list[tuple[int, Any]] = []
        for part in parts:
            self.add(part)

    def add(self, part: Any) -> None:
        """Add a part."""
        count = 1
        while self.sums and self.sums[-1][0] == count:
            part, count = self.sums.pop()[1] + part, 2 * count
        self.sums.append((count, part))

    def total(self, nothing: Any) -> Any:
        """Return the sum of all parts, or what stands for none."""
        if not self.sums:
            return nothing
        *before, (_, total) = self.sums
        for _, part in reversed(before):
            total = part + total
        return total
