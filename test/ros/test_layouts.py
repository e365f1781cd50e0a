# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The layouts for Foxglove and RViz show topics that the node has, and nothing else."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

pytest.importorskip('rclpy')

from sparse_seg_ros.messages.status import AFTER_NODE, frame_status

CHECKOUT = Path(__file__).resolve().parents[2]
CAMERAS = {'one_camera.json': None, 'two_cameras.json': ['front', 'rear'],
           'seg.rviz': None, 'two_cameras.rviz': ['front', 'rear']}
FOXGLOVE = [name for name in CAMERAS if name.endswith('.json')]
RVIZ = [name for name in CAMERAS if name.endswith('.rviz')]
FILTER = re.compile(r'(/[\w/]+)\.status\[:\]\{name=="([^"]+)"\}\.values\[:\]\{key=="([^"]+)"\}')


def node_for(ros, name):
    """Return a node with the cameras of a layout, active."""
    cameras = CAMERAS[name]
    node = ros.segmentation(**{} if cameras is None else {'cameras': cameras})
    node.autostart()
    ros.wait(lambda: node.state == 'active')
    return node


def published_by(node) -> set[str]:
    """Return the topics of a node's images: what it reads, and what it publishes."""
    cameras = node.cameras.values()
    return {camera.topic for camera in cameras} | {
        publisher.topic_name for camera in cameras for publisher in camera.publishers.values()}


def panels_of(layout) -> list[str]:
    """Return the panels in a tree of splits."""
    return [layout] if isinstance(layout, str) else [
        *panels_of(layout['first']), *panels_of(layout['second'])]


@pytest.mark.parametrize('name', FOXGLOVE)
def test_a_foxglove_layout_shows_topics_and_keys_of_the_node(ros, name):
    node = node_for(ros, name)
    content = json.loads((CHECKOUT / 'foxglove' / name).read_text())
    panels = content['configById']
    assert sorted(panels_of(content['layout'])) == sorted(panels)
    shown = {panel['imageMode']['imageTopic'] for panel in panels.values()
             if 'imageMode' in panel}
    assert shown <= published_by(node) and len(shown) == 4 * len(node.cameras)
    assert panels['DiagnosticSummary!health']['topicToRender'] == \
        node.diagnostics.health.topic_name
    assert panels['DiagnosticSummary!health']['hardwareIdFilter'] == \
        node.get_fully_qualified_name()
    plotted = [FILTER.match(path['value']).groups() for path in panels['Plot!timing']['paths']]
    statuses = [frame_status(camera, {'total': 1.0}, {}) for camera in node.cameras]
    assert plotted == [(node.diagnostics.timing.topic_name,
                        f'{node.get_fully_qualified_name()}{AFTER_NODE}{status.task}',
                        next(iter(status.values))) for status in statuses]


@pytest.mark.parametrize('name', RVIZ)
def test_a_preset_of_rviz_shows_topics_of_the_node(ros, name):
    node = node_for(ros, name)
    content = yaml.safe_load((CHECKOUT / 'rviz' / name).read_text())
    displays = content['Visualization Manager']['Displays']
    shown = {ros.peer.resolve_topic_name(each['Topic']['Value']) for each in displays}
    assert shown <= published_by(node)
    for camera in node.cameras.values():
        assert {camera.topic, camera.publishers['overlay'].topic_name,
                camera.publishers['uncertainty'].topic_name} <= shown
    assert all(each['Name'] in content['Window Geometry'] for each in displays)
