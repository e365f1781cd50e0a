# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The process of the node ends on a signal with code 0, whatever it is doing."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

pytest.importorskip('rclpy')

from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.executors import Executor
from rclpy.parameter import Parameter
from ros_images import connect, image
from sensor_msgs.msg import Image

from sparse_seg_ros.environment import private_settings
from sparse_seg_ros.ros.node import SegmentationNode
from sparse_seg_ros.ros.run_node import NUM_THREADS, spin

SCRIPT = Path(__file__).with_name('node_process.py')
LIMIT_SECONDS = 30
END_SECONDS = 15  # 2 on a quiet computer; what hangs here would hang for hours


def start(domain: int, *arguments: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, *arguments], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, **private_settings(domain)})


def wait_for_line(process: subprocess.Popen, text: str) -> str:
    """Read what the process logs up to a line with the text."""
    lines = []
    while text not in ''.join(lines[-1:]):
        lines.append(process.stderr.readline())
        assert lines[-1], f'the process ended before {text!r}: {"".join(lines)}'
    return ''.join(lines)


def wait_until(is_done: Callable[[], bool], seconds: float = LIMIT_SECONDS) -> None:
    end = time.monotonic() + seconds
    while not is_done():
        assert time.monotonic() < end, 'it did not happen in time'


def hears_signals(process: subprocess.Popen) -> bool:
    """Tell whether the process handles SIGTERM, which Python alone does not."""
    text = Path(f'/proc/{process.pid}/status').read_text()
    caught = int(text.partition('SigCgt:')[2].split()[0], 16)
    return bool(caught >> (signal.SIGTERM - 1) & 1)


def check_end(process: subprocess.Popen, number: int = signal.SIGINT, log: str = '') -> str:
    """Send a signal again and again, as terminals and launch do -> log; the end must be good."""
    end = time.monotonic() + END_SECONDS
    while process.poll() is None and time.monotonic() < end:
        process.send_signal(number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.1)
    process.kill()
    log += process.communicate()[1]
    assert process.returncode == 0 and 'Traceback' not in log, log
    return log


def test_a_signal_while_the_process_imports_ends_it(domain):
    process = start(domain, '-m', 'sparse_seg_ros.ros.run_node')
    wait_until(lambda: hears_signals(process))
    check_end(process)


def test_a_signal_while_a_model_loads_in_native_code_ends_the_process(domain):
    process = start(domain, str(SCRIPT), '--hang', 'load')
    log = wait_for_line(process, 'loading model')
    check_end(process, signal.SIGTERM, log)


def test_a_signal_while_a_frame_hangs_ends_the_process(ros):
    process = start(ros.domain, str(SCRIPT), '--hang', 'frame')
    log = wait_for_line(process, 'ready after')
    publisher = connect(ros)
    ros.collect(Image, 'segmentation/mask', 1)
    publisher.publish(image())
    log += wait_for_line(process, 'the frame hangs')
    assert 'final counters: camera: 1 received, 1 waiting, 0 published' in check_end(process)


def test_a_signal_to_a_node_that_runs_ends_it_and_the_others_know_at_once(ros):
    process = start(ros.domain, str(SCRIPT))
    log = wait_for_line(process, 'ready after')
    ros.wait(lambda: 'segmentation' in ros.peer.get_node_names(), 'the node')
    log = check_end(process, log=log)
    assert 'the package says what it does' in log  # Python's log is in that of the node
    assert 'final counters: camera: 0 received, 0 waiting' in log
    left = ros.wait_at_most(5.0, lambda: 'segmentation' not in ros.peer.get_node_names())
    assert left  # one that says nothing counts for 20 s more


def test_the_process_does_not_wait_for_what_the_interpreter_does_at_its_end(domain):
    process = start(domain, str(SCRIPT), '--hang', 'exit')
    check_end(process, log=wait_for_line(process, 'ready after'))


def test_a_node_that_keeps_the_interpreter_at_its_end_is_ended(domain):
    process = start(domain, str(SCRIPT), '--hang', 'release')
    wait_for_line(process, 'ready after')
    process.send_signal(signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(END_SECONDS)
    process.kill()
    log = process.communicate()[1]
    assert process.returncode == 1 and 'Timeout' in log and 'in spin' in log


def test_callbacks_that_wait_for_a_thread_at_the_end_leave_no_error(ros, monkeypatch, capfd):
    node = SegmentationNode(parameter_overrides=[Parameter('autostart', value=False)])
    stopping, freed, entered = threading.Event(), threading.Event(), threading.Semaphore(0)
    shut_down = Executor.shutdown

    def shut_down_and_tell(executor, timeout_sec=None):
        shut_down(executor, timeout_sec)
        freed.set()

    def end_late():
        entered.release()
        freed.wait(0.4)

    node.create_timer(0.01, end_late, callback_group=ReentrantCallbackGroup())
    thread = threading.Thread(target=spin, args=(node, stopping))
    monkeypatch.setattr(Executor, 'shutdown', shut_down_and_tell)
    thread.start()
    assert all(entered.acquire(timeout=LIMIT_SECONDS) for _ in range(NUM_THREADS))
    freed.wait(0.1)  # one more is submitted meanwhile
    stopping.set()
    thread.join(LIMIT_SECONDS)
    assert not thread.is_alive()
    gc.collect()  # rclpy prints errors that nobody has asked for when it forgets a callback
    assert 'exception' not in capfd.readouterr().err


def test_help_is_printed_instead_of_starting(domain):
    done = start(domain, '-X', 'importtime', '-m', 'sparse_seg_ros.ros.run_node', '--help')
    out, log = done.communicate(timeout=LIMIT_SECONDS)
    assert done.returncode == 0
    assert out.startswith('usage: segmentation_node') and 'max_age_seconds: 2.0 (live)' in out
    imported = {line.rpartition('|')[2].strip() for line in log.splitlines()}
    assert not imported & {'torch', 'rclpy'}


@pytest.mark.parametrize('arguments', [('--log-level', 'loud'), ('-p', 'use_sim_time:=3')])
def test_a_bad_argument_of_ros_ends_the_process_with_one_line(domain, arguments):
    done = start(domain, str(SCRIPT), '--ros-args', *arguments)
    _, log = done.communicate(timeout=LIMIT_SECONDS)
    assert done.returncode == 1 and 'Traceback' not in log, log
    assert '[FATAL]' in log
