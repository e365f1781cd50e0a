# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One frame of a camera topic, bag, data set or rendered street. It is read when it is used."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from sparse_seg_ros.texts import cut


class UnusableImageError(ValueError):
    """A good image that a model cannot take, such as one of a size without an engine."""


@dataclass(frozen=True, eq=False)
class Frame:
    """
    An image, perhaps with its true labels.

    source: camera, topic or file that it comes from. read_image, read_label: make the arrays, or
    raise ValueError; a label is read once. stamp: nanoseconds of the source's clock, 0 without
    one. header: header of its message. arrived_seconds: monotonic time, for a live frame. name: of
    files that belong to it, without an ending. message: that it came in, if that is kept.
    region: x, y, width and height of what is read of the image; None: all of it.
    """

    source: str
    read_image: Callable[[], np.ndarray]
    read_label: Callable[[], np.ndarray] | None = None
    stamp: int = 0
    header: Any = None
    arrived_seconds: float = 0.0
    name: str = ''
    message: Any = None
    region: tuple[int, int, int, int] | None = None

    def image(self) -> np.ndarray:
        """Return (H, W, 3) uint8 RGB."""
        return self.read_image()

    def label(self) -> np.ndarray | None:
        """Return (H, W) uint8 ids, 255 for void; None for a frame without labels."""
        return self._label

    def require_label(self) -> np.ndarray:
        """Return (H, W) uint8 ids, 255 for void; ValueError for a frame without labels."""
        label = self.label()
        if label is None:
            raise ValueError(f'{cut(self.source)} must have labels, got an image alone; leave it '
                             'out, or label it')
        return label

    @cached_property
    def _label(self) -> np.ndarray | None:
        return self.read_label() if self.read_label else None

    def __iter__(self) -> Iterator[Any]:
        """Yield image and label: `image, label = frame`."""
        yield self.image()
        yield self.label()


AnyFrame = Frame | tuple[np.ndarray, np.ndarray | None]
FrameSequence = Sequence[AnyFrame]  # several passes over it are possible


def as_frames(items: Iterable[AnyFrame]) -> Iterator[Frame]:
    """Yield frames; an (image, label) pair becomes a frame."""
    for index, item in enumerate(items):
        if isinstance(item, Frame):
            yield item
        else:
            image, label = item
            yield Frame(f'frame {index}', lambda image=image: image,
                        None if label is None else lambda label=label: label,
                        name=f'{index:06d}')
