# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Measure speed on this machine, against named rivals in the same run.

examples:
  sparse_seg bench model                  does refining pay? the demo against full resolution
  sparse_seg bench sparse --help          the options of one benchmark
"""

from __future__ import annotations

import argparse

from sparse_seg_ros.commands import network_benches, options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add a verb for each benchmark."""
    options.add_sub_verbs(parser, BENCHES)


def add_sparse(parser: argparse.ArgumentParser) -> None:
    """Add the options of the benchmark of sparse convolution."""
    options.add_repeats(parser)
    options.add_device(parser)
    parser.add_argument('--tune', action='store_true', help='first find how each width of the '
                        'demo is best computed on this GPU, and keep that in ~/.cache')
    options.add_json(parser)


def bench_sparse(args: argparse.Namespace) -> int:
    """
    Time sparse convolution, and the extractor made of it, against dense convolution and spconv.

    examples:
      sparse_seg bench sparse --repeats 5
      sparse_seg bench sparse --device cuda --tune
    """
    from sparse_seg_ros.bench import sparse_convolution
    from sparse_seg_ros.device import choose_device
    from sparse_seg_ros.loading.zoo import find_model
    device = choose_device(args.device)
    if args.tune:
        sparse_convolution.tune(find_model('demo')[0].refiner, sparse_convolution.street_selection(
            sparse_convolution.SIZE_HW, sparse_convolution.DENSITY), device)
    return options.show(args, sparse_convolution.run(
        options.at_least_one(args, 'repeats'), device=device), sparse_convolution.describe)


def add_model(parser: argparse.ArgumentParser) -> None:
    """Add the options of the benchmark of whole models."""
    options.add_models(parser)
    options.add_source(parser, 'frames', 'street', required=False)
    options.add_size(parser)
    options.add_repeats(parser)
    options.add_device(parser)
    options.add_precision(parser)
    options.add_json(parser)


def bench_model(args: argparse.Namespace) -> int:
    """
    Time whole models, stage by stage, and say whether refining pays.

    The last model is the rival. A single model that refines is compared with its own network,
    unrefined and at full resolution. A round is one frame. --repeats frames are chosen evenly from
    --frames; without --frames, --street or else --repeats says how many are rendered.

    examples:
      sparse_seg bench model
      sparse_seg bench model --model mine=run/refiner full=run/full --frames data/test --repeats 50
    """
    from sparse_seg_ros.bench import whole_models
    from sparse_seg_ros.loading.zoo import load_resolutions
    frames, classes = timed_frames(args)
    single = len(args.model) == 1 and load_resolutions(
        *options.named_models(args.model).values(), args.device, args.precision)
    models = single or dict(options.load_models(args))
    figures = whole_models.run(models, frames, classes or next(iter(models.values())).labels.names)
    return options.show(args, {**figures, 'weights': {
        name: segment.weights for name, segment in models.items()}}, whole_models.describe)


def timed_frames(args: argparse.Namespace) -> tuple:
    """Return the frames of the rounds and the names of their classes, () where unknown."""
    from sparse_seg_ros.data.street import CLASSES
    rounds = options.at_least_one(args, 'repeats')
    frames = options.labelled_frames(
        args.frames, rounds if args.street is None else args.street, args.size)
    return (frames.spread(rounds), frames.classes) if args.frames else (frames, CLASSES)


def bench_node(args: argparse.Namespace) -> int:
    """
    Measure what ROS costs beside inference: the node over DDS, in two processes.

    example:
      sparse_seg bench node --json node.json
    """
    from sparse_seg_ros.bench import node
    return options.show(args, node.run(), node.describe)


def add_deadline(parser: argparse.ArgumentParser) -> None:
    """Add the options of the benchmark of deadlines."""
    options.add_model(parser)
    options.add_size(parser, '512x1024')
    options.add_repeats(parser, 1000)
    parser.add_argument('--ratio', type=float, default=1.3, metavar='R', help='deadline as a '
                        'multiple of the dense time (default: %(default)s)')
    options.add_device(parser)
    options.add_precision(parser)
    options.add_json(parser)


def bench_deadline(args: argparse.Namespace) -> int:
    """
    Count frames that are on time with deadline mode and without, against an oracle.

    examples:
      sparse_seg bench deadline --json deadline.json
      sparse_seg bench deadline --repeats 200 --ratio 2
    """
    from sparse_seg_ros.bench import deadline
    from sparse_seg_ros.loading.zoo import load
    setting = deadline.Setting(options.size_hw(args), options.at_least_one(args, 'repeats'),
                               args.ratio)
    segment = load(args.model, args.device, args.precision)
    return options.show(args, {**deadline.run(segment, setting), 'weights': segment.weights},
                        deadline.describe)


def add_floors(parser: argparse.ArgumentParser) -> None:
    """Add the options of the floors of a GPU."""
    options.add_model(parser)
    options.add_size(parser)
    options.add_json(parser)


def bench_floors(args: argparse.Namespace) -> int:
    """
    Count how fast a refined frame could be on a GPU, by stage; needs none, and measures nothing.

    example:
      sparse_seg bench floors --json floors.json
    """
    from sparse_seg_ros.bench import floors
    from sparse_seg_ros.loading.zoo import load
    segment = load(args.model, 'cpu', 'fp32')
    image, _ = next(iter(options.labelled_frames(None, 1, args.size)))
    return options.show(args, {**floors.run(segment, image), 'weights': {
        args.model: segment.weights}}, floors.describe)


BENCHES = {'sparse': (add_sparse, bench_sparse), 'model': (add_model, bench_model),
           **network_benches.BENCHES, 'deadline': (add_deadline, bench_deadline),
           'floors': (add_floors, bench_floors), 'node': (options.add_json, bench_node)}
