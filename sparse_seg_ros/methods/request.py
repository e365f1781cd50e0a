# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a call asks for one frame, and the limits that a method sets to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor  # takes seconds

OPTIONAL = ('confidence', 'merged')  # outputs that a frame has only where they are wanted
Budget = float | Callable[[], float]
PROPER_SCORES = 'proper_scores'  # wanted together with the truth: outputs nll and brier


@dataclass(frozen=True)
class Request:
    """
    What a call asks for one frame; a method keeps nothing of it.

    alpha: score above which a pixel is refined. budget: largest fraction of the image that is
    refined, or a function that a method calls for it once its dense stage is done. None: the
    method's default. wants: names of OPTIONAL outputs, or PROPER_SCORES, which need the truth.
    truth: (B, H, W) uint8 ids of the images, for these and for oracles.
    """

    alpha: float | None = None
    budget: Budget | None = None
    wants: frozenset[str] = frozenset()
    truth: Tensor | None = None

    def fraction(self) -> float | None:
        """Return the budget, decided now; for methods, after their dense stage."""
        return self.budget() if callable(self.budget) else self.budget


@dataclass(frozen=True)
class Limit:
    """Range of a value that a call may ask for, from 0 to `most`, with its unit and default."""

    most: float
    default: float
    unit: str = ''

    def check(self, name: str, value: float) -> None:
        """Raise ValueError for a value out of the range."""
        if not 0 <= value <= self.most:
            unit = f' {self.unit}' if self.unit else ''
            raise ValueError(f'{name} must be from 0 to {self.most:.3g}{unit}, got {value}')


Limits = Mapping[str, Limit]  # by name: 'alpha', 'budget', or neither
NO_LIMITS: Limits = {}
DEFAULTS = Request()  # the method's defaults
