# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Names and shapes of the encoder's tensors in MMSegmentation's files.

There, queries, keys and values share one tensor, and the perceptrons' layers are 1x1 convolutions.
"""

from __future__ import annotations

import torch
from torch import Tensor

PARTS = {  # part of a name in transformers -> there
    'patch_embeddings.proj.': '0.projection.',
    'patch_embeddings.layer_norm.': '0.norm.',
    'blocks.': '1.',
    'layernorm_before.': 'norm1.',
    'layernorm_after.': 'norm2.',
    'attention.q_proj.': 'attn.attn.in_proj_',
    'attention.k_proj.': 'attn.attn.in_proj_',
    'attention.v_proj.': 'attn.attn.in_proj_',
    'attention.o_proj.': 'attn.attn.out_proj.',
    'attention.sequence_reduction.sequence_reduction.': 'attn.sr.',
    'attention.sequence_reduction.layer_norm.': 'attn.norm.',
    'mlp.fc1.': 'ffn.layers.0.',
    'mlp.dwconv.dwconv.': 'ffn.layers.1.',
    'mlp.fc2.': 'ffn.layers.4.',
    'layer_norm.': '2.',  # of a stage
}
PACKED = ('q_proj', 'k_proj', 'v_proj')
POINTWISE = ('mlp.fc1.weight', 'mlp.fc2.weight')


def to_released(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of the encoder in `transformers` -> MMSegmentation's."""
    parts: dict[str, list[Tensor]] = {}
    for key in sorted(tensors, key=packing_order):
        tensor = tensors[key]
        parts.setdefault(released_name(key), []).append(
            tensor[:, :, None, None] if key.endswith(POINTWISE) else tensor)
    return {name: torch.cat(found) if len(found) > 1 else found[0]
            for name, found in parts.items()}


def from_released(keys: list[str], tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Names in `transformers`, MMSegmentation's tensors -> those of the names that are there."""
    own = {key: tensors[released_name(key)] for key in keys if released_name(key) in tensors}
    for key, tensor in own.items():
        if packing_order(key) >= 0:
            own[key] = tensor.chunk(len(PACKED))[packing_order(key)]
        elif key.endswith(POINTWISE):
            own[key] = tensor.flatten(1)
    return own


def released_name(key: str) -> str:
    """'stages.0.blocks.1.mlp.fc1.bias' -> 'layers.0.1.1.ffn.layers.0.bias'."""
    _, stage, rest = key.split('.', 2)
    there = f'layers.{stage}.'
    while '.' in rest:
        part = next((part for part in PARTS if rest.startswith(part)), None)
        there += PARTS.get(part, rest.partition('.')[0] + '.')
        rest = rest.removeprefix(part or rest.partition('.')[0] + '.')
    return there + rest


def packing_order(key: str) -> int:
    """Place of a tensor in the packed one; -1 for those by themselves."""
    return next((place for place, part in enumerate(PACKED) if f'.{part}.' in key), -1)
