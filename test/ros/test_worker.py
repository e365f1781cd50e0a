# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Frames that come too late, models that hang, threads that end: nothing of it stays unsaid."""

from __future__ import annotations

import re
import threading

import numpy as np
import pytest

pytest.importorskip('rclpy')

from builtin_interfaces.msg import Time
from rclpy.duration import Duration
from ros_faults import Deadly, Held, segmenter, status
from ros_images import OLD_STAMP, connect, image, serve, set_clock
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image

from sparse_seg_ros.stream.health import (
    ENGINE,
    INACTIVE,
    LAST_AGE,
    LAST_LOSS,
    NODE,
    TIMING,
    frames_task,
    input_task,
)
from sparse_seg_ros.stream.recovery import MOST_DEATHS

WHITE = np.full((40, 60, 3), 255, np.uint8)


@pytest.fixture
def held(ros):
    """Return a method that can be made to hang, its node, active, and a camera."""
    method = Held()
    node = ros.segmentation(lambda config: segmenter(method))
    node.autostart()
    yield method, node, connect(ros)
    method.free.set()


def hang(ros, method, publisher, **changed) -> None:
    """Make the method hang in a frame."""
    method.hold()
    publisher.publish(image(**changed))
    ros.wait(method.entered.is_set, 'a frame in the model')


def test_a_hung_model_is_an_overrun_and_then_an_error(ros, held):
    method, node, publisher = held
    hang(ros, method, publisher)
    publisher.publish(image())
    ros.wait(lambda: node.slots.counters('camera').waiting == 2)
    ros.wait(lambda: status(node, TIMING).level == 'WARN', 'an overrun')
    assert status(node, frames_task()).level == 'OK'
    node.slots.moved_seconds -= 20
    frames = status(node, frames_task())
    assert frames.level == 'ERROR'
    assert re.match(r'2 waiting, and nothing has become of any frame for \d+ s', frames.message)
    method.free.set()
    ros.wait(lambda: status(node, frames_task()).level == 'OK', 'the end of the error')


def test_while_the_gate_closes_no_camera_is_called_silent(ros, held):
    method, node, publisher = held
    hang(ros, method, publisher)
    closing = threading.Thread(target=node.trigger_deactivate)
    closing.start()
    ros.wait(lambda: not node.slots.is_open, 'the closed gate')
    node.cameras['camera'].last_seconds -= 60
    found = status(node, input_task())
    method.free.set()
    closing.join()
    assert (found.level, found.message) == ('OK', 'not active, so no images are taken')


def test_a_mask_that_is_ready_after_deactivate_has_answered_is_not_published(ros, held,
                                                                             monkeypatch):
    monkeypatch.setattr('sparse_seg_ros.ros.node.DRAIN_SECONDS', 0.0)
    method, node, publisher = held
    masks = ros.collect(Image, 'segmentation/mask')
    ros.wait(node.cameras['camera'].publishers['mask'].get_subscription_count)
    hang(ros, method, publisher)
    node.trigger_deactivate()
    assert node.state == 'inactive'
    counts = node.slots.counters('camera')
    assert (counts.received, counts.abandoned, counts.superseded) == (1, 1, 0)
    method.free.set()
    node.trigger_activate()
    serve(ros, node, publisher, image(stamp=(late := image().header.stamp)))
    ros.wait(lambda: masks)
    assert [mask.header.stamp for mask in masks] == [late]
    assert node.slots.counters('camera').published == 1


def test_a_model_that_hangs_is_left_behind_by_cleanup_and_a_new_one_serves(ros, held, monkeypatch,
                                                                            capfd):
    monkeypatch.setattr('sparse_seg_ros.ros.node.DRAIN_SECONDS', 0.0)
    method, node, publisher = held
    hang(ros, method, publisher)
    left_behind = node.worker.running[0]
    node.trigger_deactivate()
    node.trigger_cleanup()
    assert node.state == 'unconfigured'
    assert 'its thread and its memory are left behind' in capfd.readouterr().err
    node.load = lambda config: segmenter(Held())
    node.autostart()
    assert serve(ros, node, connect(ros), image()).published == 1
    method.free.set()
    left_behind.join(30)
    assert not left_behind.is_alive()
    assert serve(ros, node, publisher, image()).published == 2
    assert node.slots.counters('camera').abandoned == 1
    assert len(node.diagnostics.times.times['total']) == 2  # the new model's alone


def test_a_thread_that_keeps_ending_takes_the_node_to_inactive_and_activating_begins_afresh(
        ros, capfd):
    node = ros.segmentation(lambda config: segmenter(Deadly()))
    node.autostart()
    publisher = connect(ros)
    assert serve(ros, node, publisher, image(WHITE)).failed == 1
    assert serve(ros, node, publisher, image()).published == 1
    found = status(node, NODE)
    assert found.level == 'WARN'
    assert 'ended and was started again (SystemExit: the library ends)' in found.message
    assert 'SystemExit: the library ends; it is started again' in capfd.readouterr().err
    for number in range(2, MOST_DEATHS + 2):
        assert serve(ros, node, publisher, image(WHITE)).failed == number
    ros.wait(lambda: node.state == INACTIVE, 'the end of the node being active')
    why = 'the thread that segments ended 4 times in 60 s, at last by SystemExit: the library ends'
    assert node.error.startswith(f'deactivated: {why}')
    ros.wait_for_log(capfd, why)
    assert status(node, ENGINE).level == 'ERROR' and why in status(node, ENGINE).message
    found = status(node, NODE)
    assert found.level == 'ERROR'
    assert 'ended 4 times, and stays ended until the node is activated again' in found.message
    node.trigger_activate()
    assert node.worker.running[0].is_alive() and not node.error
    assert serve(ros, node, publisher, image()).published == 2
    assert status(node, NODE).level == status(node, ENGINE).level == 'OK'
    counts = node.slots.counters('camera')
    assert (counts.received, counts.failed, counts.waiting) == (2 + 4, 4, 0)


UNUSABLE = {'zero': lambda now: Time(), 'of a bag': lambda now: OLD_STAMP,
            'an hour old': lambda now: (now - Duration(seconds=3601.0)).to_msg(),
            'in the future': lambda now: (now + Duration(seconds=9.0)).to_msg(),
            'old': lambda now: (now - Duration(seconds=9.0)).to_msg()}


def test_images_that_are_old_or_of_unknown_age_are_dropped_with_the_cure(ros, capfd, long_memory):
    node = ros.segmentation(max_age_seconds=5.0)
    node.autostart()
    publisher = connect(ros)
    for number, stamp in enumerate(UNUSABLE.values(), 1):
        counts = serve(ros, node, publisher, image(stamp=stamp(node.get_clock().now())))
        assert (counts.stale, counts.published) == (number, 0)
    assert serve(ros, node, publisher, image()).published == 1
    frames = status(node, frames_task())
    assert (frames.level, frames.message) == ('WARN', '5 stale in the last 600 s, see the log')
    log = capfd.readouterr().err
    assert 'its age is unknown: the stamp is zero; let the camera driver stamp its images' in log


def test_every_camera_says_why_it_loses_images_whatever_the_others_lose(ros, capfd):
    node = ros.segmentation(cameras=['front', 'rear'])
    node.autostart()
    front, rear = (connect(ros, topic=f'{name}/image') for name in ('front', 'rear'))
    serve(ros, node, front, image(stamp=Time()), 'front')
    serve(ros, node, front, image(encoding='martian'), 'front')
    serve(ros, node, rear, image(encoding='lunar'), 'rear')
    log = capfd.readouterr().err
    assert 'front: image dropped: its age is unknown: the stamp is zero' in log
    assert "front: image dropped: image encoding 'martian' is not known" in log
    assert "rear: image dropped: image encoding 'lunar' is not known" in log
    assert "'martian' is not known" in status(node, frames_task('front')).values[LAST_LOSS]
    assert "'lunar' is not known" in status(node, frames_task('rear')).values[LAST_LOSS]
    serve(ros, node, rear, image(encoding='lunar'), 'rear')
    assert 'lunar' not in capfd.readouterr().err  # so soon


def test_all_images_are_kept_where_the_limit_is_off(ros):
    node = ros.segmentation(max_age_seconds=0.0)
    node.autostart()
    assert serve(ros, node, connect(ros), image(stamp=OLD_STAMP)).published == 1
    frames = status(node, frames_task())
    assert frames.level == 'OK' and 'days behind the clock' in frames.values[LAST_AGE]


def test_the_age_is_looked_at_again_before_publishing(ros, capfd):
    method = Held()
    node = ros.segmentation(lambda config: segmenter(method), use_sim_time=True)
    node.autostart()
    publisher, clock = connect(ros), ros.peer.create_publisher(Clock, '/clock', 1)
    set_clock(ros, node, clock, OLD_STAMP)
    hang(ros, method, publisher, stamp=OLD_STAMP)
    set_clock(ros, node, clock, Time(sec=OLD_STAMP.sec + 3, nanosec=OLD_STAMP.nanosec))
    method.free.set()
    ros.wait(lambda: node.slots.counters('camera').settled == 1, 'the outcome')
    counts = node.slots.counters('camera')
    assert (counts.stale, counts.published) == (1, 0)
    assert 'image segmented, but not published: 3.00 s old' in capfd.readouterr().err
    assert node.diagnostics.times.times.get('total')


def test_under_simulated_time_images_wait_for_the_clock_and_follow_it(ros, capfd):
    node = ros.segmentation(use_sim_time=True)
    node.autostart()
    publisher = connect(ros)
    assert serve(ros, node, publisher, image(stamp=OLD_STAMP)).stale == 1
    set_clock(ros, node, ros.peer.create_publisher(Clock, '/clock', 1), OLD_STAMP)
    assert serve(ros, node, publisher, image(stamp=OLD_STAMP)).published == 1
    assert 'use_sim_time is true, but no time arrives on /clock' in capfd.readouterr().err
