# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
HRNet-W48 with a fully convolutional head, as MMSegmentation defines it.

"Deep High-Resolution Representation Learning for Visual Recognition", Wang et al., sections 3 and
5. Layers have MMSegmentation's names, so that its files load with `checkpoints.load`; an
auxiliary head in them is left out. Fresh weights are drawn as torch does.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sparse_seg_ros.networks.hrnet.backbone import HRNet
from sparse_seg_ros.networks.lrformer.attention import resize
from sparse_seg_ros.networks.lrformer.decoder import Squeeze
from sparse_seg_ros.networks.mmsegmentation import MEAN, STD, network_tensors


class HRNetFCN(nn.Module):
    """(B, 3, H, W) normalised -> (B, C, H/4, W/4) logits; H and W must be multiples of 32."""

    stride, multiple = 4, 32
    classifier = 'decode_head.conv_seg'
    mean, std = MEAN, STD
    widths: tuple[int, int, int, int]  # of the four streams
    network_tensors = staticmethod(network_tensors)  # of a file, for checkpoints.load

    def __init__(self, num_classes: int):
        super().__init__()
        self.num_classes = num_classes
        self.backbone = HRNet(self.widths)
        self.decode_head = FCNHead(sum(self.widths), num_classes)

    def forward(self, images: Tensor) -> Tensor:
        return self.decode_head(self.backbone(images))


class FCNHead(nn.Module):
    """Streams -> (B, C, H/4, W/4) logits, at the size of the finest."""

    def __init__(self, width: int, num_classes: int):
        super().__init__()
        self.convs = nn.ModuleList([Squeeze(width, width)])
        self.conv_seg = nn.Conv2d(width, num_classes, 1)

    def forward(self, streams: list[Tensor]) -> Tensor:
        finest, *coarser = streams
        x = torch.cat((finest, *(resize(f, finest.shape[2:]) for f in coarser)), dim=1)
        return self.conv_seg(self.convs[0](x))  # x: (B, 720, H/4, W/4) in W48


class HRNetW48(HRNetFCN):
    """66 million parameters; 187 GMACs at 512 x 1024 (19 classes)."""

    widths = (48, 96, 192, 384)
