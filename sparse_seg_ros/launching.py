# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Arguments of the launch files -> parameters and remappings of the node, without launch."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ament_index_python.packages import PackageNotFoundError, get_package_prefix

from sparse_seg_ros.node_config import NodeConfig
from sparse_seg_ros.texts import LONG, cut
from sparse_seg_ros.yaml_files import read_yaml

OVER_PARAMS_FILE = ('model', 'method', 'device', 'precision', 'image_transport',
                    'reliability')
SWITCHES = {'true': True, 'false': False}
NODE = 'segmentation'
TOPIC = re.compile(r'(~?/)?[A-Za-z_]\w*(/[A-Za-z_]\w*)*', re.ASCII)


def is_installed(package: str) -> bool:
    """Tell whether a ROS package is there: launch starts other processes before it looks."""
    try:
        return bool(get_package_prefix(package))
    except (PackageNotFoundError, OSError):  # OSError: nothing is sourced
        return False


def debian_package(package: str) -> str:
    """ROS package -> name of its Debian package: rviz2 -> ros-jazzy-rviz2."""
    return f"ros-{os.environ.get('ROS_DISTRO', '<distro>')}-{package.replace('_', '-')}"


def existing(path: str, name: str) -> str:
    """Return a path; ValueError where nothing is there, which launch only warns of."""
    if not Path(path).exists():
        raise ValueError(f'{name} {path!r} does not exist; give an existing path')
    return path


def full_name(namespace: str, pushed: str = '') -> str:
    """Namespace of the node, below one that an outer launch file pushed -> its full name."""
    whole = namespace if namespace.startswith('/') else f'{pushed}/{namespace}'
    return '/'.join(['', *filter(None, whole.split('/')), NODE])


def params_file(path: str, node: str) -> str:
    """Return a path; ValueError unless parameters of the node are there, which ROS passes over."""
    names = list(nodes_of(read_yaml(existing(path, 'params_file'))))
    if not any(as_pattern(name).fullmatch(node) for name in names):
        raise ValueError(f"params_file {path!r} has no parameters of {node}, only of "
                         f"{cut(', '.join(names)) or 'no node'}; write '/**:' and below that "
                         "'ros__parameters:' in front of them")
    return path


def nodes_of(content: Any, name: str = '') -> Iterator[str]:
    """Content of a parameter file -> full names of its nodes, which may have wildcards."""
    for key, below in content.items() if isinstance(content, Mapping) else ():
        if key == 'ros__parameters':
            yield name
        else:
            yield from nodes_of(below, f'{name}/{key}'.replace('//', '/'))


def as_pattern(name: str) -> re.Pattern:
    """Name of a node with wildcards -> pattern: * is one part of a name, ** are any."""
    escaped = re.escape(name).replace(r'/\*\*', r'(/\w+)*').replace(r'/\*', r'/\w+')
    return re.compile(escaped)


def read_switch(text: str, name: str) -> bool:
    """'true' or 'false', in any case -> bool."""
    if text.lower() not in SWITCHES:
        raise ValueError(f'{name} must be true or false, got {text!r}')
    return SWITCHES[text.lower()]


def read_cameras(text: str) -> list[str]:
    """'front,rear' or '[front, rear]' -> names of cameras; '' -> none."""
    names = [name.strip(' \'"') for name in text.strip(' []').split(',')]
    return [name for name in names if name]


def parameters(values: Mapping[str, str]) -> dict[str, object]:
    """
    Arguments by name -> the parameters that go over those of params_file.

    Raises ValueError for a value that the node would refuse.
    """
    chosen: dict[str, object] = {name: values[name] for name in OVER_PARAMS_FILE if values[name]}
    if values['autostart']:
        chosen['autostart'] = read_switch(values['autostart'], 'autostart')
    if read_cameras(values['cameras']):
        chosen['cameras'] = read_cameras(values['cameras'])
    try:
        NodeConfig(**chosen | {'cameras': tuple(chosen.get('cameras', ())) or None})
    except ValueError as error:
        raise ValueError(cut(str(error).replace('setting', 'argument', 1), LONG)) from None
    return chosen | {'use_sim_time': read_switch(values['use_sim_time'], 'use_sim_time')}


def remappings(image: str, cameras: list[str]) -> list[tuple[str, str]]:
    """
    Topic of the images -> remappings of the node's inputs, raw, compressed, and CameraInfo.

    With several cameras it is the name below each of them, such as image_raw: front/image_raw.
    """
    if not TOPIC.fullmatch(image):
        raise ValueError(f'image {cut(image)!r} must be a topic such as /camera/image_raw: '
                         'letters, digits and _ between slashes')
    if cameras and image.startswith(('/', '~')):
        raise ValueError(f'image {image!r} must be a name below every camera, such as image_raw, '
                         'because cameras are given; remove the slash in front')
    pairs = [(f'{camera}/image', f'{camera}/{image}') for camera in cameras] or [('image', image)]
    infos = [(sibling(own), sibling(theirs)) for own, theirs in pairs]
    return [(own + suffix, theirs + suffix) for own, theirs in pairs
            for suffix in ('', '/compressed')] + [(own, theirs) for own, theirs in infos
                                                  if own != theirs]


def sibling(image: str) -> str:
    """Topic of the images -> that of their CameraInfo, which is beside it."""
    return image[:image.rfind('/') + 1] + 'camera_info'
