# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
From an image to the input of a network: lifted if it is dark, zero mean, unit variance.

Lifting brightens an image that is darker than the training images: dusk becomes an overcast day.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
import torch
from torch import Tensor

from sparse_seg_ros.device import upload
from sparse_seg_ros.kernels.switch import kernels_of

EXPOSURES = ('as_is', 'lifted')
LEAST_POWER = 0.4  # shadows are lifted no further: below lies noise


class Normalisation:
    """
    What a model card says of its images, on a device.

    mean, std: of RGB in 0..255. exposure: 'as_is', or 'lifted', which brightens images that are
    darker than the mean. precision: of the network; on a GPU images for fp16 are float16, which
    is within a fifteenth of a grey level, and all others are float32.
    """

    def __init__(self, mean: tuple[float, ...], std: tuple[float, ...], exposure: str = 'as_is',
                 device: torch.device | str = 'cpu', precision: str = 'fp32'):
        self.device = torch.device(device)
        self.dtype = torch.float16 if precision == 'fp16' and self.device.type != 'cpu' else \
            torch.float32
        self.brightness = sum(mean) / len(mean) if exposure == 'lifted' else None
        self.mean, self.std = (torch.tensor(values, device=device).view(1, 3, 1, 1)
                               for values in (mean, std))
        levels = (torch.arange(256.0).view(-1, 1) - torch.tensor(mean)) / torch.tensor(std)
        self.table = levels.view(256, 1, 3).numpy()  # what each level becomes, for a CPU

    def __call__(self, images: np.ndarray) -> Tensor:
        """(B, H, W, 3) uint8 RGB -> (B, 3, H, W) on the device, channels last."""
        images = self.lifted(images)
        if self.device.type == 'cpu':  # one pass over the memory, where arithmetic takes three
            values = np.empty(images.shape, np.float32)
            for image, out in zip(images, values):
                cv2.LUT(image, self.table, out)
            return torch.from_numpy(values).movedim(-1, 1)
        return self.scaled(upload(images, self.device))

    def lifted(self, images: np.ndarray) -> np.ndarray:
        """(B, H, W, 3) uint8 RGB -> the same, brightened where they are dark and that is asked."""
        if self.brightness is None:
            return images
        return np.stack([lift_exposure(image, self.brightness) for image in images])

    def scaled(self, pixels: Tensor) -> Tensor:
        """(B, H, W, 3) uint8 RGB on a GPU -> (B, 3, H, W), channels last."""
        kernels = kernels_of('image', self.device.type)
        if kernels is not None:
            return kernels.normalise(pixels, self.mean, self.std, self.dtype)
        return ((pixels.movedim(-1, 1).float() - self.mean) / self.std).to(self.dtype)


def lift_exposure(pixels: np.ndarray, brightness: float) -> np.ndarray:
    """
    uint8 values of one image -> the same to a power, at most 1, that brings their mean near.

    brightness: the mean wanted, between 0 and 255; an image that has it or more is returned as it
    is. The power is exact for an even image. Black stays black, and white stays white.
    """
    rows = np.ascontiguousarray(pixels).reshape(len(pixels), -1)
    seen = max(cv2.mean(rows)[0], 1.0)
    if seen >= brightness:
        return pixels
    power = max(math.log(brightness / 255) / math.log(seen / 255), LEAST_POWER)
    table = np.round(255 * (np.arange(256) / 255) ** power).astype(np.uint8)
    return cv2.LUT(rows, table).reshape(pixels.shape)
