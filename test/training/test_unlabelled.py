# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Networks and refiners that learn from a teacher alone, on frames without labels."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import cv2
import pytest
import torch
from tiny import street_image, tiny_model

from sparse_seg_ros.loading.checkpoints import load_model, save_model
from sparse_seg_ros.methods.dense.method import Dense
from sparse_seg_ros.training import loop
from sparse_seg_ros.training.config import TrainConfig
from sparse_seg_ros.training.objectives import objective_of
from sparse_seg_ros.training.record import read_metrics
from sparse_seg_ros.training.sources import class_weights, training_sources
from sparse_seg_ros.training.start import teachers

train = partial(loop.train, device='cpu')
NAMES = tuple(f'thing {number}' for number in range(5))


@pytest.fixture(name='config', scope='module')
def unlabelled_training(tmp_path_factory):
    """Return the training of a refiner for five classes that the frames know nothing of."""
    tmp_path = tmp_path_factory.mktemp('frames')
    for name, scale in (('start', 0.5), ('teacher', 1.0)):
        model = tiny_model(refines=False, classes=NAMES, labels='', scale=scale)
        with torch.no_grad():
            model.network.head.bias[3] += 2 * scale  # they are not of one mind
        save_model(model, tmp_path / f'{name}.safetensors')
    (tmp_path / 'labels.yaml').write_text('classes: {' + ', '.join(
        f'{name}: [{number}, 0, 0]' for number, name in enumerate(NAMES)) + '}')
    (tmp_path / 'camera').mkdir()
    for seed in range(4):
        cv2.imwrite(str(tmp_path / f'camera/{seed}.png'), street_image(64, 96, seed))
    return TrainConfig(
        stage='refiner', start_from=f'{tmp_path}/start.safetensors', planes=(4, 8),
        teacher=f'{tmp_path}/teacher.safetensors', labels=f'{tmp_path}/labels.yaml',
        splits=(f'{tmp_path}/camera',), alpha=0.0, extractor='blocks', crop_hw=(48, 64),
        batch_size=2, epochs=3, learning_rate=1e-2, precision='fp32', averaging=0.5)


@pytest.mark.parametrize('stage', ['refiner', 'dense'])
def test_it_comes_nearer_to_its_teacher_without_a_label(config, tmp_path, stage):
    model = load_model(train(replace(config, stage=stage), tmp_path / 'run'))
    losses = [line['loss'] for line in read_metrics(tmp_path / 'run/metrics.jsonl')]
    assert losses[-1] < 0.97 * losses[0]
    assert model.card.classes == NAMES
    frozen = load_model(config.start_from).network.state_dict()
    same = [tensor.equal(frozen[key]) for key, tensor in model.network.state_dict().items()]
    assert all(same) == (stage == 'refiner')


def test_an_image_without_labels_is_imitated_everywhere_another_where_it_has_some(config):
    model = tiny_model(classes=NAMES, labels='', alpha=0.0)
    objective = objective_of('refiner')(model, torch.ones(5), **teachers(config, model)).eval()
    images, labels = torch.randn(2, 3, 48, 64), torch.full((2, 48, 64), 255)
    labels[0, 20:] = 3
    with torch.no_grad():
        loss = objective(images, labels, torch.zeros(2))
        said = Dense(model.network, 0.5).full_logits(images).log_softmax(1)
        each = -(objective.teacher(images, (48, 64)) * said).sum(1)
    expected = torch.cat((each[0, 20:].flatten(), each[1].flatten())).mean()
    own = -said[0, 3, 20:].mean()
    torch.testing.assert_close(loss, own + expected)  # refined and ensembled are equal


def test_without_labels_all_classes_weigh_the_same(config):
    assert class_weights(training_sources(config), 5, balance=0.5).tolist() == [1.0] * 5


@pytest.mark.parametrize(('changes', 'words'), [
    ({'teacher': None}, "camera has no labels to learn from; set 'teacher' to a model to imitate"),
    ({'selector': 'learnable', 'extractor': 'unet'},
     "selector 'learnable' learns from labels, which .*camera does not have; set 'selector'"),
    ({'street_frames': 1, 'street_size_hw': (64, 96)},
     'the frames have the classes sky, .*, label set .*labels.yaml has thing 0'),
    ({'validation_streets': 1, 'street_size_hw': (64, 96)}, 'the frames have the classes sky,'),
])
def test_what_nobody_could_learn_from_is_refused(config, tmp_path, changes, words):
    with pytest.raises(ValueError, match=words):
        train(replace(config, cache=f'{tmp_path}/cache', **changes), tmp_path / 'run')
    assert not (tmp_path / 'run').exists()
