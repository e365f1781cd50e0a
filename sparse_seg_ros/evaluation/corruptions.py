# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Frames made worse on purpose, in five severities, to see whether the model notices.

After the kinds of Hendrycks and Dietterich 2019, and of Michaelis et al. 2019 for streets, in a
few lines each and with strengths of our own: compare rows of one table, not with their figures.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial

import cv2
import numpy as np

from sparse_seg_ros.config import nearest
from sparse_seg_ros.data.frame import AnyFrame, Frame, as_frames
from sparse_seg_ros.evaluation.evaluate import score
from sparse_seg_ros.evaluation.loop import raise_it
from sparse_seg_ros.evaluation.scores import Scores
from sparse_seg_ros.prediction import Prediction
from sparse_seg_ros.segmenter import Segmenter

SEVERITIES = range(1, 6)
RANGE = re.compile(r'([a-z_]+)(?::([1-5])(?:-([1-5]))?)?')
WIDTH = 2048  # pixels of the image whose blur is measured in pixels; others in proportion


def fog(image: np.ndarray, severity: int, random: np.random.Generator) -> np.ndarray:
    """Lay a bright veil of clouds over the image."""
    height, width = image.shape[:2]
    veil, total = np.zeros((height, width), np.float32), 0.0
    for octave in range(2, 8):
        rough = random.random((2 ** octave, 2 ** octave), np.float32)
        veil += cv2.resize(rough, (width, height), interpolation=cv2.INTER_CUBIC) / 2 ** octave
        total += 1 / 2 ** octave
    share = (0.3, 0.42, 0.54, 0.66, 0.78)[severity - 1]
    weight = np.clip(share * (0.6 + 0.8 * veil / total), 0, 1)[..., None]
    return clip(image * (1 - weight) + 235 * weight)


def motion_blur(image: np.ndarray, severity: int, random: np.random.Generator) -> np.ndarray:
    """Smear the image along a line, as a turning or shaking camera does."""
    length = max(3, round((8, 14, 22, 32, 44)[severity - 1] * image.shape[1] / WIDTH)) | 1
    kernel = np.zeros((length, length), np.float32)
    kernel[length // 2] = 1
    turn = cv2.getRotationMatrix2D((length // 2, length // 2), random.uniform(-30, 30), 1)
    kernel = cv2.warpAffine(kernel, turn, (length, length))
    return cv2.filter2D(image, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REFLECT)


def defocus(image: np.ndarray, severity: int, random: np.random.Generator) -> np.ndarray:
    """Spread every point over a disc."""
    radius = max(1, round((3, 5, 8, 12, 16)[severity - 1] * image.shape[1] / WIDTH))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1,) * 2).astype(np.float32)
    return cv2.filter2D(image, -1, disc / disc.sum(), borderType=cv2.BORDER_REFLECT)


def jpeg(image: np.ndarray, severity: int, random: np.random.Generator) -> np.ndarray:
    """Compress the image as strongly as a weak radio link asks for."""
    quality = (40, 25, 15, 9, 5)[severity - 1]
    data = cv2.imencode('.jpg', image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR))[..., ::-1].copy()


def dark(image: np.ndarray, severity: int, random: np.random.Generator) -> np.ndarray:
    """Take light away, which leaves the noise of the sensor."""
    gain = (0.5, 0.33, 0.22, 0.14, 0.09)[severity - 1]
    linear = gain * (image / 255.0) ** 2.2
    shot = random.standard_normal(image.shape, np.float32) * np.sqrt(linear / 2000 + 1e-6)
    return clip(255 * np.clip(linear + shot, 0, 1) ** (1 / 2.2))


def noise(image: np.ndarray, severity: int, random: np.random.Generator) -> np.ndarray:
    """Add noise of one strength everywhere."""
    deviation = (8, 14, 22, 34, 50)[severity - 1]
    return clip(image + deviation * random.standard_normal(image.shape, np.float32))


def contrast(image: np.ndarray, severity: int, random: np.random.Generator) -> np.ndarray:
    """Press all values together around their mean, as a dirty or sunlit lens does."""
    share = (0.6, 0.45, 0.3, 0.2, 0.12)[severity - 1]
    return clip(image.mean() + share * (image - image.mean()))


Corruption = Callable[[np.ndarray, int, np.random.Generator], np.ndarray]
CORRUPTIONS: dict[str, Corruption] = {each.__name__: each for each in (
    fog, motion_blur, defocus, jpeg, dark, noise, contrast)}


def clip(values: np.ndarray) -> np.ndarray:
    """Return values as uint8, from 0 to 255."""
    return np.clip(values, 0, 255).astype(np.uint8)


def read_corruptions(text: str) -> list[tuple[str, int]]:
    """'fog,dark:1-3,jpeg:5' -> names and severities, all five where none is named."""
    chosen = []
    for word in text.split(','):
        match = RANGE.fullmatch(word.strip())
        if not match or match[1] not in CORRUPTIONS:
            name = match[1] if match else word
            raise ValueError(f'unknown corruption {name!r}; write names with severities from 1 '
                             f'to 5, such as fog,jpeg:3,dark:1-5; {nearest(name, CORRUPTIONS)}')
        first, last = int(match[2] or SEVERITIES[0]), int(match[3] or match[2] or SEVERITIES[-1])
        if first > last:
            raise ValueError(f'severities go from the lower to the higher one, got {word!r}')
        chosen += [(match[1], severity) for severity in range(first, last + 1)]
    return chosen


@dataclass(frozen=True)
class CorruptionRow:
    """Figures on frames made worse; those as they are have no name and severity 0."""

    name: str
    severity: int
    miou: float | None
    ece: float | None
    auroc: float | None
    uncertainty: float  # mean, in [0, 1]
    density: float


def corruption_rows(segment: Segmenter, make_frames: Callable[[], Iterable[AnyFrame]],
                    chosen: Iterable[tuple[str, int]], is_strict: bool = True
                    ) -> list[CorruptionRow]:
    """
    Score a model on frames as they are and made worse.

    make_frames: gives them for a pass. is_strict: False leaves out frames that cannot be used.
    """
    rows = []
    for name, severity in [('', 0), *chosen]:
        frames = make_frames()
        scores = Scores(segment.labels.names)
        score(segment, CorruptedFrames(frames, name, severity) if name else frames,
              [scores if is_strict else partial(count_fitting, scores)],
              raise_it if is_strict else leave_out,
              {'confidence'}.intersection(segment.method.optional))
        figures = scores.summary()
        rows.append(CorruptionRow(name, severity, figures['miou'], figures['ece'],
                                  figures['auroc'], scores.parts['detection'].mean(),
                                  scores.density))
    return rows


def count_fitting(scores: Scores, frame: Frame, image: np.ndarray, seen: Prediction) -> None:
    """Count a frame, without labels that do not fit; the evaluation before has named these."""
    with suppress(ValueError):
        scores(frame, image, seen)


def leave_out(frame: Frame, part: str, error: Exception) -> None:
    """Go on without a frame that cannot be used."""


class CorruptedFrames:
    """Frames with images made worse, in the same way on every pass; labels stay as they are."""

    def __init__(self, frames: Iterable[AnyFrame], name: str, severity: int):
        self.frames, self.severity, self.corrupt = frames, severity, CORRUPTIONS[name]
        self.classes = getattr(frames, 'classes', ())

    def __iter__(self) -> Iterator[Frame]:
        for frame in as_frames(self.frames):
            yield replace(frame, read_image=lambda frame=frame: self.read(frame))

    def read(self, frame: Frame) -> np.ndarray:
        """Return the image of a frame, made worse."""
        seed = hashlib.sha256(f'{frame.source} {frame.stamp}'.encode()).digest()
        random = np.random.default_rng(int.from_bytes(seed[:8], 'little'))
        return self.corrupt(frame.image(), self.severity, random)
