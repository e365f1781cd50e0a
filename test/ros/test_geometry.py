# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Region and scale of the outputs, and the CameraInfo that belongs to them."""

from __future__ import annotations

import numpy as np
import pytest
from ros_fakes import make_image, make_segmenter

pytest.importorskip('rclpy')

from rclpy.parameter import Parameter
from ros_faults import status
from ros_images import OLD_STAMP, connect, image, now, serve
from sensor_msgs.msg import CameraInfo, Image, RegionOfInterest
from std_msgs.msg import Header

from sparse_seg_ros.messages.fields import LAYOUTS
from sparse_seg_ros.messages.pixels import to_labels, to_rgb
from sparse_seg_ros.messages.region import info_of_outputs, size_of_info
from sparse_seg_ros.stream.outputs import OUTPUTS

ROI = (10, 8, 40, 24)
HEADER = Header(stamp=OLD_STAMP, frame_id='lens')


def info(width: int = 60, height: int = 40, **changed) -> CameraInfo:
    """Return the CameraInfo of the right one of two cameras with a distorting lens."""
    k = [50.0, 0.5, 31.0, 0.0, 55.0, 18.0, 0.0, 0.0, 1.0]
    p = [48.0, 0.0, 30.5, -4.8, 0.0, 48.0, 19.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    return CameraInfo(header=Header(stamp=now(), frame_id='other'), width=width, height=height,
                      distortion_model='plumb_bob', d=[0.1, 0.0, 0.0, 0.0, 0.0], k=k, p=p,
                      r=np.eye(3).ravel(), **changed)


def project(matrix, points: np.ndarray) -> np.ndarray:
    """(9,) K or (12,) P and (N, 3) points -> (N, 2) pixels."""
    matrix = np.reshape(matrix, (3, -1))
    seen = np.column_stack([points, np.ones(len(points))])[:, :matrix.shape[1]] @ matrix.T
    return seen[:, :2] / seen[:, 2:]


POINTS = np.random.default_rng(0).uniform((-1, -1, 2), (1, 1, 9), (20, 3))


@pytest.mark.parametrize('scale', [1.0, 0.5, 0.3])
@pytest.mark.parametrize('region', [None, ROI])
def test_a_point_is_seen_where_the_outputs_show_it(region, scale):
    made = info_of_outputs(info(), HEADER, region, scale)
    x, y, width, height = region or (0, 0, 60, 40)
    steps = np.array([made.width / width, made.height / height])
    for name in ('k', 'p'):
        before, after = (project(getattr(each, name), POINTS) for each in (info(), made))
        np.testing.assert_allclose(after, (before - (x, y) + 0.5) * steps - 0.5)
    assert (made.width, made.height) == (round(width * scale), round(height * scale))
    assert made.header == HEADER and made.roi == RegionOfInterest()
    assert (list(made.d), list(made.r)) == (list(info().d), list(info().r))


def test_an_info_of_outputs_like_the_image_changes_in_its_header_alone():
    sent = info(roi=RegionOfInterest(x_offset=4, width=30, height=20), binning_x=2, binning_y=2)
    made = info_of_outputs(sent, HEADER, None, 1.0)
    sent.header = HEADER
    assert made == sent


def test_what_the_camera_has_cut_and_binned_is_worked_in_as_image_geometry_does():
    sent = info(240, 160, binning_x=2, binning_y=2,
                roi=RegionOfInterest(x_offset=20, y_offset=10, width=120, height=80,
                                     do_rectify=True))
    assert size_of_info(sent) == (40, 60)
    made = info_of_outputs(sent, HEADER, None, 0.5)
    binned = (project(sent.k, POINTS) - (20, 10)) / 2
    np.testing.assert_allclose(project(made.k, POINTS), (binned + 0.5) * 0.5 - 0.5)
    assert (made.width, made.height, made.binning_x, made.binning_y) == (30, 20, 0, 0)
    assert made.roi == RegionOfInterest(do_rectify=True)


def test_a_camera_without_calibration_stays_so():
    sent = CameraInfo(width=60, height=40)
    made = info_of_outputs(sent, HEADER, ROI, 0.5)
    assert not any(made.k) and not any(made.p) and (made.width, made.height) == (20, 12)


def collect(ros, node) -> tuple[dict[str, list], list]:
    """Return lists that fill with the outputs and with the CameraInfo, all connected."""
    outputs = {name: ros.collect(Image, f'segmentation/{name}', 1) for name in OUTPUTS}
    infos = ros.collect(CameraInfo, 'segmentation/camera_info', 1)
    camera = node.cameras['camera']
    ros.wait(lambda: all(topic.get_subscription_count() for topic in (
        *camera.publishers.values(), camera.calibration.publisher)), 'the connections')
    return outputs, infos


def test_every_output_has_the_size_of_region_and_scale_and_the_header_of_the_image(ros):
    node = ros.segmentation(roi=list(ROI), output_scale=0.5, max_age_seconds=0.0)
    node.autostart()
    outputs, infos = collect(ros, node)
    publisher = connect(ros)
    calibration = ros.peer.create_publisher(CameraInfo, 'camera_info', 1)
    ros.wait(calibration.get_subscription_count)
    calibration.publish(info())
    ros.wait(lambda: node.cameras['camera'].calibration.infos)
    publisher.publish(image(stamp=OLD_STAMP))
    ros.wait(lambda: infos and all(outputs.values()), 'all outputs')
    for message, in (*outputs.values(), infos):
        assert (message.header.stamp, message.header.frame_id) == (OLD_STAMP, 'lens')
        assert (message.width, message.height) == (20, 12)
    for message, in outputs.values():
        assert message.step == 20 * LAYOUTS[message.encoding][1] * (
            4 if message.encoding == '32FC1' else 1)
    x, y, width, height = ROI
    cut = make_image()[y:y + height, x:x + width]
    expected = make_segmenter()(cut)
    np.testing.assert_array_equal(to_labels(outputs['mask'][0]), expected.labels[::2, ::2])
    fine = expected.uncertainty.reshape(12, 2, 20, 2).mean((1, 3))  # linear: of four at a half
    coarse = np.frombuffer(outputs['uncertainty'][0].data, np.float32).reshape(12, 20)
    np.testing.assert_allclose(coarse, fine, atol=1e-6)
    colors = make_segmenter().labels.palette[expected.labels].astype(float)
    mean = colors.reshape(12, 2, 20, 2, 3).mean((1, 3))
    assert np.abs(to_rgb(outputs['color'][0]) - mean).max() <= 1


def test_without_a_camera_info_none_is_published_and_one_of_another_size_is_a_warning(ros, capfd):
    node = ros.segmentation()
    node.autostart()
    _, infos = collect(ros, node)
    publisher = connect(ros)
    serve(ros, node, publisher, image())
    node.cameras['camera'].calibration.receive(info(120, 80))
    serve(ros, node, publisher, image())
    node.cameras['camera'].calibration.receive(info())
    serve(ros, node, publisher, last := image())
    ros.wait(lambda: infos)
    assert [each.header for each in infos] == [last.header]
    assert '/camera_info is for images of 120x80, and those of camera are 60x40' in \
        capfd.readouterr().err


def test_an_image_is_paired_with_the_camera_info_of_its_stamp(ros):
    node = ros.segmentation(max_age_seconds=0.0)
    node.autostart()
    _, infos = collect(ros, node)
    camera, sent = node.cameras['camera'], image()
    matching = info()
    matching.header.stamp, matching.distortion_model = sent.header.stamp, 'of this stamp'
    for each in (matching, info()):
        camera.calibration.receive(each)
    serve(ros, node, connect(ros), sent)
    ros.wait(lambda: infos)
    assert infos[0].distortion_model == 'of this stamp'
    for number in range(100):
        late = info()
        late.header.stamp.nanosec = number
        camera.calibration.receive(late)
    assert len(camera.calibration.infos) <= 30


def set_roi(node, value):
    return node.set_parameters([Parameter('roi', value=value)])[0]


def test_a_region_changes_with_the_next_frame_or_is_refused_with_the_reason(ros):
    node = ros.segmentation()
    node.autostart()
    publisher, masks = connect(ros), ros.collect(Image, 'segmentation/mask', 1)
    ros.wait(node.cameras['camera'].publishers['mask'].get_subscription_count)
    serve(ros, node, publisher, image())
    assert set_roi(node, list(ROI)).successful
    serve(ros, node, publisher, image())
    assert set_roi(node, 'null').successful
    serve(ros, node, publisher, image())
    ros.wait(lambda: len(masks) == 3)
    assert [(each.width, each.height) for each in masks] == [(60, 40), (40, 24), (60, 40)]
    assert status(node, 'camera picture').values['size change since'] == 'none'
    for value, text in (([30, 0, 40, 24], 'must lie in the images of camera, which are 60x40'),
                        ([0, 0, 0, 24], 'a width and a height of at least 1'),
                        ([0, 0, 40], 'a list of 4 whole numbers or null'),
                        ([-1, 0, 40, 24], "'roi' must be at least 0")):
        result = set_roi(node, value)
        assert not result.successful and text in result.reason, result.reason
    assert node.config.roi is None


def test_an_image_that_does_not_hold_the_region_is_invalid(ros, capfd):
    node = ros.segmentation(roi=[0, 0, 61, 40])
    node.autostart()
    assert serve(ros, node, connect(ros), image()).invalid == 1
    assert 'must lie in the images of camera, which are 60x40; make it smaller' in \
        capfd.readouterr().err


def test_a_region_that_the_engine_was_not_built_for_is_refused(ros):
    segmenter = make_segmenter()
    segmenter.sizes_hw = ((24, 40),)
    node = ros.segmentation(lambda config: segmenter, roi=list(ROI))
    node.trigger_configure()
    assert node.state == 'inactive'
    result = set_roi(node, [0, 0, 30, 30])
    assert not result.successful and 'a size that the engine was built for, 40x24' in result.reason
