# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Random weights with the names that they are published with."""

from __future__ import annotations

import torch
from safetensors.torch import save_file
from tiny import randomise

from sparse_seg_ros.loading.checkpoints import released_keys
from sparse_seg_ros.methods.sparse_refine.refiner import SparseRefiner
from sparse_seg_ros.networks import build_network

BACK = (  # part of a name of a vision transformer here -> in MMSegmentation
    ('patch_embed.proj.', 'patch_embed.projection.'), ('.blocks.', '.layers.'),
    ('.norm1.', '.ln1.'), ('.norm2.', '.ln2.'), ('attn.qkv.', 'attn.attn.in_proj_'),
    ('attn.proj.', 'attn.attn.out_proj.'), ('mlp.fc1.', 'ffn.layers.0.0.'),
    ('mlp.fc2.', 'ffn.layers.1.'), ('decoder.proj_dec.', 'decode_head.dec_proj.'))
SETR = (
    ('encoder.norm.', 'decode_head.norm.'), ('decoder.norms.', 'neck.norm.'),
    ('decoder.head.', 'decode_head.conv_seg.'))

STAGE = {'proj': 'input_proj', 'norm': 'proj_norm', 'blocks': 'decoder'}
LAYER = (  # of SegViT's decoder: here -> in its authors' files
    ('among_classes.qkv.', 'self_attn.in_proj_'), ('among_classes.proj.', 'self_attn.out_proj.'),
    ('query.', 'multihead_attn.q.'), ('key.', 'multihead_attn.k.'),
    ('value.', 'multihead_attn.v.'), ('proj.', 'multihead_attn.proj.'), ('mlp.fc', 'linear'))

NVIDIA = (  # part of a name of SegFormer in transformers -> in NVIDIA's files
    ('layernorm_before', 'norm1'), ('layernorm_after', 'norm2'),
    ('sequence_reduction.sequence_reduction', 'sr'), ('sequence_reduction.layer_norm', 'norm'),
    ('attention.', 'attn.'), ('q_proj', 'q'), ('o_proj', 'proj'), ('layer_norm', 'norm'),
    ('linear_fuse.', 'linear_fuse.conv.'), ('batch_norm.', 'linear_fuse.bn.'),
    ('classifier.', 'linear_pred.'))


def nvidia_tensors(model):
    """Return the tensors of a SegformerForSemanticSegmentation as NVIDIA names them."""
    tensors = model.state_dict()
    named = {'decode_head.conv_seg.weight': torch.ones(1)}  # idle
    for key, tensor in tensors.items():
        for own, there in NVIDIA:
            key = key.replace(own, there)
        if 'k_proj' in key:
            continue
        if 'v_proj' in key:
            key = key.replace('v_proj', 'kv')
            name = next(own for own, value in tensors.items() if value is tensor)
            tensor = torch.cat((tensors[name.replace('v_proj', 'k_proj')], tensor))
        parts = key.split('.')
        if parts[0] == 'segformer':
            kind = {'patch_embeddings': 'patch_embed', 'blocks': 'block'}.get(parts[3], parts[3])
            parts = ['backbone', f'{kind}{int(parts[2]) + 1}', *parts[4:]]
        elif parts[1] == 'linear_projections':
            parts = ['decode_head', f'linear_c{int(parts[2]) + 1}', *parts[3:]]
        named['.'.join(parts)] = tensor.contiguous()
    return named


def released_tensors(network):
    """Return the tensors of a network by the names of its authors."""
    tensors = network.state_dict()
    return {name: tensors[key].contiguous() for name, key in released_keys(network).items()}


def mmsegmentation_tensors(network):
    """Return the tensors of a vision transformer as MMSegmentation names and shapes them."""
    named = {}
    if hasattr(network, 'seen_layers'):
        return segvit_tensors(network)
    for key, tensor in network.state_dict().items():
        if key.startswith('encoder.head.'):
            continue
        name = key
        for own, there in BACK:
            name = name.replace(own, there)
        if name in ('decoder.proj_patch', 'decoder.proj_classes'):
            name = f"decode_head.{name.removeprefix('decoder.proj_')}_proj.weight"
            tensor = tensor.T.contiguous()
        name = setr_name(name) if hasattr(network, 'decoder_name') else \
            name.replace('encoder.norm.', 'backbone.ln1.')
        if name == 'decoder.head.weight':
            tensor = tensor[:, :, None, None]
        name = name.replace('decoder.head.', 'decode_head.conv_seg.')
        named[name.replace('encoder.', 'backbone.').replace('decoder.', 'decode_head.', 1)
              if not name.startswith('decode_head.decoder_') else name] = tensor
    return named


def segvit_tensors(network):
    """Return the tensors of a SegViT as its authors name them, and one that is idle."""
    named = {'decode_head.loss_decode.criterion.empty_weight': torch.ones(3)}
    for key, tensor in network.state_dict().items():
        part, _, rest = key.partition('.')
        if part == 'encoder' and not rest.startswith('head.'):
            for own, there in BACK:
                key = key.replace(own, there)
            named[key.replace('encoder.', 'backbone.')] = tensor
        elif part == 'decoder':
            named[f'decode_head.{segvit_name(rest)}'] = tensor
    return named


def segvit_name(name):
    """Return a name of SegViT's decoder in its authors' files."""
    if not name.startswith('stages.'):
        return name.replace('head.', 'class_embed.').replace('classes', 'q.weight')
    _, stage, part, rest = name.split('.', 3)
    if part == 'blocks':
        number, rest = rest.split('.', 1)
        own, there = next((pair for pair in LAYER if rest.startswith(pair[0])), ('', ''))
        rest = f'layers.{number}.{there}{rest.removeprefix(own)}'
    return f'{STAGE[part]}_{int(stage) + 1}.{rest}'


def setr_name(name):
    """Return a name of SETR's decoder in MMSegmentation."""
    for own, there in SETR:
        name = name.replace(own, there)
    part, number, *rest = name.removeprefix('decoder.').split('.')
    if part in ('first', 'second'):
        there = {'first': 'channel_proj', 'second': 'feat_extract'}[part]
        return f"neck.mla.{there}.{number}.{('conv', 'bn')[int(rest[0])]}.{rest[1]}"
    if part == 'steps':
        place, kind, leaf = rest
        return (f"decode_head.up_convs.{number}.{int(place) // 2}."
                f"{('conv', 'bn')[int(kind)]}.{leaf}")
    return name


def write_refiner(path, num_classes):
    """Write a refiner with random weights by its released names -> the refiner."""
    refiner = randomise(SparseRefiner(num_classes, (4, 8)))
    state = refiner.state_dict()
    save_file({released: state[key].contiguous() for released, key in
               released_keys(refiner).items() if key not in refiner.where_absent}, path)
    return refiner


def random_network(name, num_classes, device='cpu'):
    """Return a network with random weights, or on meta with none."""
    torch.manual_seed(0)
    with torch.device(device):
        return build_network(name, num_classes).eval()
