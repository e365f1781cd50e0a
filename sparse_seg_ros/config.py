# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
What settings are: frozen dataclasses, read from strict YAML.

Every field says its type, default, range and meaning once. ROS parameters, YAML files and their
error messages all come from here. None (`null` in YAML) leaves a setting to the weights.
"""

from __future__ import annotations

import difflib
import logging
import types
from collections.abc import Callable, Collection, Mapping
from dataclasses import Field, dataclass, field, fields
from functools import cache
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

import yaml

from sparse_seg_ros.texts import cut

LOG = logging.getLogger(__name__)
KINDS = {bool: ('true or false', ''), int: ('a whole number', 'whole numbers'),
         float: ('a number', 'numbers'), str: ('text', 'texts')}

Config = TypeVar('Config', bound='Settings')
Choices = Collection[str] | Callable[[], Collection[str]]


def setting(default: Any, about: str, *, at_least: float | None = None,
            at_most: float | None = None, choices: Choices | None = None,
            changes: str = 'never', former: str = '', example: str = '') -> Any:
    """
    Make a dataclass field that knows its range; each part of a list has to be in it.

    choices: the allowed values, or a function that returns them. changes: when it may change in
    the ROS node: 'never', 'unconfigured' (before the model is loaded) or 'live'. former: its old
    name, which is still read, with a warning. example: a value for error messages.
    """
    return field(default=default, metadata={
        'about': about, 'at_least': at_least, 'at_most': at_most, 'choices': choices,
        'changes': changes, 'former': former, 'example': example})


@dataclass(frozen=True)
class Settings:
    """Base of all settings: checks type and range of every field at birth."""

    def __post_init__(self):
        for item in fields(self):
            check_setting(type(self), item, getattr(self, item.name))


@cache
def hints(kind: type) -> dict[str, Any]:
    """Dataclass -> the type of each of its fields, by name."""
    return get_type_hints(kind)


def parts_of(hint: Any) -> tuple[Any, bool]:
    """Type of a setting -> the same without None, and whether it may be None."""
    options = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    others = [option for option in options if option is not type(None)]
    return others[0], len(others) < len(options)


def check_setting(kind: type, item: Field, value: Any) -> None:
    """Raise ValueError, naming the setting and its range, unless a value fits a field of kind."""
    hint, may_be_none = parts_of(hints(kind)[item.name])
    if value is None and may_be_none:
        return
    if not fits(value, hint) or may_be_none and value in ('', ()):
        example = item.metadata['example'] and f", such as {item.metadata['example']}"
        got = cut(repr(list(value) if isinstance(value, tuple) else value))
        raise ValueError(f'setting {item.name!r} must be {describe_type(hint, may_be_none)}'
                         f'{example}, got {got}')
    for part in value if isinstance(value, tuple) else (value,):
        check_range(item, part, ' or null' if may_be_none else '')


def check_range(item: Field, value: Any, or_null: str) -> None:
    """Raise ValueError unless a value, or part of a list, is in the range of its setting."""
    least, most = item.metadata['at_least'], item.metadata['at_most']
    if least is not None and not value >= least:
        raise ValueError(f'setting {item.name!r} must be at least {least}{or_null}, got {value}')
    if most is not None and not value <= most:
        raise ValueError(f'setting {item.name!r} must be at most {most}{or_null}, got {value}')
    choices = choices_of(item)
    if choices and value not in choices:
        raise ValueError(f"setting {item.name!r} must be one of {', '.join(choices)}{or_null}; "
                         f'got {cut(repr(value))}')


def choices_of(item: Field) -> Collection[str]:
    """Return the values that a setting may have; empty where it has no such list."""
    choices = item.metadata['choices'] or ()
    return choices if isinstance(choices, Collection) else choices()


def fits(value: Any, hint: Any) -> bool:
    """Tell whether a value is of a type, to its last part; a whole number is a number, too."""
    if get_origin(hint) is tuple:
        kinds = get_args(hint)
        if kinds[-1] is Ellipsis:
            kinds = kinds[:1] * len(value) if isinstance(value, tuple) else ()
        return isinstance(value, tuple) and len(value) == len(kinds) and all(
            fits(part, kind) for part, kind in zip(value, kinds))
    if hint is float:
        return type(value) in (int, float)
    return type(value) is hint


def describe_type(hint: Any, may_be_none: bool = False) -> str:
    """Type -> words."""
    or_null = ' or null' if may_be_none else ''
    if get_origin(hint) is not tuple:
        return KINDS[hint][0] + or_null
    kinds = get_args(hint)
    if kinds[-1] is Ellipsis:
        return f'a list of {KINDS[kinds[0]][1]}{or_null}'
    return f'a list of {len(kinds)} {KINDS[kinds[0]][1]}{or_null}'


def from_mapping(kind: type[Config], values: Mapping[str, Any], source: str) -> Config:
    """Build settings from a mapping; an unknown key is an error that names the nearest."""
    if not isinstance(values, Mapping):
        raise ValueError(f'{source}: expected settings as "name: value" lines, got '
                         f'{cut(repr(values))}')
    values = renamed(kind, values, source)
    known = hints(kind)
    for name in values:
        if name not in known:
            raise ValueError(f'{source}: unknown setting {cut(repr(name))}; '
                             f'{nearest(name, known)}')
    try:
        return kind(**{name: converted(value, parts_of(known[name])[0])
                       for name, value in values.items()})
    except ValueError as error:
        raise ValueError(f'{source}: {error}') from None


def renamed(kind: type, values: Mapping[str, Any], source: str) -> dict[str, Any]:
    """Rename settings that have a former name, with a warning; below 0 they meant null."""
    values = dict(values)
    for item in fields(kind):
        former = item.metadata['former']
        if former and former in values:
            if item.name in values:
                raise ValueError(f'{source}: {former!r} is the former name of {item.name!r}, '
                                 'which is there, too; remove one')
            LOG.warning('%s: setting %r is now called %r, and its old name will go', source,
                        former, item.name)
            value = values.pop(former)
            is_unset = type(value) in (int, float) and value < 0
            values[item.name] = None if is_unset else value
    return values


def converted(value: Any, hint: Any) -> Any:
    """Value of YAML -> value of the dataclass: a list becomes a tuple, a whole number a float."""
    if isinstance(value, list):
        kinds = get_args(hint) or (hint,)
        return tuple(converted(part, kinds[0]) for part in value)
    return float(value) if type(value) is int and hint is float else value


def to_yaml(settings: Settings, notes: Mapping[str, str]) -> str:
    """Settings -> a complete YAML; each line ends with its note, or else its description."""
    lines = []
    for item in fields(settings):
        value = yaml.safe_dump(getattr(settings, item.name), default_flow_style=True)
        value = value.removesuffix('...\n').strip()
        lines.append(f"{item.name}: {value}  # {notes.get(item.name, item.metadata['about'])}\n")
    return ''.join(lines)


def nearest(name: str, known: Any) -> str:
    """Return the end of an error sentence: the name that was probably meant, or all names."""
    close = difflib.get_close_matches(cut(str(name)), list(known), n=1)
    return f'did you mean {close[0]!r}?' if close else f"known: {cut(', '.join(known), 300)}"


def read_size(text: str, name: str) -> tuple[int, int]:
    """'1024x2048' -> (1024, 2048); name: of the setting or option, for the error."""
    height, _, width = str(text).partition('x')
    if not (height.isdigit() and width.isdigit() and int(height) and int(width)):
        raise ValueError(f'{name} must be HxW, like 1024x2048, got {cut(repr(text))}')
    return int(height), int(width)
