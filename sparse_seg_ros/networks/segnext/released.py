# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The names that tensors have in MMSegmentation's files, which count layers in one flat list.

The authors' own files differ from these by a word, `dwconv.dwconv`, and load too.
"""

from __future__ import annotations

from torch import Tensor

from sparse_seg_ros.networks import mmsegmentation

PARTS = {'embedding': 'patch_embed', 'blocks': 'block', 'norm': 'norm'}


def released_name(key: str) -> str:
    """'backbone.stages.2.blocks.7.mlp.fc1.bias' -> 'backbone.block3.7.mlp.fc1.bias'."""
    if not key.startswith('backbone.'):
        return key
    _, _, stage, part, rest = key.split('.', 4)
    return f'backbone.{PARTS[part]}{int(stage) + 1}.{rest}'


def network_tensors(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of a file by name -> those of the network itself, by MMSegmentation's names."""
    return {key.replace('dwconv.dwconv', 'dwconv'): tensor
            for key, tensor in mmsegmentation.network_tensors(tensors).items()}
