# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How often a classifier of pictures is right."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from sparse_seg_ros.data.augmentation import fit
from sparse_seg_ros.data.picture_folder import PictureFolder


@torch.inference_mode()
def top1(classifier: nn.Module, pictures: PictureFolder, size_hw: tuple[int, int],
         device: str | torch.device) -> float:
    """Return the share of pictures whose class is the likeliest one, seen at their middle."""
    mean, std = (torch.tensor(values, device=device).view(3, 1, 1)
                 for values in (classifier.mean, classifier.std))
    classifier.eval().to(device)
    is_right = []
    for image, label in pictures:
        pixels = torch.from_numpy(middle(image, size_hw)).to(device).movedim(-1, 0)
        logits = classifier(((pixels.float() - mean) / std)[None])
        is_right.append(int(logits.argmax()) == label)
    return float(np.mean(is_right))


def middle(image: np.ndarray, size_hw: tuple[int, int]) -> np.ndarray:
    """(H, W, 3) of any size -> (*size_hw, 3) uint8: resized to cover it, its middle cut out."""
    image = fit(image, size_hw)
    top, left = ((have - want) // 2 for have, want in zip(image.shape, size_hw))
    return np.ascontiguousarray(image[top:top + size_hw[0], left:left + size_hw[1]])
