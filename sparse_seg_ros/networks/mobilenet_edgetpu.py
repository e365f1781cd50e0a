# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Compact's decoder on MobileNet-EdgeTPU-slim, which can begin with weights that have seen streets.

Inverted bottlenecks whose first ones widen by a 3x3 convolution (fused, without a depthwise one),
ReLU, no norms: those of the release are folded into its convolutions (google-coral/test_data,
Apache-2.0, trained on Cityscapes). The maps end at stride 16, in DeepLab's 1x1 convolution joined
with the mean of the whole map (ASPP of one branch; Chen et al., arXiv 1706.05587).

The release was trained on images of 16 k + 1 pixels a side. Row i of its map at stride s lies on
row s i of such an image, because every convolution is padded alike on both sides. Here that holds
for images of other sizes, too, where TensorFlow would pad only after the image, and for the maps
that the decoder doubles.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sparse_seg_ros.networks.compact import Compact

BLOCKS = (  # widened to, channels out, kernel, stride, dilation; is it fused?
    (128, 24, 3, 2, 1, True), *((96, 24, 3, 1, 1, True),) * 3,
    (192, 40, 3, 2, 1, True), *((160, 40, 3, 1, 1, True),) * 3,
    (320, 72, 3, 2, 1, False), *((288, 72, 3, 1, 1, False),) * 3,
    (576, 72, 3, 1, 1, False), *((288, 72, 3, 1, 1, False),) * 3,
    (576, 120, 5, 1, 1, False), *((480, 120, 5, 1, 2, False),) * 3,
    (960, 144, 3, 1, 2, False))
WITHOUT_SHORTCUT = (0, 4, 8, 12, 16, 20)  # the first block of every stage
STEM, ENDS = 24, (4, 8)  # channels; blocks after which strides 4 and 8 end
FIRST_STEP = 68  # number of the stem's output in the released graph
CLASSIFIER = 209  # that of the classifier of 19 classes


class SameConv(nn.Conv2d):
    """Convolution around every pixel, or every second one: (B, a, H, W) -> (B, b, H/s, W/s)."""

    def __init__(self, a: int, b: int, size: int = 1, stride: int = 1, dilation: int = 1,
                 groups: int = 1):
        super().__init__(a, b, size, stride, dilation * (size // 2), dilation, groups)


class InvertedBottleneck(nn.Module):
    """(B, a, H, W) -> (B, b, H/s, W/s), wider between; without depthwise where it is fused."""

    def __init__(self, a: int, wide: int, b: int, size: int, stride: int, dilation: int,
                 is_fused: bool, adds: bool):
        super().__init__()
        self.expand = SameConv(a, wide, size, stride) if is_fused else SameConv(a, wide)
        self.depthwise = nn.Identity() if is_fused else nn.Sequential(
            SameConv(wide, wide, size, stride, dilation, groups=wide), nn.ReLU(inplace=True))
        self.project = SameConv(wide, b)
        self.adds = adds

    def forward(self, x: Tensor) -> Tensor:
        y = self.project(self.depthwise(F.relu_(self.expand(x))))
        return x + y if self.adds else y


class Encoder(nn.Module):
    """(B, 3, H, W) -> maps of 16, 24, 40 and 128 channels at strides 2, 4, 8 and 16."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(SameConv(3, STEM, 3, 2), nn.ReLU(), SameConv(STEM, 16))
        blocks, a = [], 16
        for place, (wide, b, size, stride, dilation, is_fused) in enumerate(BLOCKS):
            blocks.append(InvertedBottleneck(a, wide, b, size, stride, dilation, is_fused,
                                             place not in WITHOUT_SHORTCUT))
            a = b
        self.blocks = nn.Sequential(*blocks)
        self.widen = SameConv(a, 1280)
        self.local = SameConv(1280, 128)
        self.pooled = SameConv(1280, 128)
        self.join = SameConv(256, 128)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        half = self.stem(image)
        quarter = self.blocks[:ENDS[0]](half)
        eighth = self.blocks[ENDS[0]:ENDS[1]](quarter)
        return half, quarter, eighth, self.pool(self.blocks[ENDS[1]:](eighth))

    def bottlenecks(self, first: int, last: int) -> list[InvertedBottleneck]:
        """Return some of the blocks, from first up to last."""
        return [block for block in list(self.blocks)[first:last]
                if isinstance(block, InvertedBottleneck)]

    def pool(self, x: Tensor) -> Tensor:
        """(B, 144, h, w) -> (B, 128, h, w), each place joined with the mean of all."""
        x = F.relu(self.widen(x))
        pooled = F.relu(self.pooled(global_average(x)))
        pooled = pooled.expand(-1, -1, *x.shape[-2:])
        return F.relu(self.join(torch.cat((pooled, F.relu(self.local(x))), 1)))

    @staticmethod
    def released_name(key: str) -> str:
        """'blocks.1.project.bias' -> '78.bias': the number of the step in the released graph."""
        module, _, part = key.rpartition('.')
        return f'{STEPS[module]}.{part}'

    @staticmethod
    def network_tensors(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """Tensors of the released file by name -> those without the classifier of 19 classes."""
        return {key: tensor for key, tensor in tensors.items()
                if not key.startswith(f'{CLASSIFIER}.')}


def global_average(x: Tensor) -> Tensor:
    """
    (B, C, h, w) -> (B, C, 1, 1), as a product: in bfloat16 on a CPU far faster than `mean`.

    The weights are a power of two, exact in every type, so that no sum leaves the range of fp16.
    """
    places = x.movedim(1, -1).flatten(1, 2)  # (B, h * w, C)
    count = places.shape[1]
    power = 2.0 ** math.ceil(math.log2(count))
    mean = x.new_full((1, 1, count), 1 / power) @ places * (power / count)
    return mean.movedim(-1, 1)[..., None]


def resized(x: Tensor) -> Tensor:
    """Do what `doubled` does in one operation, which autocast runs in float32, slowly."""
    height, width = (2 * side for side in x.shape[-2:])
    x = F.pad(x, (0, 1, 0, 1), mode='replicate')
    return F.interpolate(x, (height + 1, width + 1), mode='bilinear',
                         align_corners=True)[..., :height, :width]


def number_steps() -> dict[str, int]:
    """Return convolution -> number of its output in the release, where a bias has one, too."""
    steps = {'stem.0': FIRST_STEP, 'stem.2': FIRST_STEP + 2}
    step = FIRST_STEP + 2
    for place, block in enumerate(BLOCKS):
        for name in ('expand', 'project') if block[-1] else ('expand', 'depthwise.0', 'project'):
            step += 2
            steps[f'blocks.{place}.{name}'] = step
        step += place not in WITHOUT_SHORTCUT  # an addition
    return steps | {'widen': 197, 'local': 200, 'pooled': 202, 'join': 207}


STEPS = number_steps()


class MobileNetEdgeTPU(Compact):
    """
    (B, 3, H, W) normalised -> (B, C, H, W) logits; H and W must be multiples of 16.

    The decoder corrects what the last map says by itself, as the release has it.
    """

    mean, std = (128.0,) * 3, (128.0,) * 3
    widths = (16, 24, 40, 128)
    released_labels = 'cityscapes'
    logits_module, is_aligned = 'sum', True

    def add_encoder(self) -> None:
        self.backbone = Encoder()
        self.coarse_head = nn.Conv2d(self.widths[-1], self.num_classes, 1)
        self.sum = nn.Identity()  # of both classifiers

    def encode(self, image: Tensor) -> tuple[Tensor, ...]:
        return self.backbone(image)

    def decode(self, half: Tensor, quarter: Tensor, eighth: Tensor, sixteenth: Tensor) -> Tensor:
        coarse = self.coarse_head(sixteenth)
        for _ in range(3):
            coarse = self.doubled(coarse)
        return self.sum(coarse + super().decode(half, quarter, eighth, sixteenth))

    @staticmethod
    def doubled(x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, 2H, 2W), bilinear; row i becomes row 2i."""
        if torch.compiler.is_exporting():  # an engine has a kernel for it
            return resized(x)
        rows = x.movedim(1, -1)  # (B, H, W, C)
        for axis in (2, 1):
            following = torch.cat((rows.narrow(axis, 1, rows.shape[axis] - 1),
                                   rows.narrow(axis, rows.shape[axis] - 1, 1)), axis)
            between = torch.lerp(rows, following, 0.5)
            rows = torch.stack((rows, between), axis + 1).flatten(axis, axis + 1)
        return rows.movedim(-1, 1)

    @torch.no_grad()
    def begin_as(self, tensors: dict[str, Tensor], rows: list[int]) -> None:
        """Let each class begin as a row of the released classifier; the decoder adds nothing."""
        self.coarse_head.weight.copy_(tensors[f'{CLASSIFIER}.weight'][rows])
        self.coarse_head.bias.copy_(tensors[f'{CLASSIFIER}.bias'][rows])
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
