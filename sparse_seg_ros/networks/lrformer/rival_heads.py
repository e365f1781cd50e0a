# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Decoder heads made for CNNs on LRFormer's encoder: the rivals of its Table 10.

Each sees the last three maps, enlarged to 1/8 and joined, and has 512 channels, with which their
multiply-adds are the paper's. PPM: Zhao et al. 2017, "Pyramid Scene Parsing Network". OCR: Yuan et
al. 2020, "Object-Contextual Representations". DA: Fu et al. 2019, "Dual Attention Network". CC:
Huang et al. 2019, "CCNet". Written from these papers; auxiliary losses are left out.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sparse_seg_ros.networks.lrformer.attention import resize

WIDTH, OCR_KEYS = 512, 256
BINS = (1, 2, 3, 6)  # sides of the grids of PPM
REDUCTION = 8  # of the channels that are compared in DA and CC
CROSSES = 2  # how often CC looks along row and column, after which it has seen everything


class RivalHead(nn.Module, ABC):
    """[F1, F2, F3, F4] -> (B, C, H/8, W/8) logits."""

    def __init__(self, widths: tuple[int, ...], num_classes: int):
        super().__init__()
        self.joined = sum(widths[1:])
        self.dropout = nn.Dropout2d(0.1)
        self.conv_seg = nn.Conv2d(WIDTH, num_classes, 1)

    def forward(self, features: list[Tensor]) -> Tensor:
        joined = torch.cat([resize(f, features[1].shape[-2:]) for f in features[1:]], dim=1)
        return self.conv_seg(self.dropout(self.think(joined)))

    @abstractmethod
    def think(self, x: Tensor) -> Tensor:
        """(B, joined, H/8, W/8) -> (B, 512, H/8, W/8)."""


class PyramidPooling(RivalHead):
    """Averages over grids of 1, 4, 9 and 36 cells beside every pixel."""

    def __init__(self, widths: tuple[int, ...], num_classes: int):
        super().__init__(widths, num_classes)
        self.levels = nn.ModuleList(unit(self.joined, WIDTH, 1) for _ in BINS)
        self.bottleneck = unit(self.joined + len(BINS) * WIDTH, WIDTH)

    def think(self, x: Tensor) -> Tensor:
        seen = [resize(level(F.adaptive_avg_pool2d(x, side)), x.shape[-2:])
                for side, level in zip(BINS, self.levels)]
        return self.bottleneck(torch.cat([x, *seen], dim=1))


class ObjectContext(RivalHead):
    """Every pixel asks the classes, each described by the pixels that a first guess gives it."""

    def __init__(self, widths: tuple[int, ...], num_classes: int):
        super().__init__(widths, num_classes)
        self.guess = nn.Conv2d(self.joined, num_classes, 1)
        self.look = unit(self.joined, WIDTH)
        self.query, self.key = (nn.Sequential(
            unit(WIDTH, OCR_KEYS, 1), unit(OCR_KEYS, OCR_KEYS, 1)) for _ in range(2))
        self.value = unit(WIDTH, OCR_KEYS, 1)
        self.answer = unit(OCR_KEYS, WIDTH, 1)
        self.join = unit(2 * WIDTH, WIDTH, 1)

    def think(self, x: Tensor) -> Tensor:
        share = self.guess(x).flatten(2).softmax(dim=2)  # (B, C, N) of the pixels in each class
        pixels = self.look(x)  # (B, 512, h, w)
        objects = (share @ pixels.flatten(2).mT).mT[..., None]  # (B, 512, C, 1)
        queries, keys = self.query(pixels).flatten(2), self.key(objects).flatten(2)
        near = (queries.mT @ keys * OCR_KEYS ** -0.5).softmax(dim=2)  # (B, N, C)
        context = (near @ self.value(objects).flatten(2).mT).mT.unflatten(2, pixels.shape[-2:])
        return self.join(torch.cat([self.answer(context), pixels], dim=1))


class DualAttention(RivalHead):
    """Pixels that ask all pixels, and channels that ask all channels, summed."""

    def __init__(self, widths: tuple[int, ...], num_classes: int):
        super().__init__(widths, num_classes)
        self.pixels_in, self.channels_in = (unit(self.joined, WIDTH) for _ in range(2))
        self.pixels_out, self.channels_out = (unit(WIDTH, WIDTH) for _ in range(2))
        self.query, self.key = (nn.Conv2d(WIDTH, WIDTH // REDUCTION, 1) for _ in range(2))
        self.value = nn.Conv2d(WIDTH, WIDTH, 1)
        self.of_pixels, self.of_channels = (nn.Parameter(torch.zeros(())) for _ in range(2))

    def think(self, x: Tensor) -> Tensor:
        by_pixel, by_channel = self.pixels_in(x), self.channels_in(x)
        return self.pixels_out(by_pixel + self.of_pixels * self.ask_pixels(by_pixel)) \
            + self.channels_out(by_channel + self.of_channels * ask_channels(by_channel))

    def ask_pixels(self, x: Tensor) -> Tensor:
        """(B, 512, h, w) -> (B, 512, h, w)."""
        near = (self.query(x).flatten(2).mT @ self.key(x).flatten(2)).softmax(dim=2)  # (B, N, N)
        return (self.value(x).flatten(2) @ near.mT).unflatten(2, x.shape[-2:])


class CrissCross(RivalHead):
    """Pixels that ask their row and their column, twice."""

    def __init__(self, widths: tuple[int, ...], num_classes: int):
        super().__init__(widths, num_classes)
        self.first, self.second = unit(self.joined, WIDTH), unit(WIDTH, WIDTH)
        self.query, self.key = (nn.Conv2d(WIDTH, WIDTH // REDUCTION, 1) for _ in range(2))
        self.value = nn.Conv2d(WIDTH, WIDTH, 1)
        self.weight = nn.Parameter(torch.zeros(()))
        self.join = unit(self.joined + WIDTH, WIDTH)

    def think(self, x: Tensor) -> Tensor:
        seen = self.first(x)
        for _ in range(CROSSES):
            seen = seen + self.weight * self.ask_cross(seen)
        return self.join(torch.cat([x, self.second(seen)], dim=1))

    def ask_cross(self, x: Tensor) -> Tensor:
        """(B, 512, h, w) -> (B, 512, h, w); a pixel, of its row and its column, is asked once."""
        query, key, value = self.query(x), self.key(x), self.value(x)
        in_column = torch.einsum('bchw,bcgw->bhwg', query, key)  # (B, h, w, h)
        in_row = torch.einsum('bchw,bchv->bhwv', query, key)  # (B, h, w, w)
        itself = torch.eye(x.shape[2], dtype=torch.bool, device=x.device)[:, None]  # (h, 1, h)
        in_column = in_column.masked_fill(itself, -torch.inf)
        share = torch.cat([in_column, in_row], dim=3).softmax(dim=3)
        of_column, of_row = share.split([x.shape[2], x.shape[3]], dim=3)
        return torch.einsum('bhwg,bcgw->bchw', of_column, value) \
            + torch.einsum('bhwv,bchv->bchw', of_row, value)


def ask_channels(x: Tensor) -> Tensor:
    """(B, C, h, w) -> (B, C, h, w): channels ask those that are least like them, as in DA."""
    flat = x.flatten(2)  # (B, C, N)
    alike = flat @ flat.mT  # (B, C, C)
    share = (alike.amax(2, keepdim=True) - alike).softmax(dim=2)
    return (share @ flat).unflatten(2, x.shape[-2:])


def unit(a: int, b: int, side: int = 3) -> nn.Sequential:
    """Convolution, batch norm and ReLU: (B, a, h, w) -> (B, b, h, w)."""
    return nn.Sequential(nn.Conv2d(a, b, side, padding=side // 2, bias=False), nn.BatchNorm2d(b),
                         nn.ReLU(inplace=True))


RIVAL_HEADS = {'ppm': PyramidPooling, 'ocr': ObjectContext, 'da': DualAttention, 'cc': CrissCross}
