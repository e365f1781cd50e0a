# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Charts as SVG inside a page, in the colours of its style; each says in words what it shows.

matplotlib would bring its own fonts and colours, which know nothing of a dark page or a phone.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

WIDTH, HEIGHT = 440, 280  # of the drawing; a page scales it
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 12, 40
TICKS = 5
MOST_POINTS = 400  # of a line; more are not seen


@dataclass(frozen=True)
class Series:
    """A line of a chart. None in y breaks it. is_dotted: points alone."""

    name: str
    x: Sequence[float]
    y: Sequence[float | None]
    is_dotted: bool = False


@dataclass(frozen=True)
class Axis:
    """What an axis shows, and its range."""

    label: str
    low: float
    high: float

    def place(self, value: float) -> float:
        """Return where a value lies, from 0 to 1."""
        return (min(max(value, self.low), self.high) - self.low) / ((self.high - self.low) or 1)

    def ticks(self) -> list[float]:
        """Return round values between the ends."""
        rough = ((self.high - self.low) or 1) / TICKS
        scale = 10.0 ** math.floor(math.log10(rough))
        step = next(scale * each for each in (1, 2, 2.5, 5, 10) if scale * each >= rough)
        first = math.ceil(self.low / step - 1e-9)
        return [number * step for number in range(first, math.floor(self.high / step + 1e-9) + 1)]


def line_chart(title: str, x: Axis, y: Axis, series: Sequence[Series],
               has_diagonal: bool = False) -> Markup:
    """Return lines over two axes; has_diagonal: with the line on which both are equal."""
    parts = [*frame(x, y)]
    if has_diagonal:
        parts.append(path([(x.low, y.low), (x.high, y.high)], x, y, 'diagonal'))
    for number, each in enumerate(series):
        kind = f'line{number % 6}'
        points = thinned(list(zip(each.x, each.y)))
        if each.is_dotted:
            parts += [f'<circle class="{kind}" cx="{at_x(a, x):.1f}" cy="{at_y(b, y):.1f}" '
                      'r="2.5"/>' for a, b in points if b is not None]
        else:
            parts += [path(piece, x, y, kind) for piece in pieces(points)]
    if len(series) > 1:
        parts += key(series)
    return svg(title, parts)


def histogram(title: str, x_label: str, values: Sequence[float], bins: int = 30) -> Markup:
    """Return how often values lie in equal ranges."""
    low, high = min(values), max(values)
    width = ((high - low) or 1) / bins
    counts = [0] * bins
    for value in values:
        counts[min(bins - 1, int((value - low) / width))] += 1
    x, y = Axis(x_label, low, low + bins * width), Axis('frames', 0, max(counts))
    bars = [f'<rect class="bar" x="{at_x(low + number * width, x):.1f}" y="{at_y(count, y):.1f}" '
            f'width="{max(1, (WIDTH - LEFT - RIGHT) / bins - 1):.1f}" '
            f'height="{at_y(0, y) - at_y(count, y):.1f}"/>'
            for number, count in enumerate(counts) if count]
    return svg(title, [*frame(x, y), *bars])


def frame(x: Axis, y: Axis) -> Iterator[str]:
    """Yield grid, ticks and labels of two axes."""
    base = HEIGHT - BOTTOM
    for value in y.ticks():
        height = at_y(value, y)
        yield f'<path class="grid" d="M{LEFT} {height:.1f}H{WIDTH - RIGHT}"/>'
        yield f'<text class="end" x="{LEFT - 6}" y="{height + 4:.1f}">{value:g}</text>'
    for value in x.ticks():
        yield f'<text class="middle" x="{at_x(value, x):.1f}" y="{base + 16}">{value:g}</text>'
    middle = (LEFT + WIDTH - RIGHT) / 2
    yield f'<text class="middle" x="{middle:.0f}" y="{HEIGHT - 6}">{escape(x.label)}</text>'
    yield (f'<text class="middle" transform="translate(13 {(TOP + base) / 2:.0f}) rotate(-90)">'
           f'{escape(y.label)}</text>')


def key(series: Sequence[Series]) -> Iterator[str]:
    """Yield the names of lines, in their colours."""
    for number, each in enumerate(series):
        height = TOP + 12 + 15 * number
        yield (f'<path class="line{number % 6}" d="M{WIDTH - 150} {height - 4}h16"/>'
               f'<text x="{WIDTH - 129}" y="{height}">{escape(each.name)}</text>')


def path(points: Sequence[tuple[float, float]], x: Axis, y: Axis, kind: str) -> str:
    """Return a line through points."""
    drawn = 'L'.join(f'{at_x(a, x):.1f} {at_y(b, y):.1f}' for a, b in points)
    return f'<path class="{kind}" d="M{drawn}"/>'


def pieces(points: Sequence[tuple[float, float | None]]) -> Iterator[list[tuple[float, float]]]:
    """Yield the parts of a line between its gaps."""
    piece: list[tuple[float, float]] = []
    for a, b in points:
        if b is None:
            if piece:
                yield piece
            piece = []
        else:
            piece.append((a, b))
    if piece:
        yield piece


def thinned(points: list[tuple[float, float | None]]) -> list[tuple[float, float | None]]:
    """Return so few of the points that a page stays small: the lowest of each stretch."""
    size = -(-len(points) // MOST_POINTS)
    if size < 2:
        return points
    groups = (points[start:start + size] for start in range(0, len(points), size))
    return [min(group, key=lambda point: math.inf if point[1] is None else point[1])
            for group in groups]


def at_x(value: float, axis: Axis) -> float:
    """Value -> its place from the left."""
    return LEFT + axis.place(value) * (WIDTH - LEFT - RIGHT)


def at_y(value: float, axis: Axis) -> float:
    """Value -> its place from the top."""
    return HEIGHT - BOTTOM - axis.place(value) * (HEIGHT - BOTTOM - TOP)


def svg(title: str, parts: Sequence[str]) -> Markup:
    """Return a drawing that a screen reader announces by its title."""
    return Markup(f'<svg role="img" aria-label="{escape(title)}" viewBox="0 0 {WIDTH} {HEIGHT}">'
                  f'{"".join(parts)}</svg>')
