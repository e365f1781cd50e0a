# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Score models side by side: mIoU and IoU per class, refined fraction, milliseconds per frame.

examples:
  sparse_seg evaluate --model demo --frames my_robot/test
  sparse_seg evaluate --model half=runs/dense_half/model.safetensors demo --street 100
"""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

from sparse_seg_ros.config import read_size

HELD_OUT_STREETS = 1001  # seed; training renders others


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this verb."""
    parser.add_argument('--model', nargs='+', default=['demo'], metavar='[NAME=]MODEL',
                        help='zoo names, method YAMLs, weights files, run folders or '
                             'Hugging Face folders (default: demo)')
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument('--frames', metavar='FOLDER/SPLIT', help='labelled frames on disk')
    source.add_argument('--street', type=int, metavar='N', help='N rendered, held-out scenes')
    parser.add_argument('--size', default='1024x2048', help='HxW of the scenes')
    parser.add_argument('--device', default='auto')
    parser.add_argument('--precision', default='auto')
    parser.add_argument('--alpha', type=float, help='entropy threshold in nats for all models')
    parser.add_argument('--json', metavar='FILE', help='write the figures there, too')


def run(args: argparse.Namespace) -> int:
    """Evaluate every model on the same frames and print one table."""
    from sparse_seg_ros.data.frames import frames
    from sparse_seg_ros.data.street import street_frames
    from sparse_seg_ros.evaluation.evaluate import evaluate
    from sparse_seg_ros.loading.zoo import load
    from sparse_seg_ros.machine import write_figures
    from sparse_seg_ros.report.tables import markdown
    reports, weights = {}, {}
    for name, model in named_models(args.model).items():
        segment = load(model, args.device, args.precision)
        if args.alpha is not None and segment.alpha is not None:
            segment = segment.with_limits(alpha=args.alpha)
        pairs = frames(args.frames) if args.frames else street_frames(
            HELD_OUT_STREETS, args.street, parse_size(args.size))
        reports[name] = evaluate(segment, pairs)
        weights[name] = segment.weights
    print(markdown(reports))
    if args.json:
        source = name_of(args.frames) if args.frames else f'{args.street} streets {args.size}'
        write_figures(args.json, {
            'frames': source, 'weights': weights,
            'rows': {name: asdict(report) for name, report in reports.items()}})
    return 0


def name_of(split: str) -> str:
    """'data/camvid960/test' -> 'camvid960/test': many data sets have a test."""
    return '/'.join(Path(split.removesuffix('.txt')).parts[-2:])


def named_models(items: list[str]) -> dict[str, str]:
    """
    '[NAME=]MODEL' of the command line -> name -> model, in order.

    A model without a name has that of its file, or of its run folder; where two would have the
    same, that of the whole path. The same name given twice raises ValueError.
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


def parse_size(text: str) -> tuple[int, int]:
    """'1024x2048' -> (1024, 2048)."""
    return read_size(text, '--size')
