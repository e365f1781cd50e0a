# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
r"""
Pack a trained model for shipping: half-size weights, with its test scores in the card.

example: sparse_seg export runs/refiner/model.safetensors -o models/demo.safetensors \
             --calibration runs/refiner/method.yaml --scores bench/results/camvid_test.json
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this verb."""
    parser.add_argument('model', help='weights file of a run')
    parser.add_argument('-o', '--out', required=True, help='weights file to write')
    parser.add_argument('--precision', default='fp16', choices=('fp32', 'bf16', 'fp16'),
                        help='of the stored weights (default: fp16)')
    parser.add_argument('--calibration', metavar='YAML', help='written by `sparse_seg calibrate`: '
                        'its threshold and temperature become those of the weights')
    parser.add_argument('--scores', nargs='*', default=[], metavar='JSON',
                        help='files written by `sparse_seg evaluate --json`')
    parser.add_argument('--row', default='refined', help='row of those files to keep')


def run(args: argparse.Namespace) -> int:
    """Write the packed file and print its entry for models/zoo.yaml."""
    from dataclasses import replace

    from sparse_seg_ros.checkpoints import load_model, save_model
    from sparse_seg_ros.files import file_hash
    from sparse_seg_ros.segmenter import PRECISIONS
    model = load_model(args.model)
    scores = dict(read_scores(path, args.row) for path in args.scores)
    card = replace(model.card, scores=scores, **calibrated(args.calibration))
    packed = replace(model, card=card)
    save_model(packed, args.out, PRECISIONS[args.precision])
    print(f'{args.out}: {Path(args.out).stat().st_size / 1e6:.1f} MB, '
          f'sha256 {file_hash(args.out)}')
    return 0


def calibrated(path: str | None) -> dict[str, float]:
    """Method YAML -> the values of its calibration that a card keeps; none without a file."""
    from sparse_seg_ros.config import MethodConfig, from_mapping, read_yaml
    if path is None:
        return {}
    method = from_mapping(MethodConfig, read_yaml(path), path)
    found = {'alpha_nats': method.alpha_nats, 'temperature': method.temperature}
    return {name: value for name, value in found.items() if value > 0}


def read_scores(path: str, row: str) -> tuple[str, dict]:
    """JSON of an evaluation -> (its frames, the scores of one row)."""
    figures = json.loads(Path(path).read_text())
    if row not in figures['rows']:
        raise ValueError(f"{path} has no row {row!r}; it has {', '.join(figures['rows'])}")
    return figures['frames'], {name: figures['rows'][row][name]
                               for name in ('mean_iou', 'small_mean_iou', 'iou', 'density')}
