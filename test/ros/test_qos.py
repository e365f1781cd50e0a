# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The image subscription follows its publishers, and silence has a reason."""

from __future__ import annotations

import pytest

pytest.importorskip('rclpy')

import rclpy
from rclpy.qos import ReliabilityPolicy
from ros_images import connect, image, profile, serve
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import String

from sparse_seg_ros.stream.health import input_task

RELIABLE, BEST_EFFORT = ReliabilityPolicy.RELIABLE, ReliabilityPolicy.BEST_EFFORT


@pytest.mark.parametrize('reliability', ['RELIABLE', 'BEST_EFFORT'])
def test_auto_reliability_follows_a_publisher_that_comes_later(ros, reliability):
    node = ros.segmentation()
    node.autostart()
    publisher = connect(ros, reliability=reliability)
    ros.wait(lambda: node.cameras['camera'].profile.reliability
             == ReliabilityPolicy[reliability])
    assert serve(ros, node, publisher, image()).published == 1


def test_auto_reliability_returns_to_reliable_when_the_best_effort_publisher_leaves(ros):
    node = ros.segmentation()
    node.autostart()
    camera = node.cameras['camera']
    publisher = connect(ros, reliability='BEST_EFFORT')
    ros.peer.destroy_publisher(publisher)
    ros.wait(lambda: not camera.find_publishers())
    publisher = connect(ros, reliability='RELIABLE')
    ros.wait(lambda: camera.profile.reliability == RELIABLE)
    ros.wait(publisher.get_subscription_count)
    assert serve(ros, node, publisher, image()).published == 1


def test_frames_that_arrive_while_the_node_is_busy_are_counted(ros):
    node = ros.segmentation()
    node.autostart()
    publisher = connect(ros)
    for _ in range(4):
        publisher.publish(image())  # nobody spins the node meanwhile
    counts = node.slots.counts['camera']
    ros.wait(lambda: counts.received == counts.settled == 4)


def silence(node, monkeypatch) -> str:
    camera = node.cameras['camera']
    monkeypatch.setattr(camera, 'last_seconds', camera.last_seconds - 5)
    return next(status.message for status in node.diagnostics.collect()
                if status.task == input_task())


def test_silence_without_a_publisher_says_so(ros, monkeypatch):
    node = ros.segmentation()
    node.autostart()
    message = silence(node, monkeypatch)
    assert message.startswith('no image for 5 s: 0 publishers on /image; start the camera')


def test_incompatible_qos_is_named_in_the_log_and_in_the_diagnostics(ros, monkeypatch, capfd):
    node = ros.segmentation(reliability='reliable')
    node.autostart()
    ros.peer.create_publisher(Image, 'image', profile('BEST_EFFORT'))
    ros.wait(node.cameras['camera'].find_publishers)
    text = ('1 publisher, incompatible QoS: it offers best effort, this node asks for reliable; '
            'set reliability to auto or best_effort')
    assert silence(node, monkeypatch) == f'no image for 5 s: {text}'
    ros.wait_for_log(capfd, text)


def test_silence_of_a_best_effort_publisher_names_the_profile_for_large_images(ros, monkeypatch):
    node = ros.segmentation()
    node.autostart()
    connect(ros, reliability='BEST_EFFORT')
    message = silence(node, monkeypatch)
    assert '1 publisher, nothing arrives' in message
    assert 'config/fastdds_large_images.xml' in message


@pytest.fixture
def stranger(ros):
    """Return a node in a context of its own: in one context a topic has only one type."""
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=ros.domain)
    node = rclpy.create_node('stranger', context=context)
    yield node
    node.destroy_node()
    context.shutdown()


@pytest.mark.parametrize(('transport', 'topic', 'kind', 'words'), [
    ('raw', 'image', CompressedImage, '1 publisher of CompressedImage, this node takes Image; set '
     'image_transport to compressed and remap image/compressed to this topic'),
    ('compressed', 'image/compressed', Image, '1 publisher of Image, this node takes '
     'CompressedImage; set image_transport to raw and remap image to this topic'),
    ('raw', 'image', String, '1 publisher of String, this node takes Image; remap image to the '
     'topic of the camera')], ids=['compressed', 'raw', 'string'])
def test_messages_of_another_type_are_named_with_the_cure(ros, monkeypatch, transport, topic,
                                                         kind, words, stranger):
    node = ros.segmentation(image_transport=transport)
    node.autostart()
    stranger.create_publisher(kind, topic, profile('RELIABLE'))
    ros.wait(node.cameras['camera'].find_publishers)
    assert silence(node, monkeypatch) == f'no image for 5 s: {words}'


def test_qos_overrides_of_one_output_leave_the_others_alone(ros):
    node = ros.segmentation(**{'qos_overrides./segmentation/mask.publisher.depth': 7})
    node.autostart()
    depths = {name: node.get_parameter(
        f'qos_overrides./segmentation/{name}.publisher.depth').value
        for name in ('mask', 'uncertainty', 'overlay')}
    assert depths == {'mask': 7, 'uncertainty': 1, 'overlay': 1}
