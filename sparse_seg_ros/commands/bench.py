# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Measure speed on this machine, against named rivals in the same run.

examples:
  sparse_seg bench sparse                 sparse convolution against dense and spconv
  sparse_seg bench model --model demo config/dense.yaml full=runs/dense_full/model.safetensors
  sparse_seg bench node                   the node over DDS, in two processes
  sparse_seg bench engines --networks demo lrformer_t segmenter_s --sizes 256x512 512x1024
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from sparse_seg_ros.commands.evaluate import parse_size
from sparse_seg_ros.config import read_size


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this verb."""
    parser.add_argument('what', choices=('sparse', 'model', 'node', 'engines'))
    parser.add_argument('--model', nargs='+', default=['demo'], metavar='[NAME=]MODEL',
                        help='for model: what is timed; the last one is the rival')
    parser.add_argument('--size', default='1024x2048', help='for model: HxW of the frames')
    parser.add_argument('--repeats', type=int, default=10, help='rounds; not for node')
    parser.add_argument('--networks', nargs='+', metavar='NAME',
                        help='for engines: demo and names of networks (default: all)')
    parser.add_argument('--sizes', nargs='+', default=['256x512', '512x1024'], metavar='HxW',
                        help='for engines: of what the network sees')
    parser.add_argument('--device', default='auto', help='for model')
    parser.add_argument('--precision', default='auto', help='for model')
    parser.add_argument('--json', metavar='FILE', help='write the figures there, too')


def run(args: argparse.Namespace) -> int:
    """Run one benchmark and print its table."""
    figures = {'sparse': bench_sparse, 'model': bench_model, 'node': bench_node,
               'engines': bench_engines}[args.what](args)
    if args.json:
        Path(args.json).write_text(json.dumps(figures, indent=1) + '\n')
    return 0


def bench_sparse(args: argparse.Namespace) -> dict:
    """Sparse convolution and the six-stage extractor."""
    from sparse_seg_ros.evaluation import bench_sparse
    return bench_sparse.run(repeats=args.repeats)


def bench_model(args: argparse.Namespace) -> dict:
    """Whole models, stage by stage."""
    from sparse_seg_ros.evaluation import bench_model
    from sparse_seg_ros.zoo import load
    models = {}
    for item in args.model:
        name, _, model = item.rpartition('=')
        models[name or Path(model).stem] = load(model, args.device, args.precision)
    return bench_model.run(models, parse_size(args.size), args.repeats)


def bench_node(args: argparse.Namespace) -> dict:
    """Transport and overhead of the node."""
    from sparse_seg_ros.ros import bench_node
    return bench_node.run()


def bench_engines(args: argparse.Namespace) -> dict:
    """ONNX Runtime against torch, network by network."""
    from sparse_seg_ros.evaluation import bench_engines
    from sparse_seg_ros.networks import NETWORKS
    return bench_engines.run(args.networks or ['demo', *NETWORKS],
                             [read_size(size, '--sizes') for size in args.sizes], args.repeats)
