# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The point head: a perceptron, the same at every point, over fine features and coarse logits.

PointRend, section 3.3 and its semantic segmentation: three layers of 256, the coarse logits joined
to the input of each. Different from the release: the last layer starts by repeating those logits,
so that training starts from the coarse prediction.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class PointHead(nn.Module):
    """Fine features and coarse logits of points -> their logits."""

    def __init__(self, num_classes: int, feature_channels: int,
                 planes: tuple[int, ...] = (256, 256, 256)):
        """planes: channels of the hidden layers."""
        super().__init__()
        widths = [feature_channels, *planes]
        self.layers = nn.ModuleList(nn.Conv1d(before + num_classes, after, 1)
                                    for before, after in zip(widths, planes))
        self.predict = nn.Conv1d(widths[-1] + num_classes, num_classes, 1)
        with torch.no_grad():
            for parameter in self.predict.parameters():
                parameter.zero_()
            self.predict.weight[:, widths[-1]:, 0] = torch.eye(num_classes)

    def forward(self, fine: Tensor, coarse: Tensor) -> Tensor:
        """(B, F, N) features, (B, C, N) logits -> (B, C, N) logits."""
        x = fine
        for layer in self.layers:
            x = F.relu(layer(torch.cat((x, coarse), dim=1)))
        return self.predict(torch.cat((x, coarse), dim=1))

    def macs_per_point(self) -> int:
        """Count the multiply-accumulates of one point."""
        return sum(part.numel() for part in self.parameters() if part.ndim == 3)  # no bias
