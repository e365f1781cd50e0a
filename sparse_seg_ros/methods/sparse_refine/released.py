# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Names of the refiner's tensors in the authors' release, for weights from there and to there.

The release numbers the layers of nested `nn.Sequential`s; here they have names. Shapes and the
order of kernels are the same.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

RELEASED = {  # part of a name here -> there; the longer of two that begin alike comes first
    'extractor.stem': 'backbone.net.0',
    'extractor.stages': 'backbone.net.1',
    'extractor.tail': 'backbone.net.2',
    'head': 'classifier',
    'ensembler.gate': 'ensembler.attn',
    'ensembler.fuse': 'ensembler.fuser',
    'encode.0': '0.1',
    'encode.1': '2.1',
    'coarser.norm_down': '4.1.0',
    'coarser.down': '4.1.2',
    'coarser.stage': '4.1.3',
    'coarser.norm_up': '4.1.4',
    'coarser.up': '4.1.6',
    'decode.0.shortcut': '6.0',
    'decode.0': '6.1',
    'decode.1': '8.1',
    'norm1': '0',
    'conv1': '2',
    'norm2': '3',
    'conv2': '5',
}


def released_name(key: str) -> str:
    """'extractor.stem.kernel' -> 'backbone.net.0.kernel'; the last word is the tensor itself."""
    rest, there = key, []
    while '.' in rest:
        part = next((part for part in RELEASED if rest.startswith(f'{part}.')), None)
        if part is None:
            part = rest.partition('.')[0]
        there.append(RELEASED.get(part, part))
        rest = rest[len(part) + 1:]
    return '.'.join([*there, rest])


def count_planes(tensors: Mapping[str, Tensor]) -> tuple[int, ...]:
    """Tensors of a released refiner -> channels of its stages; none of another file."""
    planes, stage = [], 'backbone.net.1.'
    while f'{stage}0.1.2.kernel' in tensors:
        planes.append(tensors[f'{stage}0.1.2.kernel'].shape[2])
        stage += '4.1.3.'
    return tuple(planes)
