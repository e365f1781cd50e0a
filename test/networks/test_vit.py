# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Segmenter: its published size, its published keys, and what a literal computation gives."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from sparse_seg_ros.loading import checkpoints
from sparse_seg_ros.networks import build_network, run_padded
from sparse_seg_ros.networks.vit.segmenter_vit import (
    SegmenterBase,
    SegmenterLarge,
    SegmenterSmall,
    SegmenterTiny,
    SegmenterViT,
)

DATA = Path(os.environ.get('SPARSE_SEG_DATA', Path(__file__).parents[3] / 'shared/data'))
FACTS = DATA.parent / 'facts'
CLASSES, DIM, HEADS, DEPTH = 5, 64, 4, 3
NAMES = {'segmenter_t': 192, 'segmenter_s': 384, 'segmenter_b': 768, 'segmenter_l': 1024}


def on_meta(kind, *settings):
    """Build a network without memory for its weights."""
    with torch.device('meta'):
        return kind(*settings).eval()


def small(decoder):
    torch.manual_seed(0)
    return SegmenterViT(64, 16, DIM, DEPTH, HEADS, CLASSES, decoder).double().eval()


def parameters(module):
    return sum(parameter.numel() for parameter in module.parameters())


def giga_macs(network, size):
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.empty(1, 3, size, size, device='meta'))
    return counter.get_total_flops() / 2e9


@pytest.mark.parametrize(('kind', 'encoder', 'decoder'), [
    (SegmenterTiny, 5_876_392, 1_029_996), (SegmenterSmall, 22_368_616, 4_050_348),
    (SegmenterBase, 87_203_560, 16_063_020), (SegmenterLarge, 305_764_328, 28_495_148)])
def test_it_has_the_published_parameters(kind, encoder, decoder):
    network = on_meta(kind, 150)
    assert parameters(network.encoder) == encoder and parameters(network.decoder) == decoder


@pytest.mark.parametrize(('kind', 'classes', 'size', 'macs'), [
    (SegmenterTiny, 150, 512, 12.64), (SegmenterSmall, 150, 512, 38.40),
    (SegmenterBase, 150, 512, 129.3), (SegmenterLarge, 150, 640, 671.1),
    (SegmenterSmall, 19, 768, 115.8), (SegmenterSmall, 60, 480, 32.0)])
def test_it_takes_the_published_multiplications(kind, classes, size, macs):
    assert giga_macs(on_meta(kind, classes, 'mask', size), size) == pytest.approx(macs, rel=0.005)


def keep(count):
    """Make a merge that leaves a fixed number of tokens, the first ones."""
    def merge(tokens, _):
        groups = torch.zeros(1, 1025, dtype=torch.int64, device=tokens.values.device)
        return replace(tokens, values=tokens.values[:, :count], groups=groups)
    return merge


@pytest.mark.parametrize(('first', 'second', 'macs'),
                         [(700, 600, 22.0), (640, 500, 18.8), (560, 420, 16.0)])
def test_fewer_tokens_take_the_published_multiplications(first, second, macs):
    network = on_meta(SegmenterSmall, 150)
    network.encoder.merges = {1: keep(first), 5: keep(second)}
    assert giga_macs(network, 512) == pytest.approx(macs, rel=0.005)
    assert network.token_counts == [[first] * 4 + [second] * 8]


@pytest.mark.skipif(not FACTS.is_dir(), reason='the lists of published keys are not there')
@pytest.mark.parametrize('decoder', ['linear', 'mask'])
def test_it_has_the_published_keys_and_shapes(decoder):
    path = FACTS / f'segmenter_vit_small_{decoder}_ade_state_dict.tsv'
    published = dict(line.split('\t') for line in path.read_text().splitlines())
    tensors = on_meta(SegmenterSmall, 150, decoder).state_dict()
    assert {key: 'x'.join(map(str, tensor.shape)) for key, tensor in tensors.items()} == published


@pytest.mark.skipif(not FACTS.is_dir(), reason='the lists of published keys are not there')
@pytest.mark.parametrize('decoder', ['linear', 'mask'])
def test_a_file_of_the_published_layout_loads(tmp_path, decoder):
    path = FACTS / f'segmenter_vit_small_{decoder}_ade_state_dict.tsv'
    rows = (line.split('\t') for line in path.read_text().splitlines())
    published = {key: torch.full([int(side) for side in shape.split('x')], 0.5)
                 for key, shape in rows}
    torch.save({'model': published, 'epoch': 64}, tmp_path / 'checkpoint.pth')
    network = SegmenterSmall(150, decoder)
    checkpoints.load(network, tmp_path / 'checkpoint.pth')
    assert all((tensor == 0.5).all() for tensor in network.state_dict().values())


def linear(x, t, name):
    return F.linear(x, t[f'{name}.weight'], t[f'{name}.bias'])


def norm(x, t, name):
    return F.layer_norm(x, x.shape[-1:], t[f'{name}.weight'], t[f'{name}.bias'])


def block(x, t, name, heads):
    query, key, value = linear(norm(x, t, f'{name}.norm1'), t, f'{name}.attn.qkv').chunk(3, -1)
    seen = []
    for part in range(heads):
        q, k, v = (y.chunk(heads, -1)[part] for y in (query, key, value))
        seen.append((q @ k.mT / q.shape[-1] ** 0.5).softmax(-1) @ v)
    x = x + linear(torch.cat(seen, -1), t, f'{name}.attn.proj')
    hidden = linear(norm(x, t, f'{name}.norm2'), t, f'{name}.mlp.fc1')
    return x + linear(F.gelu(hidden), t, f'{name}.mlp.fc2')


def expected(images, t):
    """Compute logits one step after the other, reading the tensors by their published names."""
    rows, columns = (side // 16 for side in images.shape[2:])
    patches = F.unfold(images, 16, stride=16).mT  # (B, N, 768)
    weight = t['encoder.patch_embed.proj.weight'].flatten(1)
    x = F.linear(patches, weight, t['encoder.patch_embed.proj.bias'])
    learnt = t['encoder.pos_embed'][0, 1:].view(4, 4, DIM).movedim(2, 0)[None]
    place = F.interpolate(learnt, (rows, columns), mode='bilinear')[0].flatten(1).T
    x = torch.cat(((t['encoder.cls_token'] + t['encoder.pos_embed'][:, :1]).expand(
        len(x), 1, DIM), x + place), 1)
    for layer in range(DEPTH):
        x = block(x, t, f'encoder.blocks.{layer}', HEADS)
    x = norm(x, t, 'encoder.norm')[:, 1:]
    if 'decoder.head.weight' in t:
        logits = linear(x, t, 'decoder.head')
    else:
        x = torch.cat((linear(x, t, 'decoder.proj_dec'),
                       t['decoder.cls_emb'].expand(len(x), -1, -1)), 1)
        for layer in range(2):
            x = block(x, t, f'decoder.blocks.{layer}', DIM // 64)
        x = norm(x, t, 'decoder.decoder_norm')
        classes = x[:, -CLASSES:] @ t['decoder.proj_classes']
        patches = x[:, :-CLASSES] @ t['decoder.proj_patch']
        cosines = patches @ classes.mT / patches.norm(dim=-1, keepdim=True) \
            / classes.norm(dim=-1)[:, None]
        logits = norm(cosines, t, 'decoder.mask_norm')
    logits = logits.mT.reshape(len(images), CLASSES, rows, columns)
    return F.interpolate(logits, images.shape[2:], mode='bilinear')


@pytest.mark.parametrize('size', [(64, 64), (48, 112)], ids=str)
@pytest.mark.parametrize('decoder', ['linear', 'mask'])
def test_published_tensors_give_what_a_literal_computation_gives(tmp_path, decoder, size):
    generator = torch.Generator().manual_seed(1)
    published = {key: 0.3 * torch.randn(tensor.shape, generator=generator, dtype=torch.float64)
                 for key, tensor in small(decoder).state_dict().items()}
    torch.save({'model': published}, tmp_path / 'checkpoint.pth')
    network = small(decoder)
    checkpoints.load(network, tmp_path / 'checkpoint.pth')
    images = torch.randn(2, 3, *size, generator=generator, dtype=torch.float64)
    torch.testing.assert_close(network(images), expected(images, published), atol=1e-9, rtol=0)


@pytest.mark.parametrize('name', NAMES)
def test_a_named_network_is_built_with_what_its_users_ask(name):
    network = on_meta(build_network, name, 7)
    assert network.encoder.cls_token.shape[2] == NAMES[name] and network.num_classes == 7
    assert network.multiple == 16 and network.stride == 1
    assert network.mean == network.std == (127.5,) * 3


def test_images_of_any_size_are_padded():
    images = torch.zeros(1, 3, 37, 50, dtype=torch.float64)
    assert run_padded(small('mask'), images).shape == (1, CLASSES, 37, 50)


def test_gradients_reach_all_but_the_head_of_the_pre_training():
    network = small('mask').train()
    network(torch.randn(2, 3, 64, 64, dtype=torch.float64)).square().sum().backward()
    still = {key for key, value in network.named_parameters() if value.grad is None}
    assert still == {'encoder.head.weight', 'encoder.head.bias'}


@pytest.mark.parametrize(('settings', 'text'), [
    ((64, 16, 64, 2, 4, 5, 'masks'), "unknown decoder 'masks'; did you mean 'mask'?"),
    ((64, 16, 64, 2, 5, 5), 'heads must divide dim, got 5 heads and dim 64'),
    ((64, 16, 96, 2, 4, 5), "dim must be a multiple of 64 for decoder 'mask', got 96; take"),
    ((64, 16, 64, 6, 4, 5, 'mla'), "depth must be a multiple of 4 for decoder 'mla', got 6; take"),
    ((60, 16, 64, 2, 4, 5), 'image_size must be a multiple of patch_size 16, got 60'),
])
def test_settings_that_do_not_fit_are_refused(settings, text):
    with pytest.raises(ValueError, match=text):
        on_meta(SegmenterViT, *settings)


def test_an_image_of_another_size_is_refused():
    with pytest.raises(ValueError, match='must be multiples of 16, got 64 x 70; pad the image'):
        small('linear')(torch.zeros(1, 3, 64, 70, dtype=torch.float64))
