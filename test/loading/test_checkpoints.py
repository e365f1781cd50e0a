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

from sparse_seg_ros.files import file_hash
from sparse_seg_ros.loading.checkpoints import load_model, read_tensors, save_model


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


@pytest.mark.parametrize(('key', 'value', 'words'), [
    ('head.bias', torch.nan, "'head.bias' must be finite, got 1 values that are not"),
    ('head.bias', torch.inf, "'head.bias' must be finite"),
    ('running_var', -0.5, 'is a variance and must be at least 0, got -0.5'),
])
def test_one_value_that_no_network_can_have_is_found_at_load(tmp_path, saved, key, value, words):
    tensors = load_file(saved[1])
    name = next(name for name in tensors if name.endswith(key))
    tensors[name].view(-1)[0] = value
    path = rewrite(tmp_path / 'odd.safetensors', tensors, saved[0].card)
    with pytest.raises(ValueError, match=words):
        load_model(path)


def test_weights_too_large_for_half_precision_are_not_written(tmp_path):
    model = tiny_model()
    with torch.no_grad():
        model.network.head.bias[0] = 1e5
    with pytest.raises(ValueError, match="'network.head.bias' would not be finite in torch.float"):
        save_model(model, tmp_path / 'half.safetensors', torch.float16)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_one_sentence(tmp_path):
    resource = pytest.importorskip('resource')
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))  # of a file, as a full disk is
    try:
        with pytest.raises(OSError, match='model.part can not be written .* is the disk full'):
            save_model(tiny_model(), tmp_path / 'model.safetensors')
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not list(tmp_path.glob('*.part'))


def test_a_pointer_of_git_lfs_is_not_taken_for_a_damaged_file(tmp_path):
    content = b'version https://git-lfs.github.com/spec/v1\noid sha256:0\n'
    (tmp_path / 'model.safetensors').write_bytes(content)
    with pytest.raises(ValueError, match='a Git LFS pointer stands in its place; .*git lfs pull'):
        load_model(tmp_path / 'model.safetensors')
    (tmp_path / 'weights.pth').write_bytes(content)
    with pytest.raises(ValueError, match='a Git LFS pointer stands in its place'):
        read_tensors(tmp_path / 'weights.pth')


@pytest.mark.parametrize('is_zip', [True, False])
@pytest.mark.parametrize('name', ['weights.pth', 'weights.safetensors'])
def test_weights_of_torch_are_told_from_a_damaged_file(tmp_path, name, is_zip):
    torch.save({'a': torch.zeros(1)}, tmp_path / name, _use_new_zipfile_serialization=is_zip)
    with pytest.raises(ValueError, match="saved by torch do not say .* a training .* 'backbone'"):
        load_model(tmp_path / name)


def test_a_run_folder_is_its_model_file_once_there_is_one(tmp_path, saved):
    (tmp_path / 'config.yaml').write_text('stage: dense\n')
    with pytest.raises(FileNotFoundError, match='has written no model.safetensors yet; it does'):
        load_model(tmp_path)
    (tmp_path / 'model.safetensors').write_bytes(saved[1].read_bytes())
    assert load_model(tmp_path).card == saved[0].card


def test_a_file_beside_its_config_is_the_folder_that_holds_both(tmp_path):
    save_file({'a': torch.zeros(1)}, tmp_path / 'model.safetensors')
    (tmp_path / 'config.json').write_text('{}')
    with pytest.raises(ValueError, match='has no model card in its metadata; give its folder'):
        load_model(tmp_path / 'model.safetensors')
