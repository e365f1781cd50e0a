# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The options that verbs share, each written once, and the functions that read them.

A verb adds the options that it can serve. An option means the same in every verb.
"""

from __future__ import annotations

import argparse
import inspect
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from sparse_seg_ros.config import read_size

if TYPE_CHECKING:
    from sparse_seg_ros.segmenter import Segmenter

HELD_OUT_STREETS = 1001  # seeds of rendered scenes; training renders others
CALIBRATION_STREETS = 2001
FULL_SIZE = '1024x2048'
DEMO = 'demo'  # the model of every verb, unless another is named
MODEL = 'zoo name, method YAML, weights file, run folder or Hugging Face folder'
PRECISIONS = ('auto', 'fp32', 'bf16', 'fp16')
SOURCES = {
    'frames': {'metavar': '[KIND:]ROOT/SPLIT', 'help': 'labelled frames: a list ROOT/SPLIT.txt, '
               'or a data set, such as cityscapes:data/cityscapes/val'},
    'bag': {'type': Path, 'help': 'rosbag2 folder, its .mcap or .db3 file, or .bag file of ROS 1'},
    'bags': {'nargs': '+', 'metavar': 'PATTERN', 'help': "many bags, in parallel: quoted patterns "
             "of files or folders, such as 'drives/**/*.mcap'"},
    'pictures': {'nargs': '+', 'metavar': 'IN', 'help': 'pictures, folders, patterns or videos'},
    'street': {'type': int, 'metavar': 'N', 'help': 'N rendered street frames'},
}
SubVerb = tuple[Callable[[argparse.ArgumentParser], None], Callable[[argparse.Namespace], int]]


def add_model(parser: argparse.ArgumentParser) -> None:
    """Add --model, one model."""
    parser.add_argument('--model', default=DEMO, help=f'{MODEL} (default: demo)')


def add_models(parser: argparse.ArgumentParser) -> None:
    """Add --model, the models that are compared."""
    parser.add_argument('--model', nargs='+', default=[DEMO], metavar='[NAME=]MODEL',
                        help=f'each a {MODEL} (default: demo)')


def add_source(parser: argparse.ArgumentParser, *kinds: str,
               required: bool = True) -> argparse._ArgumentGroup:
    """Add an option for each kind of source; a user gives one of them. Return their group."""
    group = parser.add_mutually_exclusive_group(required=required)
    for kind in kinds:
        group.add_argument(f'--{kind}', **SOURCES[kind])
    return group


def add_size(parser: argparse.ArgumentParser, default: str | None = FULL_SIZE, *,
             of: str = 'rendered frames', note: str = '') -> None:
    """Add --size, for images that are not read from disk; note: the default in words."""
    parser.add_argument('--size', metavar='HxW', default=default,
                        help=f'height and width of {of} (default: {note or default})')


def add_device(parser: argparse.ArgumentParser) -> None:
    """Add --device."""
    parser.add_argument('--device', default='auto',
                        help='cpu, cuda, cuda:0 or auto (default: auto)')


def add_precision(parser: argparse.ArgumentParser,
                  note: str = 'auto = the fastest safe one') -> None:
    """Add --precision; note: what auto means."""
    parser.add_argument('--precision', default='auto', choices=PRECISIONS,
                        help=f'arithmetic of the networks; {note} (default: auto)')


def add_remap(parser: argparse.ArgumentParser, what: str) -> None:
    """Add --remap; what: is done in its classes."""
    parser.add_argument('--remap', metavar='NAME', help=f'{what} in the classes of a remap: a '
                        'name in config/remaps, or a YAML of your own')


def add_repeats(parser: argparse.ArgumentParser, default: int = 10) -> None:
    """Add --repeats, of a benchmark."""
    parser.add_argument('--repeats', type=int, default=default, metavar='N',
                        help='number of timed rounds (default: %(default)s)')


def add_out(parser: argparse.ArgumentParser | argparse._ArgumentGroup, what: str, *, metavar: str,
            required: bool = False, default: str | None = None) -> None:
    """Add --out, the file or folder that a verb makes."""
    parser.add_argument('-o', '--out', type=Path, metavar=metavar, required=required,
                        default=default, help=what)


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add --json."""
    parser.add_argument('--json', type=Path, metavar='FILE',
                        help='write the figures into this file, too')


def add_sub_verbs(parser: argparse.ArgumentParser, verbs: Mapping[str, SubVerb]) -> None:
    """Add verbs of a verb: name -> (adds its options, runs it; its docstring is the help)."""
    parsers = parser.add_subparsers(metavar='WHAT', required=True)
    for name, (add_arguments, run) in verbs.items():
        text = inspect.cleandoc(run.__doc__ or '')
        summary = text.partition('.\n')[0]
        sub_parser = parsers.add_parser(
            name, help=summary[:1].lower() + summary[1:], description=text,
            formatter_class=argparse.RawDescriptionHelpFormatter)
        add_arguments(sub_parser)
        sub_parser.set_defaults(run=run)


def at_least_one(args: argparse.Namespace, name: str) -> int:
    """Return the count of an option by its name; ValueError where it is below 1."""
    count = getattr(args, name)
    if count < 1:
        raise ValueError(f"--{name.replace('_', '-')} must be at least 1, got {count}")
    return count


def size_hw(args: argparse.Namespace) -> tuple[int, int]:
    """Return --size as (height, width)."""
    return read_size(args.size, '--size')


def load_models(args: argparse.Namespace) -> Iterator[tuple[str, Segmenter]]:
    """Load the models of --model one after the other -> their names and Segmenters."""
    from sparse_seg_ros.loading.zoo import load
    for name, model in named_models(args.model).items():
        yield name, load(model, args.device, args.precision)


def load_model(args: argparse.Namespace) -> Segmenter:
    """Load the model of --model, in the classes of --remap where that is given."""
    from sparse_seg_ros.evaluation.evaluate import adjusted
    from sparse_seg_ros.loading.zoo import load
    return adjusted(load(args.model, args.device, args.precision), remap=args.remap)


def named_models(items: list[str]) -> dict[str, str]:
    """
    '[NAME=]MODEL' of the command line -> name -> model, in order.

    A model without a name gets the name of its file or of its run folder. If two models would have
    the same name, they get their whole paths. A name that is given twice raises ValueError.
    """
    pairs = [(name, model) for name, _, model in (item.rpartition('=') for item in items)]
    short = [name or short_name(model) for name, model in pairs]
    names = [own if short.count(own) == 1 else name or model
             for own, (name, model) in zip(short, pairs)]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f'two models would both be named {name!r}; name them apart, such as '
                             f'a={pairs[names.index(name)][1]}')
    return dict(zip(names, (model for _, model in pairs)))


def short_name(model: str) -> str:
    """'runs/a/model.safetensors' -> 'a'; 'models/demo.safetensors' -> 'demo'."""
    path = Path(model)
    return path.parent.name if path.name == 'model.safetensors' and path.parent.name else path.stem


def labelled_frames(split: str | None, street: int, size: str, seed: int = HELD_OUT_STREETS):
    """--frames, --street, --size -> (image, label) pairs; rendered ones come only once."""
    from sparse_seg_ros.data.frames import frames
    from sparse_seg_ros.data.street import street_frames
    if split:
        return frames(split)
    if street < 1:
        raise ValueError(f'--street must be at least 1, got {street}')
    return street_frames(seed, street, read_size(size, '--size'))


def source_name(args: argparse.Namespace) -> str:
    """Return what --frames or --street is called in figures."""
    return split_name(args.frames) if args.frames else f'{args.street} streets {args.size}'


def split_name(split: str) -> str:
    """'data/camvid960/test' -> 'camvid960/test': many data sets have a test."""
    return '/'.join(Path(split.removesuffix('.txt')).parts[-2:])


def write_json(args: argparse.Namespace, figures: Mapping[str, object]) -> None:
    """Write figures, with machine and commit, where --json says; nowhere without it."""
    if args.json:
        from sparse_seg_ros.machine import write_figures
        write_figures(args.json, figures)


def show(args: argparse.Namespace, figures: dict, describe: Callable[[dict], str]) -> int:
    """Print the figures of a benchmark, and write them where --json says."""
    print(describe(figures))
    write_json(args, figures)
    return 0
