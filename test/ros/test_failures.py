# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A model that fails on frames, or whose weights are broken, in a real node."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip('rclpy')

import torch
from ros_faults import FAULTS, Faulty, segmenter, status
from ros_images import connect, image, serve
from safetensors import safe_open
from safetensors.torch import save_file
from sensor_msgs.msg import Image
from tiny import tiny_model

from sparse_seg_ros.loading.checkpoints import save_model
from sparse_seg_ros.ros.node import load_model
from sparse_seg_ros.stream import recovery
from sparse_seg_ros.stream.health import ACTIVE, ENGINE, INACTIVE, NODE, UNCONFIGURED
from sparse_seg_ros.stream.recovery import DENSE, MOST_FAILED


@pytest.fixture
def faulty(ros):
    """Return a method that fails on command, its node, active, and a camera."""
    method = Faulty()
    # Freeing memory searches the whole heap, which is large here: no image is too old for it.
    node = ros.segmentation(lambda config: segmenter(method), max_age_seconds=0.0)
    node.autostart()
    return method, node, connect(ros)


def test_whatever_breaks_a_frame_the_node_stays_active_and_every_frame_is_counted(ros, faulty):
    method, node, publisher = faulty
    for number, fault in enumerate(FAULTS, 1):
        method.fail(fault, times=1)
        serve(ros, node, publisher, image())
        method.fail(fault, only_refined=True)
        serve(ros, node, publisher, image())
        assert node.worker.recovery.state.step == DENSE
        method.fail(fault)
        serve(ros, node, publisher, image())
        method.fail(fault, times=0)
        counts = serve(ros, node, publisher, image())
        assert (counts.received, counts.published, counts.failed) == (4 * number, 3 * number,
                                                                      number)
        assert counts.settled == counts.received and node.state == ACTIVE and not node.error


def test_while_refinement_fails_the_node_warns_and_masks_go_on(ros, faulty):
    method, node, publisher = faulty
    masks = ros.collect(Image, 'segmentation/mask')
    ros.wait(node.cameras['camera'].publishers['mask'].get_subscription_count)
    method.fail('memory', only_refined=True)
    serve(ros, node, publisher, image())
    ros.wait(lambda: masks, 'a mask of the dense stage')
    found = status(node, NODE)
    assert found.level == 'WARN' and found.values['step'] == DENSE
    assert found.values['last failure'] == 'OutOfMemoryError: CUDA out of memory'
    method.fail('memory', times=0)
    for _ in range(recovery.FIRST_HOLD + 1):
        serve(ros, node, publisher, image())
    assert status(node, NODE).level == 'OK'


def test_a_model_that_keeps_failing_takes_the_node_to_inactive_and_activating_begins_afresh(
        ros, faulty, capfd, monkeypatch):
    monkeypatch.setattr(recovery, 'LEAST_SECONDS', 0.0)
    method, node, publisher = faulty
    serve(ros, node, publisher, image())
    method.fail('nan')
    for _ in range(MOST_FAILED):
        serve(ros, node, publisher, image())
    ros.wait(lambda: node.state == INACTIVE, 'the end of the node being active')
    why = f'the model failed on {MOST_FAILED} frames in a row, whatever was tried, at last with ' \
        'ValueError: the network did not give finite numbers'
    assert node.error.startswith(f'deactivated: {why}')
    ros.wait_for_log(capfd, why)
    assert (status(node, ENGINE).level, status(node, ENGINE).message) == ('ERROR', node.error)
    counts = node.slots.counters('camera')
    assert (counts.received, counts.published, counts.failed) == (11, 1, 10)
    method.fail('nan', times=0)
    node.trigger_activate()
    assert node.state == ACTIVE and not node.error
    assert serve(ros, node, publisher, image()).published == 2
    assert status(node, ENGINE).level == 'OK'


def test_an_operator_who_deactivates_a_node_reads_of_no_failure(ros, faulty):
    method, node, publisher = faulty
    method.fail('exception')
    serve(ros, node, publisher, image())
    node.trigger_deactivate()
    assert node.state == INACTIVE and not node.error


def broken(path: Path, value: float) -> None:
    """Put a value into a model file."""
    with safe_open(path, 'pt') as file:
        tensors, metadata = {key: file.get_tensor(key) for key in file.keys()}, file.metadata()
    tensors['network.head.bias'][0] = value
    save_file(tensors, path, metadata)


@pytest.mark.parametrize('value', [torch.nan, torch.inf])
def test_weights_that_are_not_finite_are_refused_at_configure(ros, tmp_path, value):
    path = tmp_path / 'tiny.safetensors'
    save_model(tiny_model(), path)
    broken(path, value)
    node = ros.segmentation(load_model, model=str(path), device='cpu')
    node.trigger_configure()
    assert node.state == UNCONFIGURED
    assert node.error == (
        f"configure failed: ValueError: {path}: 'head.bias' must be finite, got 1 values that "
        'are not; train or convert the model again')


def test_a_file_that_is_not_the_one_of_the_zoo_is_refused_at_configure(ros, tmp_path, monkeypatch):
    (tmp_path / 'models').mkdir()
    save_model(tiny_model(), tmp_path / 'models' / 'tiny.safetensors')
    (tmp_path / 'models' / 'zoo.yaml').write_text(
        f"tiny:\n  file: tiny.safetensors\n  sha256: '{'0' * 64}'\n")
    monkeypatch.setattr('sparse_seg_ros.loading.zoo.share', lambda: tmp_path)
    node = ros.segmentation(load_model, model='tiny', device='cpu')
    node.trigger_configure()
    assert node.state == UNCONFIGURED
    assert 'tiny.safetensors is not the file that models/zoo.yaml names: its sha256' in node.error


def test_finite_weights_whose_outputs_are_not_are_refused_at_configure(ros, tmp_path):
    model = tiny_model()
    with torch.no_grad():
        model.network.head.weight.fill_(3e38)
    save_model(model, tmp_path / 'tiny.safetensors')
    node = ros.segmentation(load_model, model=str(tmp_path / 'tiny.safetensors'), device='cpu')
    node.trigger_configure()
    assert node.state == UNCONFIGURED
    assert 'the network did not give finite numbers' in node.error
