# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""~/set_enabled pauses the node, ~/snapshot keeps its next frame for a bug report."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest
from ros_fakes import make_image

pytest.importorskip('rclpy')

from rclpy.executors import SingleThreadedExecutor
from ros_faults import Held, segmenter, status
from ros_images import connect, image, jpeg, serve
from sensor_msgs.msg import CompressedImage
from std_srvs.srv import SetBool, Trigger

from sparse_seg_ros.ros import services
from sparse_seg_ros.stream import snapshot
from sparse_seg_ros.stream.health import ENABLED, ENGINE, input_task

WHITE = np.full((40, 60, 3), 255, np.uint8)


def set_enabled(ros, value: bool):
    return ros.call(SetBool, 'segmentation/set_enabled', data=value)


def begin_snapshot(ros):
    """Call ~/snapshot -> future; the node waits for a frame where it takes images."""
    client = ros.peer.create_client(Trigger, 'segmentation/snapshot')
    ros.wait(client.service_is_ready)
    return client.call_async(Trigger.Request())


def take_snapshot(ros, node, publisher, message) -> Trigger.Response:
    """Call ~/snapshot, then send a message until it has been answered."""
    future = begin_snapshot(ros)
    ros.wait(lambda: node.next_frame.is_wanted or future.done(), 'the wish for a frame')
    publisher.publish(message)
    ros.wait(future.done, 'the snapshot')
    return future.result()


def test_a_disabled_node_takes_no_images_and_keeps_its_model_over_a_new_activation(ros):
    node = ros.segmentation()
    node.autostart()
    publisher = connect(ros)
    model = node.segmenter
    assert set_enabled(ros, False).success
    assert status(node, ENGINE).message == 'active, disabled by ~/set_enabled'
    assert status(node, ENGINE).values[ENABLED] == 'false'
    assert status(node, input_task()).message == 'disabled, so no images are taken'
    node.trigger_deactivate()
    node.trigger_activate()
    publisher.publish(image())
    assert node.segmenter is model and not node.is_enabled
    assert set_enabled(ros, True).message == 'enabled'
    counts = serve(ros, node, publisher, image())
    assert counts.received == counts.published == 1  # the one before was not let in
    assert status(node, ENGINE).values[ENABLED] == 'true'


def test_a_camera_is_not_called_silent_as_soon_as_the_node_is_enabled_again(ros):
    node = ros.segmentation()
    node.autostart()
    set_enabled(ros, False)
    node.cameras['camera'].last_seconds -= 60
    set_enabled(ros, True)
    assert status(node, input_task()).level == 'OK'


def test_a_node_that_is_not_active_can_be_enabled_for_later(ros):
    node = ros.segmentation()
    assert 'unconfigured' in set_enabled(ros, False).message
    node.autostart()
    assert node.state == 'active' and not node.is_enabled


def test_a_snapshot_holds_input_outputs_times_parameters_model_and_versions(ros, tmp_path):
    node = ros.segmentation(snapshot_folder=str(tmp_path / 'reports'))
    node.autostart()
    sent = image()
    answer = take_snapshot(ros, node, connect(ros), sent)
    assert answer.success, answer.message
    folder = Path(answer.message)
    assert folder.parent == tmp_path / 'reports'
    assert (folder / 'input.bin').read_bytes() == bytes(sent.data)
    seen = cv2.imread(str(folder / 'image.png'))[:, :, ::-1]
    np.testing.assert_array_equal(seen, make_image())
    mask = cv2.imread(str(folder / 'mask.png'), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(mask, make_image()[:, :, 1] > 127)
    assert np.load(folder / 'uncertainty.npy').shape == (40, 60)
    assert (folder / 'refined.png').exists() and (folder / 'overlay.png').exists()
    about = json.loads((folder / 'snapshot.json').read_text())
    assert about['input']['encoding'] == 'rgb8' and about['input']['frame_id'] == 'lens'
    assert about['milliseconds']['total'] > 0 and 'refined' in about['facts']
    assert about['parameters']['max_age_seconds'] == 2.0
    assert about['model']['model'] == 'brightness' and about['versions']['torch']
    assert about['is_published'] and [each.name for each in folder.parent.iterdir()] == [
        folder.name]


def test_a_snapshot_of_a_compressed_image_is_the_file_that_came(ros, tmp_path):
    node = ros.segmentation(snapshot_folder=str(tmp_path), image_transport='compressed')
    node.autostart()
    sent = jpeg()
    answer = take_snapshot(ros, node, connect(ros, CompressedImage, 'image/compressed'), sent)
    assert (Path(answer.message) / 'input.jpg').read_bytes() == bytes(sent.data)


@pytest.mark.parametrize('bad', [image(encoding='martian'), image(WHITE)],
                         ids=['not decoded', 'not segmented'])
def test_a_frame_that_is_not_published_is_kept_with_the_reason_when_no_other_comes(
        ros, tmp_path, monkeypatch, bad):
    monkeypatch.setattr(services, 'FRAME_SECONDS', 0.5)
    node = ros.segmentation(snapshot_folder=str(tmp_path), max_age_seconds=0.0)
    node.autostart()
    answer = take_snapshot(ros, node, connect(ros), bad)
    about = json.loads((Path(answer.message) / 'snapshot.json').read_text())
    assert not about['is_published'] and about['last losses']['camera'] != 'none'
    assert (Path(answer.message) / 'input.bin').read_bytes() == bytes(bad.data)


def test_a_snapshot_says_why_there_is_none(ros, tmp_path, monkeypatch):
    monkeypatch.setattr(services, 'FRAME_SECONDS', 0.2)
    folder = tmp_path / 'reports'
    node = ros.segmentation(snapshot_folder=str(folder))

    def reason():
        answer = ros.call(Trigger, 'segmentation/snapshot')
        assert not answer.success
        return answer.message

    assert reason() == 'the node must be active, it is unconfigured; activate it'
    node.autostart()
    assert reason().startswith('no frame came within')
    set_enabled(ros, False)
    assert 'call ~/set_enabled' in reason()
    set_enabled(ros, True)
    folder.write_text('a file')
    assert reason().startswith(f'cannot write a snapshot to {folder}')
    folder.unlink()
    folder.mkdir()
    monkeypatch.setattr(snapshot, 'MOST_SNAPSHOTS', 0)
    assert 'must hold fewer than 0 snapshots, it has 0; remove those' in reason()


def test_a_full_disk_is_a_reason_and_leaves_nothing_behind(ros, tmp_path, monkeypatch):
    node = ros.segmentation(snapshot_folder=str(tmp_path))
    node.autostart()
    publisher = connect(ros)
    with monkeypatch.context() as patch:
        patch.setattr(snapshot, 'SPARE_BYTES', 10 ** 18)
        answer = take_snapshot(ros, node, publisher, image())
        assert not answer.success and 'make room' in answer.message
    full = Path('/dev/full')
    monkeypatch.setattr(snapshot, 'write_json', lambda path, content: full.write_text('x' * 9999))
    answer = take_snapshot(ros, node, publisher, image())
    assert not answer.success and 'No space left' in answer.message
    assert not list(tmp_path.iterdir())


def test_the_name_of_a_camera_does_not_lead_out_of_the_folder(ros, tmp_path):
    node = ros.segmentation(cameras=['/robot/front'], snapshot_folder=str(tmp_path / 'reports'))
    node.autostart()
    publisher = connect(ros, topic='/robot/front/image')
    answer = take_snapshot(ros, node, publisher, image())
    assert Path(answer.message).parent == tmp_path / 'reports'
    assert answer.message.endswith('_robot_front')


def test_images_and_services_are_served_while_a_snapshot_waits_even_by_one_thread(ros, tmp_path):
    method = Held()
    node = ros.segmentation(lambda config: segmenter(method), snapshot_folder=str(tmp_path))
    node.autostart()
    publisher = connect(ros)
    ros.executor.remove_node(node)
    alone, stopping = SingleThreadedExecutor(), threading.Event()
    alone.add_node(node)

    def spin():
        while not stopping.is_set():
            alone.spin_once(timeout_sec=0.05)

    thread = threading.Thread(target=spin)
    thread.start()
    method.hold()
    future = begin_snapshot(ros)
    ros.wait(lambda: node.next_frame.is_wanted)
    publisher.publish(image())
    ros.wait(method.entered.is_set, 'a frame in the model')
    assert set_enabled(ros, True).success and not future.done()
    method.free.set()
    ros.wait(future.done, 'the snapshot')
    stopping.set()
    thread.join()
    assert future.result().success


def test_the_folder_of_null_is_below_ros_home(monkeypatch, tmp_path):
    monkeypatch.setenv('ROS_HOME', str(tmp_path))
    assert services.snapshot_folder(None) == tmp_path / 'sparse_seg_ros' / 'snapshots'
    monkeypatch.delenv('ROS_HOME')
    monkeypatch.setenv('HOME', str(tmp_path))
    assert services.snapshot_folder(None) == tmp_path / '.ros' / 'sparse_seg_ros' / 'snapshots'
    assert services.snapshot_folder('~/x') == Path(os.environ['HOME']) / 'x'
