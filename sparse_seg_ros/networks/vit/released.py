# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The names that tensors of vision transformers have in MMSegmentation's files.

Those of Segmenter's authors need no translation. MMSegmentation has its own names for the encoder,
and for the decoders of Segmenter and SETR; SegViT's authors, who build on it, for theirs.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from torch import Tensor

from sparse_seg_ros.networks import mmsegmentation

TELLTALE = 'backbone.layers.0.ln1.weight'


def stage(part: str) -> Callable[[re.Match], str]:
    """Return what names a part of a stage of SegViT's decoder, counted from 1 in its files."""
    return lambda found: f'decoder.stages.{int(found[1]) - 1}.{part}'


PARTS = (  # what stands in a name there -> what stands here; in this order
    (r'decode_head\.dec_proj\.', 'decoder.proj_dec.'),
    (r'decode_head\.patch_proj\.weight', 'decoder.proj_patch'),
    (r'decode_head\.classes_proj\.weight', 'decoder.proj_classes'),
    (r'decode_head\.conv_seg\.', 'decoder.head.'),
    (r'decode_head\.norm\.|^backbone\.ln1\.', 'encoder.norm.'),
    (r'neck\.norm\.', 'decoder.norms.'),
    (r'neck\.mla\.channel_proj\.', 'decoder.first.'),
    (r'neck\.mla\.feat_extract\.', 'decoder.second.'),
    (r'decode_head\.q\.weight', 'decoder.classes'),
    (r'decode_head\.class_embed\.', 'decoder.head.'),
    (r'decode_head\.input_proj_(\d)\.', stage('proj.')),
    (r'decode_head\.proj_norm_(\d)\.', stage('norm.')),
    (r'decode_head\.decoder_(\d)\.', stage('')),
    (r'self_attn\.in_proj_', 'among_classes.qkv.'),
    (r'self_attn\.out_proj\.', 'among_classes.proj.'),
    (r'multihead_attn\.q\.', 'query.'),
    (r'multihead_attn\.k\.', 'key.'),
    (r'multihead_attn\.v\.', 'value.'),
    (r'multihead_attn\.', ''),
    (r'\.linear([12])\.', r'.mlp.fc\1.'),
    (r'up_convs\.(\d)\.0\.(conv|bn)', r'steps.\1.0.\2'),
    (r'up_convs\.(\d)\.1\.(conv|bn)', r'steps.\1.2.\2'),
    (r'\.conv\.', '.0.'),
    (r'\.bn\.', '.1.'),
    (r'\.ln([12])\.', r'.norm\1.'),
    (r'attn\.attn\.in_proj_', 'attn.qkv.'),
    (r'attn\.attn\.out_proj\.', 'attn.proj.'),
    (r'ffn\.layers\.0\.0\.', 'mlp.fc1.'),
    (r'ffn\.layers\.1\.', 'mlp.fc2.'),
    (r'patch_embed\.projection\.', 'patch_embed.proj.'),
    (r'\.layers\.', '.blocks.'),
    (r'^decode_head\.', 'decoder.'),
    (r'^backbone\.', 'encoder.'),
)


def network_tensors(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of a file -> those of the network, by its own names, which are Segmenter's."""
    if TELLTALE not in tensors:
        return tensors
    tensors = mmsegmentation.network_tensors(tensors)
    is_mask = 'decode_head.cls_emb' in tensors  # a classifier beside it is idle
    own = {own_name(key): tensor for key, tensor in tensors.items()
           if not (is_mask and 'conv_seg' in key)}
    for key in ('decoder.proj_patch', 'decoder.proj_classes'):
        if key in own:
            own[key] = own[key].T  # which is multiplied from the other side
    if not is_mask and 'decode_head.up_convs.0.0.conv.weight' not in tensors:
        own = {key: tensor.flatten(1) if key == 'decoder.head.weight' else tensor
               for key, tensor in own.items()}  # a 1x1 convolution of tokens
    return own


def own_name(key: str) -> str:
    """'backbone.layers.2.ffn.layers.1.bias' -> 'encoder.blocks.2.mlp.fc2.bias'."""
    for pattern, own in PARTS:
        key = re.sub(pattern, own, key)
    return key
