# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The node as a process: what a launch file starts, feeds and ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ros_fakes import make_image

pytest.importorskip('rclpy')

from ros_images import connect, image
from sensor_msgs.msg import Image

from sparse_seg_ros.bench.node import Case, measure
from sparse_seg_ros.environment import large_image_settings, private_settings
from sparse_seg_ros.messages.pixels import to_labels
from sparse_seg_ros.messages.status import Status
from sparse_seg_ros.stream.health import ERRORS, NODE, UNCONFIGURED, input_task

LIMIT_SECONDS = 60
CALM = Status(NODE, 'OK', 'no report yet')
SCRIPT = Path(__file__).with_name('node_process.py')


def start(domain: int, *arguments: str, module: str | None = None) -> subprocess.Popen:
    command = ['-m', module] if module else [str(SCRIPT)]
    return subprocess.Popen(
        [sys.executable, *command, '--ros-args', *arguments], stderr=subprocess.PIPE, text=True,
        env={**os.environ, **private_settings(domain), **large_image_settings()})


def end(process: subprocess.Popen, signals: int = 1) -> tuple[int, str]:
    """Send SIGINT, perhaps twice as ros2 launch does -> exit code and what was logged."""
    for _ in range(signals):
        process.send_signal(signal.SIGINT)
    _, log = process.communicate(timeout=LIMIT_SECONDS)
    return process.returncode, log


def test_a_process_serves_large_images_and_ends_well_on_two_interrupts(ros):
    process = start(ros.domain)
    try:
        masks = ros.collect(Image, 'segmentation/mask', 1)
        publisher = connect(ros)
        sent = make_image(1024, 2048)

        def answered():
            publisher.publish(image(sent))
            ros.wait_at_most(1.0, lambda: masks)
            return masks

        ros.wait(answered, 'a mask')
        np.testing.assert_array_equal(to_labels(masks[0]), sent[:, :, 1] > 127)
    finally:
        code, log = end(process, signals=2)
    assert code == 0 and 'Traceback' not in log, log


def test_diagnostics_come_without_any_image(ros, probe):
    process = start(ros.domain)
    try:
        probe.wait(lambda: input_task() in probe.statuses, LIMIT_SECONDS, 'no input')
    finally:
        code, _ = end(process)
    assert code == 0
    assert [*probe.statuses] == ['engine', 'timing', 'memory', 'node', 'camera input',
                                 'camera frames', 'camera picture']


def test_a_misspelt_parameter_ends_the_process_with_one_clear_line(domain):
    process = start(domain, '-p', 'alpha_nat:=0.5')
    _, log = process.communicate(timeout=LIMIT_SECONDS)
    assert process.returncode == 1 and 'Traceback' not in log
    assert "unknown parameter 'alpha_nat'; did you mean 'alpha'?" in log


def test_a_missing_model_leaves_the_process_alive_and_unconfigured(ros, probe):
    from lifecycle_msgs.srv import GetState

    process = start(ros.domain, '-p', 'model:=/nowhere/my.safetensors',
                    module='sparse_seg_ros.ros.run_node')
    try:
        with pytest.raises(ChildProcessError, match='the node says: configure failed'):
            probe.wait_until_ready()
        state = ros.call(GetState, 'segmentation/get_state').current_state.label
    finally:
        code, log = end(process)
    assert (code, state, probe.state) == (0, UNCONFIGURED, UNCONFIGURED)
    assert 'configure failed' in log and '/nowhere/my.safetensors' in log


def test_a_malformed_request_is_counted_and_the_node_lives_on(ros, probe):
    from lifecycle_msgs.srv import GetState
    from rcl_interfaces.msg import Parameter, ParameterValue
    from rcl_interfaces.srv import SetParameters

    process = start(ros.domain)
    try:
        client = ros.peer.create_client(SetParameters, 'segmentation/set_parameters')
        ros.wait(client.service_is_ready)
        request = SetParameters.Request(parameters=[
            Parameter(name='overlay_alpha', value=ParameterValue(type=77))])

        def warned():
            client.call_async(request)
            return ros.wait_at_most(
                2.0, lambda: probe.statuses.get(NODE, CALM).level == 'WARN')

        ros.wait(warned, 'the warning')
        state = ros.call(GetState, 'segmentation/get_state').current_state.label
    finally:
        code, log = end(process)
    assert code == 0 and state in ('configuring', 'inactive', 'active')
    assert int(probe.statuses[NODE].values[ERRORS]) > 0
    assert 'a callback failed: ValueError: 77 is not a valid' in log and 'Traceback' not in log


def test_the_node_does_not_wait_for_torch():
    code = 'import sys, sparse_seg_ros.ros.node; sys.exit("torch" in sys.modules)'
    assert subprocess.run([sys.executable, '-c', code], timeout=LIMIT_SECONDS).returncode == 0


def test_a_slow_model_keeps_no_image_from_being_received(domain):
    case = Case(240, 320, 'reliable', frames=200, rate_hz=100.0, method_milliseconds=30.0)
    found = measure(case, domain)
    assert found['is_accounted'] and found['superseded'] > 0
    # Three to four times as many on quiet cores; hardly more while the executor span.
    assert found['received'] > 1.5 * found['published']
