# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Measure speed on this machine, against named rivals in the same run.

examples:
  sparse_seg bench sparse                 sparse convolution against dense and spconv
  sparse_seg bench model                  does refining pay? the demo against full resolution
  sparse_seg bench model --model mine=run/refiner full=run/full --frames data/test --repeats 50
  sparse_seg bench merging --repeats 9    Segmenter with merged tokens against merging elsewhere
  sparse_seg bench node                   the node over DDS, in two processes
  sparse_seg bench attention --plot attention.png   LRFormer and SegFormer while images grow
  sparse_seg bench networks --size 1024x2048        LRFormer against SegFormer
  sparse_seg bench refined --networks hrnet_w48     the paper's networks under SparseRefine
  sparse_seg bench refined --batch 4 --precision fp32   the same beside its Tables A2 and A3
  sparse_seg bench engines --networks demo lrformer_t segmenter_s --sizes 256x512 512x1024
"""

from __future__ import annotations

import argparse

from sparse_seg_ros.commands.evaluate import HELD_OUT_STREETS, named_models
from sparse_seg_ros.config import nearest, read_size


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this verb."""
    parser.add_argument('what', choices=BENCHES)
    parser.add_argument('--model', nargs='+', default=['demo'], metavar='[NAME=]MODEL',
                        help='for model: what is timed; the last one is the rival. One alone that '
                        'refines is compared with its network, unrefined and at full resolution')
    parser.add_argument('--frames', metavar='FOLDER/SPLIT', help='for model: labelled frames on '
                        'disk, evenly chosen (default: rendered, held-out streets)')
    parser.add_argument('--size', help='HxW of the frames, for model, networks and refined '
                        '(default: 1024x2048) and merging (default: 512x512 and 768x768)')
    parser.add_argument('--network', default='segmenter_s', help='for merging')
    parser.add_argument('--networks', nargs='+', metavar='NAME',
                        help='for engines: demo and names of networks; for refined: which of the '
                        'five (default: all)')
    parser.add_argument('--sizes', nargs='+', default=['256x512', '512x1024'], metavar='HxW',
                        help='for engines: of what the network sees')
    parser.add_argument('--sides', type=int, nargs='+', default=[512, 1024, 1536, 2048],
                        help='for attention: sides of the square images')
    parser.add_argument('--repeats', type=int, default=10, help='rounds, of model one frame '
                        'each; not for node')
    parser.add_argument('--device', default='auto',
                        help='for sparse, model, merging and refined')
    parser.add_argument('--precision', default='auto',
                        help='for model, merging, attention and refined')
    parser.add_argument('--batch', type=int, default=1, help='frames at a time, for refined; the '
                        'paper has 1, 2, 4 and 8')
    parser.add_argument('--plot', metavar='PNG', help='for attention: draw it')
    parser.add_argument('--json', metavar='FILE', help='write the figures there, too')


def run(args: argparse.Namespace) -> int:
    """Run one benchmark and print its table."""
    figures = BENCHES[args.what](args)
    if args.json:
        from sparse_seg_ros.machine import write_figures
        write_figures(args.json, figures)
    return 0


def bench_sparse(args: argparse.Namespace) -> dict:
    """Sparse convolution and the six-stage extractor."""
    from sparse_seg_ros.bench import sparse_convolution
    from sparse_seg_ros.device import choose_device
    return sparse_convolution.run(repeats=args.repeats, device=choose_device(args.device))


def bench_model(args: argparse.Namespace) -> dict:
    """Whole models, stage by stage, and whether refining pays."""
    from sparse_seg_ros.bench import whole_models
    from sparse_seg_ros.data.frames import frames
    from sparse_seg_ros.data.street import CLASSES, street_frames
    from sparse_seg_ros.loading.zoo import load, load_resolutions

    if args.repeats < 1:
        raise ValueError(f'--repeats must be at least 1, got {args.repeats}')
    wanted = named_models(args.model)
    models = load_resolutions(*wanted.values(), args.device, args.precision) \
        if len(wanted) == 1 else {}
    models = models or {name: load(model, args.device, args.precision)
                        for name, model in wanted.items()}
    if args.frames:
        pairs = frames(args.frames).spread(args.repeats)
        names = pairs.classes or next(iter(models.values())).labels.names
    else:
        size_hw = read_size(args.size or '1024x2048', '--size')
        pairs, names = street_frames(HELD_OUT_STREETS, args.repeats, size_hw), CLASSES
    return {**whole_models.run(models, pairs, names),
            'weights': {name: segment.weights for name, segment in models.items()}}


def bench_merging(args: argparse.Namespace) -> dict:
    """Merging of tokens in a vision transformer, against merging elsewhere and none."""
    from dataclasses import replace

    from sparse_seg_ros.bench import merging
    from sparse_seg_ros.device import choose_device, choose_precision
    device = choose_device(args.device)
    setting = merging.Setting(network=args.network, repeats=args.repeats, device=device,
                                    precision=choose_precision(args.precision, device))
    if args.size:
        setting = replace(setting, sizes_hw=(read_size(args.size, '--size'),))
    return merging.run(setting)


def bench_node(args: argparse.Namespace) -> dict:
    """Transport and overhead of the node."""
    from sparse_seg_ros.bench import node
    return node.run()


def bench_engines(args: argparse.Namespace) -> dict:
    """ONNX Runtime against torch, network by network."""
    from sparse_seg_ros.bench import onnxruntime_against_torch
    from sparse_seg_ros.networks import NETWORKS
    return onnxruntime_against_torch.run(args.networks or ['demo', *NETWORKS],
                             [read_size(size, '--sizes') for size in args.sizes], args.repeats)


def bench_refined(args: argparse.Namespace) -> dict:
    """The paper's networks, at full resolution and under SparseRefine."""
    from sparse_seg_ros.bench import paper_networks
    from sparse_seg_ros.device import choose_device, choose_precision
    if args.batch < 1:
        raise ValueError(f'--batch must be at least 1, got {args.batch}')
    for name in args.networks or ():
        if name not in paper_networks.PUBLISHED:
            raise ValueError(f'refined: {name!r} is not in the table; '
                             f'{nearest(name, paper_networks.PUBLISHED)}')
    device = choose_device(args.device)
    return paper_networks.run(args.networks, paper_networks.Setting(
        read_size(args.size or '1024x2048', '--size'), args.batch, args.repeats,
        choose_precision(args.precision, device), device))


def bench_attention(args: argparse.Namespace) -> dict:
    """Cost of attention while images grow."""
    from sparse_seg_ros.bench import attention
    from sparse_seg_ros.device import choose_precision
    from sparse_seg_ros.report import plots
    if odd := [side for side in args.sides if side < 32 or side % 32]:
        raise ValueError(f'--sides must be multiples of 32, got {odd[0]}')
    figures = attention.run(tuple(args.sides), args.repeats,
                                  choose_precision(args.precision, 'cpu'))
    if args.plot:
        plots.plot_attention(figures, args.plot)
    return figures


def bench_networks(args: argparse.Namespace) -> dict:
    """LRFormer against SegFormer."""
    from sparse_seg_ros.bench import lrformer
    return lrformer.run(read_size(args.size or '1024x2048', '--size'), args.repeats)


BENCHES = {'sparse': bench_sparse, 'model': bench_model, 'merging': bench_merging,
           'attention': bench_attention, 'networks': bench_networks, 'refined': bench_refined,
           'engines': bench_engines, 'node': bench_node}
