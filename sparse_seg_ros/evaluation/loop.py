# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The one loop over frames, for evaluate, calibrate, ablate, bench and replay."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import replace
from typing import NamedTuple

import cv2
import numpy as np
from tqdm import tqdm

from sparse_seg_ros.data.frame import AnyFrame, Frame, as_frames
from sparse_seg_ros.prediction import Prediction
from sparse_seg_ros.segmenter import Segmenter

Sink = Callable[[Frame, np.ndarray, Prediction], None]  # as of a worker: stream/worker.py
OnInvalid = Callable[[Frame, str, Exception], None]  # frame, 'image' or 'label', and why
UNUSABLE = (ValueError, RuntimeError, OSError, cv2.error)


class View(NamedTuple):
    """A frame that was read."""

    frame: Frame
    image: np.ndarray
    label: np.ndarray | None


def raise_it(frame: Frame, part: str, error: Exception) -> None:
    """End the loop with the error of a frame, which says what frame it is."""
    if isinstance(error, ValueError) and frame.source not in str(error):
        raise ValueError(f'{frame.source}: {error}') from error
    raise error


def read_frames(frames: Iterable[AnyFrame], title: str, on_invalid: OnInvalid = raise_it
                ) -> Iterator[View]:
    """Yield frames with image and label, under a progress bar; skip those without an image."""
    for frame in tqdm(as_frames(frames), title, getattr(frames, '__len__', lambda: None)(),
                      leave=False):
        try:
            image = frame.image()
        except UNUSABLE as error:
            on_invalid(frame, 'image', error)
            continue
        label = None
        try:
            label = check_size(frame.label(), image)
        except UNUSABLE as error:
            on_invalid(frame, 'label', error)
            frame = replace(frame, read_label=None)  # nobody asks for it again
        yield View(frame, image, label)


def check_size(label: np.ndarray | None, image: np.ndarray) -> np.ndarray | None:
    """Return the label; ValueError for one of another size than its image."""
    if label is not None and label.shape != image.shape[:2]:
        raise ValueError(f'label must be as large as its image, {image.shape[:2]}, got '
                         f'{label.shape}; resize it by nearest neighbour')
    return label


def read_labelled(frames: Iterable[AnyFrame], title: str
                  ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield image and label of every frame; ValueError for a frame without labels."""
    for frame, image, _ in read_frames(frames, title):
        yield image, frame.require_label()


def segment_frames(segment: Segmenter, frames: Iterable[AnyFrame], sinks: Iterable[Sink],
                   title: str = 'evaluating', wants: Collection[str] = (),
                   on_invalid: OnInvalid = raise_it) -> int:
    """
    Segment every frame, and give each sink the result -> number of frames.

    on_invalid: called for a frame that cannot be read or segmented, with the part that is to
    blame, 'image' or 'label'; the loop goes on unless it raises.
    """
    count = 0
    for frame, image, label in read_frames(frames, title, on_invalid):
        try:
            prediction = segment(image, wants=wants, truth=label)
        except UNUSABLE as error:
            on_invalid(frame, 'image', error)
            continue
        count += 1
        for sink in sinks:
            sink(frame, image, prediction)
    return count
