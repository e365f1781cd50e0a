# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The maps that PointRend renders from: features and coarse logits of a network."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sparse_seg_ros.methods.point_rend.points import centres, sample_points
from sparse_seg_ros.networks import padded_size
from sparse_seg_ros.networks.features import run_with_features
from sparse_seg_ros.networks.images import size_of


@dataclass(frozen=True)
class Maps:
    """
    Last features (B, F, h, w) of a network, and its (B, C, h, w) logits there.

    stride: pixels of the image to a cell of the maps. The image of image_hw was padded to fill
    them, at the bottom and on the right. is_aligned: cells lie on the first pixel that they cover
    and not on the middle of all.
    """

    features: Tensor
    coarse: Tensor
    image_hw: tuple[int, int]
    stride: int
    is_aligned: bool = False

    def inside(self, points: Tensor) -> Tensor:
        """(B, N, 2) points of the image -> the same as points of the maps."""
        covered = [side / (self.stride * cells)
                   for side, cells in zip(self.image_hw, self.coarse.shape[-2:])]
        later = (1 - 1 / self.stride) / 2 if self.is_aligned else 0.0  # cells
        shift = [later / cells for cells in self.coarse.shape[-2:]]
        return points * points.new_tensor(covered) + points.new_tensor(shift)

    def at(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """(B, N, 2) points of the image -> (B, F, N) features, (B, C, N) coarse logits."""
        points = self.inside(points)
        return sample_points(self.features, points), sample_points(self.coarse, points)

    def coarse_at(self, size_hw: tuple[int, int]) -> Tensor:
        """(B, C, *size_hw): the coarse logits of the image, bilinear at another size."""
        positions = torch.arange(math.prod(size_hw), device=self.coarse.device)[None]
        points = self.inside(centres(positions, size_hw)).expand(len(self.coarse), -1, -1)
        return sample_points(self.coarse, points).unflatten(2, size_hw)


def read_maps(network: nn.Module, images: Tensor) -> Maps:
    """(B, 3, h, w) normalised, any size -> its maps; ValueError if the network gives none."""
    _, features = run_with_features(network, images)
    image_hw, (values, logits) = size_of(images), features.require_maps()
    stride = padded_size(network, image_hw)[0] // logits.shape[2]
    return Maps(values.float(), logits.float(), image_hw, stride,
                getattr(network, 'is_aligned', False))


def doublings(image_hw: tuple[int, int], stride: int,
              full_hw: tuple[int, int]) -> list[tuple[int, int]]:
    """Return each size that is rendered: twice that of an image's maps, and on up to the full."""
    height, width = (math.ceil(side / stride) for side in image_hw)
    sizes: list[tuple[int, int]] = []
    while not sizes or (height, width) != full_hw:
        height, width = min(2 * height, full_hw[0]), min(2 * width, full_hw[1])
        sizes.append((height, width))
    return sizes
