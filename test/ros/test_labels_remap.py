# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The node publishes labels of other classes where the parameter labels_remap says so."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip('rclpy')

from ros_images import connect, image
from sensor_msgs.msg import Image
from std_msgs.msg import String
from tiny import street_image, tiny_model

from sparse_seg_ros import load
from sparse_seg_ros.label_remap import load_remap
from sparse_seg_ros.loading.checkpoints import save_model
from sparse_seg_ros.messages.pixels import to_labels, to_rgb
from sparse_seg_ros.ros import label_info
from sparse_seg_ros.ros.node import load_model

NAMES = ('mask', 'color')


@pytest.fixture(name='model')
def model_file(tmp_path):
    save_model(tiny_model(), tmp_path / 'tiny.safetensors')
    return str(tmp_path / 'tiny.safetensors')


def test_mask_colours_and_label_info_have_the_classes_of_the_remap(ros, model, monkeypatch):
    monkeypatch.setattr(label_info, 'LabelInfo', String)  # vision_msgs has no wheel
    monkeypatch.setattr(label_info, 'label_info',
                        lambda header, labels: String(data=' '.join(labels.names)))
    node = ros.segmentation(load_model, model=model, device='cpu', labels_remap='camvid_to_nav2')
    outputs = {name: ros.collect(Image, f'segmentation/{name}', 1) for name in NAMES}
    node.autostart()
    infos = ros.collect(String, 'segmentation/label_info', label_info.qos.latched_profile())
    publisher = connect(ros)
    ros.wait(lambda: infos and all(
        node.cameras['camera'].publishers[name].get_subscription_count() for name in NAMES))
    publisher.publish(image(street_image()))
    ros.wait(lambda: all(outputs.values()))
    remap = load_remap('camvid_to_nav2')
    labels = remap(load(model, 'cpu')(street_image()).labels)
    assert infos[0].data == 'drivable obstacle other'
    np.testing.assert_array_equal(to_labels(outputs['mask'][0]), labels)
    np.testing.assert_array_equal(to_rgb(outputs['color'][0]), remap.labels.palette[labels])


@pytest.mark.parametrize(('remap', 'words'), [
    ('camvid_to_nav', "no remap 'camvid_to_nav' at"),
    ('cityscapes_to_nav2', "remap 'cityscapes_to_nav2' is for the classes road, sidewalk"),
])
def test_a_remap_that_the_model_cannot_have_fails_the_configuration(ros, model, remap, words):
    node = ros.segmentation(load_model, model=model, device='cpu', labels_remap=remap)
    node.autostart()
    assert node.state == 'unconfigured' and words in node.error
