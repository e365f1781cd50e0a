# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Training in miniature: resumable, repeatable, and refining from the first step."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict, replace
from functools import partial

import cv2
import numpy as np
import pytest
import torch
import yaml
from tiny import TinyLRFormer, TinySegmenter, randomise, tiny_model

import sparse_seg_ros as ss
from sparse_seg_ros.data.rendered import RenderedStreet
from sparse_seg_ros.data.street import CLASSES, street_frames
from sparse_seg_ros.loading import checkpoints
from sparse_seg_ros.loading.checkpoints import load_model, save_model
from sparse_seg_ros.methods.algm import token_counts
from sparse_seg_ros.methods.dense.method import Dense
from sparse_seg_ros.methods.sparse_refine.method import SparseRefine
from sparse_seg_ros.networks import NETWORKS
from sparse_seg_ros.networks.efficientnet_lite import Encoder
from sparse_seg_ros.training import loop
from sparse_seg_ros.training.config import TrainConfig
from sparse_seg_ros.training.loop import Run, autocast_precision
from sparse_seg_ros.training.objectives import objective_of
from sparse_seg_ros.training.optimizer import learning_rate, parameter_groups
from sparse_seg_ros.training.record import Record, plain
from sparse_seg_ros.training.start import out_of_fold_networks, start_model, teachers
from sparse_seg_ros.yaml_files import read_yaml

train = partial(loop.train, device='cpu')
TINY = TrainConfig(street_frames=4, street_size_hw=(64, 96), street_scales=(0.8, 1.2),
                   crop_hw=(48, 64), planes=(4, 8), batch_size=2, epochs=2, averaging=0.5,
                   precision='fp32')


@pytest.fixture(name='config')
def make_config(tmp_path_factory):
    return replace(TINY, cache=str(tmp_path_factory.getbasetemp() / 'cache'))


def break_off_before(monkeypatch, epoch):
    """Let training stop, as a user would, when this epoch begins."""
    train_epoch = Run.train_epoch

    def run_or_stop(run, batches, number):
        if number == epoch:
            raise KeyboardInterrupt
        train_epoch(run, batches, number)
    monkeypatch.setattr(Run, 'train_epoch', run_or_stop)


def weights(path):
    return {f'{name}.{key}': tensor for name, part in load_model(path).parts().items()
            for key, tensor in part.state_dict().items()}


def assert_same_weights(one, other):
    assert one.keys() == other.keys()
    for key, tensor in one.items():
        torch.testing.assert_close(tensor, other[key], rtol=0, atol=0, msg=key)


@pytest.mark.parametrize(('stage', 'selector', 'precision'), [
    ('dense', 'entropy', 'fp32'), ('refiner', 'entropy', 'fp32'), ('refiner', 'random', 'fp32'),
    ('refiner', 'learnable', 'fp16')])
def test_a_resumed_run_ends_with_the_weights_of_an_unbroken_one(
        tmp_path, monkeypatch, config, stage, selector, precision):
    save_model(tiny_model(refines=False), tmp_path / 'start.safetensors')
    config = replace(config, stage=stage, start_from=str(tmp_path / 'start.safetensors'),
                     epochs=4, alpha=0.04, selector=selector, precision=precision)
    unbroken = train(config, tmp_path / 'unbroken')
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        break_off_before(patch, epoch=2)
        train(config, tmp_path / 'broken')
    assert not (tmp_path / 'broken/model.safetensors').exists()
    torch.rand(7)  # what the process did meanwhile must not matter
    assert_same_weights(weights(train(config, tmp_path / 'broken')), weights(unbroken))


@pytest.mark.parametrize('has_bf16, expected', [(True, 'bf16'), (False, 'fp32')])
def test_bf16_is_learnt_in_only_where_the_processor_multiplies_it(
        monkeypatch, has_bf16, expected):
    monkeypatch.setattr(torch.cpu, '_is_avx512_bf16_supported', lambda: has_bf16)
    assert autocast_precision('auto', 'cpu') == expected
    assert autocast_precision('bf16', 'cpu') == 'bf16'


def test_a_run_folder_tells_what_was_done(tmp_path, config):
    train(config, tmp_path)
    assert read_yaml(tmp_path / 'config.yaml')['crop_hw'] == [48, 64]
    about = json.loads((tmp_path / 'versions.json').read_text())
    assert about['seed'] == 0 and about['versions']['torch'] == torch.__version__
    assert about['precision'] == 'fp32'
    lines = [json.loads(line) for line in (tmp_path / 'metrics.jsonl').read_text().splitlines()]
    assert [line['epoch'] for line in lines] == [1, 2]
    assert all(np.isfinite(line['loss']) for line in lines)
    assert load_model(tmp_path / 'model.safetensors').card.training['dense']['epochs'] == 2


def test_a_refiner_leaves_its_dense_network_alone(tmp_path, config):
    start = tmp_path / 'start.safetensors'
    save_model(tiny_model(refines=False), start)
    config = replace(config, stage='refiner', start_from=str(start), epochs=1)
    model = load_model(train(config, tmp_path / 'run'))
    assert_same_weights({key: value for key, value in weights(start).items()},
                        {f'network.{key}': value
                         for key, value in model.network.state_dict().items()})
    assert (model.refiner.head.weight != 0).any()


def test_an_ensembler_learns_alone(tmp_path, config, capsys):
    start = tmp_path / 'start.safetensors'
    save_model(tiny_model(), start)
    before = weights(start)
    after = weights(train(replace(
        config, stage='refiner', start_from=str(start), epochs=1, learns='ensembler', alpha=0.0,
        planes=load_model(start).card.planes), tmp_path / 'run'))
    changed = {name.rsplit('.', 2)[0] for name in before
               if not torch.equal(before[name], after[name])}
    assert changed == {'refiner.ensembler.gate', 'refiner.ensembler.fuse'}
    of_it = sum(part.numel() for name, part in before.items() if 'ensembler' in name)
    assert f'{of_it / 1e6:.2f} of ' in capsys.readouterr().out


def test_a_refiner_goes_on_with_another_ensembler(tmp_path, config):
    start = tmp_path / 'start.safetensors'
    save_model(tiny_model(ensembler='direct'), start)
    config = replace(config, stage='refiner', start_from=str(start), learns='ensembler',
                     planes=load_model(start).card.planes)
    after = start_model(config).refiner.state_dict()
    before = load_model(start).refiner.state_dict()
    assert before and all(torch.equal(after[name], tensor) for name, tensor in before.items())
    assert {name.split('.')[0] for name in after.keys() - before.keys()} == {'ensembler'}


@pytest.mark.parametrize('change', [{}, {'extractor': 'pointnet'}])
def test_an_ensembler_does_not_learn_alone_on_parts_that_have_learnt_nothing(
        tmp_path, config, change):
    start = tmp_path / 'start.safetensors'
    save_model(tiny_model(refines=False), start)
    with pytest.raises(ValueError, match='needs a refiner whose other parts have learnt, which '
                                         '.*start.safetensors does not have; remove it, name'):
        start_model(replace(config, stage='refiner', start_from=str(start), learns='ensembler',
                            **change))


@pytest.mark.parametrize('change', [{'stage': 'dense'}, {'ensembler': 'direct'}])
def test_an_ensembler_that_can_not_learn_is_refused(config, change):
    with pytest.raises(ValueError, match="'learns: ensembler' is for stage 'refiner' with ens"
                                         "embler gated or sigmoid, got stage '.*'; remove it"):
        replace(config, **{'stage': 'refiner', 'learns': 'ensembler', **change})


def write_split(folder, name, label):
    """Write a split of two frames that are all of one class; return its name."""
    for index in range(2):
        cv2.imwrite(str(folder / f'{name}{index}.jpg'), np.full((64, 96, 3), 90, np.uint8))
        cv2.imwrite(str(folder / f'{name}{index}.png'), np.full((64, 96), label, np.uint8))
    lines = [f'{name}{index}.jpg {name}{index}.png\n' for index in range(2)]
    (folder / f'{name}.txt').write_text(''.join(lines))
    return str(folder / name)


def cross_fitted(folder, config):
    """Return a refiner's training on two splits and streets, each with a network of its own."""
    for seed, name in enumerate(('start', 'north', 'south')):
        save_model(tiny_model(refines=False, seed=seed), folder / f'{name}.safetensors')
    return replace(config, stage='refiner', epochs=1, alpha=0.04,
                   start_from=str(folder / 'start.safetensors'),
                   splits=tuple(write_split(folder, name, 3) for name in ('north', 'south')),
                   out_of_fold_networks=(str(folder / 'south.safetensors'),
                                   str(folder / 'north.safetensors')))


def test_each_split_is_spoken_to_by_the_network_that_has_not_seen_it(tmp_path, config):
    config = cross_fitted(tmp_path, config)
    model = start_model(config)
    objective = objective_of('refiner')(
        model, torch.ones(11), **out_of_fold_networks(config, model))
    images, sources = torch.randn(4, 3, 48, 64), torch.tensor([2, 0, 1, 0])
    with torch.no_grad():
        logits, _ = objective.coarse(images, sources)
        for place, name in enumerate(('start', 'south', 'north', 'south')):
            method = SparseRefine(load_model(tmp_path / f'{name}.safetensors').network, None)
            torch.testing.assert_close(logits[place], method.coarse_logits(images)[place])
    trained = load_model(train(config, tmp_path / 'run'))
    assert_same_weights(trained.network.state_dict(), model.network.state_dict())
    assert (trained.refiner.head.weight != 0).any()


def test_networks_that_cannot_predict_in_a_split_are_named(tmp_path, config):
    config = cross_fitted(tmp_path, config)
    with pytest.raises(ValueError, match='must be one per split, got 2 for 1'):
        train(replace(config, splits=config.splits[:1]), tmp_path)
    with pytest.raises(ValueError, match='are for a refiner of logits alone; remove them, or'):
        train(replace(config, stage='dense'), tmp_path)
    with pytest.raises(ValueError, match='are for a refiner of logits alone'):
        train(replace(config, inputs=('rgb', 'features')), tmp_path)
    save_model(tiny_model(refines=False, scale=0.25), tmp_path / 'north.safetensors')
    with pytest.raises(ValueError, match='north.* must have the scale of .*, 0.5; got 0.25'):
        train(config, tmp_path)


def taught(folder, config, **changes):
    """Return the training of a network whose teacher sees all of the image, in its own units."""
    save_model(tiny_model(refines=False, seed=5, scale=1.0, mean=(105.,) * 3, std=(70.,) * 3,
                          **changes), folder / 'teacher.safetensors')
    return replace(config, teacher=str(folder / 'teacher.safetensors'), epochs=1)


def test_a_network_learns_from_labels_and_teacher_by_halves(tmp_path, config):
    config = taught(tmp_path, config)
    model = start_model(config)
    objective = objective_of('dense')(model, torch.ones(11), **teachers(config, model)).eval()
    images, labels = torch.randn(2, 3, 48, 64), torch.full((2, 48, 64), 3)
    labels[0, :20] = 255  # neither says anything there
    loss = objective(images, labels, torch.zeros(2))
    with torch.no_grad():
        mean, std = torch.tensor((model.card.mean, model.card.std)).view(2, 3, 1, 1)
        pixels = images * std + mean
        network = load_model(config.teacher).network.eval()
        expected = Dense(network).coarse_logits((pixels - 105) / 70).softmax(1)
        expected = expected.unflatten(2, (24, 2)).unflatten(4, (32, 2)).mean((3, 5))
        said = Dense(model.network, 0.5).coarse_logits(images).log_softmax(1)
        known = labels[:, ::2, ::2] != 255
        own = -said[:, 3][known].mean()
        imitation = -(expected * said).sum(1)[known].mean()
    torch.testing.assert_close(loss.detach(), (own + imitation) / 2)
    loss.backward()
    assert all(parameter.grad is not None for parameter in objective.parameters())
    assert not objective.train().teacher.method.network.training
    assert train(config, tmp_path / 'run').is_file()


def test_a_refiner_learns_from_labels_and_teacher_by_halves(tmp_path, config):
    config = taught(tmp_path, config)
    model = tiny_model(alpha=0.0)
    objective = objective_of('refiner')(model, torch.ones(11), **teachers(config, model)).eval()
    images, labels = torch.randn(2, 3, 48, 64), torch.full((2, 48, 64), 3)
    labels[0, :20] = 255  # neither says anything there
    loss = objective(images, labels, torch.zeros(2))
    with torch.no_grad():
        expected = objective.teacher(images, (48, 64))
        said = objective.methods[0].full_logits(images).log_softmax(1)  # of all pixels: as coarse
        known = labels != 255
        own = -said[:, 3][known].mean()
        imitation = -(expected * said).sum(1)[known].mean()
    torch.testing.assert_close(loss.detach(), own + imitation)  # refined and ensembled are equal
    loss.backward()
    assert all(parameter.grad is None for parameter in model.network.parameters())
    save_model(tiny_model(refines=False), tmp_path / 'start.safetensors')
    assert train(replace(config, stage='refiner', start_from=str(tmp_path / 'start.safetensors')),
                 tmp_path / 'run').is_file()


def test_who_can_not_teach_is_named(tmp_path, config):
    save_model(tiny_model(refines=False), tmp_path / 'start.safetensors')
    config = taught(tmp_path, config)
    with pytest.raises(ValueError, match="'teacher' is for dense networks and refiners; remove"):
        train(replace(config, stage='point_rend', planes=(8, 8),
                      start_from=str(tmp_path / 'start.safetensors')), tmp_path)
    with pytest.raises(ValueError, match='teacher.* must have the classes of the model in train'):
        train(taught(tmp_path, config, classes=CLASSES[:5]), tmp_path)


RIVALS = {'point_rend': {'planes': (8, 8)},
          'patch_refine': {'patch': 16, 'alpha': 0.0}}


def loss_of(path, stage, config):
    """Return the loss of a model file on the frames that it was trained with, and nothing else."""
    frames = RenderedStreet(config.cache, 4, config.street_size_hw, config.street_seed)
    model = load_model(path)
    objective = objective_of(stage)(model, torch.ones(11)).eval()
    torch.manual_seed(0)
    images = torch.from_numpy(np.array(frames.images)).movedim(-1, 1)
    mean, std = (torch.tensor(part).view(1, 3, 1, 1) for part in (model.card.mean, model.card.std))
    with torch.no_grad():
        labels = torch.from_numpy(np.array(frames.labels))
        return objective((images - mean) / std, labels, labels.new_zeros(4)).item()


@pytest.mark.parametrize('stage', RIVALS)
def test_a_rival_learns_on_a_frozen_network_and_runs_as_its_card_says(tmp_path, config, stage):
    start = tmp_path / 'start.safetensors'
    save_model(tiny_model(refines=False), start)
    config = replace(config, stage=stage, start_from=str(start), epochs=6, learning_rate=1e-2,
                     **RIVALS[stage])
    trained = train(config, tmp_path / 'run')
    untrained = tmp_path / 'untrained.safetensors'
    save_model(start_model(config), untrained)
    assert loss_of(trained, stage, config) < loss_of(untrained, stage, config)
    frozen = load_model(trained).network.state_dict()
    assert all(torch.equal(frozen[key.removeprefix('network.')], tensor)
               for key, tensor in weights(start).items())
    segment = ss.load(trained, device='cpu', precision='fp32')
    assert segment.description['method'] == stage
    seen = segment(next(street_frames(9, 1, (64, 96)))[0])
    assert seen.refined.any() and {'dense', 'select', 'extract'} <= seen.milliseconds.keys()


def test_labelled_frames_are_scored_while_training(tmp_path, config):
    for number, (image, label) in enumerate(street_frames(3, 2, (64, 96))):
        cv2.imwrite(str(tmp_path / f'{number}.jpg'), image[..., ::-1])
        cv2.imwrite(str(tmp_path / f'{number}.png'), label)
    (tmp_path / 'val.txt').write_text('0.jpg 0.png\n1.jpg 1.png\n')
    config = replace(config, splits=(str(tmp_path / 'val'),), validation=str(tmp_path / 'val'),
                     street_frames=0, epochs=1)
    train(config, tmp_path / 'run')
    scores = json.loads((tmp_path / 'run/metrics.jsonl').read_text())
    assert 0 <= scores['val_miou'] <= 1 and scores['density'] == 0


def test_a_network_can_begin_with_the_released_weights_of_its_backbone(tmp_path, config):
    encoder = randomise(Encoder())
    checkpoints.save(encoder, tmp_path / 'imagenet.safetensors')
    config = replace(config, network='efficientnet_lite0',
                     backbone=str(tmp_path / 'imagenet.safetensors'))
    begun = start_model(config).network.backbone.state_dict()
    assert all(torch.equal(begun[key], tensor) for key, tensor in encoder.state_dict().items())


def test_a_run_that_can_not_start_says_what_is_missing(tmp_path, config):
    with pytest.raises(ValueError, match="a refiner needs 'start_from'"):
        train(replace(config, stage='refiner'), tmp_path)
    with pytest.raises(ValueError, match="nothing to train on: set 'splits', 'street_frames'"):
        train(replace(config, street_frames=0), tmp_path)
    with pytest.raises(ValueError, match='4 frames do not fill one batch of 8; give more'):
        train(replace(config, batch_size=8), tmp_path)
    with pytest.raises(ValueError, match="can not train network 'lrformer-t'; did you mean 'lrf"):
        train(replace(config, network='lrformer-t'), tmp_path)
    with pytest.raises(ValueError, match="'compact' has no paths to drop; remove 'drop_path'"):
        train(replace(config, drop_path=0.1), tmp_path)
    with pytest.raises(ValueError, match='merging needs the blocks of a SegmenterViT, got Comp'):
        train(replace(config, merge_rule='fixed'), tmp_path)
    with pytest.raises(ValueError, match="'compact' has no backbone .* remove 'backbone'"):
        train(replace(config, backbone='imagenet.pth'), tmp_path)
    with pytest.raises(ValueError, match='both name weights to begin with; remove one'):
        train(replace(config, backbone='imagenet.pth', start_from='demo'), tmp_path)
    with pytest.raises(FileNotFoundError, match='no weights file imagenet.pth'):
        train(replace(config, network='efficientnet_lite0', backbone='imagenet.pth'), tmp_path)
    with pytest.raises(ValueError, match="Compact has no backbone .* remove 'head_rate'"):
        train(replace(config, head_rate=10.0), tmp_path)


def test_a_run_that_diverges_stops_and_keeps_its_last_epoch(tmp_path, config):
    train(replace(config, epochs=1), tmp_path)
    saved = (tmp_path / 'last.pt').read_bytes()
    wild = replace(config, learning_rate=1e30, epochs=9)
    (tmp_path / 'config.yaml').write_text(yaml.safe_dump(plain(asdict(wild))))
    with pytest.raises(ValueError, match='loss is not finite; run again to go on from the last'):
        train(wild, tmp_path)
    assert (tmp_path / 'last.pt').read_bytes() == saved


def test_a_step_whose_gradient_alone_is_not_finite_is_left_out(tmp_path, config):
    model = tiny_model(refines=False)
    run = Run(config, model, objective_of('dense')(model, torch.ones(11)), tmp_path, 'fp32')
    batch = (torch.randint(256, (2, 3, 48, 64), dtype=torch.uint8),
             torch.randint(11, (2, 48, 64)), torch.zeros(2, dtype=torch.int64))
    head = model.network.head.weight
    before, hook = head.detach().clone(), head.register_hook(lambda grad: grad * torch.nan)
    assert torch.isfinite(run.step(batch, rate=1e-3)) and torch.equal(head, before)
    hook.remove()
    run.step(batch, rate=1e-3)
    assert torch.isfinite(head).all() and not torch.equal(head, before)


def test_labels_beyond_the_classes_stop_a_run(tmp_path, config):
    cv2.imwrite(str(tmp_path / '0.png'), np.zeros((64, 96, 3), np.uint8))
    cv2.imwrite(str(tmp_path / '1.png'), np.full((64, 96), 12, np.uint8))
    (tmp_path / 'train.txt').write_text('0.png 1.png\n' * 4)
    with pytest.raises(ValueError, match='1.png: labels must be below 11 or 255 for void, got 12'):
        train(replace(config, splits=(str(tmp_path / 'train'),)), tmp_path / 'run')


def test_the_learning_rate_rises_for_an_epoch_and_falls_to_zero():
    rates = [learning_rate(TrainConfig(epochs=4, learning_rate=1.0), step, 10)
             for step in range(40)]
    assert np.argmax(rates) in (8, 9) and rates[0] == pytest.approx(0.1)
    assert rates[-1] < 0.01 and all(a > b for a, b in zip(rates[10:], rates[11:]))


def test_two_processes_learn_what_one_does(tmp_path, config):
    save_model(tiny_model(refines=False), tmp_path / 'start.safetensors')
    config = replace(config, stage='refiner', start_from=str(tmp_path / 'start.safetensors'),
                     validation_streets=1)
    alone = train(config, tmp_path / 'alone')
    (tmp_path / 'run.yaml').write_text(yaml.safe_dump(plain(asdict(config))))
    done = subprocess.run(
        [sys.executable, '-m', 'torch.distributed.run', '--standalone', '--nproc-per-node', '2',
         '-m', 'sparse_seg_ros', 'train', '--config', str(tmp_path / 'run.yaml'),
         '--out', str(tmp_path / 'shared'), '--device', 'cpu'],
        capture_output=True, text=True, env={**os.environ, 'OMP_NUM_THREADS': '1'})
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count('the model is in') == 1
    one, two = ([json.loads(line) for line in (tmp_path / run / 'metrics.jsonl').open()]
                for run in ('alone', 'shared'))
    assert len(two) == 2  # only one process writes
    for name in ('loss', 'val_miou', 'density'):
        assert [line.get(name) for line in two] == pytest.approx(
            [line.get(name) for line in one], abs=1e-4), name
    shared = weights(tmp_path / 'shared/model.safetensors')
    for key, tensor in weights(alone).items():
        torch.testing.assert_close(shared[key], tensor, atol=1e-4, rtol=1e-3, msg=key)


def test_curves_and_pictures_for_tensorboard(tmp_path, config):
    accumulator = pytest.importorskip('tensorboard.backend.event_processing.event_accumulator')
    Record(tmp_path, config, 'fp32').add(2, {'loss': 9.0})  # of an epoch that never ended
    train(replace(config, validation_streets=1), tmp_path)
    events = accumulator.EventAccumulator(str(tmp_path / 'tensorboard'))
    events.Reload()
    lines = [json.loads(line) for line in (tmp_path / 'metrics.jsonl').open()]
    for name in ('loss', 'rate'):
        assert [event.value for event in events.Scalars(name)] == pytest.approx(
            [line[name] for line in lines])
    assert events.Scalars('val_miou')[0].step == 2
    picture, = events.Images('labels, truth, uncertainty')
    assert (picture.height, picture.width) == (64, 3 * 96)


def test_without_tensorboard_one_line_says_so(tmp_path, config, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, 'torch.utils.tensorboard', None)  # as if not installed
    train(replace(config, epochs=1), tmp_path)
    assert capsys.readouterr().out.count('no curves for TensorBoard; for them: pip install') == 1
    assert not (tmp_path / 'tensorboard').exists()


def test_a_refiner_of_other_parts_can_be_trained_loaded_and_scored(tmp_path, config):
    save_model(tiny_model(refines=False), tmp_path / 'start.safetensors')
    config = replace(
        config, stage='refiner', start_from=str(tmp_path / 'start.safetensors'), epochs=1,
        planes=(4, 8, 16), inputs=('rgb', 'logits', 'features'), selector='magnitude',
        extractor='pointnet', ensembler='entropy', alpha=0.5, validation_streets=1)
    card = load_model(train(config, tmp_path / 'run')).card
    assert (card.selector, card.extractor, card.ensembler) == ('magnitude', 'pointnet', 'entropy')
    assert 0 < json.loads((tmp_path / 'run/metrics.jsonl').read_text())['density'] < 1


def test_tokens_merge_in_what_is_trained_not_in_what_is_frozen(tmp_path, config):
    save_model(tiny_model(refines=False), tmp_path / 'start.safetensors')
    with pytest.raises(ValueError, match="'refiner' trains no network whose tokens merge; remove"):
        start_model(replace(config, stage='refiner', merge_rule='fixed',
                            start_from=str(tmp_path / 'start.safetensors')))


@pytest.mark.parametrize('change', [{'planes': (4, 16)}, {'extractor': 'pointnet'}])
def test_a_start_that_does_not_fit_is_named(tmp_path, config, change):
    save_model(tiny_model(), tmp_path / 'start.safetensors')
    config = replace(config, stage='refiner', start_from=str(tmp_path / 'start.safetensors'))
    with pytest.raises(ValueError, match=r"start.safetensors: .*'extractor"):
        train(replace(config, **change), tmp_path / 'run')


@pytest.mark.parametrize(('clip_norm', 'is_still'), [(1e-9, True), (None, False)])
def test_gradients_are_clipped_at_the_norm_of_the_settings(tmp_path, config, clip_norm, is_still):
    config = replace(config, epochs=1, optimizer='sgd', learning_rate=0.1, weight_decay=0.0,
                     warmup_steps=1, averaging=0.0, clip_norm=clip_norm)
    torch.manual_seed(config.seed)
    begun = dict(start_model(config).network.named_parameters())
    ended = dict(load_model(train(config, tmp_path)).network.named_parameters())
    assert all(torch.allclose(begun[name], ended[name], atol=1e-6) for name in begun) == is_still


def test_a_straight_schedule_rises_over_its_own_steps_and_falls_evenly():
    config = TrainConfig(epochs=4, learning_rate=1.0, schedule='poly', warmup_steps=5)
    rates = [learning_rate(config, step, 10) for step in range(40)]
    assert rates[0] == pytest.approx(0.2) and np.argmax(rates) == 4
    assert np.diff(rates[4:]) == pytest.approx(-1 / 40) and rates[-1] == pytest.approx(1 / 40)


def test_a_head_learns_faster_and_norms_do_not_decay():
    network = TinyLRFormer(5)
    groups, factors = parameter_groups(network, TrainConfig(head_rate=10.0, weight_decay=0.01))
    kind = {parameter: (factor, group['weight_decay']) for group, factor in zip(groups, factors)
            for parameter in group['params']}
    assert kind.keys() == set(network.parameters())
    block, head = network.backbone.stages[2].blocks[0], network.decode_head
    assert kind[block.attn.proj.weight] == (1.0, 0.01) and kind[block.norm1.weight] == (1.0, 0.0)
    assert kind[block.layer_scale_1] == (1.0, 0.0)
    assert kind[head.conv_seg.weight] == (10.0, 0.01)
    assert kind[head.squeeze1.bn.weight] == (10.0, 0.0)
    assert parameter_groups(network, TrainConfig())[1] == [1.0, 1.0]


def test_an_lrformer_learns_and_drops_the_paths_it_is_told_to(tmp_path, monkeypatch, config):
    monkeypatch.setitem(NETWORKS, 'lrformer_t', TinyLRFormer)
    config = replace(config, network='lrformer_t', drop_path=0.2, head_rate=10.0, epochs=1,
                     crop_hw=(64, 64), scale=1.0, validation_streets=1)
    last_block = start_model(config).network.backbone.stages[3].blocks[-1]
    assert last_block.drop_path == 0.2
    path = train(config, tmp_path)
    assert 'val_miou' in (tmp_path / 'metrics.jsonl').read_text()
    assert load_model(path).network.state_dict().keys() == TinyLRFormer(11).state_dict().keys()


def test_a_segmenter_learns_with_the_tokens_that_merge(tmp_path, monkeypatch, config):
    monkeypatch.setitem(NETWORKS, 'segmenter_t', TinySegmenter)
    config = replace(config, network='segmenter_t', scale=1.0, crop_hw=(64, 64), epochs=1,
                     merge_rule='adaptive', merge_threshold=0.2, merge_layers=(1, 2))
    model = start_model(config)
    objective = objective_of('dense')(model, torch.ones(11)).train()
    labels = torch.zeros(2, 64, 64, dtype=torch.uint8)
    objective(torch.randn(2, 3, 64, 64), labels, torch.zeros(2)).backward()
    one, other = token_counts(model.network)
    assert one == other and one[-1] < 17  # as many in both images of the batch
    merged = weights(train(config, tmp_path / 'merged'))
    plain_run = weights(train(replace(config, merge_rule=None), tmp_path / 'plain'))
    assert merged.keys() == plain_run.keys()
    assert any(not torch.equal(merged[key], plain_run[key]) for key in merged)
