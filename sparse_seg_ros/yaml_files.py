# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
YAML from anywhere, read within bounds.

A file of a few hundred bytes can expand to gigabytes: by aliases, by depth, or by the error text
that repeats it. All of these are refused, and foreign text in messages is cut.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from sparse_seg_ros.files import refuse_pointer
from sparse_seg_ros.texts import SHORT, cut, one_line

MOST_BYTES = 1 << 20
MOST_DEPTH = 20


class Loader(getattr(yaml, 'CSafeLoader', yaml.SafeLoader)):
    """The safe loader, in C where PyYAML has it; the same key twice is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        """Node -> dict; ConstructorError where a key would replace another."""
        values = super().construct_mapping(node, deep)
        names = [key.value for key, _ in node.value]
        if len(values) < len(names):
            twice = next((name for name in names if names.count(name) > 1), names[0])
            raise yaml.constructor.ConstructorError(
                None, None, f'{cut(twice)} stands there twice', node.start_mark)
        return values


def read_yaml(path: str | Path) -> Any:
    """YAML file -> its content; FileNotFoundError without it, ValueError with what is wrong."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'no settings file {path}')
    refuse_pointer(path)
    with path.open('rb') as file:
        data = file.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise ValueError(f'{path}: a settings file must be at most {MOST_BYTES >> 20} MiB; is '
                         'it another kind of file?')
    try:
        check_events(data)
        return yaml.load(data, Loader)
    except (yaml.YAMLError, ValueError) as error:
        raise ValueError(f'{path}: not valid YAML: {one_line(error, 3 * SHORT)}') from None


def check_events(data: bytes) -> None:
    """Raise ValueError for what could grow beyond all bounds when it is built."""
    depth = 0
    for event in yaml.parse(data, Loader):
        if isinstance(event, yaml.AliasEvent):
            raise ValueError(f'aliases, such as *{cut(event.anchor)}, are refused; write the '
                             'value out')
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > MOST_DEPTH:
            raise ValueError(f'lists in lists more than {MOST_DEPTH} deep are refused')
