# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Published layouts are recognised, and give the network that was written."""

from __future__ import annotations

import pytest
import torch
from published import mmsegmentation_tensors, nvidia_tensors, random_network, released_tensors
from safetensors.torch import save_file

from sparse_seg_ros.loading.backbones import load_backbone
from sparse_seg_ros.loading.checkpoints import load_model, save_model
from sparse_seg_ros.loading.importing import Wishes, import_network
from sparse_seg_ros.loading.published import LAYOUTS, recognise
from sparse_seg_ros.networks.vit.released import TELLTALE

KNOWN = [(layout, name) for layout in LAYOUTS if not layout.read_config
         for name in layout.networks]
SMALL = ('segnext_t', 'lrformer_t', 'segmenter_t', 'segmenter_linear_t', 'segformer_b0',
         'segvit_s')


def needs(name):
    if name.startswith('segformer'):
        pytest.importorskip('transformers')


def is_renamed(layout):
    """Tell whether MMSegmentation has its own names for these vision transformers."""
    return layout.publisher == 'SegViT' or layout.publisher == 'MMSegmentation' \
        and layout.networks[0].startswith(('segmenter', 'setr'))


def tensors_in(layout, network):
    return (mmsegmentation_tensors if is_renamed(layout) else released_tensors)(network)


@pytest.mark.parametrize(('layout', 'name'), KNOWN, ids=[
    f'{layout.publisher} {name}' for layout, name in KNOWN])
def test_every_size_of_every_layout_is_recognised(layout, name):
    needs(name)
    network = random_network(name, 19, 'meta')
    tensors = tensors_in(layout, network)
    seen = recognise(tensors, 'x.pth')
    assert str(seen) == f'{name} of {layout.publisher}, 19 classes'
    if TELLTALE in tensors:
        own = {key: tensor.shape for key, tensor in network.state_dict().items()
               if not key.startswith('encoder.head.')}
        assert {key: tensor.shape for key, tensor
                in network.network_tensors(tensors).items()} == own


@pytest.mark.parametrize(('layout', 'name'), [pair for pair in KNOWN if pair[1] in SMALL],
                         ids=[f'{layout.publisher} {name}' for layout, name in KNOWN
                              if name in SMALL])
@torch.inference_mode()
def test_what_is_imported_computes_what_was_published(tmp_path, layout, name):
    needs(name)
    network = random_network(name, 19)
    save_file({key: tensor.contiguous() for key, tensor in tensors_in(layout, network).items()},
              tmp_path / 'released.safetensors')
    model, _ = import_network(tmp_path / 'released.safetensors', Wishes(labels='cityscapes'))
    images = torch.randn(1, 3, 64, 64)
    assert torch.equal(model.network(images), network(images))
    assert model.card.licence


@torch.inference_mode()
def test_what_nvidia_published_computes_what_hugging_face_does(tmp_path):
    from hugging_face import tiny_segformer
    source = tiny_segformer([f'class {label}' for label in range(19)])
    save_file(nvidia_tensors(source), tmp_path / 'nvidia.safetensors')
    imported, seen = import_network(tmp_path / 'nvidia.safetensors', Wishes(labels='cityscapes'))
    assert seen == 'segformer of NVIDIA, 19 classes'
    assert 'non-commercial' in imported.card.licence
    save_model(imported, tmp_path / 'model.safetensors')
    model, images = load_model(tmp_path / 'model.safetensors'), torch.randn(1, 3, 64, 64)
    assert model.card.classes[13] == model.network.model.config.id2label[13] == 'car'
    assert torch.equal(model.network(images), source(images).logits)


def test_an_incomplete_file_of_nvidia_is_one_sentence(tmp_path):
    from hugging_face import tiny_segformer
    tensors = nvidia_tensors(tiny_segformer(range(19)))
    for name, words in (('backbone.norm3.weight', "must have tensor 'backbone.norm3.weight'"),
                        ('decode_head.linear_c2.proj.bias', 'linear_projections.1.proj.bias.* is '
                                                            'missing')):
        save_file({key: tensor for key, tensor in tensors.items() if key != name},
                  tmp_path / 'x.safetensors')
        with pytest.raises(ValueError, match=words):
            import_network(tmp_path / 'x.safetensors', Wishes(labels='cityscapes'))


def test_positions_of_another_size_of_images_are_kept(tmp_path):
    tensors = released_tensors(random_network('segmenter_t', 19))
    tensors['encoder.pos_embed'] = torch.randn(1, 1 + 48 ** 2, 192)
    save_file(tensors, tmp_path / 'released.safetensors')
    model, _ = import_network(tmp_path / 'released.safetensors', Wishes(labels='cityscapes'))
    assert torch.equal(model.network.encoder.pos_embed, tensors['encoder.pos_embed'])


@pytest.mark.parametrize('name', [*SMALL, 'lrformer_plus_t'])
@pytest.mark.parametrize('is_whole', [True, False])
def test_a_backbone_begins_with_published_weights_of_other_classes(tmp_path, name, is_whole):
    if 'plus' in name:
        pytest.importorskip('transformers')
    needs(name)
    source = random_network(name.replace('plus_', ''), 150)
    part = 'encoder' if name.startswith('seg') and hasattr(source, 'encoder') else 'backbone'
    tensors = released_tensors(source)
    save_file({key if is_whole else key.removeprefix(f'{part}.'): tensor
               for key, tensor in tensors.items() if is_whole or key.startswith(part)},
              tmp_path / 'released.safetensors')
    torch.manual_seed(1)
    network = random_network(name, 19)
    for parameter in network.parameters():
        torch.nn.init.zeros_(parameter)
    left_out = load_backbone(network, tmp_path / 'released.safetensors')
    assert bool(left_out) == is_whole
    own = network.get_submodule(part).state_dict()
    assert all(torch.equal(own[key], tensor) for key, tensor
               in source.get_submodule(part).state_dict().items() if not key.startswith('head.'))


def test_an_unknown_size_is_one_sentence():
    tensors = {key: torch.empty(3, device='meta') for key in
               released_tensors(random_network('hrnet_w48', 19, 'meta'))}
    with pytest.raises(ValueError, match='layout of MMSegmentation, but of an unknown size; '
                                         'hrnet_w48 comes nearest'):
        recognise(tensors, 'w18.pth')


def test_a_shrunk_segvit_is_refused_by_its_name():
    tensors = {key: tensor for key, tensor in mmsegmentation_tensors(
        random_network('segvit_l', 150, 'meta')).items() if '_3.' not in key}
    with pytest.raises(ValueError, match='shrunk.pth: holds a shrunk SegViT, .* not shrunk'):
        recognise(tensors, 'shrunk.pth')


def test_a_network_without_a_backbone_says_so(tmp_path):
    with pytest.raises(ValueError, match='Compact has no backbone'):
        load_backbone(random_network('compact', 5), tmp_path / 'x.pth')
