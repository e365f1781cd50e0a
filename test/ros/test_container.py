# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The node as one of several in a process that is not its own, as in a component container."""

from __future__ import annotations

import gc
import logging
import os
import signal

import cv2
import numpy as np
import pytest
import torch

pytest.importorskip('rclpy')

from ros_fakes import make_image, make_segmenter
from ros_images import connect, image, serve
from sensor_msgs.msg import Image

from sparse_seg_ros import memory
from sparse_seg_ros.messages.pixels import to_labels
from sparse_seg_ros.ros.node import SegmentationNode

LOGGERS = (None, 'sparse_seg_ros', 'sparse_seg_ros.engines', 'torch')


def process_state() -> dict:
    """Return what of a process belongs to all who live in it."""
    loggers = [logging.getLogger(name) for name in LOGGERS]
    return {'logging': [(log.level, log.propagate, list(log.handlers)) for log in loggers],
            'signals': [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)],
            'threads': (torch.get_num_threads(), cv2.getNumThreads()),
            'environment': dict(os.environ), 'folder': os.getcwd(),
            'numbers': (np.geterr(), torch.get_default_dtype(), torch.is_grad_enabled()),
            'garbage': (gc.isenabled(), gc.get_threshold())}


def add_node(ros, namespace: str, load=None) -> SegmentationNode:
    return ros.add(SegmentationNode(load or (lambda config: make_segmenter()),
                                    namespace=namespace))


def test_a_node_changes_nothing_of_the_process_that_it_shares(ros, monkeypatch):
    monkeypatch.setattr(memory, 'keep_freed_memory', lambda: pytest.fail('not our process'))
    before, while_loading = process_state(), []

    def load(config):
        while_loading.append(process_state())
        return make_segmenter()

    node = add_node(ros, 'left', load)
    node.autostart()
    assert serve(ros, node, connect(ros, topic='left/image'), image()).published == 1
    assert process_state() == before and while_loading == [before]
    node.trigger_deactivate()
    node.trigger_cleanup()
    assert process_state() == before


def test_two_nodes_in_a_process_serve_each_its_own_images_and_one_outlives_the_other(ros):
    left, right = add_node(ros, 'left'), add_node(ros, 'right')
    masks = {side: ros.collect(Image, f'{side}/segmentation/mask', 1)
             for side in ('left', 'right')}
    for node in (left, right):
        node.autostart()
    sent = {'left': make_image(seed=1), 'right': make_image(seed=2)}
    publishers = {side: connect(ros, topic=f'{side}/image') for side in sent}
    ros.wait(lambda: all(node.cameras['camera'].publishers['mask'].get_subscription_count()
                         for node in (left, right)))
    for side, array in sent.items():
        publishers[side].publish(image(array))
    ros.wait(lambda: all(masks.values()), 'a mask of each')
    for side, array in sent.items():
        np.testing.assert_array_equal(to_labels(masks[side][0]), array[:, :, 1] > 127)
    left.trigger_deactivate()
    left.trigger_cleanup()
    ros.executor.remove_node(left)
    left.destroy_node()
    ros.nodes.remove(left)
    assert serve(ros, right, publishers['right'], image()).published == 2
