# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The names that tensors have in the authors' files, which count layers in one flat list."""

from __future__ import annotations

import re

PARTS = {'embedding': 'patch_embed', 'pyramid': 'd_convs', 'blocks': 'block'}


def released_name(key: str) -> str:
    """'backbone.stages.2.blocks.7.attn.q.bias' -> 'backbone.block3.7.attn.q.0.bias'."""
    if not key.startswith('backbone.'):
        return key
    _, _, stage, part, rest = key.split('.', 4)
    rest = re.sub(r'attn\.(q|kv)\.', r'attn.\1.0.', rest)
    return f'backbone.{PARTS[part]}{int(stage) + 1}.{rest}'


def backbone_name(key: str) -> str:
    """Name of a tensor in the encoder alone -> its name in the authors' files."""
    return released_name(f'backbone.{key}')
