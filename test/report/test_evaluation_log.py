# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The figures of an evaluation reach MLflow and TensorBoard by the names of the summary."""

from __future__ import annotations

import sys

import pytest
from tiny import tiny_model

from sparse_seg_ros.commands import main
from sparse_seg_ros.loading.checkpoints import save_model


@pytest.fixture(name='model', scope='module')
def a_model(tmp_path_factory):
    path = tmp_path_factory.mktemp('model') / 'tiny.safetensors'
    save_model(tiny_model(), path)
    return path


def evaluate(model, log) -> int:
    return main(['evaluate', '--model', str(model), '--device', 'cpu', '--street', '1', '--size',
                 '96x128', '--log', log])


def test_tensorboard_gets_the_figures_and_each_evaluation_is_a_run(model, tmp_path):
    accumulator = pytest.importorskip('tensorboard.backend.event_processing.event_accumulator')
    for _ in range(2):
        assert evaluate(model, f'tensorboard:{tmp_path}') == 0
    for run in ('tiny', 'tiny_2'):
        events = accumulator.EventAccumulator(str(tmp_path / run / 'tensorboard'))
        events.Reload()
        assert 0 <= events.Scalars('miou')[0].value <= 1
        assert {'class/sky/iou', 'latency/p50_ms'} <= set(events.Tags()['scalars'])


def test_mlflow_gets_the_figures_and_the_hashes_of_the_model(model, tmp_path):
    mlflow = pytest.importorskip('mlflow')
    for _ in range(2):
        assert evaluate(model, f'mlflow:{tmp_path}') == 0
    client = mlflow.MlflowClient(tracking_uri=tmp_path.as_uri())
    experiment, = [each for each in client.search_experiments() if 'sparse_seg' in each.name]
    one, other = client.search_runs([experiment.experiment_id])
    assert one.info.status == 'FINISHED' and 0 <= one.data.metrics['miou'] <= 1
    assert one.data.metrics['class.sky.iou'] == other.data.metrics['class.sky.iou']
    assert len(one.data.tags['model.sha256']) == 64 and one.data.tags['data_sha256']


@pytest.mark.parametrize(('log', 'gone', 'message'), [
    ('mlfow', '', "--log must be one of mlflow, tensorboard, got 'mlfow'; did you mean 'mlflow'?"),
    ('mlflow', 'mlflow', '--log mlflow needs the package mlflow; install it with'),
    ('tensorboard', 'torch.utils.tensorboard', '--log tensorboard needs the package tensorboard')])
def test_a_log_that_cannot_be_written_is_refused_at_once(model, log, gone, message, capsys,
                                                         monkeypatch):
    if gone:
        monkeypatch.setitem(sys.modules, gone, None)  # as if not installed
    assert evaluate(model, log) == 1
    assert message in capsys.readouterr().err
