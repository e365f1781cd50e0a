# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Arrays -> messages -> arrays, in rclpy's messages and those of rosbags."""

from __future__ import annotations

import numpy as np
import pytest
from ros_fakes import make_image

from sparse_seg_ros.bags.bag_sink import DIAGNOSTICS, bag_image
from sparse_seg_ros.messages.fields import (
    image_fields,
    image_message,
)
from sparse_seg_ros.messages.pixels import to_labels, to_rgb
from sparse_seg_ros.messages.status import (
    AGE,
    REFINED,
    Status,
    diagnostic_array,
    frame_status,
    read_array,
    read_milliseconds,
)

sensor = pytest.importorskip('sensor_msgs.msg')
diagnostic = pytest.importorskip('diagnostic_msgs.msg')
std = pytest.importorskip('std_msgs.msg')

IMAGE = make_image(30, 50)
LEVELS = np.random.default_rng(0).random((30, 50), np.float32)


def made(array: np.ndarray, encoding: str):
    """Return the same image as a message of rclpy and of rosbags."""
    header = std.Header(frame_id='front')
    return [image_message(sensor.Image, header, array, encoding),
            bag_image(header, array, encoding)]


@pytest.mark.parametrize('library', [0, 1], ids=['rclpy', 'rosbags'])
def test_images_come_back_as_they_went(library):
    np.testing.assert_array_equal(to_rgb(made(IMAGE, 'rgb8')[library]), IMAGE)
    labels = IMAGE[:, :, 0]  # not contiguous
    message = made(labels, 'mono8')[library]
    assert (message.step, message.width, message.height) == (50, 50, 30)
    np.testing.assert_array_equal(to_labels(message), labels)


@pytest.mark.parametrize('library', [0, 1], ids=['rclpy', 'rosbags'])
def test_uncertainty_is_32fc1_little_endian(library):
    message = made(LEVELS, '32FC1')[library]
    assert (message.step, message.is_bigendian) == (200, 0)
    back = np.frombuffer(message.data, '<f4').reshape(30, 50)
    np.testing.assert_array_equal(back, LEVELS)


def test_the_message_is_a_copy():
    array = IMAGE.copy()
    message = image_message(sensor.Image, std.Header(), array, 'rgb8')
    array[:] = 0
    np.testing.assert_array_equal(to_rgb(message), IMAGE)


def test_an_array_that_does_not_fit_its_encoding_is_an_error():
    with pytest.raises(ValueError, match=r'mono8 image must be \(30, 50\) uint8, got .* float32'):
        image_fields(LEVELS, 'mono8')
    with pytest.raises(ValueError, match=r'32FC1 image must be .* float32, got \(30, 50, 3\)'):
        image_fields(IMAGE, '32FC1')


@pytest.mark.parametrize('types', [diagnostic, DIAGNOSTICS], ids=['rclpy', 'rosbags'])
def test_statuses_become_a_diagnostic_array(types):
    statuses = [Status('camera input', 'WARN', 'no image', {'rate Hz': 0.5}),
                frame_status('camera', {'dense': 12.3456, 'total': 20.0},
                             {REFINED: 0.1, AGE: 'n/a'})]
    array = diagnostic_array(types, std.Header(frame_id='front'), 'segmentation', statuses)
    first, second = array.status
    assert first.level == types.DiagnosticStatus.WARN
    assert (first.name, first.hardware_id) == ('segmentation: camera input', 'segmentation')
    assert first.values[0].key == 'rate Hz' and first.values[0].value == '0.5'
    assert second.message == '20.0 ms'
    assert {pair.key: pair.value for pair in second.values} == {
        'dense ms': '12.346', 'total ms': '20.000', 'refined': '0.1', 'age s': 'n/a'}
    assert array.header.frame_id == 'front'


@pytest.mark.parametrize('types', [diagnostic, DIAGNOSTICS], ids=['rclpy', 'rosbags'])
@pytest.mark.parametrize('level', ['OK', 'WARN', 'ERROR', 'STALE'])
def test_a_diagnostic_array_is_read_back_as_its_statuses(types, level):
    statuses = [Status('front: left input', level, 'no image: why', {'rate Hz': '0.5'}),
                frame_status('front', {'total': 20.0}, {REFINED: '0.1'})]
    back = read_array(diagnostic_array(types, std.Header(), '/robot/segmentation', statuses))
    assert back == statuses
    assert read_milliseconds(back[1]) == {'total': 20.0}
