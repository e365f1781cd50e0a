# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The stopwatch on a device that works on its own: a stand-in for CUDA's streams and events.

The device's clock goes on while it works, and only then; the host waits where it says so.
"""

from __future__ import annotations

import threading
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from tiny import street_image, tiny_model

from sparse_seg_ros.device import own_stream
from sparse_seg_ros.loading.assemble import assemble
from sparse_seg_ros.methods.sparse_refine import SparseRefineConfig
from sparse_seg_ros.timing import Stopwatch, clocked


class Device:
    """Milliseconds of work that were queued, and how often the host has waited for them."""

    def __init__(self):
        self.queued, self.waits = 0.0, 0

    def current_stream(self, device: torch.device) -> Device:
        return self

    def synchronize(self) -> None:
        self.waits += 1

    def wait_stream(self, other: Device) -> None:
        assert other is self


@pytest.fixture(name='device')
def replace_cuda(monkeypatch) -> Device:
    device = Device()

    class Event:
        def __init__(self, enable_timing: bool):
            assert enable_timing

        def record(self, stream: Device) -> None:
            self.moment = stream.queued

        def synchronize(self) -> None:
            device.synchronize()

        def elapsed_time(self, later: Event) -> float:
            assert device.waits, 'the times are not known yet'
            return later.moment - self.moment

    monkeypatch.setattr(torch.cuda, 'Event', Event)
    monkeypatch.setattr(torch.cuda, 'current_stream', device.current_stream)
    monkeypatch.setattr(torch.cuda, 'Stream', lambda _: device)
    monkeypatch.setattr(torch.cuda, 'stream', nullcontext)
    monkeypatch.setattr('sparse_seg_ros.device.OWN', threading.local())
    return device


def test_stages_are_the_time_of_the_device_and_the_host_waits_once(device):
    clock = Stopwatch('cuda')
    for stage, milliseconds in (('dense', 5.0), ('label', 2.0), ('dense', 0.5)):
        with clock(stage):
            device.queued += milliseconds
        device.queued += 100.0  # of no stage
    assert device.waits == 0
    assert clock.milliseconds == {'dense': 5.5, 'label': 2.0} and device.waits == 1


def test_a_stage_inside_another_is_charged_alone(device):
    clock = Stopwatch('cuda')
    with clock('outer'):
        device.queued += 1.0
        with clock('inner'):
            device.queued += 20.0
        device.queued += 3.0
        with clock('inner'):
            device.queued += 4.0
    assert clock.milliseconds == {'outer': 4.0, 'inner': 24.0}


def test_a_stage_that_fails_ends(device):
    clock = Stopwatch('cuda')
    with pytest.raises(KeyError), clock('dense'):
        device.queued += 1.0
        raise KeyError
    with clock('label'):
        device.queued += 2.0
    assert clock.milliseconds == {'dense': 1.0, 'label': 2.0}


def test_a_stage_that_is_not_over_is_not_counted_yet(device):
    clock = Stopwatch('cuda')
    assert clock.milliseconds == {} and device.waits == 0
    with clock('dense'):
        device.queued += 1.0
    with clock('select'):
        assert clock.milliseconds == {'dense': 1.0}


def test_a_call_is_clocked_until_the_device_has_done_it(device):
    def work():
        device.queued += 30.0
    assert clocked(work, 'cuda') == pytest.approx(0.03) and device.waits == 1


def test_each_thread_has_one_stream_of_its_own_on_each_device(device, monkeypatch):
    made = []
    monkeypatch.setattr(torch.cuda, 'Stream', lambda where: made.append(where) or device)

    def take():
        for number in (0, 1, 0):
            with own_stream(torch.device('cuda', number)):
                pass
    for thread in [threading.Thread(target=take) for _ in range(2)]:
        thread.start()
        thread.join()
    assert [where.index for where in made] == [0, 1, 0, 1]
    with own_stream(torch.device('cpu')):
        assert len(made) == 4


def test_a_budget_is_decided_once_the_device_has_done_the_dense_stage(device):
    decide = Stopwatch('cuda').then(lambda: device.waits / 10)
    assert device.waits == 0 and decide() == 0.1
    assert Stopwatch('cpu').then(lambda: 0.3)() == 0.3 and device.waits == 1


@pytest.mark.parametrize('budget, waits', [(0.1, 1), (lambda: 0.1, 2)], ids=['fixed', 'decided'])
def test_the_host_waits_for_a_frame_once_to_read_its_times(device, budget, waits):
    segment = assemble(tiny_model(), SparseRefineConfig(alpha=1.0), 'cpu', 'fp32', {})
    image = street_image()
    want = segment(image, budget=0.1)
    segment.device = torch.device('cuda')  # of its stopwatch
    seen = segment(image, budget=budget)
    assert np.array_equal(seen.labels, want.labels) and device.waits == waits
    assert seen.milliseconds.keys() == want.milliseconds.keys()
