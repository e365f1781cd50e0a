# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
r"""
Train a dense network or a refiner; run again to resume.

Started by torchrun, several processes share every batch: one per GPU, or a few on a CPU.

examples:
  sparse_seg train --config config/train/dense_half.yaml --out runs/dense_half
  torchrun --standalone --nproc-per-node 4 -m sparse_seg_ros train --device cuda \
      --config config/train/paper_refiner.yaml --out runs/paper
"""

from __future__ import annotations

import argparse
import os


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this verb."""
    parser.add_argument('--config', required=True, help='YAML of the run, see config/train')
    parser.add_argument('--out', required=True, help='run folder; resumed where it has a last.pt')
    parser.add_argument('--device', default='cpu', help='torch device (default: cpu)')


def run(args: argparse.Namespace) -> int:
    """Train as the YAML says."""
    from sparse_seg_ros.config import from_mapping, read_yaml
    from sparse_seg_ros.training.config import TrainConfig
    from sparse_seg_ros.training.loop import train
    config = from_mapping(TrainConfig, read_yaml(args.config), args.config)
    path = train(config, args.out, args.device)
    if os.environ.get('RANK', '0') == '0':
        print(f'model written to {path}')
    return 0
