# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The policy for SROS2 allows what the node does, in all its configurations, and no more."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

pytest.importorskip('rclpy')

from std_msgs.msg import String

from sparse_seg_ros.ros import label_info

POLICY = Path(__file__).parents[2] / 'config' / 'sros2_policy.xml'
NODE = ('segmentation', '/')
ENCLAVES = {'/segmentation': {}, '/segmentation_of_cameras': {'cameras': ['front', 'rear']}}
CONFIGURATIONS = ({'use_sim_time': True}, {'image_transport': 'compressed'})


def allowed(enclave: str) -> dict[str, set[str]]:
    """Return kind -> full names that an enclave allows."""
    profile, = ElementTree.parse(POLICY).findall(f".//enclave[@path='{enclave}']/profiles/profile")
    assert (profile.get('node'), profile.get('ns')) == NODE
    assert {value for part in profile for value in part.attrib.values()} == {'ALLOW'}
    return {kind: {full_name(each.text) for each in part} for part in profile
            for kind in part.attrib}


def full_name(name: str) -> str:
    """Name as in the policy -> full name."""
    return name.replace('~', '/segmentation') if name.startswith('~') else f"/{name.lstrip('/')}"


def uses(node) -> dict[str, set[str]]:
    """Return kind -> full names of what a node has in the graph."""
    found = {'publish': node.get_publisher_names_and_types_by_node(*NODE),
             'subscribe': node.get_subscriber_names_and_types_by_node(*NODE),
             'reply': node.get_service_names_and_types_by_node(*NODE),
             'request': node.get_client_names_and_types_by_node(*NODE)}
    return {kind: {name for name, _ in names} for kind, names in found.items()}


@pytest.mark.parametrize('enclave', ENCLAVES)
def test_the_policy_allows_exactly_what_the_node_does(ros, monkeypatch, enclave):
    # vision_msgs is optional and has no wheel: a string stands in for its message.
    monkeypatch.setattr(label_info, 'LabelInfo', String)
    monkeypatch.setattr(label_info, 'label_info', lambda header, labels: String())
    wanted, seen = allowed(enclave), {}
    for configuration in CONFIGURATIONS:
        node = ros.segmentation(**configuration, **ENCLAVES[enclave])
        node.trigger_configure()
        ros.wait(lambda node=node: '/segmentation/set_enabled' in uses(node)['reply'])
        for kind, names in uses(node).items():
            seen.setdefault(kind, set()).update(names)
        node.trigger_cleanup()
        ros.executor.remove_node(node)
        ros.nodes.remove(node)
        node.destroy_node()
    assert not seen.pop('request')
    if '/segmentation/get_type_description' not in seen['reply']:  # Humble
        wanted['reply'].remove('/segmentation/get_type_description')
    assert seen == wanted
