# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A refiner in a file of its own, and the network that it runs with in another."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest
from tiny import randomise, tiny_model

from sparse_seg_ros.commands import main
from sparse_seg_ros.loading.checkpoints import load_model, read_tensors, save_model
from sparse_seg_ros.model_card import Model


@pytest.fixture(name='folder', scope='module')
def folder_of_a_run(tmp_path_factory):
    """Return a folder with a model, its network, another one, and the packed refiner alone."""
    folder = tmp_path_factory.mktemp('run')
    model = tiny_model()
    randomise(model.refiner)
    save_model(model, folder / 'run.safetensors')
    for name, other in (('base', model), ('other', tiny_model(seed=1))):
        save_model(Model(replace(model.card, planes=()), other.network),
                   folder / f'{name}.safetensors')
    assert export(folder, 'base') == 0
    return folder


def export(folder, base, model='run'):
    return main(['export', 'weights', '--model', f'{folder}/{model}.safetensors',
                 '-o', f'{folder}/refiner.safetensors', '--base', f'{folder}/{base}.safetensors',
                 '--precision', 'fp32'])


def test_it_holds_the_refiner_alone_and_loads_as_the_whole(folder):
    path = folder / 'refiner.safetensors'
    assert {key.partition('.')[0] for key in read_tensors(path)} == {'refiner'}
    whole, loaded = load_model(folder / 'run.safetensors'), load_model(path)
    assert loaded.card == whole.card
    for name, part in whole.parts().items():
        own = loaded.parts()[name].state_dict()
        assert all(tensor.equal(own[key]) for key, tensor in part.state_dict().items())


def test_a_network_that_is_absent_or_another_is_named(folder, tmp_path):
    shutil.copy(folder / 'refiner.safetensors', tmp_path)
    with pytest.raises(FileNotFoundError, match='refiner.safetensors holds a refiner alone, whose '
                                                'network .*, and there is no .*base.safetensors;'):
        load_model(tmp_path / 'refiner.safetensors')
    shutil.copy(folder / 'other.safetensors', tmp_path / 'base.safetensors')
    with pytest.raises(ValueError, match='base.safetensors is not the network of refiner.safeten'):
        load_model(tmp_path / 'refiner.safetensors')


@pytest.mark.parametrize(('base', 'model', 'words'), [
    ('other', 'run', 'other.safetensors holds another network than the one that is refined; name'),
    ('refiner', 'run', 'refiner.safetensors would be written over the network that --base names;'),
    ('base', 'base', '--base leaves out the network, and this model has nothing else; remove it'),
])
def test_what_is_no_base_of_a_model_is_refused(folder, capsys, base, model, words):
    assert export(folder, base, model) == 1
    assert words in capsys.readouterr().err


def test_the_name_of_a_base_has_no_folder():
    with pytest.raises(ValueError, match="'base' of a model card must be 'file', a name without"):
        replace(tiny_model().card, base={'file': '../base.safetensors', 'sha256': '0'})
