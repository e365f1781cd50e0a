# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The encoder: streams at 1/4, 1/8, 1/16 and 1/32 side by side, a new one with each stage.

"Deep High-Resolution Representation Learning for Visual Recognition", Wang et al., section 3.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from sparse_seg_ros.networks.hrnet.blocks import Bottleneck, Exchange, conv_norm_relu
from sparse_seg_ros.networks.images import check_images


class HRNet(nn.Module):
    """(B, 3, H, W) normalised -> four streams, (B, C, H/s, W/s) for s = 4, 8, 16, 32."""

    def __init__(self, widths: tuple[int, int, int, int]):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 3, stride=2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.conv2 = nn.Conv2d(64, 64, 3, stride=2, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(64)
        self.layer1 = nn.Sequential(Bottleneck(64, 64), *(Bottleneck(256, 64) for _ in range(3)))
        self.transition1 = transition((256,), widths[:2])
        self.stage2 = nn.Sequential(Exchange(widths[:2]))
        self.transition2 = transition(widths[:2], widths[:3])
        self.stage3 = nn.Sequential(*(Exchange(widths[:3]) for _ in range(4)))
        self.transition3 = transition(widths[:3], widths)
        self.stage4 = nn.Sequential(*(Exchange(widths) for _ in range(3)))

    def forward(self, images: Tensor) -> list[Tensor]:
        check_images(images)
        x = F.relu(self.bn1(self.conv1(images)))  # (B, 64, H/2, W/2)
        x = F.relu(self.bn2(self.conv2(x)))  # (B, 64, H/4, W/4)
        streams = [self.layer1(x)]  # (B, 256, H/4, W/4)
        streams = self.stage2(branch_off(self.transition1, streams))
        streams = self.stage3(branch_off(self.transition2, streams))
        return self.stage4(branch_off(self.transition3, streams))


def transition(before: tuple[int, ...], after: tuple[int, ...]) -> nn.ModuleList:
    """Widths of the streams there are and of those there shall be -> layers for each of these."""
    kept = [nn.Identity() if a == b else conv_norm_relu(a, b) for a, b in zip(before, after)]
    new = nn.Sequential(conv_norm_relu(before[-1], after[-1], stride=2))
    return nn.ModuleList([*kept, new])


def branch_off(layers: nn.ModuleList, streams: list[Tensor]) -> list[Tensor]:
    """Streams -> as many as there are layers: the new one comes from the coarsest."""
    return [layer(x) for layer, x in zip(layers, [*streams, streams[-1]])]
