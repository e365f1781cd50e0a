# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where kernels are used, and what becomes of those that do not work."""

from __future__ import annotations

import pytest
import torch

from sparse_seg_ros.kernels import switch

STAGES = ('image', 'scores', 'tables', 'ensemble', 'result')


@pytest.mark.parametrize('stage', STAGES)
def test_a_cpu_has_none(stage):
    assert switch.kernels_of(stage, 'cpu') is None


@pytest.mark.parametrize('stage', STAGES)
def test_kernels_pass_their_check(stage):
    pytest.importorskip('triton')
    assert switch.checked(stage, 'cpu').__name__.endswith(stage)


@pytest.mark.parametrize(('stage', 'name'), [
    ('image', 'normalise'), ('scores', 'entropy_map'), ('scores', 'kth_highest'),
    ('ensemble', 'ensemble')])
def test_kernels_that_compute_something_else_are_refused(stage, name, monkeypatch):
    kernels = pytest.importorskip(f'sparse_seg_ros.kernels.{stage}')
    right = getattr(kernels, name)
    monkeypatch.setattr(kernels, name, lambda *given, **named: right(*given, **named) * 1.1)
    with pytest.raises(RuntimeError, match='its results are off by'):
        switch.checked(stage, 'cpu')


@pytest.mark.parametrize('place', range(4))
def test_a_wrong_result_is_refused(place, monkeypatch):
    kernels = pytest.importorskip('sparse_seg_ros.kernels.result')
    right = kernels.finish

    def wrong(*given):
        outputs = list(right(*given))
        outputs[place] = torch.zeros_like(outputs[place])
        return outputs

    monkeypatch.setattr(kernels, 'finish', wrong)
    with pytest.raises(RuntimeError, match='its results are off by'):
        switch.checked('result', 'cpu')


def test_a_gpu_on_which_they_fail_has_torch_and_one_warning(monkeypatch):
    def fail(stage, device):
        raise RuntimeError('Failed to find C compiler')

    monkeypatch.setattr(switch, 'checked', fail)
    with pytest.warns(UserWarning, match=r"'image' is slower .* C compiler \(Failed to find"):
        assert switch.kernels_of.__wrapped__('image', 'cuda') is None


def test_what_a_kernel_fails_by_is_a_reason_not_to_use_it(monkeypatch):
    kernels = pytest.importorskip('sparse_seg_ros.kernels.scores')

    def fail(device):
        raise OSError('no driver')

    monkeypatch.setattr(kernels, 'check', fail)
    with pytest.raises(RuntimeError, match='no driver'):
        switch.checked('scores', 'cpu')
