# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
What a point head learns from: the labels at random points, mostly those in doubt.

PointRend, section 3.1, "Training": k = 3, beta = 0.75, as many points as the image has at stride
16. Different from the paper: the network stays frozen, as under SparseRefine.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sparse_seg_ros.methods.losses import mean_cross_entropy
from sparse_seg_ros.methods.point_rend.maps import Maps
from sparse_seg_ros.methods.point_rend.points import doubt

OVERSAMPLING, IMPORTANCE = 3, 0.75  # k and beta
PIXELS_PER_POINT = 16 ** 2


def point_loss(head: nn.Module, maps: Maps, labels: Tensor,
               class_weights: Tensor | None = None) -> Tensor:
    """(B, H, W) ids -> cross entropy of the head at random points; 0 where all are void."""
    height, width = labels.shape[1:]
    points = training_points(maps, max(1, height * width // PIXELS_PER_POINT))
    logits = head(*maps.at(points)).float()  # (B, C, N)
    y, x = (points * points.new_tensor([height, width])).long().unbind(-1)
    targets = labels.flatten(1).gather(1, y * width + x).long()  # (B, N)
    return mean_cross_entropy(logits, targets, class_weights)


def training_points(maps: Maps, count: int) -> Tensor:
    """
    Coarse logits -> (B, count, 2) random points of the image, three quarters of them in doubt.

    Of three times as many, evenly spread, the most doubtful are kept; the rest are spread evenly.
    """
    batch, in_doubt = len(maps.coarse), int(IMPORTANCE * count)
    many = torch.rand(batch, OVERSAMPLING * count, 2, device=maps.coarse.device)
    doubts = doubt(maps.at(many)[1])  # (B, k * count)
    chosen = doubts.topk(in_doubt, dim=1).indices[..., None].expand(-1, -1, 2)
    even = torch.rand(batch, count - in_doubt, 2, device=many.device)
    return torch.cat((many.gather(1, chosen), even), dim=1)
