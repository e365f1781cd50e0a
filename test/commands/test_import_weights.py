# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Published weights become a model file that says what they are and where they come from."""

from __future__ import annotations

import pytest
import torch
from edgetpu_oracle import released_tensors
from miniature_trees import make_tree
from published import nvidia_tensors, write_refiner
from safetensors.torch import save_file
from tiny import street_image, tiny_model

import sparse_seg_ros as ss
from sparse_seg_ros.commands import main
from sparse_seg_ros.files import file_hash
from sparse_seg_ros.loading import checkpoints
from sparse_seg_ros.loading.checkpoints import load_model, save_model
from sparse_seg_ros.networks.deeplab_edgetpu import DeepLabEdgeTPU


@pytest.fixture(name='folder')
def folder_of_a_release(tmp_path):
    torch.save(released_tensors(), tmp_path / 'released.pth')
    return tmp_path


def import_into(folder, *changes):
    return main(['import', f'{folder}/released.pth', '--labels',
                 'cityscapes', '--scale', '0.5', '-o', f'{folder}/x.safetensors', *changes])


def test_a_released_file_becomes_a_model_with_a_card(folder, capsys):
    assert import_into(folder) == 0
    model, network = load_model(folder / 'x.safetensors'), DeepLabEdgeTPU(19)
    checkpoints.load(network, folder / 'released.pth')
    released = network.state_dict()
    assert all(torch.equal(tensor, released[key])
               for key, tensor in model.network.state_dict().items())
    card, said = model.card, capsys.readouterr().out
    assert 'released.pth: deeplab_edgetpu of Google Coral, 19 classes' in said
    assert (card.network, card.scale, card.mean) == ('deeplab_edgetpu', 0.5, (128.,) * 3)
    assert (card.labels, card.classes[13], card.colors[13]) == ('cityscapes', 'car', (0, 0, 142))
    about = card.training['imported']
    assert about['file'] == 'released.pth'
    assert about['sha256'] == file_hash(folder / 'released.pth')
    assert 'Apache-2.0' in card.licence and card.licence in said
    assert card.source == 'Google Coral: released.pth'
    segment = ss.load(folder / 'x.safetensors', device='cpu')
    assert segment.origin == {'licence': card.licence, 'source': card.source}
    seen = segment(street_image(65, 90))
    assert seen.labels.shape == (65, 90) and seen.refined is None


def test_a_released_file_with_a_value_that_is_not_finite_is_refused_by_its_name(folder, capsys):
    tensors = released_tensors()
    key = next(key for key, tensor in tensors.items() if tensor.is_floating_point())
    tensors[key].view(-1)[0] = torch.nan
    torch.save(tensors, folder / 'released.pth')
    assert import_into(folder) == 1
    assert f'{key!r} must be finite, got 1 values that are not; train' in capsys.readouterr().err
    assert not (folder / 'x.safetensors').exists()


def test_licence_and_source_of_the_user_stand_in_the_card_and_in_the_doctors_answer(
        folder, capsys):
    assert import_into(folder, '--licence', 'mine', '--source', 'a shelf') == 0
    card = load_model(folder / 'x.safetensors').card
    assert (card.licence, card.source) == ('mine', 'a shelf')
    assert main(['doctor', '--model', f'{folder}/x.safetensors']) == 0
    said = capsys.readouterr().out
    assert file_hash(folder / 'x.safetensors') in said and 'a shelf' in said
    assert file_hash(folder / 'released.pth') in said and 'deeplab_edgetpu' in said


@pytest.mark.parametrize(('changes', 'words'), [
    (['--network', 'compact'], 'layout of Google Coral for deeplab_edgetpu, not for network '
                               "'compact'; leave out --network"),
    (['--labels', 'camvid'], 'released.pth is deeplab_edgetpu of Google Coral, 19 classes, but '
                             "label set 'camvid' has 11; name the label set of the weights"),
    (['--scale', '5'], "'scale' of a model card must be above 0 and at most 4, got 5.0"),
    (['--alpha', '1'], '--alpha is for a refiner'),
])
def test_what_does_not_fit_is_one_sentence(folder, capsys, changes, words):
    assert import_into(folder, *changes) == 1
    said = capsys.readouterr().err.strip()
    assert said.startswith('sparse_seg import: ') and words in said and '\n' not in said
    assert not (folder / 'x.safetensors').exists()


def without_a_tensor(tensors):
    del tensors['207.bias']
    return tensors


@pytest.mark.parametrize(('change', 'words'), [
    (without_a_tensor, "tensor '207.bias' is missing"),
    (lambda tensors: {**tensors, '999.bias': torch.zeros(1)}, "unexpected tensor '999.bias'"),
    (lambda tensors: {key: tensor for key, tensor in tensors.items()
                      if not key.startswith('209.')},
     'no published layout that is known; deeplab_edgetpu of Google Coral comes nearest, with 98%'),
    (lambda tensors: {'backbone.net.0.kernel': torch.zeros(9, 3, 8)},
     "holds SparseRefine's refiner alone; import its dense network first"),
])
def test_tensors_that_do_not_fit_are_one_sentence(folder, capsys, change, words):
    torch.save(change(released_tensors()), folder / 'released.pth')
    assert import_into(folder) == 1
    said = capsys.readouterr().err.strip()
    assert words in said and '\n' not in said


def test_wrappers_of_a_training_are_taken_off_and_named(folder, caplog):
    wrapped = {f'module.{key}': tensor for key, tensor in released_tensors().items()}
    torch.save({'model': {}, 'model_ema': wrapped}, folder / 'released.pth')
    with caplog.at_level('INFO', 'sparse_seg_ros'):
        assert import_into(folder) == 0
    assert "the averaged weights, 'model_ema', are taken" in caplog.text
    assert "the prefix 'module.' of parallel training is taken off" in caplog.text


def test_a_released_refiner_joins_its_dense_network(tmp_path, capsys):
    dense = tiny_model(refines=False)
    save_model(dense, tmp_path / 'dense.safetensors')
    refiner = write_refiner(tmp_path / 'refiner.safetensors', len(dense.card.classes))
    state = refiner.state_dict()
    assert main(['import', f'{tmp_path}/refiner.safetensors', '--base',
                 f'{tmp_path}/dense.safetensors', '-o', f'{tmp_path}/both.safetensors']) == 0
    assert 'refiner of SparseRefine with 2 stages, 11 classes' in capsys.readouterr().out
    model = load_model(tmp_path / 'both.safetensors')
    assert (model.card.planes, model.card.scale, model.card.alpha) == ((4, 8), 0.5, 0.3)
    assert 'MIT' in model.card.licence
    for key, tensor in model.refiner.state_dict().items():
        assert key in refiner.where_absent or torch.equal(tensor, state[key]), key
    assert ss.load(tmp_path / 'both.safetensors', device='cpu')(street_image()).refined is not None


@pytest.fixture(name='imported')
def imported_models(tmp_path):
    """Return a folder with frames, an imported dense.safetensors and refined.safetensors."""
    from hugging_face import tiny_segformer
    save_file(nvidia_tensors(tiny_segformer(range(19))), tmp_path / 'nvidia.safetensors')
    write_refiner(tmp_path / 'refiner.safetensors', 19)
    make_tree('cityscapes', tmp_path / 'data', size_hw=(64, 96))
    dense = f'{tmp_path}/dense.safetensors'
    assert main(['import', f'{tmp_path}/nvidia.safetensors', '--labels', 'cityscapes',
                 '-o', dense]) == 0
    assert main(['import', f'{tmp_path}/refiner.safetensors', '--base', dense,
                 '-o', f'{tmp_path}/refined.safetensors']) == 0
    return tmp_path


def calibrate(folder, kind):
    """Calibrate an imported model -> it, and the YAML that was written."""
    model, method = f'{folder}/{kind}.safetensors', f'{folder}/method.yaml'
    assert main(['calibrate', '--model', model, '--frames', f'cityscapes:{folder}/data/val',
                 '--density', '0.5', '--device', 'cpu', '-o', method]) == 0
    return model, method


@pytest.mark.parametrize('kind', ['dense', 'refined'])
def test_an_imported_model_is_calibrated_and_packed_with_its_terms(imported, kind):
    model, method = calibrate(imported, kind)
    packed = f'{imported}/packed.safetensors'
    assert main(['export', 'weights', '--model', model, '--calibration', method, '--precision',
                 'fp32', '-o', packed]) == 0
    source, card = load_model(model).card, load_model(packed).card
    assert (card.licence, card.source) == (source.licence, source.source)
    assert card.temperature != source.temperature and card.planes == source.planes


def test_an_engine_is_built_for_an_imported_refiner_on_its_imported_network(imported, capsys):
    pytest.importorskip('onnxruntime')
    pytest.importorskip('onnxscript')
    _, method = calibrate(imported, 'refined')
    assert main(['export', 'engine', '--model', method, '--engine', 'onnxruntime', '--size',
                 '64x96', '--precision', 'fp32', '--device', 'cpu', '-o',
                 f'{imported}/engines']) == 0
    assert 'of the labels equal torch' in capsys.readouterr().out
