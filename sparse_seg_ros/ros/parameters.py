# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""ROS parameters from the dataclass NodeConfig: declared, checked, and some of them live."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import Field, fields, replace
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.node import Node
from rclpy.parameter import Parameter

from sparse_seg_ros.config import check_setting, choices_of, hints, nearest, parts_of
from sparse_seg_ros.methods.request import Limits
from sparse_seg_ros.node_config import NodeConfig

SETTINGS = {item.name: item for item in fields(NodeConfig)}
FORMER = {item.metadata['former']: item.name for item in SETTINGS.values()
          if item.metadata['former']}
LIMITED = ('alpha', 'budget')
NULLS = ('null', '~')  # ROS parameters have no null: YAML's arrives as these words
OF_ROS = ('use_sim_time', 'start_type_description_service')  # declared by rclpy itself


def declare(node: Node) -> NodeConfig:
    """
    Declare every setting as a parameter and return their values.

    Raises ValueError for a misspelt override, which rclpy would ignore, and for one of the wrong
    type or range.
    """
    overrides = find_overrides(node)
    for item in SETTINGS.values():
        node.declare_parameter(item.name, overrides.get(item.name, to_ros(item.default)),
                               descriptor(item), ignore_override=True)
    try:
        return NodeConfig(**{name: to_setting(item, node.get_parameter(name).value)
                             for name, item in SETTINGS.items()})
    except ValueError as error:
        raise as_parameter(error) from None


def find_overrides(node: Node) -> dict[str, Any]:
    """Return the overrides from outside by name; ValueError, with the cure, for a bad one."""
    overrides = node._parameter_overrides  # rclpy has no public way to see the unknown ones
    values = {name: parameter.value for name, parameter in overrides.items()
              if name not in OF_ROS and not name.startswith('qos_overrides.')}
    for former, name in FORMER.items():
        if former in values:
            node.get_logger().warning(f'parameter {former!r} is now called {name!r}, and its old '
                                      'name will go')
            if name in values:
                raise ValueError(f'{former!r} is the former name of parameter {name!r}, which is '
                                 'set, too; remove one')
            value = values.pop(former)
            is_unset = type(value) in (int, float) and value < 0
            values[name] = NULLS[0] if is_unset else value
    for name, value in values.items():
        if name not in SETTINGS:
            raise ValueError(f'unknown parameter {name!r}; {nearest(name, SETTINGS)}')
        check_value(SETTINGS[name], value)
    return values


def check_value(item: Field, value: Any) -> None:
    """Raise ValueError unless a ROS value fits a setting in type and range."""
    if value is None:  # what an empty list arrives as, and a parameter that is deleted
        raise ValueError(f'parameter {item.name!r} must have a value, got none or an empty list; '
                         f'its default is {to_ros(item.default)!r}')
    if parts_of(hints(NodeConfig)[item.name])[0] is float and type(value) is int:
        raise ValueError(f'parameter {item.name!r} must be a double, got the integer {value}; '
                         f'write {value}.0')
    try:
        check_setting(NodeConfig, item, to_setting(item, value))
    except ValueError as error:
        raise as_parameter(error) from None


def as_parameter(error: ValueError) -> ValueError:
    """Error about a setting -> the same in the words of ROS."""
    return ValueError(str(error).replace('setting', 'parameter', 1))


def descriptor(item: Field) -> ParameterDescriptor:
    """
    Setting -> description, range and read-only flag, as `ros2 param describe` shows them.

    Dynamic typing leaves the check of the type to changed(), which says what to write instead, and
    lets a parameter be null.
    """
    about, (hint, may_be_null) = item.metadata, parts_of(hints(NodeConfig)[item.name])
    choices = f" One of {', '.join(choices_of(item))}." if about['choices'] else ''
    may_change = about['changes'] != 'never'
    made = ParameterDescriptor(description=about['about'] + choices, read_only=not may_change,
                               dynamic_typing=may_change or may_be_null)
    if about['at_most'] is None:
        return made
    if hint is float:
        made.floating_point_range = [FloatingPointRange(from_value=about['at_least'],
                                                        to_value=about['at_most'])]
    elif hint is int:
        made.integer_range = [IntegerRange(from_value=about['at_least'],
                                           to_value=about['at_most'])]
    return made


def follow_model(node: Node, limits: Limits) -> None:
    """Give the limits of the refinement the ranges of a model; those of any model without one."""
    for name in LIMITED:
        made = descriptor(SETTINGS[name])
        if name in limits:
            made.floating_point_range = [FloatingPointRange(to_value=float(limits[name].most))]
        node.set_descriptor(name, made)


def to_ros(value: Any) -> Any:
    """Setting -> parameter value; a parameter always has one, so that dump and load agree."""
    if value is None:
        return NULLS[0]
    return list(value) if isinstance(value, tuple) else value


def to_setting(item: Field, value: Any) -> Any:
    """Parameter value -> setting: a list is a tuple, and the word null is None."""
    if parts_of(hints(NodeConfig)[item.name])[1] and value in NULLS:
        return None
    return tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else value


def changed(config: NodeConfig, parameters: Sequence[Parameter], state: str) -> NodeConfig:
    """
    Return config with changes applied; ValueError, with the reason, for a bad one.

    state: of the node; what the model is loaded by may change only in 'unconfigured'.
    """
    values = {}
    for parameter in parameters:
        item = SETTINGS.get(parameter.name)
        if item is not None:
            check_state(item, state)
            check_value(item, parameter.value)
            values[item.name] = to_setting(item, parameter.value)
    return replace(config, **values)


def check_state(item: Field, state: str) -> None:
    """Raise ValueError if a setting may not change in this state of the node."""
    if item.metadata['changes'] == 'unconfigured' and state != 'unconfigured':
        cure = 'wait until it is loaded' if state == 'loading' else 'clean the node up first'
        raise ValueError(f'parameter {item.name!r} can change only while the node is '
                         f'unconfigured, it is {state}; {cure}')
