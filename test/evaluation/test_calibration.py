# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Calibration of a small model on rendered streets, as a function and as a command."""

from __future__ import annotations

import json

import numpy as np
import pytest
from tiny import tiny_model

import sparse_seg_ros as ss
from sparse_seg_ros.commands import main
from sparse_seg_ros.evaluation.calibration import (
    Goal,
    choose_threshold,
    measure_uncertainty,
    selection_curve,
    uncertain_limit,
)
from sparse_seg_ros.loading.checkpoints import save_model


@pytest.fixture(name='frames', scope='module')
def some_frames():
    return list(ss.street_frames(7, 3, (96, 128)))


@pytest.fixture(name='weights', scope='module')
def some_weights(tmp_path_factory):
    path = tmp_path_factory.mktemp('model') / 'tiny.safetensors'
    model = tiny_model()
    model.network.head.weight.data *= 30  # or else every pixel is equally unsure
    save_model(model, path)
    return path


def test_the_threshold_finds_the_errors_that_were_asked_for(weights, frames):
    segment = ss.calibrate(ss.load(weights, 'cpu', 'fp32'), frames, recall=0.7)
    trust = measure_uncertainty(segment, frames)
    assert trust.selection.recall == pytest.approx(0.7, abs=0.02)
    assert trust.selection_auroc == selection_curve(segment, frames).auroc() != trust.auroc
    assert trust.calibration_error < trust.calibration_error_before
    refined = np.mean([segment(image).density for image, _ in frames])
    assert refined == pytest.approx(trust.selection.density, abs=0.02)


def test_a_time_that_is_never_reached_gives_the_threshold_that_refines_least(weights, frames):
    segment = ss.load(weights, 'cpu', 'fp32')
    curve = selection_curve(segment, frames)
    _, fast = choose_threshold(segment, curve, Goal('milliseconds', 1e6), frames)
    assert fast.density > 0.95
    with pytest.raises(ValueError, match='without any refinement a frame takes longer than 0.001'):
        choose_threshold(segment, curve, Goal('milliseconds', 0.001), frames)


def test_labels_beyond_the_classes_are_refused(weights, frames):
    wrong = [(image, np.full_like(label, 11)) for image, label in frames]
    with pytest.raises(ValueError, match='labels must be below 11 or 255 for void, got 11'):
        ss.calibrate(ss.load(weights, 'cpu', 'fp32'), wrong)


def test_frames_without_labels_are_refused(weights, frames):
    void = [(image, np.full_like(label, 255)) for image, label in frames]
    with pytest.raises(ValueError, match='no labelled pixels to calibrate on'):
        ss.calibrate(ss.load(weights, 'cpu', 'fp32'), void)


def test_an_image_alone_among_the_frames_is_refused_by_its_name(weights, frames):
    mixed = [*frames, (frames[0][0], None)]
    with pytest.raises(ValueError, match='frame 3 must have labels, got an image alone; leave it'):
        ss.calibrate(ss.load(weights, 'cpu', 'fp32'), mixed)


def test_frames_of_another_label_set_are_warned_of(caplog):
    segment = ss.load('demo', 'cpu', 'fp32')
    other = np.append(np.roll(np.arange(11), 4), np.full(245, 255)).astype(np.uint8)
    frames = [(image, other[label]) for image, label in ss.street_frames(5, 2, (128, 256))]
    selection_curve(segment, frames)
    assert 'the frames seem to have other classes than the model' in caplog.text


def test_the_uncertain_limit_lies_above_what_its_frames_have_refined_or_not(weights, frames):
    segment = ss.load(weights, 'cpu', 'fp32').with_temperature(0.1)
    usual = sorted(max(segment(image, budget=budget).uncertain for budget in (None, 0.0))
                   for image, _ in frames)
    limit = uncertain_limit(segment, frames)
    assert 0 < usual[-2] <= limit <= usual[-1] < 1
    segment = segment.with_uncertain_limit(limit)
    assert segment.with_limits(alpha=0.1).uncertain_limit == limit
    assert segment.with_temperature(3.0).uncertain_limit is None


def test_the_limit_in_a_card_holds_for_its_temperature_alone(tmp_path):
    save_model(tiny_model(uncertain_limit=0.25), tmp_path / 'tiny.safetensors')
    assert ss.load(tmp_path / 'tiny.safetensors', 'cpu').uncertain_limit == 0.25
    (tmp_path / 'other.yaml').write_text('weights: tiny.safetensors\ntemperature: 3.0\n')
    assert ss.load(tmp_path / 'other.yaml', 'cpu').uncertain_limit is None
    (tmp_path / 'own.yaml').write_text('weights: tiny.safetensors\ntemperature: 3.0\n'
                                       'uncertain_limit: 0.5\n')
    assert ss.load(tmp_path / 'own.yaml', 'cpu').uncertain_limit == 0.5


def test_a_dense_model_gets_a_temperature_and_a_limit_only(tmp_path, frames):
    save_model(tiny_model(refines=False), tmp_path / 'dense.safetensors')
    segment = ss.calibrate(ss.load(tmp_path / 'dense.safetensors', 'cpu', 'fp32'), frames)
    assert segment.alpha is None and segment.temperature != 1 and segment.uncertain_limit


def write_split(folder, frames):
    import cv2
    folder.mkdir()
    for index, (image, label) in enumerate(frames):
        cv2.imwrite(str(folder / f'{index}.png'), image[..., ::-1])
        cv2.imwrite(str(folder / f'{index}_label.png'), label)
    lines = [f'{index}.png {index}_label.png' for index in range(len(frames))]
    (folder / 'val.txt').write_text('\n'.join(lines))
    return folder / 'val'


def test_the_command_writes_a_method_that_runs_as_calibrated(weights, frames, tmp_path, capsys):
    split = write_split(tmp_path / 'data', frames)
    method, plot, figures = (tmp_path / name for name in ('my.yaml', 'my.png', 'my.json'))
    assert main(['calibrate', '--model', str(weights), '--frames', str(split), '--check',
                 str(split), '--density', '0.3', '-o', str(method), '--plot', str(plot),
                 '--json', str(figures), '--device', 'cpu', '--precision', 'fp32']) == 0
    printed = capsys.readouterr().out
    assert '| alpha (nats) | density | recall | precision |' in printed
    segment, found = ss.load(method), json.loads(figures.read_text())
    assert segment.alpha == pytest.approx(found['alpha'], abs=1e-4)
    assert segment.temperature == pytest.approx(found['temperature'], abs=1e-4)
    assert segment.uncertain_limit == pytest.approx(found['uncertain_limit'], abs=1e-4)
    assert found['checked']['selection']['density'] <= 0.3
    assert f"alpha {found['alpha']:.3g} nats: density" in printed
    assert plot.read_bytes().startswith(b'\x89PNG')


def test_the_command_names_a_missing_split(weights, capsys):
    assert main(['calibrate', '--model', str(weights), '--frames', 'nowhere/val']) == 1
    assert 'no split file nowhere/val.txt' in capsys.readouterr().err


def test_a_method_that_may_take_either_of_two_models_is_not_calibrated(tmp_path, capsys):
    (tmp_path / 'my.yaml').write_text('method: auto\nweights: demo\n')
    assert main(['calibrate', '--model', str(tmp_path / 'my.yaml'), '--street', '1']) == 1
    assert 'has method auto, which may take either of two models; cal' in capsys.readouterr().err


def test_a_run_folder_is_named_as_seen_from_the_method_file(weights, frames, tmp_path):
    (tmp_path / 'run').mkdir()
    (tmp_path / 'run/config.yaml').write_text('stage: refiner\n')
    (tmp_path / 'run/model.safetensors').write_bytes(weights.read_bytes())
    (tmp_path / 'methods').mkdir()
    split, method = write_split(tmp_path / 'data', frames[:1]), tmp_path / 'methods/my.yaml'
    assert main(['calibrate', '--model', str(tmp_path / 'run'), '--frames', str(split),
                 '--alpha', '0.5', '-o', str(method), '--device', 'cpu']) == 0
    assert 'weights: ../run/model.safetensors' in method.read_text()
    assert ss.load(method, 'cpu').alpha == 0.5


@pytest.mark.parametrize('kind', ['recall', 'density'])
def test_a_goal_must_be_a_fraction(weights, frames, kind):
    segment = ss.load(weights, 'cpu', 'fp32')
    curve = selection_curve(segment, frames)
    with pytest.raises(ValueError, match=f'{kind} must be a fraction above 0 and at most 1, got'):
        choose_threshold(segment, curve, Goal(kind, 80), frames)


def test_other_scenes_to_check_need_scenes(weights, frames, tmp_path, capsys):
    split = write_split(tmp_path / 'data', frames)
    assert main(['calibrate', '--model', str(weights), '--frames', str(split), '--check']) == 1
    assert '--check without a name measures other scenes' in capsys.readouterr().err
