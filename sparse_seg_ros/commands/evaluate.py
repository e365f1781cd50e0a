# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Score models side by side: mIoU and IoU per class, refined fraction, milliseconds per frame.

examples:
  sparse_seg evaluate --model demo --frames my_robot/test
  sparse_seg evaluate --model half=runs/dense_half/model.safetensors demo --street 100
  sparse_seg evaluate --model city.safetensors --frames camvid:data/camvid/test \
      --remap cityscapes_to_camvid
"""

from __future__ import annotations

import argparse
from dataclasses import asdict

from sparse_seg_ros.commands import options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this verb."""
    options.add_models(parser)
    options.add_source(parser, 'frames', 'street')
    options.add_size(parser)
    options.add_device(parser)
    options.add_precision(parser)
    parser.add_argument('--alpha', type=float, help='entropy threshold in nats, for all models')
    parser.add_argument('--remap', metavar='NAME', help='score the models in the classes of a '
                        'remap: a name in config/remaps, or a YAML of your own')
    options.add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Evaluate every model on the same frames and print one table."""
    from sparse_seg_ros.data.street import CLASSES
    from sparse_seg_ros.evaluation.evaluate import evaluate, remapped
    from sparse_seg_ros.label_remap import load_remap
    from sparse_seg_ros.report.tables import markdown
    remap = load_remap(args.remap) if args.remap else None
    reports, weights = {}, {}
    for name, segment in options.load_models(args):
        if args.alpha is not None and segment.alpha is not None:
            segment = segment.with_limits(alpha=args.alpha)
        if remap is not None:
            segment = segment.with_remap(remap)
        frames = options.labelled_frames(args.frames, args.street, args.size)
        if remap is not None and args.street and remap.source == CLASSES:
            frames = remapped(frames, remap)
        reports[name] = evaluate(segment, frames)
        weights[name] = segment.weights
    print(markdown(reports))
    options.write_json(args, {
        'frames': options.source_name(args), 'weights': weights,
        **({'remap': remap.name} if remap else {}),
        'rows': {name: asdict(report) for name, report in reports.items()}})
    return 0
