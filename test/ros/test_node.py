# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the node publishes for the images of its cameras."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ros_fakes import LABELS, Brightness, make_image

pytest.importorskip('rclpy')

from diagnostic_msgs.msg import DiagnosticArray
from ros_images import OLD_STAMP, connect, image, jpeg, serve
from sensor_msgs.msg import CompressedImage, Image
from tiny import TinyPooling, street_image, tiny_model

from sparse_seg_ros.loading.checkpoints import save_model
from sparse_seg_ros.messages.pixels import to_labels, to_rgb
from sparse_seg_ros.messages.status import AGE, REFINED, read_array, read_milliseconds
from sparse_seg_ros.networks import NETWORKS
from sparse_seg_ros.ros.node import load_model
from sparse_seg_ros.stream.health import THREADS
from sparse_seg_ros.stream.outputs import OUTPUTS

TRUTH = (make_image()[:, :, 1] > 127).astype(np.uint8)


def collect_outputs(ros, prefix='segmentation') -> dict[str, list]:
    return {name: ros.collect(Image, f'{prefix}/{name}', 1) for name in OUTPUTS}


def all_matched(node, names=OUTPUTS) -> bool:
    return all(camera.publishers[name].get_subscription_count()
               for camera in node.cameras.values() for name in names)


def test_every_output_has_the_header_and_size_of_the_image(ros):
    node, outputs = ros.segmentation(max_age_seconds=0.0), collect_outputs(ros)
    timing = ros.collect(DiagnosticArray, 'segmentation/timing')
    node.autostart()
    publisher = connect(ros)
    ros.wait(lambda: all_matched(node) and node.diagnostics.timing.get_subscription_count())
    publisher.publish(image(stamp=OLD_STAMP))
    ros.wait(lambda: all(outputs.values()) and timing)
    encodings = {}
    for name, messages in outputs.items():
        message, = messages
        assert (message.header.stamp, message.header.frame_id) == (OLD_STAMP, 'lens')
        assert (message.height, message.width) == (40, 60)
        encodings[name] = message.encoding
    assert encodings == {'mask': 'mono8', 'uncertainty': '32FC1', 'refined': 'mono8',
                         'confidence': 'mono8', 'merged': 'rgb8', 'color': 'rgb8',
                         'overlay': 'rgb8'}
    np.testing.assert_array_equal(to_labels(outputs['mask'][0]), TRUTH)
    np.testing.assert_array_equal(to_rgb(outputs['color'][0]), LABELS.palette[TRUTH])
    assert set(np.unique(to_labels(outputs['refined'][0]))) == {0, 255}
    merged = to_rgb(outputs['merged'][0])
    assert (merged[20:] == 32).all() and (merged[:20] == merged[0, 0]).all()
    check_timing(timing[0])


def check_timing(message):
    assert (message.header.stamp, message.header.frame_id) == (OLD_STAMP, 'lens')
    status, = read_array(message)
    assert message.status[0].name == '/segmentation: camera timing'
    assert status.values[AGE] == 'n/a' and 0 < float(status.values[REFINED]) < 1
    times = read_milliseconds(status)
    assert times['total'] >= times['segment'] >= times['dense']


def test_lazy_outputs_are_made_only_while_somebody_listens(ros):
    node = ros.segmentation()
    node.autostart()
    camera = node.cameras['camera']
    assert [name for name in OUTPUTS if camera.wants(name, node.config)] == ['mask']
    publisher, overlays = connect(ros), ros.collect(Image, 'segmentation/overlay', 1)
    ros.wait(lambda: camera.wants('overlay', node.config))
    serve(ros, node, publisher, image())
    ros.wait(lambda: overlays)


def test_live_parameters_apply_on_the_next_frame(ros):
    node, outputs = ros.segmentation(), collect_outputs(ros)
    node.autostart()
    publisher = connect(ros)
    ros.wait(lambda: all_matched(node))
    from rclpy.parameter import Parameter
    for name, value in (('overlay_alpha', 0.0), ('uncertainty_encoding', 'mono8'),
                        ('alpha', 0.6931)):
        assert node.set_parameters([Parameter(name, value=value)])[0].successful
    publisher.publish(image())
    ros.wait(lambda: all(outputs.values()))
    np.testing.assert_array_equal(to_rgb(outputs['overlay'][0]), make_image())
    assert outputs['uncertainty'][0].encoding == 'mono8'
    assert not to_labels(outputs['refined'][0]).any()
    assert all(result.successful for result in node.set_parameters([
        Parameter('alpha', value='null'), Parameter('publish_uncertainty', value=False)]))
    publisher.publish(image())
    ros.wait(lambda: len(outputs['refined']) == 2)
    assert to_labels(outputs['refined'][1]).any()  # the model's own value again
    assert len(outputs['uncertainty']) == 1


def test_the_threads_asked_for_compute_and_the_diagnostics_say_so(ros, monkeypatch):
    node, used, compute = ros.segmentation(threads=3), [], Brightness.__call__
    node.autostart()
    monkeypatch.setattr(Brightness, '__call__', lambda *given: (
        used.append(torch.get_num_threads()), compute(*given))[1])
    serve(ros, node, connect(ros), image())
    assert node.diagnostics.collect()[0].values[THREADS] == '3' and used == [3]


BAD = {
    'unknown encoding': ({'encoding': '16SC1'}, "encoding '16SC1' is not known"),
    'short data': ({'height': 41}, 'the message was cut short'),
    'step smaller than width': ({'step': 59}, 'must be at least 180 bytes, got 59'),
    'too many pixels': ({'width': 9000, 'height': 9000}, 'raise max_pixels'),
    'zero size': ({'width': 0}, 'must have pixels'),
}


@pytest.mark.parametrize('name', BAD)
def test_a_bad_image_is_counted_and_logged_and_the_next_good_one_is_served(ros, name, capfd):
    node = ros.segmentation()
    node.autostart()
    publisher = connect(ros)
    changed, text = BAD[name]
    assert serve(ros, node, publisher, image(**changed)).invalid == 1
    counts = serve(ros, node, publisher, image())
    assert (counts.received, counts.invalid, counts.published) == (2, 1, 1)
    assert text in capfd.readouterr().err


def test_a_truncated_jpeg_is_counted_and_the_next_good_one_is_served(ros, capfd):
    node = ros.segmentation(image_transport='compressed')
    node.autostart()
    publisher = connect(ros, CompressedImage, 'image/compressed')
    assert serve(ros, node, publisher, jpeg(end=-50)).invalid == 1
    assert serve(ros, node, publisher, jpeg()).published == 1
    assert 'is truncated' in capfd.readouterr().err


def test_a_frame_on_which_the_model_fails_does_not_stop_the_rest(ros, capfd):
    node = ros.segmentation()
    node.autostart()
    publisher = connect(ros)
    assert serve(ros, node, publisher, image(np.full((40, 60, 3), 255, np.uint8))).failed == 1
    assert serve(ros, node, publisher, image()).published == 1
    assert 'frame failed: RuntimeError: the first pixel is white' in capfd.readouterr().err


def test_two_cameras_have_namespaces_counters_and_one_model(ros):
    node = ros.segmentation(cameras=['front', 'rear'])
    masks = {name: ros.collect(Image, f'{name}/segmentation/mask', 1)
             for name in ('front', 'rear')}
    node.autostart()
    ros.wait(lambda: all_matched(node, ['mask']))
    for name in masks:
        serve(ros, node, connect(ros, topic=f'{name}/image'), image(), name)
    ros.wait(lambda: all(masks.values()))
    tasks = [status.task for status in node.diagnostics.collect()]
    assert tasks == ['engine', 'timing', 'memory', 'node', 'front input', 'front frames',
                     'front picture', 'rear input', 'rear frames', 'rear picture']


def test_a_model_on_an_engine_is_built_logged_and_served_at_its_size(ros, tmp_path, monkeypatch,
                                                                     capfd, caplog):
    pytest.importorskip('onnxruntime')
    pytest.importorskip('onnxscript')
    monkeypatch.setitem(NETWORKS, 'pooling', TinyPooling)
    save_model(tiny_model(refines=False, network='pooling'), tmp_path / 'tiny.safetensors')
    (tmp_path / 'method.yaml').write_text(
        'method: dense\nweights: tiny.safetensors\nengine: onnxruntime\n'
        'engine_sizes: [96x128]\nengine_folder: engines\n')
    node = ros.segmentation(load_model, model=str(tmp_path / 'method.yaml'), device='cpu')
    node.autostart()
    assert node.state == 'active'
    engine = node.diagnostics.collect()[0]
    assert engine.level == 'OK' and engine.values['engine'].startswith('onnxruntime ')
    publisher = connect(ros)
    assert serve(ros, node, publisher, image(street_image(96, 128))).published == 1
    assert serve(ros, node, publisher, image()).invalid == 1  # 40x60
    log = capfd.readouterr().err
    assert 'is built: ' in caplog.text and 'was built for images of 96x128' in log
