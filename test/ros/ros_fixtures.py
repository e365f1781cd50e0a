# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Real nodes over real DDS, each test in a domain of its own, on this machine only."""

from __future__ import annotations

import fcntl
import gc
import itertools
import os
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import pytest
from ros_fakes import make_segmenter

os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'
os.environ['ROS_LOCALHOST_ONLY'] = '1'
DOMAINS = itertools.count(1 + os.getpid() % 40 * 2)
PATIENCE_SECONDS = 30.0


class Ros:
    """Nodes that a test spins itself until what it waits for has happened."""

    def __init__(self, domain: int):
        import rclpy
        from rclpy.executors import MultiThreadedExecutor

        self.domain = domain
        rclpy.init(domain_id=domain)
        self.executor = MultiThreadedExecutor(3)
        self.nodes = []
        self.peer = self.add(rclpy.create_node('peer'))

    def add(self, node):
        self.nodes.append(node)
        self.executor.add_node(node)
        return node

    def segmentation(self, load=None, **parameters):
        """Return a SegmentationNode with these parameters, with a fake model unless told."""
        from rclpy.parameter import Parameter

        from sparse_seg_ros.ros.node import SegmentationNode

        overrides = [Parameter(name, value=value) for name, value in parameters.items()]
        return self.add(SegmentationNode(load or (lambda config: make_segmenter()),
                                         parameter_overrides=overrides))

    def collect(self, message_type, topic, qos=10) -> list:
        """Return a list that fills with the messages of a topic."""
        messages = []
        self.peer.create_subscription(message_type, topic, messages.append, qos)
        return messages

    def wait(self, is_done, what: str = 'what the test waits for'):
        """Spin until is_done() is true, and return it."""
        found = self.wait_at_most(PATIENCE_SECONDS, is_done)
        if not found:
            raise TimeoutError(f'{what} did not happen in {PATIENCE_SECONDS} s')
        return found

    def wait_at_most(self, seconds: float, is_done):
        """Spin until is_done() is true or the time is over, and return it."""
        end = time.monotonic() + seconds
        while not (found := is_done()) and time.monotonic() < end:
            self.executor.spin_once(timeout_sec=0.05)
        return found

    def wait_for_log(self, capfd, text: str):
        """Spin until a text was written to stderr."""
        logged = []
        self.wait(lambda: logged.append(capfd.readouterr().err) or text in ''.join(logged),
                  f'the line {text!r}')

    def call(self, service_type, name: str, **fields):
        """Call a service -> response."""
        client = self.peer.create_client(service_type, name)
        self.wait(client.service_is_ready, f'service {name}')
        future = client.call_async(service_type.Request(**fields))
        self.wait(future.done, f'answer of {name}')
        return future.result()

    def close(self):
        import rclpy

        for node in self.nodes:
            if hasattr(node, 'release'):
                node.release()
        self.executor.shutdown()
        for node in self.nodes:
            node.destroy_node()
        rclpy.shutdown()
        del self.nodes, self.peer, self.executor


@pytest.fixture
def domain():
    """Return a ROS domain that no other test uses, in no other run of the tests either."""
    for number in itertools.islice(DOMAINS, 100):
        number = number % 100 + 1
        path = Path(tempfile.gettempdir()) / f'sparse_seg_ros_domain_{number}.lock'
        with suppress(OSError), path.open('w') as lock:  # OSError: another run has it
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield number
            return
    raise RuntimeError('all ROS domains from 1 to 100 are taken by tests; wait for them')


@pytest.fixture
def long_memory(monkeypatch):
    """Let the diagnostics take the last ten minutes for recent, however slow the computer is."""
    monkeypatch.setattr('sparse_seg_ros.stream.health.RECENT_SECONDS', 600.0)


@pytest.fixture
def ros(domain):
    """
    Return nodes to play with; their DDS participant is gone when the test ends.

    Nodes refer to themselves in circles. A participant whose nodes wait for the garbage collector
    counts, in every domain, and DDS does not discover the 33rd of a process.
    """
    pytest.importorskip('rclpy')
    nodes = Ros(domain)
    yield nodes
    nodes.close()
    gc.collect()


@pytest.fixture
def probe(ros):
    """Return a client of the segmentation node, which listens by itself."""
    from sparse_seg_ros.ros.probe import Probe

    with Probe('probe', 'image') as client:
        yield client
