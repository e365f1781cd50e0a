# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The benchmarks of networks with random weights: their options, and what runs them."""

from __future__ import annotations

import argparse

from sparse_seg_ros.commands import options


def add_refined(parser: argparse.ArgumentParser) -> None:
    """Add the options of the benchmark of the paper's networks."""
    parser.add_argument('--networks', nargs='+', metavar='NAME', help='some of the networks '
                        '(default: all five)')
    parser.add_argument('--batch', type=int, default=1, metavar='N', help='number of frames at a '
                        'time; the paper has 1, 2, 4 and 8 (default: 1)')
    parser.add_argument('--warm-up', type=int, default=1, metavar='N', help='number of rounds '
                        'before the timed ones; the paper has 100, and times 500 (default: 1)')
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
      sparse_seg bench refined --batch 4 --precision fp16 --warm-up 100 --repeats 500
    """
    from sparse_seg_ros.bench import paper_networks
    from sparse_seg_ros.device import choose_device, choose_precision
    device = choose_device(args.device)
    setting = paper_networks.Setting(
        options.size_hw(args), options.at_least_one(args, 'batch'),
        options.at_least_one(args, 'repeats'), choose_precision(args.precision, device), device,
        options.at_least_one(args, 'warm_up'))
    return options.show(args, paper_networks.run(args.networks, setting), paper_networks.describe)


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
    return options.show(args, merging.run(setting), merging.describe)


def add_attention(parser: argparse.ArgumentParser) -> None:
    """Add the options of the benchmark of attention."""
    parser.add_argument('--sides', type=int, nargs='+', default=[512, 1024, 1536, 2048],
                        metavar='N', help='sides of the square images, multiples of 32')
    options.add_repeats(parser)
    options.add_device(parser)
    options.add_precision(parser)
    parser.add_argument('--plot', metavar='PNG', help='drawing of the times; needs matplotlib')
    options.add_json(parser)


def bench_attention(args: argparse.Namespace) -> int:
    """
    Count and time attention while images grow: LRFormer beside SegFormer.

    The memory of training is counted, too, on any device.

    example:
      sparse_seg bench attention --plot attention.png
    """
    from sparse_seg_ros.bench import attention
    from sparse_seg_ros.device import choose_device, choose_precision
    from sparse_seg_ros.report import plots
    device = choose_device(args.device)
    figures = attention.run(tuple(args.sides), options.at_least_one(args, 'repeats'),
                            choose_precision(args.precision, device), device)
    if args.plot:
        plots.plot_attention(figures, args.plot)
    return options.show(args, figures, attention.describe)


def add_networks(parser: argparse.ArgumentParser) -> None:
    """Add the options of the benchmark of dense networks."""
    options.add_size(parser, of='the image')
    options.add_repeats(parser)
    options.add_device(parser)
    options.add_precision(parser, 'auto = fp32 and fp16 on CUDA, on a CPU all native ones')
    options.add_json(parser)


def bench_networks(args: argparse.Namespace) -> int:
    """
    Time LRFormer against the SegFormer of its size, in turns.

    example:
      sparse_seg bench networks --size 1024x2048 --device cpu
    """
    from sparse_seg_ros.bench import lrformer
    from sparse_seg_ros.device import choose_device
    return options.show(args, lrformer.run(
        options.size_hw(args), options.at_least_one(args, 'repeats'), args.precision,
        choose_device(args.device)), lrformer.describe)


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
    return options.show(args, onnxruntime_against_torch.run(
        args.networks or ['demo', *NETWORKS], [read_size(size, '--sizes') for size in args.sizes],
        options.at_least_one(args, 'repeats')), onnxruntime_against_torch.describe)


def add_counts(parser: argparse.ArgumentParser) -> None:
    """Add the options of the counts."""
    parser.add_argument('tables', nargs='*', metavar='TABLE', help='such as lrformer_table_3 '
                        '(default: all)')
    options.add_json(parser)


def bench_counts(args: argparse.Namespace) -> int:
    """
    Count parameters and multiply-adds of networks beside those that the papers print.

    example:
      sparse_seg bench counts lrformer_table_3 lrformer_table_13
    """
    from sparse_seg_ros.bench import counts
    return options.show(args, counts.run(args.tables), counts.describe)


BENCHES = {'refined': (add_refined, bench_refined), 'merging': (add_merging, bench_merging),
           'attention': (add_attention, bench_attention),
           'networks': (add_networks, bench_networks), 'engines': (add_engines, bench_engines),
           'counts': (add_counts, bench_counts)}
