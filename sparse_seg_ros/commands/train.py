# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
r"""
Train a dense network or a refiner; run again to resume.

Paths in the YAML count from its own folder, or else from the current folder.

Under torchrun several processes share every batch: one per GPU, or a few on a CPU.

examples:
  sparse_seg train --config config/train/dense_half.yaml --out runs/dense_half
  sparse_seg train --config my_robot/my_robot.yaml --out runs/my_robot    your own frames
  torchrun --standalone --nproc-per-node 4 -m sparse_seg_ros train \
      --config config/train/sparse_refine_cityscapes.yaml --out runs/refiner
"""

from __future__ import annotations

import argparse
import os

from sparse_seg_ros.commands import options
from sparse_seg_ros.files import find_file


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this verb."""
    parser.add_argument('--config', required=True, help='YAML of the run; see config/train')
    options.add_out(parser, 'run folder; a run with a last.pt there is resumed', metavar='FOLDER',
                    required=True)
    options.add_device(parser)


def run(args: argparse.Namespace) -> int:
    """Train as the YAML says."""
    from sparse_seg_ros.training.config import read_config
    from sparse_seg_ros.training.loop import train
    path = train(read_config(find_file(args.config)), args.out, args.device)
    if os.environ.get('RANK', '0') == '0':
        print(f'the model is in {path}')
    return 0
