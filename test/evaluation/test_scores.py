# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Scores of parts add up to those of the whole, and the one loop goes on where it is told to."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import asdict

import numpy as np
import pytest
from ros_fakes import LABELS, make_image, make_segmenter
from tiny import tiny_model

from sparse_seg_ros.data.frame import Frame, as_frames
from sparse_seg_ros.evaluation import score_bytes
from sparse_seg_ros.evaluation.evaluate import evaluate
from sparse_seg_ros.evaluation.loop import segment_frames
from sparse_seg_ros.evaluation.scores import METRIC_INPUTS, Scores
from sparse_seg_ros.evaluation.uncertainty import UncertaintyCurve
from sparse_seg_ros.label_remap import load_remap
from sparse_seg_ros.loading.assemble import assemble
from sparse_seg_ros.loading.method_config import own_config
from sparse_seg_ros.prediction import Prediction


def pairs(count: int):
    """Return images of several sizes, with labels that are partly wrong, partly void."""
    random = np.random.default_rng(0)
    images = [make_image(30 + 7 * number, 50, number) for number in range(count)]
    return [(image, random.choice([0, 1, 255], image.shape[:2]).astype(np.uint8))
            for image in images]


def score(frames) -> Scores:
    scores = Scores(LABELS.names)
    segment_frames(make_segmenter(), frames, [scores])
    return scores


def counted(scores: Scores) -> str:
    """Return all of a report, to the last digit, but the times, which no two runs share."""
    return repr({**asdict(scores.report()), 'milliseconds': None})


def test_scores_of_parts_add_up_to_those_of_the_whole_in_any_order():
    frames = pairs(7)
    whole, parts = score(frames), [score(frames[:2]), score(frames[2:3]), score(frames[3:])]
    assert counted(whole) == counted(parts[0] + parts[1] + parts[2])
    assert counted(whole) == counted(parts[2] + (parts[0] + parts[1]))
    both = parts[0] + parts[2]
    assert len(both.milliseconds['total']) == both.frames == both.labelled == 6
    assert counted(parts[0]) == counted(score(frames[:2]))  # adding leaves them alone
    with pytest.raises(ValueError, match='scores must be of the same classes to be added, got'):
        _ = whole + Scores(('dark', 'light'))


def test_curves_of_parts_add_up_to_that_of_the_whole():
    random = np.random.default_rng(1)
    nats, wrong = random.uniform(0, 0.69, 1000), random.uniform(size=1000) < 0.2
    whole, one, other = (UncertaintyCurve(2) for _ in range(3))
    whole.add(nats, wrong)
    one.add(nats[:300], wrong[:300])
    other.add(nats[300:], wrong[300:])
    assert (one + other).points() == whole.points()
    with pytest.raises(ValueError, match='curves must have the same range'):
        _ = one + UncertaintyCurve(3)


def test_frames_without_labels_are_segmented_and_not_scored():
    scores = score([(make_image(), None)])
    assert (scores.frames, scores.labelled) == (1, 0)
    assert np.isnan(scores.report().mean_iou)
    with pytest.raises(ValueError, match='the frames have no labels to score against'):
        evaluate(make_segmenter(), [(make_image(), None)])


def test_the_loop_goes_on_where_somebody_takes_what_is_wrong():
    def refuse():
        raise ValueError('no picture')
    image, label = pairs(1)[0]
    frames = [Frame('one', refuse), Frame('two', lambda: image, refuse),
              Frame('three', lambda: np.zeros((4, 4), np.uint8)),
              Frame('four', lambda: image, lambda: label)]
    wrong, scores = [], Scores(LABELS.names)
    count = segment_frames(make_segmenter(), frames, [],
                           on_invalid=lambda frame, part, error: wrong.append(
                               (frame.source, part)))
    assert count == 2 and wrong == [('one', 'image'), ('two', 'label'), ('three', 'image')]
    with pytest.raises(ValueError, match='no picture'):
        segment_frames(make_segmenter(), frames, [scores])


def test_pairs_become_frames_and_frames_pairs_again():
    frames = list(as_frames(pairs(2)))
    for frame, (image, label) in zip(frames, pairs(2)):
        first, second = frame
        assert np.array_equal(first, image) and np.array_equal(second, label)
        assert frame.label() is second


def test_a_summary_is_json_without_nan_even_of_nothing():
    for scores in (score([]), score([(make_image(), None)]), score(pairs(2))):
        json.dumps([scores.summary(), scores.curves()], allow_nan=False)
    figures = score(pairs(2)).summary()
    assert figures['frames'] == figures['labelled'] == 2
    assert set(figures['class']) == set(LABELS.names)
    assert figures['latency']['p50_ms'] <= figures['latency']['p99_ms']


def test_scores_are_the_same_bytes_in_any_order_and_come_back_from_them():
    frames = pairs(5)
    named = [Frame(f'camera {number}', lambda image=image: image, lambda label=label: label, 7)
             for number, (image, label) in enumerate(frames)]

    def counted(part):
        scores = Scores(LABELS.names)
        segment_frames(make_segmenter(), part, [scores], wants=('confidence',))
        scores.milliseconds = {'total': [1.0] * len(part)}  # no two runs share them
        return scores

    whole, parts = counted(named), [counted([frame]) for frame in named]
    for order in ([0, 1, 2, 3, 4], [4, 2, 0, 3, 1]):
        both = parts[order[0]]
        for place in order[1:]:
            both = both + parts[place]
        assert both.to_bytes() == whole.to_bytes() and both.summary() == whole.summary()
    again = Scores.from_bytes(whole.to_bytes())
    assert again.to_bytes() == whole.to_bytes() and again.curves() == whole.curves()
    assert (again + parts[0]).frames == 6
    for data in (b'', b'PK', whole.to_bytes()[:-30]):
        with pytest.raises(ValueError, match='scores must be the bytes of Scores.to_bytes'):
            Scores.from_bytes(data)


@pytest.mark.parametrize('shape', [(2 ** 20, 2 ** 20), (2 ** 40, 2 ** 30), (2 ** 70,)])
def test_scores_that_claim_terabytes_are_refused(shape):
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {'descr': '<i8', 'fortran_order': False,
                                                'shape': shape})
    data = io.BytesIO()
    with zipfile.ZipFile(data, 'w', zipfile.ZIP_DEFLATED) as archive:
        archive.writestr('head.npy', head.getvalue())
    with pytest.raises(ValueError, match='scores must be the bytes of Scores.to_bytes'):
        Scores.from_bytes(data.getvalue())


def test_scores_that_unpack_to_more_than_the_bound_are_refused(monkeypatch):
    data = score(pairs(1)).to_bytes()
    monkeypatch.setattr(score_bytes, 'MOST_BYTES', 1000)
    with pytest.raises(ValueError, match=r'got \d+ bytes that unpack to \d+; evaluate fewer'):
        Scores.from_bytes(data)


def test_intervals_hold_the_score():
    scores = score(pairs(7))
    low, high = scores.summary()['interval']['miou']
    assert low < scores.summary()['miou'] < high


@pytest.mark.parametrize('size_hw', [(1, 1), (1, 9), (40, 60)])
@pytest.mark.parametrize('classes', [1, 150])
def test_odd_frames_give_none_and_no_error(size_hw, classes):
    scores = Scores(tuple(map(str, range(classes))))
    for truth in (np.full(size_hw, 255, np.uint8), np.zeros(size_hw, np.uint8), None):
        half = np.full(size_hw, 0.5, np.float32)
        seen = Prediction(np.zeros(size_hw, np.uint8), half, half > 1, half, nll=half, brier=half)
        read = None if truth is None else lambda truth=truth: truth
        scores(Frame('one', lambda: None, read), None, seen)
        json.dumps([scores.summary(), scores.curves()], allow_nan=False)
    figures = Scores.from_bytes(scores.to_bytes()).summary()
    assert figures == scores.summary() and figures['miou'] == figures['accuracy'] == 1
    assert figures['ece'] == pytest.approx(0.5, abs=1e-5) and figures['auroc'] is None


def test_scores_do_not_grow_with_frames_but_for_their_times():
    sizes = []
    for count in (1, 6):
        scores = score(pairs(1) * count)
        scores.densities, scores.milliseconds = [], {}
        sizes.append(sum(value.nbytes for part in [scores.matrix, *scores.parts.values()]
                         for value in vars(part).values() if isinstance(value, np.ndarray)))
    assert sizes[0] == sizes[1]


def test_proper_scores_reach_the_summary_and_are_left_out_under_a_remap():
    model = tiny_model(refines=False)
    segment = assemble(model, own_config(model), 'cpu', 'fp32', {})
    truth = np.full((32, 48), 3, np.uint8)
    truth[:3] = 255
    frames, scores = [(make_image(32, 48), truth)], Scores(segment.labels.names)
    segment_frames(segment, frames, [scores], wants=METRIC_INPUTS)
    p = segment.full_logits(frames[0][0])[0].double().div(segment.temperature).softmax(0)[:, 3:]
    one_hot = np.eye(len(p))[3][:, None, None]
    figures = scores.summary()
    assert figures['nll'] == pytest.approx(float(-p[3].log().mean()), abs=1e-5)
    assert figures['brier'] == pytest.approx(((p.numpy() - one_hot) ** 2).sum(0).mean(), abs=1e-5)
    remapped = segment.with_remap(load_remap('camvid_to_nav2'))
    seen = remapped(frames[0][0], wants=METRIC_INPUTS, truth=truth)
    assert seen.nll is None and seen.confidence is not None
