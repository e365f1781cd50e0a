# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Names of SegFormer's tensors in NVIDIA's own files, which are for Hugging Face's SegFormer.

Its decoder has a linear layer per scale, and MMSegmentation's has a convolution that is
normalised, so NVIDIA's files do not fit the networks named segformer_b0 to b5. There, keys and
values share one tensor. Different from NVIDIA's: layer norms of blocks and stages add 1e-5, not
1e-6, as `transformers` has it.
"""

from __future__ import annotations

import re
from typing import Any

from torch import Tensor

TELLTALE = 'decode_head.linear_fuse.conv.weight'
STAGES = range(1, 5)
IDLE = 'decode_head.conv_seg.'  # stands in every file, and computes nothing
PARTS = (  # what stands in a name there -> in transformers; in this order
    (r'^decode_head\.linear_fuse\.conv\.', 'decode_head.linear_fuse.'),
    (r'^decode_head\.linear_fuse\.bn\.', 'decode_head.batch_norm.'),
    (r'^decode_head\.linear_pred\.', 'decode_head.classifier.'),
    (r'(\d)\.norm1\.', r'\1.layernorm_before.'),
    (r'(\d)\.norm2\.', r'\1.layernorm_after.'),
    (r'\.norm\.', '.layer_norm.'),
    (r'attn\.sr\.', 'attn.sequence_reduction.sequence_reduction.'),
    (r'attn\.layer_norm\.', 'attn.sequence_reduction.layer_norm.'),
    (r'attn\.q\.', 'attn.q_proj.'),
    (r'attn\.proj\.', 'attn.o_proj.'),
    (r'\.attn\.', '.attention.'),
)
OF_STAGES = {  # begin of a name, before the number of a stage from 1 -> what follows it from 0
    'backbone.patch_embed': ('segformer.stages.', '.patch_embeddings'),
    'backbone.block': ('segformer.stages.', '.blocks'),
    'backbone.norm': ('segformer.stages.', '.layer_norm'),
    'decode_head.linear_c': ('decode_head.linear_projections.', ''),
}


def network_tensors(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of NVIDIA's file -> those of the model in `transformers`; others as they are."""
    if TELLTALE not in tensors:
        return tensors
    own = {}
    for key, tensor in tensors.items():
        if '.attn.kv.' in key:
            own |= {own_name(key.replace('.kv.', f'.{part}_proj.')): half
                    for part, half in zip('kv', tensor.chunk(2))}
        elif not key.startswith(IDLE):
            own[own_name(key)] = tensor
    return own


def own_name(key: str) -> str:
    """'backbone.block3.7.mlp.fc1.bias' -> 'model.segformer.stages.2.blocks.7.mlp.fc1.bias'."""
    for pattern, own in PARTS:
        key = re.sub(pattern, own, key)
    found = re.match(rf"({'|'.join(OF_STAGES)})(\d)(?=\.)", key)
    if found:
        before, after = OF_STAGES[found[1]]
        key = f'{before}{int(found[2]) - 1}{after}{key[found.end():]}'
    return f'model.{key}'


def read_config(tensors: dict[str, Tensor], classes: tuple[str, ...]) -> dict[str, Any]:
    """Tensors of NVIDIA's file, names of its classes -> Hugging Face's configuration of it."""
    norms = [f'backbone.norm{stage}.weight' for stage in STAGES]
    missing = next((name for name in norms if name not in tensors), None)
    if missing:
        raise ValueError(f"NVIDIA's SegFormer must have tensor {missing!r}, which is missing; "
                         'copy the file again')
    blocks = {tuple(map(int, found)) for key in tensors
              for found in re.findall(r'^backbone\.block(\d)\.(\d+)\.', key)}
    return {'model_type': 'segformer',
            'depths': [sum(stage == own for own, _ in blocks) for stage in STAGES],
            'hidden_sizes': [tensors[name].shape[0] for name in norms],
            'decoder_hidden_size': tensors[TELLTALE].shape[0],
            'id2label': dict(enumerate(classes))}
