# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""From a name to a segmenter."""

from __future__ import annotations

import hashlib
from types import ModuleType

import numpy as np
import pytest
import torch
from tiny import street_image, tiny_model

import sparse_seg_ros as ss
from sparse_seg_ros.commands.options import HELD_OUT_STREETS
from sparse_seg_ros.data.street import CLASSES
from sparse_seg_ros.device import choose_device
from sparse_seg_ros.evaluation.calibration import selection_curve
from sparse_seg_ros.files import share
from sparse_seg_ros.loading import assemble
from sparse_seg_ros.loading.checkpoints import save_model
from sparse_seg_ros.yaml_files import read_yaml

ENTRIES = read_yaml(share() / 'models/zoo.yaml') if (share() / 'models/zoo.yaml').exists() else {}


@pytest.fixture(name='folder', scope='module')
def save_models(tmp_path_factory):
    folder = tmp_path_factory.mktemp('models')
    save_model(tiny_model(), folder / 'refines.safetensors')
    save_model(tiny_model(refines=False), folder / 'dense.safetensors')
    return folder


def write(folder, text):
    (folder / 'method.yaml').write_text(text)
    return folder / 'method.yaml'


@pytest.mark.parametrize(('name', 'method', 'alpha'), [
    ('refines', 'sparse_refine', 0.3), ('dense', 'dense', None)])
def test_a_weights_file_runs_as_its_card_says(folder, name, method, alpha):
    segment = ss.load(folder / f'{name}.safetensors', device='cpu', precision='fp32')
    assert segment.description['method'] == method and segment.alpha == alpha
    seen = segment(street_image())
    assert seen.labels.shape == (96, 128) and (seen.refined is None) == (alpha is None)
    assert seen.labels.max() < 11 and 0 <= seen.uncertainty.min() <= seen.uncertainty.max() <= 1


def test_the_backend_that_is_described_is_the_one_that_convolves(folder, monkeypatch):
    def backend(name):
        return ss.load(folder / name, device='cpu').description.get('backend')

    save_model(tiny_model(extractor='pointnet'), folder / 'pointnet.safetensors')
    assert backend('refines.safetensors') == 'torch'
    assert backend('dense.safetensors') is backend('pointnet.safetensors') is None
    on_gpu = ModuleType('sparse_seg_ros.sparse.with_triton')
    monkeypatch.setattr(assemble, 'backend_of', lambda _: on_gpu)
    assert backend('refines.safetensors') == 'triton'


def test_a_method_file_overrides_and_names_weights_beside_it(folder):
    path = write(folder, 'method: sparse_refine\nweights: refines.safetensors\nscale: 0.25\n'
                         'alpha: 0.7\n')
    segment = ss.load(path, device='cpu')
    assert segment.alpha == 0.7 and segment.method.scale == 0.25


def test_another_method_may_be_named_beside_a_method_file(folder):
    path = write(folder, 'method: sparse_refine\nweights: refines.safetensors\nalpha: 0.7\n')
    dense = ss.load(path, device='cpu', method='dense')
    assert (dense.description['method'], dense.alpha) == ('dense', None)
    path = write(folder, 'method: dense\nweights: refines.safetensors\nwindow: [64, 64]\n')
    refined = ss.load(path, device='cpu', method='sparse_refine')
    assert (refined.description['method'], refined.alpha) == ('sparse_refine', 0.3)


def test_a_refining_method_on_weights_without_a_refiner_says_what_to_do(folder):
    path = write(folder, 'method: sparse_refine\nweights: dense.safetensors\n')
    with pytest.raises(ValueError, match="dense.safetensors hold no refiner; use 'method: dense'"):
        ss.load(path, device='cpu')


@pytest.mark.parametrize('method', ['point_rend', 'patch_refine'])
def test_a_method_on_weights_of_another_says_what_to_change(folder, method):
    path = write(folder, f'method: {method}\nweights: refines.safetensors\n')
    with pytest.raises(ValueError, match=f"were trained for 'sparse_refine', not for '{method}'; "
                                         "change 'method'"):
        ss.load(path, device='cpu')


def test_a_rival_runs_as_its_card_and_its_file_say(folder):
    save_model(tiny_model(refined_by='point_rend', planes=(8, 8)), folder / 'points.safetensors')
    segment = ss.load(write(folder, 'method: point_rend\nweights: points.safetensors\n'
                                    'points: 4000\nbudget: 0.5\n'), device='cpu')
    assert (segment.alpha, segment.budget, segment.method.points) == (None, 0.5, 4000)
    with pytest.raises(ValueError, match="alpha needs .* that has one; this model runs 'point_r"):
        segment.with_limits(alpha=0.3)
    save_model(tiny_model(refined_by='patch_refine', patch=32), folder / 'patches.safetensors')
    segment = ss.load(folder / 'patches.safetensors', device='cpu')
    assert (segment.alpha, segment.method.refiner.patch) == (0.3, 32)
    seen = segment(street_image())
    assert seen.refined.shape == (96, 128) and seen.labels.max() < 11


def test_a_label_set_with_other_classes_is_refused(tmp_path):
    (tmp_path / 'farm.yaml').write_text('classes:\n  crop: [0, 255, 0]\n')
    save_model(tiny_model(labels=str(tmp_path / 'farm.yaml')), tmp_path / 'odd.safetensors')
    with pytest.raises(ValueError, match="label set 'farm' has classes .*crop.* the weights were"):
        ss.load(tmp_path / 'odd.safetensors', device='cpu')


def test_devices_and_precisions_are_checked(folder):
    path = folder / 'dense.safetensors'
    with pytest.raises(ValueError, match="device must be auto, cpu, cuda or cuda:N, got 'gpuu'"):
        ss.load(path, device='gpuu')
    with pytest.raises(ValueError, match='precision must be auto, fp32, bf16, fp16; got'):
        ss.load(path, device='cpu', precision='fp8')


def test_cuda_asked_for_where_there_is_none_says_so(folder, monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    with pytest.raises(ValueError, match="device 'cuda' asked for, but torch finds no CUDA here"):
        ss.load(folder / 'dense.safetensors', device='cuda')


def test_the_same_image_gives_the_same_labels_twice(folder):
    segment = ss.load(folder / 'refines.safetensors', device='cpu')
    one, other = segment(street_image()), segment(street_image())
    assert np.array_equal(one.labels, other.labels)
    assert np.array_equal(one.uncertainty, other.uncertainty)


@pytest.mark.skipif(not ENTRIES, reason='no models/zoo.yaml')
def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(ValueError, match="no model 'dmeo' in models/zoo.yaml; did you mean 'demo"):
        ss.load('dmeo')


@pytest.mark.parametrize('name', ENTRIES)
def test_a_model_that_ships_is_what_the_zoo_says(name):
    entry = ENTRIES[name]
    content = (share() / 'models' / entry['file']).read_bytes()
    assert hashlib.sha256(content).hexdigest() == entry['sha256']
    assert len(content) < 12e6 and entry['licence']
    assert ss.load(name, device='cpu').labels.name == entry['labels']


def test_on_held_out_streets_refining_the_model_that_ships_never_lowers_the_result():
    frames = list(ss.street_frames(HELD_OUT_STREETS, 8, (256, 512)))
    coarse, refined = (ss.evaluate(ss.load('demo', 'cpu', method=method), frames)
                       for method in ('dense', None))
    assert refined.mean_iou >= coarse.mean_iou and refined.accuracy >= coarse.accuracy


def test_a_method_file_takes_another_selector_with_an_alpha_of_its_own(folder):
    text = 'method: sparse_refine\nweights: refines.safetensors\nselector: random\n'
    segment = ss.load(write(folder, f'{text}alpha: 0.9\n'), device='cpu', precision='fp32')
    assert segment(street_image()).density == pytest.approx(0.1, abs=0.03)
    with pytest.raises(ValueError, match='alpha must be from 0 to 1, got 1.2'):
        segment.with_limits(alpha=1.2)
    with pytest.raises(ValueError, match="selector 'random' needs its own alpha, from 0 to 1:"
                                         " that of the weights belongs to 'entropy'"):
        ss.load(write(folder, text), device='cpu')


@pytest.mark.parametrize('part', ['selector', 'ensembler'])
def test_an_oracle_is_told_the_truth_where_it_is_evaluated_and_nowhere_else(folder, part):
    path = write(folder, 'method: sparse_refine\nweights: refines.safetensors\nalpha: 0.5\n'
                         f'{part}: oracle\n')
    oracle = ss.load(path, device='cpu', precision='fp32')
    torch.nn.init.normal_(oracle.method.refiner.head.weight)
    frames = list(ss.street_frames(5, 2, (96, 128)))
    report = ss.evaluate(oracle, frames)
    dense = ss.evaluate(ss.load(folder / 'dense.safetensors', 'cpu', 'fp32'), frames)
    if part == 'selector':
        assert report.density == pytest.approx(1 - dense.accuracy, abs=1e-3)
        curve = selection_curve(oracle, frames)
        assert curve.at(0.5).recall == curve.at(0.5).precision == 1
    else:
        assert report.accuracy > dense.accuracy and report.density > 0.9
    with pytest.raises(ValueError, match='an oracle needs the labels of the image'):
        oracle(frames[0][0])


def test_a_model_brings_its_own_classes_and_colours(tmp_path):
    colors = tuple((number, 0, 255 - number) for number in range(11))
    save_model(tiny_model(labels='farm', colors=colors), tmp_path / 'own.safetensors')
    labels = ss.load(tmp_path / 'own.safetensors', device='cpu').labels
    assert (labels.name, labels.names, labels.colors) == ('farm', CLASSES, colors)


def test_a_model_whose_label_set_is_not_here_runs_with_colours_of_chance(tmp_path, caplog):
    save_model(tiny_model(labels='farm.yaml'), tmp_path / 'old.safetensors')
    labels = ss.load(tmp_path / 'old.safetensors', device='cpu').labels
    assert (labels.name, labels.names) == ('farm', CLASSES)
    assert "there is no label set 'farm.yaml' here; the classes get colours of" in caplog.text


def test_a_scale_left_out_is_that_of_the_weights(folder):
    save_model(tiny_model(refines=False, scale=0.75), folder / 'other.safetensors')
    for text, scale in (('', 0.75), ('scale: null\n', 0.75), ('scale: 0.5\n', 0.5)):
        path = write(folder, f'method: dense\nweights: other.safetensors\n{text}')
        assert ss.load(path, device='cpu').method.scale == scale


@pytest.mark.parametrize('text', [
    'method: dense\nwindow: [{many}]',
    'method: dense\nengine: torch_compile\nengine_sizes: [{long}]',
    'method: algm\nmerge_layers: [{many}]', 'scale: {long}', '{long}: 1', 'selector: [{many}]'],
    ids=['window', 'sizes', 'layers', 'scale', 'name', 'list'])
def test_no_error_repeats_all_of_a_long_setting(folder, text):
    save_model(tiny_model(refines=False, network='segmenter_t'), folder / 'vit.safetensors')
    path = write(folder, text.format(many='7, ' * 10_000, long='x' * 10_000)
                 + '\nweights: vit.safetensors\n')
    with pytest.raises(ValueError) as caught:
        ss.load(path, device='cpu', precision='fp32')
    assert len(str(caught.value)) < 700


@pytest.mark.parametrize(('name', 'error', 'words'), [
    ('weights.pth', ValueError, 'weights.pth: weights saved by torch do not say which network'),
    ('picture.jpg', ValueError, 'picture.jpg is no model; expected a .safetensors file, a method'),
    ('absent.pth', FileNotFoundError, 'no model .*absent.pth; expected the path of one, or a name '
                                      'from models/zoo.yaml: demo'),
    ('pictures', FileNotFoundError, 'pictures holds no model; expected a run folder with model'),
    ('run', FileNotFoundError, 'this training has written no model.safetensors yet'),
])
def test_what_is_no_model_is_told_what_it_is(tmp_path, name, error, words):
    torch.save({'a': torch.zeros(1)}, tmp_path / 'weights.pth')
    (tmp_path / 'picture.jpg').write_bytes(b'\xff\xd8\xff')
    (tmp_path / 'run').mkdir()
    (tmp_path / 'pictures').mkdir()
    (tmp_path / 'run/config.yaml').write_text('stage: dense\n')
    with pytest.raises(error, match=words):
        ss.load(tmp_path / name, device='cpu')


@pytest.mark.parametrize(('device', 'words'), [
    ('meta', 'device must be auto, cpu, cuda or cuda:N, got'),
    ('cuda:9', "'cuda:9' asked for, but there are 1 here")])
def test_a_device_that_is_not_here_is_refused(monkeypatch, device, words):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 1)
    with pytest.raises(ValueError, match=words):
        choose_device(device)
