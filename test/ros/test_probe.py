# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The client of demo and bench waits for its node, but not for one that hangs or fails."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from ros_fakes import make_image, make_segmenter

pytest.importorskip('rclpy')

from diagnostic_msgs import msg as diagnostic_types
from ros_faults import status
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from sparse_seg_ros.bags.bag_messages import DIAGNOSTIC_ARRAY, IMAGE
from sparse_seg_ros.messages.status import diagnostic_array, read_array, read_milliseconds
from sparse_seg_ros.stream import health
from sparse_seg_ros.stream.slots import Counters


def run(ros, act, *arguments):
    """Let the probe wait in a thread, as in a process of its own, while the nodes are served."""
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(act, *arguments)
        ros.wait(future.done, 'the end of the waiting')
    return future.result()


def test_images_are_answered_and_counted(ros, probe):
    masks, times = [], []
    probe.listen('segmentation/mask', IMAGE, lambda topic, raw: masks.append((topic, raw)), True)
    probe.listen('segmentation/timing', DIAGNOSTIC_ARRAY, lambda _, message: times.append(message))
    node = ros.segmentation()
    node.autostart()
    run(ros, probe.wait_until_ready)
    stamp = probe.send(make_image())
    counters = run(ros, probe.wait_until_settled, 1)
    assert (counters['received'], counters['published']) == (1, 1)
    assert counters == {name: getattr(node.slots.counters('camera'), name) for name in counters}
    run(ros, probe.wait, lambda: masks and times, 5.0, 'no answer')
    (topic, raw), timing = masks[0], times[0]
    assert topic == '/segmentation/mask' and isinstance(raw, bytes)
    assert timing.header.stamp.sec * 10 ** 9 + timing.header.stamp.nanosec == stamp
    assert read_milliseconds(read_array(timing)[0])['total'] > 0


def test_a_node_whose_engine_fell_back_on_torch_is_ready(ros, probe):
    segmenter = make_segmenter()
    segmenter.description[health.FALLBACK] = 'engine tensorrt: not installed'
    node = ros.segmentation(lambda config: segmenter)
    node.autostart()
    assert status(node, health.ENGINE).level == 'WARN'
    run(ros, probe.wait_until_ready)


def test_an_error_of_the_node_ends_the_waiting_at_once(ros, probe):
    def fail(config):
        raise ValueError('no such model')

    node = ros.segmentation(fail)
    node.autostart()
    with pytest.raises(ChildProcessError, match='the node says: .*no such model'):
        run(ros, probe.wait_until_ready)


def test_an_error_in_what_listens_is_raised_where_somebody_waits(ros, probe):
    def fill_the_disk(topic, message):
        raise OSError('no space left')

    probe.listen('segmentation/mask', IMAGE, fill_the_disk)
    publisher = ros.peer.create_publisher(Image, 'segmentation/mask', 10)
    ros.wait(publisher.get_subscription_count)
    publisher.publish(Image())
    with pytest.raises(OSError, match='no space left'):
        probe.wait(lambda: False, 20.0, 'nothing went wrong')


def test_a_model_that_hangs_ends_the_waiting(ros, probe, monkeypatch):
    monkeypatch.setattr('sparse_seg_ros.ros.probe.READY_SECONDS', 0.2)
    publisher = ros.peer.create_publisher(diagnostic_types.DiagnosticArray, '/diagnostics', 10)
    hangs = health.frames_status('camera', Counters(received=1), Counters(), {})
    report = diagnostic_array(diagnostic_types, Header(), '/segmentation', [hangs])
    ros.peer.create_timer(0.05, lambda: publisher.publish(report))
    with pytest.raises(TimeoutError, match='finishes no frame; does its model hang'):
        run(ros, probe.wait_until_settled, 2)
