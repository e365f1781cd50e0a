# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The camera of the demo waits for its node, but not for one that hangs."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

pytest.importorskip('rclpy')

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from sparse_seg_ros.bags.bag_messages import IMAGE
from sparse_seg_ros.bags.bag_writer import BagWriter
from sparse_seg_ros.demo.player import Player, PlayJob


def test_a_model_that_hangs_ends_the_playing(ros, tmp_path, monkeypatch):
    monkeypatch.setattr('sparse_seg_ros.demo.player.READY_SECONDS', 0.2)
    health = ros.peer.create_publisher(DiagnosticArray, '/diagnostics', 10)
    hangs = DiagnosticStatus(name='/segmentation: camera frames', values=[
        KeyValue(key=key, value='1') for key in ('received', 'waiting')])
    ros.peer.create_timer(0.05, lambda: health.publish(DiagnosticArray(status=[hangs])))
    with BagWriter(tmp_path / 'bag') as out, ThreadPoolExecutor(1) as pool:
        player = Player(PlayJob('bag', 'recording', '/image', 2), out, IMAGE)
        try:
            waiting = pool.submit(player.wait_until_answered, 2)
            ros.wait(waiting.done, 'the end of the waiting')
        finally:
            player.close()
        with pytest.raises(TimeoutError, match='finishes no frame; does its model hang'):
            waiting.result()
