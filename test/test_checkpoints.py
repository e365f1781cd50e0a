# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Weights files: complete, described, and refused with a reason where they do not fit."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny import tiny_model

from sparse_seg_ros.checkpoints import load_model, save_model
from sparse_seg_ros.files import file_hash


@pytest.fixture(name='saved', scope='module')
def save_tiny(tmp_path_factory):
    model = tiny_model()
    path = tmp_path_factory.mktemp('weights') / 'tiny.safetensors'
    save_model(model, path)
    return model, path


def rewrite(path, tensors, card):
    save_file(tensors, path, {'card': json.dumps(asdict(card))})
    return path


@pytest.mark.parametrize('refines', [True, False])
def test_a_saved_model_loads_with_the_same_card_and_weights(tmp_path, refines):
    model = tiny_model(refines, training={'epochs': 3}, scores={'miou': 0.5})
    save_model(model, tmp_path / 'made/model.safetensors')
    again = load_model(tmp_path / 'made/model.safetensors')
    assert again.card == model.card and (again.refiner is not None) == refines
    for name, part in model.parts().items():
        for key, tensor in part.state_dict().items():
            assert torch.equal(again.parts()[name].state_dict()[key], tensor), key


def test_a_loaded_model_is_ready_for_inference(saved):
    assert not any(module.training for part in load_model(saved[1]).parts().values()
                   for module in part.modules())


def test_half_precision_halves_the_file(tmp_path, saved):
    save_model(saved[0], tmp_path / 'half.safetensors', torch.float16)
    assert (tmp_path / 'half.safetensors').stat().st_size < 0.6 * saved[1].stat().st_size
    weight = next(load_model(tmp_path / 'half.safetensors').network.parameters())
    assert weight.dtype == torch.float32


def test_a_missing_file_is_named_with_the_cure():
    with pytest.raises(FileNotFoundError, match='no weights file absent.safetensors; train one'):
        load_model('absent.safetensors')


def test_a_truncated_file_is_refused(tmp_path, saved):
    path = tmp_path / 'cut.safetensors'
    path.write_bytes(saved[1].read_bytes()[:-100])
    with pytest.raises(ValueError, match='cut.safetensors: not a complete safetensors file'):
        load_model(path)


def test_a_file_without_a_card_is_refused(tmp_path):
    save_file({'a': torch.zeros(1)}, tmp_path / 'bare.safetensors')
    with pytest.raises(ValueError, match='bare.safetensors: has no model card'):
        load_model(tmp_path / 'bare.safetensors')


def test_weights_of_other_classes_are_refused_by_shape(tmp_path, saved):
    card = replace(saved[0].card, classes=('road', 'not road'))
    path = rewrite(tmp_path / 'other.safetensors', load_file(saved[1]), card)
    with pytest.raises(ValueError, match=r"'head.weight' must be \(2, 48, 1, 1\), got "
                                         r'\(11, 48, 1, 1\); were the weights trained for other'):
        load_model(path)


def test_a_missing_and_an_unexpected_tensor_are_named(tmp_path, saved):
    tensors = load_file(saved[1])
    bias = tensors.pop('network.head.bias')
    path = rewrite(tmp_path / 'odd.safetensors', tensors, saved[0].card)
    with pytest.raises(ValueError, match="tensor 'head.bias' is missing"):
        load_model(path)
    rewrite(path, {**tensors, 'network.head.bais': bias}, saved[0].card)
    with pytest.raises(ValueError, match="unexpected tensor 'head.bais'; did you mean 'head.bias"):
        load_model(path)


def test_an_unknown_network_is_answered_with_the_known_ones(tmp_path, saved):
    path = rewrite(tmp_path / 'odd.safetensors', load_file(saved[1]),
                   replace(saved[0].card, network='compcat'))
    with pytest.raises(ValueError, match="unknown network 'compcat'; did you mean 'compact'"):
        load_model(path)


def test_the_hash_depends_on_the_content(tmp_path, saved):
    (tmp_path / 'copy').write_bytes(saved[1].read_bytes())
    assert file_hash(tmp_path / 'copy') == file_hash(saved[1])
    (tmp_path / 'copy').write_bytes(b'other')
    assert file_hash(tmp_path / 'copy') != file_hash(saved[1])
