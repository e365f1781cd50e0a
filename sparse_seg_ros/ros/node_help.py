# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What `segmentation_node --help` prints; without ROS."""

from __future__ import annotations

from dataclasses import fields

from sparse_seg_ros.config import NodeConfig

USAGE = """\
usage: segmentation_node [--help] [--ros-args ...]

Segments the images of a camera, or of several, as a lifecycle node of ROS 2.

examples:
  segmentation_node --ros-args -r image:=/camera/image_raw
  segmentation_node --ros-args -p model:=my.yaml -p device:=cuda -r __ns:=/robot
  segmentation_node --ros-args --params-file my_node.yaml

topics: image in; segmentation/mask, uncertainty, refined, confidence, color and overlay out

parameters, with their defaults (config/node.yaml has them all):
"""
CHANGES = {'never': '', 'unconfigured': ' (changes while unconfigured)', 'live': ' (live)'}


def node_help() -> str:
    """Return usage, examples and all parameters."""
    lines = []
    for item in fields(NodeConfig):
        about = item.metadata
        default = "['']" if item.default == () else str(item.default)
        choices = f" ({', '.join(about['choices'])})" if about['choices'] else ''
        lines.append(f'  {item.name}: {default}{CHANGES[about["changes"]]}\n'
                     f'      {about["about"]}{choices}')
    return USAGE + '\n'.join(lines)
