# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Faults of the pictures of each camera, and whether the model knows such pictures.

A picture is compared with those before it from the same camera, so that fog, an empty road, the
bonnet or a clear sky are no faults. So a camera that is out of focus, or half covered, from the
first frame on is not found; one that is covered wholly is. The bounds were chosen on real drives
(CamVid by day and at dusk, KITTI, Udacity), whose extremes stand beside them.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable
from typing import Any

import numpy as np

from sparse_seg_ros.data.frame import Frame
from sparse_seg_ros.messages.status import Status
from sparse_seg_ros.prediction import Prediction
from sparse_seg_ros.stream.alarm import Alarm
from sparse_seg_ros.stream.domain import DomainWatch
from sparse_seg_ros.stream.picture_measures import Look, change_of, look_at
from sparse_seg_ros.stream.stamps import NEWS_SECONDS, Stamps

FROZEN, BLACK, WHITE, BLURRED, COVERED = 'frozen', 'black', 'over-exposed', 'blurred', 'covered'
REPEATED, JUMPING, RESIZED = 'repeated stamp', 'jumping stamp', 'size change'
OUT_OF_DOMAIN = 'out of domain'
USELESS = (FROZEN, BLACK, COVERED)  # faults with which a mask shows nothing that is there
CURES = {  # fault -> what it is, and what to look for
    FROZEN: 'the picture stays the same to the last bit while its stamp goes on; restart the '
            'camera or its driver',
    BLACK: 'the picture is black; look for a cap on the lens, and at the exposure',
    WHITE: 'most of the picture is white; look at the exposure',
    BLURRED: 'the picture is less sharp than this camera was; clean the lens, look at its focus',
    COVERED: 'a large part shows nothing and does not change; clean the lens',
    REPEATED: 'pictures have the stamp of the one before; let the driver stamp each',
    JUMPING: 'stamps go back, or ahead of the arrivals; look for a second publisher, a bag that '
             'began again, or a clock that was set',
    RESIZED: 'the size of the picture changed',
    OUT_OF_DOMAIN: 'the model is less sure than on the frames that it was calibrated on; it may '
                   'not know such pictures'}
FAULTS = tuple(CURES)
SINCE = ' since'  # after the name of a fault: stamp in seconds, or none
SIZE, LIT, WHITE_SHARE, SHARPNESS, USUAL_SHARPNESS, COVERED_SHARE, EQUAL, STEP_SECONDS, JUMPS = (
    'size', 'lit fraction', 'white fraction', 'sharpness', 'usual sharpness', 'covered fraction',
    'equal pictures in a row', 'stamp step s', 'stamp jumps')
NONE = 'none'

EQUAL_PICTURES = 2  # in a row after the first; a driver may send each picture twice
LEAST_LIT = 0.01  # of the lattice; the darkest real frame has 0.58
MOST_WHITE = 0.6  # of the lattice; the brightest real sky fills 0.44
LEAST_SHARPNESS = 0.8  # of the usual one; real frames: 0.82 and up, defocus by 0.15 % of the
LEARNT_FRAMES = 20     # width: 0.73 and below; frames until the usual one is known
SHARPNESS_RATE, TEXTURE_RATE = 0.02, 0.02  # of each frame in what is usual: some 50 frames
BLANK, STILL = 4.0, 3.0  # grey levels of texture and change of a tile at most: noise of a sensor
MOST_COVERED = 0.3  # of the tiles; on real frames at most 0.23 lose their texture, by new sky
MOVING, MOVING_RATIO = 3.0, 1.3  # grey levels that the rest changes by at least, and times what
# blank tiles do: real drives 3.4 and up, a car that waits at a light 2.2 to 3.2
WHOLE = 0.95  # of the tiles; a real frame has at most 0.55 without texture
SKY = 245.0  # mean level from which a tile is saturated sky rather than covered


class CameraPictures:
    """What is known of the pictures of one camera."""

    def __init__(self, limit: float | None):
        self.alarms = {fault: Alarm() for fault in FAULTS}
        for fault in (JUMPING, RESIZED, OUT_OF_DOMAIN):  # which have a memory of their own
            self.alarms[fault] = Alarm(1, 1, 1)
        self.stamps, self.domain = Stamps(), DomainWatch(limit)
        self.arrived_seconds, self.resized_seconds = -math.inf, -math.inf
        self.changing = threading.Lock()
        self.begin(None)

    def begin(self, region: Any) -> None:
        """Know nothing yet of the pictures of this region of the images."""
        self.region, self.size_hw, self.equal = region, None, 0
        self.look: Look | None = None
        self.covered, self.is_moving = 0.0, False
        self.usual_sharpness, self.sharp_frames = 0.0, 0
        self.usual_texture: np.ndarray | None = None  # (8, 12) fraction of frames with some

    def note_stamp(self, frame: Frame) -> None:
        """Look at the stamp of the next frame."""
        self.stamps.note(frame.stamp, frame.arrived_seconds)
        self.note(frame, {REPEATED: self.stamps.is_repeated(),
                          JUMPING: self.stamps.has_jumped(frame.arrived_seconds)})

    def note_image(self, frame: Frame, image: np.ndarray) -> None:
        """Look at the image of the next frame."""
        if frame.region != self.region:
            self.begin(frame.region)
        before, look = self.look, look_at(image)
        is_resized = self.size_hw not in (None, image.shape[:2])
        self.note_size(frame, image.shape[:2], is_resized)
        is_dark, is_white = look.lit < LEAST_LIT, look.white > MOST_WHITE
        is_equal = before is not None and np.array_equal(before.lattice, look.lattice) \
            and not (is_dark or is_white)  # which may lack the noise that tells pictures apart
        self.equal = self.equal + 1 if is_equal and not self.stamps.is_repeated() else 0
        self.covered = 0.0 if is_dark or before is None else self.covered_fraction(before, look)
        self.note(frame, {FROZEN: self.equal >= EQUAL_PICTURES, BLACK: is_dark, WHITE: is_white,
                          BLURRED: self.is_blurred(look)})
        if self.is_moving or is_dark or self.covered >= WHOLE:  # else a wall before a parked car
            self.note(frame, {COVERED: self.covered > MOST_COVERED})
        if not (is_dark or is_white or self.equal or self.covered >= WHOLE):
            self.learn(look)
        self.look = look

    def note(self, frame: Frame, faults: dict[str, bool]) -> None:
        """Count what a frame shows."""
        for fault, is_there in faults.items():
            self.alarms[fault].note(is_there, frame.stamp)

    def note_size(self, frame: Frame, size_hw: tuple[int, ...], is_resized: bool) -> None:
        """Tell a change for some seconds; what is usual at another size has to be learnt."""
        self.size_hw = size_hw
        if is_resized:
            self.resized_seconds, self.sharp_frames = frame.arrived_seconds, 0
        age = frame.arrived_seconds - self.resized_seconds
        self.note(frame, {RESIZED: age < NEWS_SECONDS})

    def covered_fraction(self, before: Look, look: Look) -> float:
        """Return the fraction of tiles that show nothing, do not change, and used to show some."""
        is_blank = (look.texture < BLANK) & (np.abs(look.level - before.level) < STILL) \
            & (look.level < SKY)
        change = change_of(before, look)
        rest, blank = (change[tiles].mean() if tiles.any() else 0.0
                       for tiles in (look.texture >= BLANK, is_blank))
        self.is_moving = bool(rest > max(MOVING, MOVING_RATIO * blank))
        if is_blank.mean() >= WHOLE or self.usual_texture is None:
            return float(is_blank.mean()) if is_blank.mean() >= WHOLE else 0.0
        return float((is_blank & (self.usual_texture > 0.5)).mean())

    def is_blurred(self, look: Look) -> bool:
        """Tell whether edges are less steep than those of this camera are."""
        return look.sharpness is not None and self.sharp_frames >= LEARNT_FRAMES \
            and look.sharpness < LEAST_SHARPNESS * self.usual_sharpness

    def learn(self, look: Look) -> None:
        """Take a picture into what is usual, unless it has the fault that this would hide."""
        has_texture = (look.texture >= BLANK).astype(np.float32)
        if self.usual_texture is None:
            self.usual_texture = has_texture
        elif self.is_moving and not self.alarms[COVERED].is_on:
            self.usual_texture += TEXTURE_RATE * (has_texture - self.usual_texture)
        if look.sharpness is not None and not self.is_blurred(look):
            self.sharp_frames += 1
            rate = max(1 / self.sharp_frames, SHARPNESS_RATE)
            self.usual_sharpness += rate * (look.sharpness - self.usual_sharpness)

    def figures(self) -> dict[str, Any]:
        """Return what the status has beside its message."""
        look, size = self.look, self.size_hw
        known = {} if look is None or size is None else {
            SIZE: f'{size[1]}x{size[0]}', LIT: f'{look.lit:.3f}', WHITE_SHARE: f'{look.white:.3f}',
            SHARPNESS: 'n/a' if look.sharpness is None else f'{look.sharpness:.3f}',
            USUAL_SHARPNESS: f'{self.usual_sharpness:.3f}', COVERED_SHARE: f'{self.covered:.3f}'}
        return {**{key: 'n/a' for key in (SIZE, LIT, WHITE_SHARE, SHARPNESS, USUAL_SHARPNESS,
                                          COVERED_SHARE)}, **known,
                EQUAL: self.equal, STEP_SECONDS: f'{self.stamps.step_seconds:.3f}',
                JUMPS: self.stamps.jumps, **self.domain.figures()}


class PictureHealth:
    """The health of the pictures of several cameras; threads may share it."""

    def __init__(self, cameras: Iterable[str], limit: float | None = None):
        """limit: uncertain fraction of a frame above which it is out of the model's domain."""
        self.cameras = {camera: CameraPictures(limit) for camera in cameras}

    def arrive(self, frame: Frame) -> None:
        """Look at the stamp of a frame, before any is dropped for its age."""
        camera = self.cameras[frame.source]
        with camera.changing:
            if frame.arrived_seconds >= camera.arrived_seconds:  # else another thread was faster
                camera.arrived_seconds = frame.arrived_seconds
                camera.note_stamp(frame)

    def look(self, frame: Frame, image: np.ndarray) -> None:
        """Look at the image of a frame."""
        camera = self.cameras[frame.source]
        with camera.changing:
            if frame.arrived_seconds >= camera.arrived_seconds:
                camera.note_image(frame, image)

    def see(self, frame: Frame, prediction: Prediction) -> None:
        """Look at how sure the model is of a frame."""
        camera = self.cameras[frame.source]
        with camera.changing:
            camera.domain.note(prediction)
            camera.note(frame, {OUT_OF_DOMAIN: camera.domain.is_out})

    def status(self, camera: str, is_checked: bool = True, is_active: bool = True) -> Status:
        """Return what is wrong with the pictures of a camera, since when, and the figures."""
        pictures = self.cameras[camera]
        if not (is_checked and is_active):
            return Status(picture_task(camera), 'OK', 'not active, so no images are taken'
                          if is_checked else 'not checked, as check_pictures is false')
        with pictures.changing:
            since = {fault: alarm.since for fault, alarm in pictures.alarms.items()}
            values = {**{fault + SINCE: NONE if at is None else f'{at / 1e9:.3f}'
                         for fault, at in since.items()}, **pictures.figures()}
        raised = [fault for fault, at in since.items() if at is not None]
        level = 'OK' if not raised else 'ERROR' if {*USELESS}.intersection(raised) else 'WARN'
        words = '; '.join(f'{fault}: {CURES[fault]}' for fault in raised)
        return Status(picture_task(camera), level, words or 'no faults', values)


def picture_task(camera: str) -> str:
    """Return the task that says whether the pictures of a camera are sound."""
    return f'{camera} picture'
