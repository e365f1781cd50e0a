# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Deadlines, rates and several workers of the real node."""

from __future__ import annotations

import threading

import pytest

pytest.importorskip('rclpy')

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.parameter import Parameter
from ros_fakes import Brightness
from ros_faults import segmenter, status
from ros_images import connect, image, serve
from sensor_msgs.msg import Image

from sparse_seg_ros.messages.status import BUDGET, DEGRADED, ON_TIME, REFINED, SLACK, read_array
from sparse_seg_ros.stream.deadline_record import DEADLINE
from sparse_seg_ros.stream.health import frames_task
from sparse_seg_ros.stream.slots import OUTCOMES


class Asking(Brightness):
    """Decides its budget when it is done, as every method with one does."""

    def __call__(self, images, request, clock):
        output = super().__call__(images, request, clock)
        request.fraction()
        return output


def test_timing_and_diagnostics_tell_of_deadlines_while_there_are_any(ros):
    node = ros.segmentation(lambda config: segmenter(Asking()))
    timing = ros.collect(DiagnosticArray, '/segmentation/timing')
    node.autostart()
    publisher = connect(ros)
    assert serve(ros, node, publisher, image()).published == 1
    assert not [each for each in node.diagnostics.collect() if each.task == DEADLINE]
    assert node.set_parameters([Parameter('deadline_ms', value=5000.0)])[0].successful
    for _ in range(2):
        serve(ros, node, publisher, image())
    ros.wait(lambda: len(timing) == 3)
    without, first, second = (read_array(message)[0].values for message in timing)
    assert not {ON_TIME, DEGRADED, BUDGET, SLACK} & set(without)
    assert (first[ON_TIME], first[BUDGET]) == ('true', '0.0')  # nothing is known yet
    assert float(second[SLACK]) > 0 and float(second[BUDGET]) > 0 and REFINED in second
    assert status(node, DEADLINE).values[ON_TIME] == 2
    assert node.set_parameters([Parameter('deadline_ms', value='null')])[0].successful
    assert not [each for each in node.diagnostics.collect() if each.task == DEADLINE]


def test_a_late_frame_is_published_and_flagged(ros):
    node = ros.segmentation(lambda config: segmenter(Brightness(None, milliseconds=30.0)),
                            deadline_ms=1.0, deadline_from='arrival')
    node.autostart()
    publisher, masks = connect(ros), ros.collect(Image, 'segmentation/mask')
    ros.wait(node.cameras['camera'].publishers['mask'].get_subscription_count)
    for _ in range(3):
        serve(ros, node, publisher, image())
    ros.wait(lambda: len(masks) == 3)
    found = status(node, DEADLINE)
    assert found.level == 'WARN' and found.message.startswith(
        '3 of the last 3 frames of camera were late')


def test_lists_of_camera_settings_hold_from_the_next_frame_on(ros):
    node = ros.segmentation(cameras=['front', 'rear'], camera_max_hz=[0.1, 0.0],
                            camera_weights=[2.0, 1.0], camera_deadlines_ms=[0.0, 80.0])
    assert node.deadlines().seconds == {'rear': 0.08}
    assert node.rules().weights == {'front': 2.0, 'rear': 1.0}
    node.autostart()
    front, rear = (connect(ros, topic=f'{name}/image') for name in ('front', 'rear'))
    for publisher, camera in ((front, 'front'), (rear, 'rear')):
        for _ in range(2):
            counts = serve(ros, node, publisher, image(), camera)
        assert counts.limited == (camera == 'front')
        assert counts.received == sum(getattr(counts, name) for name in OUTCOMES) == 2
    assert status(node, frames_task('front')).values['limited'] == 1
    assert node.set_parameters([Parameter('camera_max_hz', value=[0.0, 0.0])])[0].successful
    assert serve(ros, node, front, image(), 'front').limited == 1
    refused = node.set_parameters([Parameter('camera_weights', value=[1.0])])[0]
    assert not refused.successful and 'got 1 for 2' in refused.reason


class Together(Brightness):
    """Goes on only while another thread is in it, too."""

    def __init__(self):
        super().__init__()
        self.both = threading.Barrier(2, timeout=30)

    def __call__(self, images, request, clock):
        if images.shape[2] == 40:  # not while it warms up
            self.both.wait()
        return super().__call__(images, request, clock)


def test_two_workers_segment_two_cameras_at_the_same_time(ros):
    node = ros.segmentation(lambda config: segmenter(Together()), cameras=['front', 'rear'],
                            workers=2)
    node.autostart()
    masks = {name: ros.collect(Image, f'{name}/segmentation/mask') for name in ('front', 'rear')}
    for name in masks:
        ros.wait(node.cameras[name].publishers['mask'].get_subscription_count)
    publishers = [connect(ros, topic=f'{name}/image') for name in masks]
    for _ in range(3):
        before = [node.slots.counters(name).published for name in masks]
        for publisher in publishers:
            publisher.publish(image())
        ros.wait(lambda before=before: [node.slots.counters(name).published for name in masks]
                 == [count + 1 for count in before], 'both frames')
    ros.wait(lambda: all(len(each) == 3 for each in masks.values()), 'the masks')
    assert len(node.worker.running) == 2
