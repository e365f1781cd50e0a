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
from collections.abc import Callable

from sparse_seg_ros.commands import options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add a verb for each benchmark."""
    options.add_sub_verbs(parser, BENCHES)


def show(args: argparse.Namespace, figures: dict, describe: Callable[[dict], str]) -> int:
    """Print the figures, and write them where --json says."""
    print(describe(figures))
    options.write_json(args, figures)
    return 0


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
    return show(args, sparse_convolution.run(
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
    return show(args, {**figures, 'weights': {
        name: segment.weights for name, segment in models.items()}}, whole_models.describe)


def timed_frames(args: argparse.Namespace) -> tuple:
    """Return the frames of the rounds and the names of their classes, () where unknown."""
    from sparse_seg_ros.data.street import CLASSES
    rounds = options.at_least_one(args, 'repeats')
    frames = options.labelled_frames(
        args.frames, rounds if args.street is None else args.street, args.size)
    return (frames.spread(rounds), frames.classes) if args.frames else (frames, CLASSES)


def add_refined(parser: argparse.ArgumentParser) -> None:
    """Add the options of the benchmark of the paper's networks."""
    parser.add_argument('--networks', nargs='+', metavar='NAME', help='some of the networks '
                        '(default: all five)')
    parser.add_argument('--batch', type=int, default=1, metavar='N', help='number of frames at a '
                        'time; the paper has 1, 2, 4 and 8 (default: 1)')
    options.add_size(parser)
    options.add_repeats(parser)
    options.add_device(parser)
    options.add_precision(parser)
    options.add_json(parser)


def bench_refined(args: argparse.Namespace) -> int:
    """
    Time the paper's five networks at full resolution and under SparseRefine.

    examples:
      sparse_seg bench refined --networks hrnet_w48
      sparse_seg bench refined --batch 4 --precision fp32    beside the paper's Tables A2 and A3
    """
    from sparse_seg_ros.bench import paper_networks
    from sparse_seg_ros.device import choose_device, choose_precision
    device = choose_device(args.device)
    setting = paper_networks.Setting(
        options.size_hw(args), options.at_least_one(args, 'batch'),
        options.at_least_one(args, 'repeats'), choose_precision(args.precision, device), device)
    return show(args, paper_networks.run(args.networks, setting), paper_networks.describe)


def add_merging(parser: argparse.ArgumentParser) -> None:
    """Add the options of the benchmark of merging."""
    parser.add_argument('--network', default='segmenter_s', metavar='NAME',
                        help='vision transformer (default: %(default)s)')
    options.add_size(parser, default=None, of='the images', note='512x512 and 768x768')
    options.add_repeats(parser)
    options.add_device(parser)
    options.add_precision(parser)
    options.add_json(parser)


def bench_merging(args: argparse.Namespace) -> int:
    """
    Time a vision transformer with merged tokens against merging elsewhere and none.

    example:
      sparse_seg bench merging --repeats 9
    """
    from sparse_seg_ros.bench import merging
    from sparse_seg_ros.device import choose_device, choose_precision
    device = choose_device(args.device)
    sizes = (options.size_hw(args),) if args.size else merging.Setting.sizes_hw
    setting = merging.Setting(args.network, sizes_hw=sizes, device=device,
                              repeats=options.at_least_one(args, 'repeats'),
                              precision=choose_precision(args.precision, device))
    return show(args, merging.run(setting), merging.describe)


def add_attention(parser: argparse.ArgumentParser) -> None:
    """Add the options of the benchmark of attention."""
    parser.add_argument('--sides', type=int, nargs='+', default=[512, 1024, 1536, 2048],
                        metavar='N', help='sides of the square images, multiples of 32')
    options.add_repeats(parser)
    options.add_precision(parser)
    parser.add_argument('--plot', metavar='PNG', help='drawing of the times; needs matplotlib')
    options.add_json(parser)


def bench_attention(args: argparse.Namespace) -> int:
    """
    Count and time attention while images grow: LRFormer beside SegFormer, on the CPU.

    example:
      sparse_seg bench attention --plot attention.png
    """
    from sparse_seg_ros.bench import attention
    from sparse_seg_ros.device import choose_precision
    from sparse_seg_ros.report import plots
    figures = attention.run(tuple(args.sides), options.at_least_one(args, 'repeats'),
                            choose_precision(args.precision, 'cpu'))
    if args.plot:
        plots.plot_attention(figures, args.plot)
    return show(args, figures, attention.describe)


def add_networks(parser: argparse.ArgumentParser) -> None:
    """Add the options of the benchmark of dense networks."""
    options.add_size(parser, of='the image')
    options.add_repeats(parser)
    options.add_json(parser)


def bench_networks(args: argparse.Namespace) -> int:
    """
    Time LRFormer against the SegFormer of its size, on the CPU in its native precisions.

    example:
      sparse_seg bench networks --size 1024x2048
    """
    from sparse_seg_ros.bench import lrformer
    return show(args, lrformer.run(options.size_hw(args), options.at_least_one(args, 'repeats')),
                lrformer.describe)


def add_engines(parser: argparse.ArgumentParser) -> None:
    """Add the options of the benchmark of engines."""
    parser.add_argument('--networks', nargs='+', metavar='NAME',
                        help='demo and names of networks (default: all)')
    parser.add_argument('--sizes', nargs='+', default=['256x512', '512x1024'], metavar='HxW',
                        help='sizes of what the network sees (default: 256x512 512x1024)')
    options.add_repeats(parser)
    options.add_json(parser)


def bench_engines(args: argparse.Namespace) -> int:
    """
    Time ONNX Runtime against torch, network by network, on the CPU in fp32.

    example:
      sparse_seg bench engines --networks demo lrformer_t segmenter_s --sizes 256x512 512x1024
    """
    from sparse_seg_ros.bench import onnxruntime_against_torch
    from sparse_seg_ros.config import read_size
    from sparse_seg_ros.networks import NETWORKS
    return show(args, onnxruntime_against_torch.run(
        args.networks or ['demo', *NETWORKS], [read_size(size, '--sizes') for size in args.sizes],
        options.at_least_one(args, 'repeats')), onnxruntime_against_torch.describe)


def bench_node(args: argparse.Namespace) -> int:
    """
    Measure what ROS costs beside inference: the node over DDS, in two processes.

    example:
      sparse_seg bench node --json node.json
    """
    from sparse_seg_ros.bench import node
    return show(args, node.run(), node.describe)


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
    return show(args, {**deadline.run(segment, setting), 'weights': segment.weights},
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
    return show(args, {**floors.run(segment, image), 'weights': {args.model: segment.weights}},
                floors.describe)


BENCHES = {'sparse': (add_sparse, bench_sparse), 'model': (add_model, bench_model),
           'refined': (add_refined, bench_refined), 'merging': (add_merging, bench_merging),
           'attention': (add_attention, bench_attention),
           'networks': (add_networks, bench_networks),
           'engines': (add_engines, bench_engines),
           'deadline': (add_deadline, bench_deadline),
           'floors': (add_floors, bench_floors), 'node': (options.add_json, bench_node)}
