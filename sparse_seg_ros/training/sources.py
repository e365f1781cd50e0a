# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The frames that a run learns from, and how rare each class is in them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import cv2
import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from sparse_seg_ros.data.augmentation import Augmentation, PictureAugmentation, size_factor
from sparse_seg_ros.data.frames import Frames, check_classes, check_label, frames
from sparse_seg_ros.data.picture_folder import PictureFolder
from sparse_seg_ros.data.rendered import RenderedStreet
from sparse_seg_ros.data.unlabelled import Unlabelled, find_unlabelled
from sparse_seg_ros.labels import load_labels
from sparse_seg_ros.training.config import TrainConfig

VALIDATION_STREETS = 3001  # seed; training and evaluation use others
KEPT_BYTES = 2 * 10 ** 9  # of a split, such as 700 frames of 960x720
LEARNS_FROM_LABELS = ('learnable', 'oracle')  # selectors


def training_sources(config: TrainConfig) -> list[tuple[Sequence, Augmentation]]:
    """Return (frames, augmentation) of every source that the run names."""
    if config.stage == 'classifier':
        return [(pictures(config), PictureAugmentation(config.crop_hw, config.scales,
                                                       config.jitter, hue=config.hue,
                                                       distortion=config.distortion))]
    sources: list[tuple[Sequence, Augmentation]] = []
    for split in config.splits:
        sources.append((frames_of(split, config), augmentation(config, config.scales)))
    if config.street_frames:
        streets = RenderedStreet(config.cache, config.street_frames, config.street_size_hw,
                                 config.street_seed)
        check_classes(streets, load_labels(config.labels).names, f'label set {config.labels}')
        sources.append((streets, augmentation(config, config.street_scales)))
    if not sources:
        raise ValueError("nothing to train on: set 'splits', 'street_frames' or both")
    return sources


def frames_of(split: str, config: TrainConfig) -> Sequence:
    """
    Read all frames of a split once, and return them.

    Labelled ones stay in memory up to KEPT_BYTES; others are read each time they are shown.
    Raises ValueError for frames without labels, unless a teacher says what is in them.
    """
    unlabelled = find_unlabelled(split)
    if unlabelled is None:
        return kept(frames(split), config, split)
    if not config.teacher:
        raise ValueError(f"{split} has no labels to learn from; set 'teacher' to a model to "
                         'imitate there, or list "image label" on every line')
    if config.stage == 'refiner' and config.selector in LEARNS_FROM_LABELS:
        raise ValueError(f'selector {config.selector!r} learns from labels, which {split} does '
                         "not have; set 'selector' to entropy")
    for index in tqdm(range(len(unlabelled)), f'reading {split}', leave=False):
        unlabelled[index]  # what cannot be read is said now
    return unlabelled


def kept(frames_: Frames, config: TrainConfig, split: str) -> Sequence:
    """Read all frames once -> the (image, label) pairs, or the frames where they take too much."""
    pairs, size = [], 0
    for image, label in checked(frames_, config, f'reading {split}'):
        size += image.nbytes + label.nbytes
        if size <= KEPT_BYTES:
            pairs.append((image, label))
        else:
            pairs.clear()
    return pairs or frames_


def augmentation(config: TrainConfig, scales: tuple[float, float]) -> Augmentation:
    """Return how the frames of a source are varied."""
    return Augmentation(config.crop_hw, scales, config.jitter, config.largest_share, config.hue,
                        config.short_side, config.long_side, config.distortion)


def pictures(config: TrainConfig) -> PictureFolder:
    """Return the pictures that a classifier learns from."""
    if len(config.splits) != 1:
        raise ValueError("a classifier needs one folder in 'splits', with a folder of pictures "
                         f'per class; got {len(config.splits)}')
    return PictureFolder(config.splits[0])


def checked(frames_: Frames, config: TrainConfig, about: str) -> Iterator[tuple]:
    """Yield images and labels; ValueError for one whose label has other ids than the classes."""
    names = load_labels(config.labels).names
    check_classes(frames_, names, f'label set {config.labels}')
    for frame, (_, label_path) in zip(tqdm(frames_, about, leave=False), frames_.paths):
        image, label = frame
        check_label(label, len(names), label_path)
        yield image, label


def validation_of(config: TrainConfig) -> Sequence | None:
    """
    Return the frames or pictures to score while training, if the run names any.

    All of them are read once, so that errors come before the training.
    """
    if config.stage == 'classifier':
        return validation_pictures(config)
    pairs = validation_frames(config)
    check_classes(pairs, load_labels(config.labels).names, f'label set {config.labels}')
    if isinstance(pairs, Frames):
        for _ in checked(pairs, config, f'reading {config.validation}'):
            pass
    if pairs is not None and config.short_side:
        return Resized(pairs, config.short_side, config.long_side)
    return pairs


class Resized(Sequence):
    """Frames of the size that a run learns from; labels are resized, too, by nearest pixel."""

    def __init__(self, pairs: Sequence, short_side: int, long_side: int | None):
        self.pairs, self.short_side, self.long_side = pairs, short_side, long_side
        self.classes = getattr(pairs, 'classes', ())

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        image, label = self.pairs[index]
        factor = size_factor(label.shape, self.short_side, self.long_side)
        height, width = (max(1, round(side * factor)) for side in label.shape)
        shrinking = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
        return (cv2.resize(image, (width, height), interpolation=shrinking),
                cv2.resize(label, (width, height), interpolation=cv2.INTER_NEAREST))


def validation_pictures(config: TrainConfig) -> PictureFolder | None:
    """Return the pictures to score a classifier on; their classes must be the learnt ones."""
    if not config.validation:
        return None
    folder, learnt = PictureFolder(config.validation), pictures(config).classes
    if folder.classes != learnt:
        odd = sorted(set(folder.classes) ^ set(learnt))[0]
        raise ValueError(f'{config.validation} and {config.splits[0]} must hold the same classes; '
                         f'only one has {odd!r}')
    return folder


def validation_frames(config: TrainConfig) -> Sequence | None:
    """Return the frames to score while training, if the run names any."""
    if config.validation:
        return frames(config.validation)
    if config.validation_streets:
        return RenderedStreet(config.cache, config.validation_streets, config.street_size_hw,
                              VALIDATION_STREETS)
    return None


def class_weights(sources: list[tuple[Sequence, Augmentation]], num_classes: int,
                  balance: float) -> Tensor:
    """
    Return (C,) weights (median frequency / frequency) ** balance, at most 5, from the sources.

    Labels of 255 are void; any other beyond the classes raises ValueError. Where no source has
    labels all classes weigh 1.
    """
    labelled = [frames_ for frames_, _ in sources if not isinstance(frames_, Unlabelled)]
    if not labelled:
        return torch.ones(num_classes)
    counts = sum(map(count_labels, labelled))
    if counts[num_classes:255].any():
        raise ValueError(f'labels must be below {num_classes} or 255, got '
                         f'{num_classes + int(counts[num_classes:255].argmax())}; '
                         'does the label set match the frames?')
    if not counts[:num_classes].any():
        raise ValueError('the frames have no labelled pixels; 255 is void, ids count from 0')
    frequency = np.maximum(counts[:num_classes], 1) / counts[:num_classes].sum()
    weights = (np.median(frequency) / frequency) ** balance
    return torch.tensor(np.minimum(weights, 5.0), dtype=torch.float32)


def count_labels(frames_: Sequence) -> np.ndarray:
    """Frames or pictures -> how often each label id occurs; of frames a sample of the pixels."""
    if isinstance(frames_, PictureFolder):
        return np.bincount(frames_.ids)
    return sum(np.bincount(frames_[index][1][::4, ::4].ravel(), minlength=256)
               for index in range(0, len(frames_), 4))
