# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a PointHead learns; the dense network stays frozen."""

from __future__ import annotations

import torch
from torch import Tensor

from sparse_seg_ros.methods.frozen import FrozenObjective
from sparse_seg_ros.methods.point_rend.loss import point_loss
from sparse_seg_ros.methods.point_rend.maps import read_maps
from sparse_seg_ros.networks.images import shrink


class PointObjective(FrozenObjective):
    """Cross entropy at random points, most of them in doubt."""

    def forward(self, images: Tensor, labels: Tensor, sources: Tensor) -> Tensor:
        """(B, 3, H, W) normalised, (B, H, W) ids, (B,) -> scalar loss."""
        with torch.no_grad():
            maps = read_maps(self.frozen[0], shrink(images, self.scale))
        return point_loss(self.trained, maps, labels, self.class_weights)
