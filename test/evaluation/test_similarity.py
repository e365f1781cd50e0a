# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Thresholds of merging: statistics against all pairs, the sweep, and the command."""

from __future__ import annotations

import json
import statistics
from functools import partial

import pytest
import torch
from tiny import tiny_merging_segmenter, tiny_model

import sparse_seg_ros as ss
from sparse_seg_ros.commands import calibrate, main
from sparse_seg_ros.evaluation import similarity
from sparse_seg_ros.evaluation.similarity import SimilarityStatistics, Tradeoff, fastest_as_good
from sparse_seg_ros.loading.assemble import assemble
from sparse_seg_ros.loading.checkpoints import save_model
from sparse_seg_ros.loading.method_config import own_config
from sparse_seg_ros.methods import algm
from sparse_seg_ros.methods.algm.settings import Merging


@pytest.fixture(name='frames', scope='module')
def some_frames():
    return list(ss.street_frames(7, 2, (64, 96)))


def similarities(values):
    rows = [row / row.norm() for row in values]
    return [float(a @ b) for i, a in enumerate(rows) for j, b in enumerate(rows) if i != j]


def test_statistics_equal_those_of_all_pairs():
    generator, found, pairs = torch.Generator().manual_seed(0), SimilarityStatistics(), []
    for count in (3, 17, 8):
        values = torch.randn(count, 5, generator=generator, dtype=torch.float64) + 0.7
        found.add(values)
        pairs += similarities(values)
    assert found.mean == pytest.approx(statistics.mean(pairs), abs=1e-12)
    assert found.deviation == pytest.approx(statistics.pstdev(pairs), abs=1e-12)


def test_without_an_image_there_is_nothing_to_calibrate_on():
    with pytest.raises(ValueError, match='no pairs of tokens to calibrate on; give at least one'):
        _ = similarity.measure_similarity(tiny_merging_segmenter(), []).mean


def test_thresholds_of_a_method_that_does_not_merge_are_refused(frames):
    model = tiny_model(refines=False)
    segment = assemble(model, own_config(model), 'cpu', 'fp32', {})
    with pytest.raises(ValueError, match='tokens merge, got one of a Dense; load it with method'):
        similarity.fit(segment, frames)


@torch.inference_mode()
def test_all_layers_are_measured_after_attention_and_without_merging(frames):
    segment, pairs = tiny_merging_segmenter(), []
    encoder = segment.method.network.encoder
    for image, _ in frames:
        x = encoder.embed(segment.normalise(image)).values
        for block in encoder.blocks:
            x = x + block.attn(block.norm1(x))
            pairs += similarities(x[0, 1:].double())
            x = x + block.mlp(block.norm2(x))
    found = similarity.measure_similarity(segment, frames)
    assert found.pairs == len(pairs) == 2 * 2 * 24 * 23
    assert found.mean == pytest.approx(statistics.mean(pairs), abs=1e-5)
    assert found.deviation == pytest.approx(statistics.pstdev(pairs), abs=1e-5)
    assert segment.method.merging.rule == 'share' and list(encoder.merges) == [1, 2]


def test_the_automatic_threshold_is_mean_plus_deviation(frames):
    segment = tiny_merging_segmenter()
    segment, found = similarity.fit(segment, frames)
    assert found.automatic == pytest.approx(found.mean + found.deviation)
    assert segment.method.merging.threshold == found.automatic and found.chosen is None
    merges = tiny_merging_segmenter()
    other = ss.calibrate(merges.with_method(
        merges.method.with_merging(Merging((1, 2), rule='fixed'))), frames)
    assert other.method.merging.threshold == pytest.approx(found.automatic)


def test_a_sweep_measures_no_merging_first_and_leaves_everything_as_it_was(frames):
    segment = tiny_merging_segmenter()
    merging = algm.Merging((1, 2), 0.3, 'fixed')
    segment = segment.with_method(segment.method.with_merging(merging))
    baseline, low, high = similarity.sweep(segment, frames, [-1.0, 1.0])
    assert baseline.threshold is None and baseline.kept == high.kept == 1
    assert low.kept == pytest.approx(3 / 24)  # 24 patches, 6 windows, every other one
    assert high.mean_iou == baseline.mean_iou and low.milliseconds > 0
    assert segment.method.merging == merging and list(segment.method.network.encoder.merges)


def test_the_choice_merges_most_without_a_loss():
    rows = [(None, 0.5, 1.0), (0.5, 0.4, 0.3), (0.7, 0.5, 0.5), (0.8, 0.6, 0.6), (1.0, 0.5, 1.0)]
    points = [Tradeoff(threshold, iou, 10.0, kept) for threshold, iou, kept in rows]
    assert fastest_as_good(points).threshold == 0.7
    with pytest.raises(ValueError, match=r'no threshold keeps the mIoU of 50.00; the best is 0.5'):
        fastest_as_good(points[:2])


@pytest.fixture(name='command')
def calibrate_command(tmp_path, frames, monkeypatch):
    import cv2
    card = {'network': 'segmenter_t', 'mean': (127.5,) * 3, 'std': (127.5,) * 3}
    save_model(tiny_model(refines=False, **card), tmp_path / 'vit.safetensors')
    (tmp_path / 'algm.yaml').write_text('method: algm\nweights: vit.safetensors\nscale: 1.0\n'
                                        'merge_rule: fixed\n')
    image, label = frames[0]
    cv2.imwrite(str(tmp_path / 'image.png'), image[..., ::-1])
    cv2.imwrite(str(tmp_path / 'label.png'), label)
    (tmp_path / 'val.txt').write_text('image.png label.png')
    monkeypatch.setattr(calibrate, 'THRESHOLDS', (0.2, 1.0))
    return partial(run_command, tmp_path)


def run_command(folder, *options, model='algm.yaml'):
    code = main(['calibrate', '--model', str(folder / model), '--frames', str(folder / 'val'),
                 '--device', 'cpu', '--precision', 'fp32', '-o', str(folder / 'my.yaml'),
                 *options])
    return code, folder


def test_the_command_writes_the_threshold_that_keeps_the_accuracy(command, capsys, tmp_path):
    plot, figures = tmp_path / 'my.png', tmp_path / 'my.json'
    code, folder = command('--keep-miou', '--plot', str(plot), '--json', str(figures))
    printed, found = capsys.readouterr().out, json.loads(figures.read_text())['merging']
    assert code == 0 and '| threshold | mIoU | ms | tokens kept |\n' in printed
    assert len(found['points']) == 4 and found['points'][0]['threshold'] is None
    segment = ss.load(folder / 'my.yaml', device='cpu')
    threshold = segment.method.merging.threshold
    assert threshold == pytest.approx(found['chosen']['threshold'], abs=1e-4)
    assert found['chosen']['mean_iou'] >= found['points'][0]['mean_iou']
    assert 'tokens' in (folder / 'my.yaml').read_text()
    assert plot.read_bytes().startswith(b'\x89PNG')


def test_keeping_the_accuracy_needs_tokens_that_merge(command, capsys, tmp_path):
    save_model(tiny_model(refines=False), tmp_path / 'cnn.safetensors')
    assert command('--keep-miou', model='cnn.safetensors')[0] == 1
    assert '--keep-miou needs a model that merges tokens' in capsys.readouterr().err


def test_a_rule_without_a_threshold_gets_none(command, capsys, tmp_path):
    method = tmp_path / 'algm.yaml'
    method.write_text(method.read_text().replace('fixed', 'share'))
    assert command('--keep-miou')[0] == 1
    assert "'method: algm' with 'merge_rule: adaptive' or 'fixed'" in capsys.readouterr().err
    code, folder = command()
    assert code == 0 and 'merge threshold' not in capsys.readouterr().out
    assert 'merge_threshold: 0.88' in (folder / 'my.yaml').read_text()
    segment = ss.calibrate(ss.load(method, device='cpu'), list(ss.street_frames(7, 1, (64, 96))))
    assert segment.method.merging.threshold == 0.88
