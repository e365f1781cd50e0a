# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Segmenter: a plain vision transformer and a decoder of its tokens.

Strudel et al., "Segmenter: Transformer for Semantic Segmentation", section 3. Published weights
load unchanged with `checkpoints.load`. Named variants are as published, for patches of 16. The
decoders of SETR and of SegViT may take the place of Segmenter's. With options it has exits,
heads that classify the tokens on their way through the encoder, or a policy network, which tells
which patches may share a token; see exits.py and policy.py.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sparse_seg_ros.config import nearest
from sparse_seg_ros.networks.vit.decoders import LinearDecoder, MaskTransformer
from sparse_seg_ros.networks.vit.encoder import VisionTransformer
from sparse_seg_ros.networks.vit.exits import ExitHead
from sparse_seg_ros.networks.vit.options import ViTOptions
from sparse_seg_ros.networks.vit.policy import SIDE, PolicyNetwork
from sparse_seg_ros.networks.vit.released import network_tensors
from sparse_seg_ros.networks.vit.segvit import AttentionToMaskDecoder
from sparse_seg_ros.networks.vit.setr import AggregatingDecoder, NaiveDecoder, ProgressiveDecoder
from sparse_seg_ros.networks.vit.tokens import Tokens

DECODERS = {'linear': LinearDecoder, 'mask': MaskTransformer, 'naive': NaiveDecoder,
            'pup': ProgressiveDecoder, 'mla': AggregatingDecoder, 'atm': AttentionToMaskDecoder}


class Groups(NamedTuple):
    """What became of the tokens of B images that went through the encoder together."""

    of_patches: Tensor  # (B, rows, columns) number of the token that each patch belongs to
    counts: list[int]  # of the tokens that entered each block's perceptron


class SegmenterViT(nn.Module):
    """
    (B, 3, H, W) normalised -> (B, C, H, W) logits; H and W must be multiples of `multiple`.

    token_counts: of the last batch, for each image the tokens entering each block's perceptron.
    """

    stride, multiple = 1, 16
    mean = std = (127.5, 127.5, 127.5)  # of RGB in 0..255
    options_kind = ViTOptions
    network_tensors = staticmethod(network_tensors)  # of a file, for checkpoints.load
    where_absent = ('encoder.head.weight', 'encoder.head.bias')  # unused, not in every file

    def __init__(self, image_size: int, patch_size: int, dim: int, depth: int, heads: int,
                 num_classes: int, decoder: str = 'mask'):
        """
        Build a network with random weights.

        image_size: side of the square images whose positions are learnt; others are interpolated.
        decoder: 'mask' or 'linear' of Segmenter, 'naive', 'pup' or 'mla' of SETR, 'atm' of SegViT.
        """
        super().__init__()
        if decoder not in DECODERS:
            raise ValueError(f'unknown decoder {decoder!r}; {nearest(decoder, DECODERS)}')
        if image_size % patch_size:
            raise ValueError(f'image_size must be a multiple of patch_size {patch_size}, got '
                             f'{image_size}; images of other sizes are padded')
        if dim % heads:
            raise ValueError(f'heads must divide dim, got {heads} heads and dim {dim}')
        check_depth(decoder, depth)
        self.num_classes = num_classes
        self.multiple = patch_size
        self.encoder = VisionTransformer(image_size, patch_size, dim, depth, heads)
        self.decoder = DECODERS[decoder](dim, num_classes)
        if getattr(self.decoder, 'normalises', False):
            self.encoder.norm = nn.Identity()
        self.layers = [round(part * depth) for part in self.decoder.parts]
        self.exit_heads = nn.ModuleDict()  # by the layer, from 1, that they come after
        self.policy: PolicyNetwork | None = None
        self.exits_decide = False  # a token that stopped has the logits of its exit
        self.counts_are_fixed = False  # all images of a batch merge as many tokens
        self.counts_are_shared = False  # they are made to, in training
        self.token_counts: list[list[int]] = []
        self.apply(initialise)

    def fit_sizes(self, tensors: dict[str, Tensor]) -> None:
        """Learn as many positions as a file has, which was trained with images of its size."""
        if 'encoder.pos_embed' in tensors:
            self.encoder.fit_positions(tensors['encoder.pos_embed'])

    def add_options(self, options: ViTOptions) -> None:
        """Add the exits and the policy network of the options, with random weights."""
        depth, dim = len(self.encoder.blocks), self.encoder.cls_token.shape[2]
        for layer in options.exit_layers(depth):
            self.exit_heads[str(layer)] = ExitHead(dim, self.num_classes)
        self.exit_heads.apply(initialise)
        if options.policy != 'none':
            if 2 * self.encoder.patch_size != SIDE:
                raise ValueError(f'a policy is for patches of {SIDE // 2} pixels, got '
                                 f"{self.encoder.patch_size}; remove option 'policy'")
            self.policy = PolicyNetwork()

    def forward(self, images: Tensor) -> Tensor:
        logits, groups = self.with_groups(images)
        self.note_counts(groups)
        return logits

    def note_counts(self, groups: list[Groups]) -> None:
        """Keep the token counts of a batch."""
        self.token_counts = [group.counts for group in groups for _ in group.of_patches]

    def with_groups(self, images: Tensor) -> tuple[Tensor, list[Groups]]:
        """(B, 3, H, W) -> (B, C, H, W) logits, and the tokens of each call of the encoder."""
        encoded = self.encode(images, self.layers)
        logits = torch.cat([self.decode(streams) for streams, _ in encoded])  # (B, C, h, w)
        groups = [Groups(streams[-1].patch_groups(), counts) for streams, counts in encoded]
        return enlarge(logits, images), groups

    def with_exits(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, 1 + E, C, H, W) logits: the network's, then those of each exit."""
        layers = sorted({*self.layers, *map(int, self.exit_heads)})
        encoded, maps = self.encode(images, layers), []
        for streams, _ in encoded:
            tokens_of = dict(zip(layers, streams))
            decoded = self.decode([tokens_of[layer] for layer in self.layers])
            graded = [head.grade(tokens_of[int(layer)])
                      for layer, head in self.exit_heads.items()]
            maps.append(torch.stack([enlarge(part, images) for part in (decoded, *graded)], 1))
        self.note_counts([Groups(streams[-1].patch_groups(), counts)
                          for streams, counts in encoded])
        return torch.cat(maps)

    def encode(self, images: Tensor, layers: list[int]) -> list[tuple[list[Tokens], list[int]]]:
        """(B, 3, H, W) -> what each call of the encoder gives for some of the images."""
        return [self.encoder(part, layers)
                for part in images.split(self.images_at_once(len(images)))]

    def decode(self, streams: list[Tokens]) -> Tensor:
        """Tokens of the layers that the decoder looks at -> (B, C, h, w) logits."""
        logits = self.decoder(*streams)
        return streams[-1].with_exits(logits) if self.exits_decide else logits

    def images_at_once(self, batch_size: int) -> int:
        """Where each image keeps another number of tokens, it goes by itself."""
        goes_together = not (self.encoder.merges or self.encoder.exits) \
            or self.counts_are_fixed or self.training and self.counts_are_shared
        return batch_size if goes_together else 1


def enlarge(logits: Tensor, images: Tensor) -> Tensor:
    """(B, C, h, w) -> (B, C, H, W) of the images."""
    return F.interpolate(logits, images.shape[2:], mode='bilinear', align_corners=False)


def check_depth(decoder: str, depth: int) -> None:
    """Raise ValueError unless the parts that a decoder looks at are whole layers."""
    multiple = math.lcm(*(part.denominator for part in DECODERS[decoder].parts))
    if depth % multiple:
        raise ValueError(f'depth must be a multiple of {multiple} for decoder {decoder!r}, got '
                         f'{depth}; take another decoder or depth')


def initialise(module: nn.Module) -> None:
    """Draw the weights of a linear layer as Segmenter does."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)


class SegmenterTiny(SegmenterViT):
    """Segmenter with ViT-Ti/16: 6.9 M parameters, 12.6 GMACs at 512 x 512."""

    def __init__(self, num_classes: int, decoder: str = 'mask', image_size: int = 512):
        super().__init__(image_size, 16, 192, 12, 3, num_classes, decoder)


class SegmenterSmall(SegmenterViT):
    """Segmenter with ViT-S/16: 26 M parameters, 38.4 GMACs at 512 x 512."""

    def __init__(self, num_classes: int, decoder: str = 'mask', image_size: int = 512):
        super().__init__(image_size, 16, 384, 12, 6, num_classes, decoder)


class SegmenterBase(SegmenterViT):
    """Segmenter with ViT-B/16: 103 M parameters, 129 GMACs at 512 x 512."""

    def __init__(self, num_classes: int, decoder: str = 'mask', image_size: int = 512):
        super().__init__(image_size, 16, 768, 12, 12, num_classes, decoder)


class SegmenterLarge(SegmenterViT):
    """Segmenter with ViT-L/16: 334 M parameters, 671 GMACs at 640 x 640."""

    def __init__(self, num_classes: int, decoder: str = 'mask', image_size: int = 640):
        super().__init__(image_size, 16, 1024, 24, 16, num_classes, decoder)


class SegmenterLinearTiny(SegmenterTiny):
    """Segmenter with ViT-Ti/16 and a linear decoder."""

    def __init__(self, num_classes: int, image_size: int = 512):
        super().__init__(num_classes, 'linear', image_size)


class SegmenterLinearSmall(SegmenterSmall):
    """Segmenter with ViT-S/16 and a linear decoder."""

    def __init__(self, num_classes: int, image_size: int = 512):
        super().__init__(num_classes, 'linear', image_size)


class SegmenterLinearBase(SegmenterBase):
    """Segmenter with ViT-B/16 and a linear decoder."""

    def __init__(self, num_classes: int, image_size: int = 512):
        super().__init__(num_classes, 'linear', image_size)


class SegmenterLinearLarge(SegmenterLarge):
    """Segmenter with ViT-L/16 and a linear decoder."""

    def __init__(self, num_classes: int, image_size: int = 640):
        super().__init__(num_classes, 'linear', image_size)
