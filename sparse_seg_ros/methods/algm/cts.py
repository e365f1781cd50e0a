# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Rival CTS: neighbouring patches that a policy network finds alike share a token from the start.

Lu et al., "Content-aware Token Sharing for Efficient Semantic Segmentation with Vision
Transformers", from its description: of all superpatches, 2 x 2 patches, those that are most likely
to show one class only, as many in each image, are shrunk to the size of a patch and embedded as
one token; the others have a token for each patch. Results are repeated for the four patches.
A shared token has the mean of the four positions, which is our choice.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sparse_seg_ros.methods.algm.early_exit import take
from sparse_seg_ros.methods.algm.merging import rank_candidates, window_of_patches
from sparse_seg_ros.networks.vit.encoder import VisionTransformer
from sparse_seg_ros.networks.vit.tokens import Tokens

SUPERPATCH = (2, 2)


@dataclass(frozen=True)
class SharedEmbedding:
    """
    Images -> Tokens, in the place of `VisionTransformer.embed`.

    policy: images -> (B, rows / 2, columns / 2) logits. share: fraction of the superpatches,
    rounded up, that share a token.
    """

    policy: nn.Module
    share: float

    def __call__(self, encoder: VisionTransformer, images: Tensor) -> Tokens:
        with torch.no_grad():
            rank = rank_candidates(self.policy(images).flatten(1))  # (B, W)
        return embed_shared(encoder, images, rank, math.ceil(self.share * rank.shape[1]))


def embed_shared(encoder: VisionTransformer, images: Tensor, rank: Tensor, count: int) -> Tokens:
    """
    (B, 3, H, W), ranks (B, W) of superpatches -> Tokens; those of rank below count share one.

    Order: class token, shared tokens by rank, the other patches in raster order.
    """
    side = encoder.patch_size
    grid_hw = (images.shape[2] // side, images.shape[3] // side)
    rank_of_patch = rank[:, window_of_patches(grid_hw, SUPERPATCH, rank.device)]  # (B, N)
    is_shared = rank_of_patch < count
    shared = rank.argsort(dim=1)[:, :count]
    alone = is_shared.long().argsort(dim=1, stable=True)[:, :is_shared.shape[1] - 4 * count]
    pixels = torch.cat((take(F.unfold(F.avg_pool2d(images, 2), side, stride=side).mT, shared),
                        take(F.unfold(images, side, stride=side).mT, alone)), 1)  # (B, T - 1, p)
    embed = encoder.patch_embed.proj
    patches = F.linear(pixels, embed.weight.flatten(1), embed.bias)
    positions = encoder.positions(grid_hw)  # (1, 1 + N, d)
    means = F.avg_pool2d(positions[:, 1:].mT.unflatten(2, grid_hw), 2).flatten(2).mT  # (1, W, d)
    placed = torch.cat((means[0][shared], positions[0, 1:][alone]), 1)
    first = (encoder.cls_token + positions[:, :1]).expand(len(images), -1, -1)
    places = torch.where(is_shared, 1 + rank_of_patch, count + (~is_shared).cumsum(1))
    return Tokens(torch.cat((first, patches + placed), 1), grid_hw, F.pad(places, (1, 0)))
