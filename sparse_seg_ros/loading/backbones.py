# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Weights that a backbone was pre-trained with, most often on ImageNet, put into a network."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn

from sparse_seg_ros.loading import checkpoints
from sparse_seg_ros.networks.vit.encoder import VisionTransformer

NOT_OF_BACKBONES = (  # what classifies pictures, and what segments
    'head.', 'fc.', 'classifier.', 'final_layer.', 'incre_modules.', 'downsamp_modules.',
    'decode_head.', 'auxiliary_head.', 'decoder.')


def backbone_of(network: nn.Module) -> nn.Module | None:
    """Return the part of a network that is trained on ImageNet; None where there is none."""
    return getattr(network, 'backbone', getattr(network, 'encoder', None))


def load_backbone(network: nn.Module, path: str | Path) -> None:
    """
    Let a network begin with the released weights of its backbone.

    A file holds the backbone alone, perhaps with a classifier of pictures, or a whole network
    whose backbone is taken. A missing, unexpected or wrongly shaped tensor raises ValueError.
    """
    backbone = backbone_of(network)
    if backbone is None:
        raise ValueError(f'{type(network).__name__} has no backbone that {path} could fill')
    if hasattr(backbone, 'released_name'):
        checkpoints.load(backbone, path)
    elif isinstance(backbone, VisionTransformer):
        checkpoints.load_strictly(backbone, vit_tensors(backbone, path), path)
    else:
        checkpoints.load_strictly(backbone, backbone_tensors(path), path, names_in(network))


def backbone_tensors(path: str | Path, prefix: str = 'backbone.') -> dict[str, Tensor]:
    """File of a backbone or of a whole network -> the backbone's tensors, without the prefix."""
    return {key.removeprefix(prefix): tensor
            for key, tensor in checkpoints.read_tensors(Path(path)).items()
            if not key.startswith(NOT_OF_BACKBONES)}


def names_in(network: nn.Module) -> dict[str, str]:
    """Network -> released name of each tensor of its backbone: its own name there."""
    released_name = getattr(network, 'released_name', str)
    return {released_name(f'backbone.{key}').removeprefix('backbone.'): key
            for key in network.backbone.state_dict()}


def vit_tensors(encoder: VisionTransformer, path: str | Path) -> dict[str, Tensor]:
    """
    Read a file in the names of timm, or of a whole Segmenter -> tensors that fit an encoder.

    Positions are interpolated to the images that the encoder learns from. Its own classifier,
    which is not used, stays as it is.
    """
    tensors = backbone_tensors(path, 'encoder.')
    tensors = {key: tensor for key, tensor in tensors.items()
               if not key.startswith(NOT_OF_BACKBONES)}
    own = encoder.state_dict()
    tensors |= {key: own[key] for key in own if key.startswith('head.')}
    positions = tensors.get('pos_embed')
    if positions is not None and positions.shape != own['pos_embed'].shape:
        tensors['pos_embed'] = encoder.resized(positions)
    return tensors
