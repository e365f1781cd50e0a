# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The node says of itself what is true now."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip('rclpy')

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.parameter import Parameter
from ros_fakes import LABELS, Brightness, make_image
from ros_faults import segmenter, status
from ros_images import connect, image, serve
from sensor_msgs.msg import Image
from std_msgs.msg import String

from sparse_seg_ros.ros import label_info
from sparse_seg_ros.ros.node import SegmentationNode
from sparse_seg_ros.stream.health import IMAGE, NODE, RATE, frames_task, input_task
from sparse_seg_ros.stream.outputs import OUTPUTS
from sparse_seg_ros.stream.picture_health import picture_task

WHITE = np.full((40, 60, 3), 255, np.uint8)


def test_statuses_carry_the_full_name_of_the_node(ros):
    health = ros.collect(DiagnosticArray, '/diagnostics')
    ros.add(SegmentationNode(lambda config: segmenter(Brightness()), namespace='robot'))
    names = ('/robot/segmentation: engine', '/robot/segmentation')
    ros.wait(lambda: names in [(message.status[0].name, message.status[0].hardware_id)
                               for message in health], 'diagnostics with the full name')


def test_a_second_node_of_the_same_name_is_a_warning_in_log_and_diagnostics(ros, capfd):
    node, second = ros.segmentation(), ros.segmentation()
    for each in (node, second):
        ros.wait(lambda each=each: status(each, NODE).level == 'WARN', 'the warning')
    text = '2 nodes are called /segmentation: end the others'
    assert status(node, NODE).message.startswith(text)
    assert text in capfd.readouterr().err


def test_another_publisher_of_the_mask_is_a_warning(ros):
    node = ros.segmentation()
    node.autostart()
    assert status(node, NODE).level == 'OK'
    ros.peer.create_publisher(Image, 'segmentation/mask', 1)
    ros.wait(lambda: status(node, NODE).level == 'WARN', 'the warning')
    assert status(node, NODE).message.startswith(
        '/segmentation/mask is published by /peer, too: end it')


def test_only_failing_frames_are_an_error(ros, long_memory):
    node = ros.segmentation()
    node.autostart()
    publisher = connect(ros)
    for number in range(1, 11):
        assert serve(ros, node, publisher, image(WHITE)).failed == number
        assert status(node, frames_task()).level == ('WARN' if number < 10 else 'ERROR')
    assert status(node, frames_task()).message == (
        '10 failed in the last 600 s, see the log; none of the last 10 could be segmented')
    serve(ros, node, publisher, image())
    assert status(node, frames_task()).level == 'WARN'


def test_the_input_says_images_arrive_only_while_they_do(ros):
    node = ros.segmentation()
    node.trigger_configure()
    assert status(node, input_task()).message == 'not active, so no images are taken'
    node.trigger_activate()
    assert status(node, input_task()).message == 'waiting for the first image'
    publisher = connect(ros)
    for _ in range(3):
        serve(ros, node, publisher, image())
    found = status(node, input_task())
    assert found.message == 'images arrive' and float(found.values[RATE]) > 0
    camera = node.cameras['camera']
    camera.last_seconds -= 5
    camera.arrivals = [moment - 5 for moment in camera.arrivals]
    found = status(node, input_task())
    assert found.level == 'WARN' and found.values[RATE] == '0.0'


def test_a_foreign_string_is_cut_in_log_and_diagnostics(ros, capfd):
    node = ros.segmentation()
    node.autostart()
    assert serve(ros, node, connect(ros), image(encoding='x' * 100_000)).invalid == 1
    assert len(status(node, input_task()).values[IMAGE]) < 250
    assert len(capfd.readouterr().err) < 5000
    result = node.set_parameters([Parameter('uncertainty_encoding', value='y' * 100_000)])[0]
    assert not result.successful and len(result.reason) <= 1000


class Plain(Brightness):
    """Merges no tokens."""

    optional = ('confidence',)


def test_merged_is_advertised_by_models_that_merge_only(ros):
    node = ros.segmentation(lambda config: segmenter(Plain()))
    node.autostart()
    assert set(node.cameras['camera'].publishers) == set(OUTPUTS) - {'merged'}
    assert not node.cameras['camera'].wants('merged', node.config)
    assert serve(ros, node, connect(ros), image()).published == 1


def test_label_info_is_beside_every_mask(ros, monkeypatch):
    # vision_msgs is optional and has no wheel: a string stands in for its message.
    monkeypatch.setattr(label_info, 'LabelInfo', String)
    monkeypatch.setattr(label_info, 'label_info',
                        lambda header, labels: String(data=' '.join(labels.names)))
    topics = [f'{name}/segmentation/label_info' for name in ('front', 'rear')]
    node = ros.segmentation(cameras=['front', 'rear'])
    node.trigger_configure()
    for topic in topics:
        messages = ros.collect(String, topic, label_info.qos.latched_profile())
        ros.wait(lambda messages=messages: messages, topic)
        assert messages[0].data == ' '.join(LABELS.names)
    node.trigger_cleanup()
    ros.wait(lambda: not any(map(ros.peer.count_publishers, topics)), 'the end of the topics')


def test_a_frozen_picture_is_told_and_nothing_is_looked_at_where_that_is_off(ros):
    node = ros.segmentation()
    node.autostart()
    publisher = connect(ros)
    for seed in range(2):
        serve(ros, node, publisher, image(make_image(seed=seed)))
    assert status(node, picture_task('camera')).message == 'no faults'
    for _ in range(6):
        serve(ros, node, publisher, image())
    found = status(node, picture_task('camera'))
    assert found.level == 'ERROR' and found.message.startswith('frozen: the picture stays the')
    node.set_parameters([Parameter('check_pictures', value=False)])
    looks = node.worker.pictures.cameras['camera'].look
    serve(ros, node, publisher, image(make_image(seed=3)))
    assert node.worker.pictures.cameras['camera'].look is looks
    found = status(node, picture_task('camera'))
    assert (found.level, found.message) == ('OK', 'not checked, as check_pictures is false')
