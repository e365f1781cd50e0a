# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Which frames are recorded, kept and replayed; here "recorded" frames are computed anew on the CPU.

Like a CUDA graph each has an input of its own, which serves one frame at a time. The graph itself
is tested in test_gpu.py.
"""

from __future__ import annotations

import logging
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from operators import Operators
from tiny import street_image, tiny_model

import sparse_seg_ros as ss
from sparse_seg_ros.cuda_graphs import MOST, FrameGraphs
from sparse_seg_ros.loading.assemble import assemble
from sparse_seg_ros.loading.checkpoints import save_model
from sparse_seg_ros.methods.dense import DenseConfig
from sparse_seg_ros.methods.sparse_refine import SparseRefineConfig
from sparse_seg_ros.timing import Stopwatch


class Replayed:
    """Keeps its input, as a CUDA graph does."""

    made: list[Replayed] = []

    def __init__(self, compute, size_hw, device):
        self.compute, self.device, self.calls = compute, device, 0
        self.pixels = torch.zeros((1, *size_hw, 3), dtype=torch.uint8)
        self.made.append(self)

    def __call__(self, image, clock):
        self.calls += 1
        self.pixels.copy_(torch.from_numpy(image))
        return self.compute(self.pixels, clock)


def refuse(compute, size_hw, device):
    if size_hw != (64, 96):
        return Replayed(compute, size_hw, device)
    raise torch.cuda.OutOfMemoryError('no memory for this\nand more')


@pytest.fixture(name='segment', params=['sparse_refine', 'dense'])
def make_segmenter(request, monkeypatch):
    monkeypatch.setattr(Replayed, 'made', [])
    model = tiny_model(refines=request.param != 'dense')
    if model.refiner is not None:
        torch.nn.init.normal_(model.refiner.head.weight)
        model.refiner.static_on = ('cpu',)
    config = SparseRefineConfig(alpha=1.0, budget=0.2) if model.refiner else DenseConfig('dense')
    segment = assemble(model, config, 'cpu', 'fp32', {})
    return replaying(segment, Replayed)


def replaying(segment, record):
    """Return the same, replaying; it scales on the CPU as on a GPU without kernels."""
    other = segment.with_method(segment.method)
    other.graphs = FrameGraphs(segment.normalisation, record)
    return other


def images(count, size_hw=(64, 96)):
    return [street_image(*size_hw, seed) for seed in range(count)]


def assert_same(got, want):
    assert np.array_equal(got.labels, want.labels)
    np.testing.assert_allclose(got.uncertainty, want.uncertainty, atol=1e-4)
    assert got.refined is want.refined is None or np.array_equal(got.refined, want.refined)
    assert got.milliseconds.keys() == want.milliseconds.keys() and got.is_cut is want.is_cut


def eager(segment):
    other = segment.with_method(segment.method)
    other.graphs = None
    return other


def test_frames_are_recorded_once_and_replayed_as_they_were_computed(segment):
    plain = eager(segment)
    for image in images(3):
        assert_same(segment(image), plain(image))
    assert [each.calls for each in Replayed.made] == [3]


def test_an_image_is_scaled_as_on_a_gpu_within_the_recording(segment):
    segment.graphs.normalisation.brightness = 250.0
    dark = street_image(64, 96, 0) // 4
    assert_same(segment(dark), eager(segment)(dark))


def test_another_size_or_request_is_another_recording_and_the_last_used_are_kept(segment):
    sizes = [(64, 96), (64, 64), (72, 64), (64, 72), (80, 64)]
    assert len(sizes) == MOST + 1
    for size_hw in (sizes[0], *sizes[:MOST], sizes[0], sizes[MOST], sizes[0], sizes[1]):
        segment(street_image(*size_hw, 0))
    made = [each.pixels.shape[1:3] for each in Replayed.made]
    assert made == [*sizes, sizes[1]]  # which was used longest ago when the fifth came
    segment(street_image(*sizes[0], 0), wants=('confidence',))
    assert len(Replayed.made) == len(made) + 1
    if segment.budget is not None:
        segment(street_image(*sizes[0], 0), budget=0.1)
        assert len(Replayed.made) == len(made) + 2


def test_the_memory_of_the_oldest_is_free_before_the_next_is_recorded(segment):
    alive, others = weakref.WeakSet(), []

    def record(*frame):
        others.append(len(alive))
        recording = Replayed(*frame)
        Replayed.made.clear()
        alive.add(recording)
        return recording
    segment = replaying(segment, record)
    for height in range(64, 64 + 8 * (MOST + 2), 8):
        segment(street_image(height, 64, 0))
    assert others == [*range(MOST), MOST - 1, MOST - 1]


def test_segmenters_of_other_limits_or_temperature_do_not_take_each_others(segment):
    image = street_image(64, 96, 0)
    segment(image)
    warm = segment.with_temperature(3.0)
    assert_same(warm(image), eager(warm)(image))
    assert len(Replayed.made) == 2


def test_what_is_decided_within_a_frame_or_needs_the_truth_is_not_replayed(segment):
    image = street_image(64, 96, 0)
    if segment.budget is not None:
        assert_same(segment(image, budget=lambda: 0.1), eager(segment)(image, budget=0.1))
    segment(image, wants=('proper_scores',), truth=np.zeros((64, 96), np.uint8))
    assert not Replayed.made


def test_threads_have_recordings_of_their_own_and_give_them_back(segment):
    pictures = images(2)
    want = [eager(segment)(image) for image in pictures]

    def often(index):
        return [segment(pictures[index]) for _ in range(10)]
    count = torch.get_num_threads()  # with another one, sums are taken in another order
    with ThreadPoolExecutor(2, initializer=torch.set_num_threads, initargs=(count,)) as threads:
        seen = list(threads.map(often, range(2)))
    for each, expected in zip(seen, want):
        for got in each:
            assert_same(got, expected)
    assert 1 <= len(Replayed.made) <= 2
    assert sum(each.calls for each in Replayed.made) == 20


def test_where_one_cannot_be_recorded_frames_run_without_and_one_warning_says_so(segment, caplog):
    other = replaying(segment, refuse)
    with caplog.at_level(logging.WARNING):
        for side in (64, 96, 96, 64):
            image = street_image(64, side, 0)
            assert_same(other(image), eager(segment)(image))
    assert [record.getMessage() for record in caplog.records] == [
        'no CUDA graph could be recorded (no memory for this); frames run without, as with '
        'cuda_graph: false']
    assert [each.calls for each in Replayed.made] == [1] and not other.graphs.idle


@torch.inference_mode()
def test_a_recording_in_use_when_the_memory_ends_is_not_kept(segment):
    graphs = FrameGraphs(segment.normalisation, refuse)
    with graphs.borrowed(segment.method, (64, 64), segment.request) as recording:
        assert recording is not None
        with graphs.borrowed(segment.method, (64, 96), segment.request) as other:
            assert other is None
    assert not graphs.idle


def test_frames_that_want_a_budget_are_not_replayed_and_one_warning_says_so(segment, caplog):
    image, refines = street_image(64, 96, 0), segment.budget is not None
    limits = {'budget': 1.0} if refines else {}
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert_same(segment(image, **limits), eager(segment)(image, **limits))
    assert [record.getMessage() for record in caplog.records] == [
        "frames without a 'budget' below 1 are not replayed, in spite of cuda_graph: true; set "
        "'budget'"] * refines
    assert len(Replayed.made) == (not refines)


def test_a_recording_that_fails_is_not_used_again(segment, monkeypatch):
    image = street_image(64, 96, 0)
    segment(image)

    def fail(self, image, clock):
        raise RuntimeError('lost')
    with monkeypatch.context() as patch:
        patch.setattr(Replayed, '__call__', fail)
        with pytest.raises(RuntimeError, match='lost'):
            segment(image)
    segment(image)
    assert len(Replayed.made) == 2


def test_nothing_within_a_recording_makes_the_host_wait(segment):
    segment(street_image(64, 96, 0))
    recording, = Replayed.made
    with torch.no_grad(), Operators() as ran:
        recording.compute(recording.pixels, Stopwatch())
    assert ran.waiting == [] and len(ran.shapes) > 10


def test_an_engine_with_a_stream_of_its_own_is_not_recorded(tmp_path):
    pytest.importorskip('onnxruntime')
    pytest.importorskip('onnxscript')
    with pytest.raises(ValueError, match="torch_compile or tensorrt, got 'onnxruntime'"):
        assemble(tiny_model(refines=False), DenseConfig(
            'dense', engine='onnxruntime', engine_sizes=('64x96',), engine_folder=str(tmp_path),
            cuda_graph=True), 'cpu', 'fp32', {})


@pytest.mark.parametrize(('text', 'message'), [
    ('method: sparse_refine\n', "'cuda_graph' needs a CUDA device, got cpu; leave it out"),
    ('method: dense\n', "'cuda_graph' needs a CUDA device, got cpu; leave it out")])
def test_a_cpu_has_no_graphs(tmp_path, text, message):
    save_model(tiny_model(), tmp_path / 'tiny.safetensors')
    (tmp_path / 'method.yaml').write_text(f'{text}weights: tiny.safetensors\ncuda_graph: true\n')
    with pytest.raises(ValueError, match=message):
        ss.load(tmp_path / 'method.yaml', device='cpu')
