# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Random views of labelled frames and pictures: resize, crop, flip, photometric distortion."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from sparse_seg_ros.labels import VOID

TRIES = 10  # windows drawn before one is taken as it is


@dataclass(frozen=True)
class Augmentation:
    """
    Resize by scales[0]..scales[1], crop to crop_hw, flip, and change colours.

    distortion: 'jitter', by `jitter` and by `hue` degrees at most, or 'photometric', see there.

    largest_share: of the labelled pixels of a crop that one class may cover; another window of
    the same size is drawn otherwise, ten times at most. 1 takes the first. short_side, long_side:
    pixels that a frame is brought to before, see `size_factor`.
    """

    crop_hw: tuple[int, int]
    scales: tuple[float, float]
    jitter: float = 0.3
    largest_share: float = 1.0
    hue: float = 0.0
    short_side: int | None = None
    long_side: int | None = None
    distortion: str = 'jitter'

    def __call__(self, image: np.ndarray, label: np.ndarray,
                 random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """(H, W, 3) uint8 and (H, W) uint8 -> the same at crop_hw."""
        image, label = self.crop(image, label, random)
        if random.random() < 0.5:
            image, label = image[:, ::-1], label[:, ::-1]
        return self.recolor(image, random), np.ascontiguousarray(label)

    def recolor(self, image: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """(H, W, 3) uint8 RGB -> the same in other colours."""
        if self.distortion == 'photometric':
            return photometric(image, random)
        image = distort(image, self.jitter, random)
        return turn_hue(image, random.uniform(-self.hue, self.hue)) if self.hue else image

    def crop(self, image: np.ndarray, label: np.ndarray,
             random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Cut a window of crop_hw / scale pixels and resize it; what is outside becomes void."""
        scale = np.exp(random.uniform(*np.log(self.scales))) * size_factor(
            label.shape, self.short_side, self.long_side)
        window = [max(1, round(side / scale)) for side in self.crop_hw]
        top, left = self.place(label, window, random)
        image = cut(image, top, left, window, fill=110)
        label = cut(label, top, left, window, fill=VOID)
        size = self.crop_hw[::-1]
        shrinking = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        return (cv2.resize(image, size, interpolation=shrinking),
                cv2.resize(label, size, interpolation=cv2.INTER_NEAREST))

    def place(self, label: np.ndarray, window: list[int],
              random: np.random.Generator) -> tuple[int, int]:
        """Draw where a window of a frame begins: its top row and left column."""
        for _ in range(TRIES):
            top, left = (random.integers(min(0, have - want), max(0, have - want) + 1)
                         for have, want in zip(label.shape, window))
            if self.largest_share >= 1 or \
                    share_of_largest(cut(label, top, left, window, VOID)) <= self.largest_share:
                break
        return top, left


def share_of_largest(label: np.ndarray) -> float:
    """(H, W) ids -> fraction of the labelled pixels in the class that has most; 1 without any."""
    counts = np.bincount(label.ravel(), minlength=VOID + 1)[:VOID]
    return counts.max() / counts.sum() if counts.any() else 1.0


class PictureAugmentation(Augmentation):
    """The same for pictures of any size with one class each: at scale 1 all of one is seen."""

    def __call__(self, image: np.ndarray, label: int,
                 random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """(H, W, 3) uint8 and a class id -> (*crop_hw, 3) uint8 and the id."""
        image = fit(image, self.crop_hw)
        nowhere = np.zeros(image.shape[:2], np.uint8)
        view, _ = super().__call__(image, nowhere, random)
        return view, np.array(label)


def size_factor(size_hw: tuple[int, ...], short_side: int | None, long_side: int | None) -> float:
    """Size of a frame -> what brings its short side to this, its long side to this at most."""
    factor = short_side / min(size_hw) if short_side else 1.0
    return min(factor, long_side / max(size_hw)) if long_side else factor


def turn_hue(image: np.ndarray, degrees: float) -> np.ndarray:
    """(H, W, 3) uint8 RGB -> the same with all colours turned on the colour wheel."""
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)  # hue in steps of two degrees
    hsv[..., 0] = (hsv[..., 0].astype(np.int16) + round(degrees / 2)) % 180
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)


def fit(image: np.ndarray, size_hw: tuple[int, int]) -> np.ndarray:
    """(H, W, 3) -> resized with its aspect, so that it just covers size_hw."""
    factor = max(want / have for have, want in zip(image.shape, size_hw))
    height, width = (max(want, round(have * factor)) for have, want in zip(image.shape, size_hw))
    shrinking = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    return cv2.resize(image, (width, height), interpolation=shrinking)


def cut(array: np.ndarray, top: int, left: int, size: list[int], fill: int) -> np.ndarray:
    """Cut a window out of an (H, W, ...) array; what lies outside is filled."""
    height, width = array.shape[:2]
    bottom, right = top + size[0], left + size[1]
    inside = array[max(top, 0):bottom, max(left, 0):right]
    margins = [(max(-top, 0), max(bottom - height, 0)), (max(-left, 0), max(right - width, 0))]
    if not np.any(margins):
        return inside
    return np.pad(inside, margins + [(0, 0)] * (array.ndim - 2), constant_values=fill)


def distort(image: np.ndarray, strength: float, random: np.random.Generator) -> np.ndarray:
    """Change brightness, contrast, saturation by 1 +- strength, each colour by a third of it."""
    brightness, contrast, saturation = random.uniform(1 - strength, 1 + strength, 3)
    tint = random.uniform(1 - strength / 3, 1 + strength / 3, (3, 1))  # white balance
    to_grey = np.array([0.299, 0.587, 0.114])
    grey_mean = to_grey @ cv2.mean(image)[:3]
    mix = contrast * (saturation * np.eye(3) + (1 - saturation) * to_grey)  # rows sum to contrast
    shift = np.full((3, 1), grey_mean * (brightness - contrast))
    return cv2.transform(np.ascontiguousarray(image), tint * np.hstack([mix, shift]))


def photometric(image: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """
    (H, W, 3) uint8 RGB -> the same in other colours, as the recipes of MMSegmentation draw them.

    Brightness changes by 32 at most, contrast and saturation by a factor from 0.5 to 1.5, hue by
    36 degrees at most, each in half of the views. Contrast comes before or after the last two.
    """
    brighter, contrasted, saturated, turned, contrast_first = random.random(5) < 0.5
    contrast = random.uniform(0.5, 1.5) if contrasted else 1.0
    if brighter:
        image = toned(image, shift=random.uniform(-32, 32))
    image = toned(image, contrast if contrast_first else 1.0)
    if saturated:
        hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
        hsv[..., 1] = toned(hsv[..., 1], random.uniform(0.5, 1.5))
        image = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)
    if turned:
        image = turn_hue(image, random.uniform(-36, 36))
    return toned(image, 1.0 if contrast_first else contrast)


def toned(values: np.ndarray, factor: float = 1.0, shift: float = 0.0) -> np.ndarray:
    """(...) uint8 -> factor * values + shift, cut to 0..255."""
    table = np.clip(factor * np.arange(256) + shift, 0, 255).astype(np.uint8)
    return table[values]
