# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
A snapshot for a bug report: the next frame, and all that becomes of it, in a folder of its own.

The thread that segments only hands its arrays over; whoever wants the snapshot waits and writes.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import get_ident
from typing import Any

import numpy as np

from sparse_seg_ros import pictures
from sparse_seg_ros.data.frame import Frame
from sparse_seg_ros.data.picture_bytes import JPEG_START, PNG_START
from sparse_seg_ros.files import require_room
from sparse_seg_ros.machine import write_json
from sparse_seg_ros.new_paths import check_can_hold
from sparse_seg_ros.prediction import Prediction

MOST_SNAPSHOTS = 50  # in a folder: whoever can call the service must not fill the disk
SPARE_BYTES = 1 << 30  # that a snapshot leaves free
ARRAYS = ('uncertainty', 'confidence', 'merged')


@dataclass
class Shot:
    """A frame and what has become of it so far; image is None if it could not be decoded."""

    camera: str
    message: Any
    image: np.ndarray | None = None
    prediction: Prediction | None = None
    milliseconds: Mapping[str, float] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    is_published: bool = False


class NextFrame:
    """Keeps the next frame for whoever waits for it; costs nothing while nobody does."""

    def __init__(self):
        self.changed, self.is_wanted = threading.Condition(), False
        self.shots: dict[int, Shot] = {}  # the last frame of each worker, by its thread

    def wait(self, timeout_seconds: float) -> Shot | None:
        """Return the next frame that is published, or else the last that was begun; None: none."""
        with self.changed:
            self.is_wanted = True
            self.changed.wait_for(lambda: not self.is_wanted, timeout_seconds)
            self.is_wanted = False
            shots = sorted(self.shots.values(), key=lambda shot: shot.is_published)
            self.shots.clear()
            return shots[-1] if shots else None

    def began(self, camera: str, message: Any) -> None:
        """Keep a message that is about to be decoded."""
        if self.is_wanted:
            with self.changed:
                if self.is_wanted:  # still
                    self.shots.pop(get_ident(), None)
                    self.shots[get_ident()] = Shot(camera, message)

    def decoded(self, message: Any, image: np.ndarray) -> None:
        """Keep the image in a message."""
        if self.is_wanted:
            self.add(message, image=image)

    def segmented(self, frame: Frame, prediction: Prediction) -> None:
        """Keep the prediction of a frame."""
        if self.is_wanted:
            self.add(frame.message, prediction=prediction)

    def published(self, frame: Frame, milliseconds: Mapping[str, float], facts: Mapping[str, Any]
                  ) -> None:
        """Keep the times of a frame and facts about it; whoever waits has it now."""
        if self.is_wanted and self.add(frame.message, milliseconds=milliseconds, facts=facts,
                                       is_published=True):
            with self.changed:
                self.is_wanted = False
                self.changed.notify_all()

    def add(self, message: Any, **parts: Any) -> bool:
        """Add to what is kept of the frame of a message; False where it is not kept."""
        with self.changed:
            shot = self.shots.get(get_ident())
            if shot is None or shot.message is not message:
                return False
            vars(shot).update(parts)
            return True


def write_snapshot(shot: Shot, about: Mapping[str, Any], folder: Path) -> Path:
    """
    Write a frame, and what is known about it, into a new folder in `folder` -> the new one.

    It is there as a whole or not at all. Raises ValueError where the folder cannot be written to
    or holds many already, OSError where the disk is full.
    """
    check_folder(folder)
    require_room(folder, size_of(shot) + SPARE_BYTES, 'a snapshot and the space that it leaves '
                 'free')
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}_{time.time_ns() // 10**6 % 1000:03}" \
        f"_{shot.camera.strip('/').replace('/', '_')}"
    part = folder / f'.{name}.part'
    part.mkdir()
    try:
        write_parts(shot, about, part)
        return part.rename(folder / name)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


def check_folder(folder: Path) -> None:
    """Raise ValueError unless another snapshot may be written to a folder."""
    check_can_hold(folder, 'a snapshot')
    count = sum(1 for _ in folder.iterdir()) if folder.is_dir() else 0
    if count >= MOST_SNAPSHOTS:
        raise ValueError(f'{folder} must hold fewer than {MOST_SNAPSHOTS} snapshots, it has '
                         f'{count}; remove those that you do not need')


def size_of(shot: Shot) -> int:
    """Return the bytes that a snapshot may need, before PNG makes pictures smaller."""
    pixels = 0 if shot.image is None else shot.image.shape[0] * shot.image.shape[1]
    return len(shot.message.data) + 24 * pixels


def write_parts(shot: Shot, about: Mapping[str, Any], folder: Path) -> None:
    """Write all files of a snapshot."""
    data = bytes(shot.message.data)
    input_file = f'input{suffix_of(data) if hasattr(shot.message, "format") else ".bin"}'
    (folder / input_file).write_bytes(data)
    if shot.image is not None:
        (folder / 'image.png').write_bytes(pictures.encode(shot.image, '.png'))
    if shot.prediction is not None:
        write_outputs(shot.prediction, folder)
    write_json(folder / 'snapshot.json', {
        'camera': shot.camera, 'is_published': shot.is_published,
        'input': {'file': input_file, **describe_message(shot.message)},
        'milliseconds': dict(shot.milliseconds), 'facts': dict(shot.facts), **about})


def write_outputs(prediction: Prediction, folder: Path) -> None:
    """Write the outputs of a frame: masks and overlay as PNG, numbers as arrays of NumPy."""
    images = {'mask': prediction.labels}
    if prediction.refined is not None:
        images['refined'] = prediction.refined.view(np.uint8) * np.uint8(255)
    if prediction.image is not None and prediction.label_set is not None:
        images['overlay'] = prediction.picture()
    for name, image in images.items():
        (folder / f'{name}.png').write_bytes(pictures.encode(image, '.png'))
    for name in ARRAYS:
        array = getattr(prediction, name)
        if array is not None:
            np.save(folder / f'{name}.npy', array)


def suffix_of(data: bytes) -> str:
    """Bytes of a compressed image -> the ending of its file."""
    if data.startswith((JPEG_START, PNG_START)):
        return '.jpg' if data.startswith(JPEG_START) else '.png'
    return '.webp' if data[8:12] == b'WEBP' else '.bin'


def describe_message(message: Any) -> dict[str, Any]:
    """Image or CompressedImage -> all its fields but the data."""
    stamp = message.header.stamp
    names = ('format', 'encoding', 'height', 'width', 'step', 'is_bigendian')
    return {'stamp': f'{stamp.sec}.{stamp.nanosec:09}', 'frame_id': message.header.frame_id,
            **{name: getattr(message, name) for name in names if hasattr(message, name)}}
