# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Faults of pictures on a drive past boards, each found within a second, and none without."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from sparse_seg_ros.data.frame import Frame
from sparse_seg_ros.prediction import Prediction
from sparse_seg_ros.stream.alarm import Alarm
from sparse_seg_ros.stream.domain import NOT_LEARNT, UNCERTAIN, UNCERTAIN_LIMIT, UNCERTAIN_SMOOTH
from sparse_seg_ros.stream.picture_health import (
    BLACK,
    BLURRED,
    COVERED,
    EQUAL,
    FAULTS,
    FROZEN,
    JUMPING,
    NONE,
    OUT_OF_DOMAIN,
    REPEATED,
    RESIZED,
    SINCE,
    SIZE,
    WHITE,
    PictureHealth,
    picture_task,
)
from sparse_seg_ros.stream.picture_measures import look_at

RATE_HZ, HEIGHT, WIDTH = 10, 180, 320
RANDOM = np.random.default_rng(0)
NOISE = RANDOM.normal(0, 2, (HEIGHT + 16, WIDTH + 16, 3)).astype(np.float32)


def make_boards() -> np.ndarray:
    """Return a long wall with boards of many sizes below a sky without texture."""
    wall = np.full((HEIGHT, 1000, 3), 120, np.uint8)
    for left, top, width, height in RANDOM.integers(
            (0, 40, 8, 8), (1000, HEIGHT, 60, 60), (500, 4)):
        wall[top:top + height, left:left + width] = RANDOM.integers(20, 230, 3)
    wall[:40] = 200
    return wall


WALL = make_boards()


def picture(index: int) -> np.ndarray:
    """Return a picture of the drive, with the noise of a sensor."""
    return noisy(WALL[:, 5 * index:5 * index + WIDTH], index)


def noisy(image: np.ndarray, index: int) -> np.ndarray:
    shift, (height, width) = index % 13, image.shape[:2]
    noise = NOISE[shift:shift + height, shift:shift + width]
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def look(health: PictureHealth, index: int, image: np.ndarray, stamp: float | None = None,
         region: tuple[int, int, int, int] | None = None) -> None:
    seconds = index / RATE_HZ
    stamp = 1000 + (seconds if stamp is None else stamp)
    frame = Frame('front', lambda: image, stamp=round(stamp * 1e9), arrived_seconds=seconds,
                  region=region)
    health.arrive(frame)
    health.look(frame, image)


def raised(health: PictureHealth) -> list[str]:
    """Return the faults that are told now."""
    values = health.status('front').values
    return [fault for fault in FAULTS if values[fault + SINCE] != NONE]


def drive(first: int = 30) -> PictureHealth:
    """Return what is known after some pictures without a fault."""
    health = PictureHealth(['front'])
    for index in range(first):
        look(health, index, picture(index))
        assert not raised(health)
    return health


def half_covered(image: np.ndarray, index: int) -> np.ndarray:
    image = image.copy()
    image[:, :WIDTH // 2] = noisy(np.full((HEIGHT, WIDTH // 2, 3), 70, np.uint8), index)
    return image


def foggy(image: np.ndarray, index: int) -> np.ndarray:
    return noisy((0.3 * image + 0.7 * 220).astype(np.uint8), index)


FROM_FAULT = {
    'a black picture': (BLACK, lambda image, index: noisy(np.full_like(image, 5), index)),
    'a black picture without noise': (BLACK, lambda image, index: np.zeros_like(image)),
    'a white picture': (WHITE, lambda image, index: np.full_like(image, 255)),
    'one picture again and again': (FROZEN, lambda image, index: picture(30)),
    'a picture out of focus': (BLURRED, lambda image, index: noisy(
        cv2.GaussianBlur(image, (0, 0), 2.5), index)),
    'half of the lens covered': (COVERED, half_covered),
    'all of the lens covered': (COVERED, lambda image, index: noisy(
        np.full_like(image, 90), index))}


@pytest.mark.parametrize('fault', FROM_FAULT)
def test_a_fault_is_found_within_a_second_and_forgotten_within_two_after_it(fault):
    name, spoil = FROM_FAULT[fault]
    health = drive()
    for index in range(30, 30 + RATE_HZ):
        look(health, index, spoil(picture(index), index))
    assert raised(health) == [name]
    status = health.status('front')
    assert status.level == ('ERROR' if name in (FROZEN, BLACK, COVERED) else 'WARN')
    assert status.message.startswith(f'{name}: ')
    assert 1003 <= float(status.values[name + SINCE]) < 1004
    for index in range(40, 40 + 2 * RATE_HZ):
        look(health, index, picture(index))
    assert not raised(health) and health.status('front').message == 'no faults'


HARMLESS = {
    'fog': foggy, 'dusk': lambda image, index: noisy(image // 4, index),
    'a brighter exposure': lambda image, index: noisy(np.minimum(image, 200) + 50, index),
    'strong noise': lambda image, index: np.clip(
        image + 15 * NOISE[:HEIGHT, index % 9:index % 9 + WIDTH], 0, 255).astype(np.uint8),
    'each picture twice': lambda image, index: picture(index // 2 * 2)}


@pytest.mark.parametrize('change', HARMLESS)
def test_what_looks_like_a_fault_raises_nothing(change):
    health = drive()
    for index in range(30, 60):
        look(health, index, HARMLESS[change](picture(index), index))
        assert not raised(health)


def test_a_picture_that_stands_still_is_no_frozen_one_while_the_sensor_has_noise():
    health = drive()
    for index in range(30, 60):
        look(health, index, noisy(WALL[:, 150:150 + WIDTH], index))
    assert not raised(health)


def test_a_car_that_parks_before_a_wall_is_not_covered_and_a_covered_one_that_parks_is():
    health = drive()
    wall = half_covered(WALL[:, 150:150 + WIDTH], 0)
    for index in range(30, 130):
        look(health, index, noisy(wall, index))
    assert not raised(health)
    health = drive()
    for index in range(30, 40):
        look(health, index, half_covered(picture(index), index))
    for index in range(40, 100):
        look(health, index, half_covered(picture(39), index))
    assert raised(health) == [COVERED]


def test_blur_is_told_until_it_ends_however_long_it_lasts():
    health = drive()
    for index in range(30, 130):
        look(health, index, noisy(cv2.GaussianBlur(picture(index), (0, 0), 2.5), index))
    assert raised(health) == [BLURRED]


def test_a_change_of_size_is_told_for_some_seconds():
    health = drive()
    for index in range(30, 60):
        look(health, index, picture(index)[:160])
    assert raised(health) == [RESIZED]
    assert health.status('front').values[SIZE] == f'{WIDTH}x160'
    for index in range(60, 85):
        look(health, index, picture(index)[:160])
    assert not raised(health)


def test_another_region_of_the_images_is_no_fault_and_faults_in_it_are_found():
    sky = (0, 0, WIDTH, 60)
    health = drive()
    for index in range(30, 60):
        look(health, index, cv2.GaussianBlur(picture(index), (0, 0), 1.5)[:60], region=sky)
        assert not raised(health)
    for index in range(60, 90):
        look(health, index, half_covered(picture(index), index))
        assert not raised(health)  # it was never seen otherwise since the region is this one
    for index in range(90, 100):
        look(health, index, np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    assert raised(health) == [BLACK]


def test_a_jump_and_a_repetition_of_the_stamp_are_told():
    health = drive()
    look(health, 30, picture(30), stamp=-50.0)
    assert raised(health) == [JUMPING]
    health = drive()
    for index in range(30, 35):
        look(health, index, picture(index), stamp=2.9)
    assert raised(health) == [REPEATED] and health.status('front').level == 'WARN'
    assert health.status('front').values[EQUAL] == 0


def test_a_frame_that_another_thread_has_overtaken_tells_nothing():
    health = drive()
    look(health, 10, picture(10))
    assert not raised(health)


@pytest.mark.parametrize('size', [(1, 1), (3, 200), (64, 9), (90, 131)])
def test_pictures_of_any_size_are_looked_at(size):
    health = PictureHealth(['front'])
    for index in range(30):
        look(health, index, RANDOM.integers(0, 256, (*size, 3), np.uint8))
    assert not {BLURRED, FROZEN, COVERED}.intersection(raised(health))


def test_sharpness_hardly_knows_contrast_and_falls_with_blur():
    sharp = look_at(picture(3)).sharpness
    assert look_at(foggy(picture(3), 3)).sharpness == pytest.approx(sharp, rel=0.1)
    blurred = [look_at(cv2.GaussianBlur(picture(3), (0, 0), radius)).sharpness
               for radius in (0.5, 1, 2, 4)]
    assert blurred == sorted(blurred, reverse=True) and blurred[2] < 0.5 * sharp
    assert look_at(np.full((90, 120, 3), 77, np.uint8)).sharpness is None


def predicted(fraction: float) -> Prediction:
    uncertainty = np.zeros((40, 40), np.float32)
    uncertainty[:round(40 * fraction)] = 0.9
    return Prediction(np.zeros((40, 40), np.uint8), uncertainty)


def see(health: PictureHealth, fraction: float, frames: int) -> None:
    for _ in range(frames):
        health.see(Frame('front', lambda: None, stamp=10 ** 9), predicted(fraction))


def test_a_camera_whose_pictures_the_model_does_not_know_is_a_warning_with_hysteresis():
    health = PictureHealth(['front', 'rear'], limit=0.4)
    see(health, 0.2, 20)
    see(health, 0.9, 3)  # a lorry that passes
    assert not raised(health)
    see(health, 0.5, 20)
    assert raised(health) == [OUT_OF_DOMAIN] and health.status('front').level == 'WARN'
    see(health, 0.4, 40)  # within the limit, but not by much
    assert raised(health) == [OUT_OF_DOMAIN]
    see(health, 0.2, 20)
    assert not raised(health)
    values = health.status('front').values
    assert (values[UNCERTAIN], values[UNCERTAIN_LIMIT]) == ('0.2000', '0.4000')
    assert 0.2 <= float(values[UNCERTAIN_SMOOTH]) < 0.4
    assert health.status('rear').values[UNCERTAIN] == 'n/a'


def test_without_a_learnt_limit_the_cure_is_named_and_nothing_is_wrong():
    health = PictureHealth(['front'])
    see(health, 1.0, 30)
    status = health.status('front')
    assert (status.level, status.values[UNCERTAIN_LIMIT]) == ('OK', NOT_LEARNT)
    assert NOT_LEARNT == 'not learnt; run sparse_seg calibrate'


def test_the_status_of_a_picture_keeps_the_names_that_users_rely_on():
    health = PictureHealth(['front'])
    status = health.status('front')
    assert status.task == picture_task('front') == 'front picture'
    assert ' | '.join(status.values) == (
        'frozen since | black since | over-exposed since | blurred since | covered since | '
        'repeated stamp since | jumping stamp since | size change since | out of domain since | '
        'size | lit fraction | white fraction | sharpness | usual sharpness | covered fraction | '
        'equal pictures in a row | stamp step s | stamp jumps | uncertain fraction | '
        'uncertain fraction, smoothed | uncertain limit')
    off = health.status('front', is_checked=False)
    assert (off.level, off.message) == ('OK', 'not checked, as check_pictures is false')
    assert health.status('front', is_active=False).message == 'not active, so no images are taken'


def test_an_alarm_rises_after_three_of_five_and_falls_after_ten_good_frames():
    alarm = Alarm()
    for stamp, is_bad in enumerate((True, False, True, False)):
        alarm.note(is_bad, stamp)
    assert alarm.since is None
    alarm.note(True, 4)
    assert alarm.since == 4
    for stamp in range(5, 14):
        alarm.note(False, stamp)
    alarm.note(True, 14)
    for stamp in range(15, 24):
        alarm.note(False, stamp)
    assert alarm.since == 4
    alarm.note(False, 24)
    assert alarm.since is None
