# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Other nodes with the name or the mask topics of this one."""

from __future__ import annotations

from collections.abc import Iterable

from rclpy.node import Node


def describe_rivals(node: Node, topics: Iterable[str]) -> str:
    """Return a warning with its cure; '' where this node alone has its name and its topics."""
    name = node.get_fully_qualified_name()
    names = [f"{namespace.rstrip('/')}/{each}"
             for each, namespace in node.get_node_names_and_namespaces()]
    if names.count(name) > 1:
        return (f'{names.count(name)} nodes are called {name}: end the others, or start each in a '
                'namespace of its own; one that was killed counts for some seconds more')
    for topic in topics:
        owners = [f"{each.node_namespace.rstrip('/')}/{each.node_name}"
                  for each in node.get_publishers_info_by_topic(topic)]
        others = sorted({owner for owner in owners if owner != name})
        if others:
            return (f"{topic} is published by {', '.join(others)}, too: end it, or start each in "
                    'a namespace of its own')
    return ''
