# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
r"""
Pack a trained model for shipping, or, with --engine, build what runs its dense network.

A packed model has half-size weights and its test scores in the card. An engine is built for one
size of images, checked against torch, and found again by a method YAML with the same engine.

examples:
  sparse_seg export runs/refiner -o models/demo.safetensors \
      --calibration runs/refiner/method.yaml --scores bench/results/camvid_test.json
  sparse_seg export runs/two_scales --refine -o refined.safetensors
  sparse_seg export demo --engine onnxruntime --size 1024x2048
  sparse_seg export config/my_robot.yaml --engine tensorrt --precision fp16
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from sparse_seg_ros.config import read_size

if TYPE_CHECKING:
    from sparse_seg_ros.model_card import Model


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this verb."""
    parser.add_argument('model', help='run folder or weights file; with --engine also a zoo '
                        'name or method YAML')
    parser.add_argument('-o', '--out', help='weights file to write; for --engine a folder '
                        '(default: engine_folder of the YAML, or ~/.cache/sparse_seg_ros)')
    parser.add_argument('--precision', choices=('fp32', 'bf16', 'fp16'),
                        help='of the stored weights (default: fp16); of the engine (default: '
                        'fp16 on CUDA, else fp32)')
    packing = parser.add_argument_group('packing')
    packing.add_argument('--calibration', metavar='YAML', help='written by `sparse_seg calibrate`:'
                         ' its threshold, temperature and exposure go with the weights')
    packing.add_argument('--scores', nargs='*', default=[], metavar='JSON',
                         help='files written by `sparse_seg evaluate --json`')
    packing.add_argument('--base', metavar='FILE', help='model file of the dense network, which '
                         'is then left out, and must lie beside the packed refiner to run it')
    packing.add_argument('--refine', action='store_true', help='of a dense network: at half its '
                         'scale, with a refiner of its own layers, which need no training; '
                         'calibrate it then')
    packing.add_argument('--row', default='refined', help='row of those files to keep')
    engine = parser.add_argument_group('engines')
    engine.add_argument('--engine', choices=('onnxruntime', 'tensorrt'))
    engine.add_argument('--size', metavar='HxW', help='of the camera images (default: '
                        'engine_sizes of the YAML)')
    engine.add_argument('--batch', type=int, default=1, help='images at once; the node takes 1')
    engine.add_argument('--device', default='auto', help='cpu, cuda, cuda:0 or auto')
    engine.add_argument('--build-only', action='store_true',
                        help='do not load the engine and compare it with torch; the node will')


def run(args: argparse.Namespace) -> int:
    """Pack, or build engines."""
    return build_engines(args) if args.engine else pack(args)


def pack(args: argparse.Namespace) -> int:
    """Write the packed file and print its entry for models/zoo.yaml."""
    from dataclasses import replace

    from sparse_seg_ros.device import PRECISIONS
    from sparse_seg_ros.files import file_hash
    from sparse_seg_ros.loading.checkpoints import load_model, save_model
    from sparse_seg_ros.loading.self_refined import refine_itself
    if not args.out:
        raise ValueError('name the weights file to write with -o, or an engine with --engine')
    model = load_model(args.model)
    if args.refine:
        model = refine_itself(model)
    scores = dict(read_scores(path, args.row) for path in args.scores)
    card = replace(model.card, scores=scores, base=base_of(model, args.base, args.out),
                   **calibrated(args.calibration))
    packed = replace(model, card=card)
    save_model(packed, args.out, PRECISIONS[args.precision or 'fp16'])
    print(f'{args.out}: {Path(args.out).stat().st_size / 1e6:.1f} MB, '
          f'sha256 {file_hash(args.out)}')
    return 0


def base_of(model: Model, path: str | None, out: str) -> dict[str, str]:
    """Model, file of its network or None, file to write -> `base` of its card."""
    from sparse_seg_ros.loading.bases import name_base
    from sparse_seg_ros.loading.checkpoints import load_model
    if path is None:
        return {}
    if model.refiner is None:
        raise ValueError('--base leaves out the network, and this model has nothing else; remove '
                         'it, or export a refiner')
    if Path(path).resolve() == Path(out).resolve():
        raise ValueError(f'{out} would be written over the network that --base names; choose '
                         'another name with -o')
    return name_base(model.network, path, load_model(path).network)


def build_engines(args: argparse.Namespace) -> int:
    """Build the engine of every size, and print where each is and how near to torch."""
    from dataclasses import replace

    from sparse_seg_ros.engines.activation import activate, obtain
    from sparse_seg_ros.engines.cache import default_folder
    from sparse_seg_ros.loading.assemble import assemble
    from sparse_seg_ros.loading.exporting import engine_job
    from sparse_seg_ros.loading.zoo import find_model
    model, config, _ = find_model(args.model)
    sizes = (args.size,) if args.size else config.engine_sizes
    if not sizes:
        raise ValueError('an engine is built for one size of images; name it: --size HxW')
    segment = assemble(model, replace(config, engine='torch'), args.device, 'fp32', {})
    folder = args.out or config.engine_folder or default_folder()
    for size in sizes:
        job = engine_job(segment, folder, args.engine, read_size(size, '--size'),
                         args.precision or 'auto', args.batch)
        checked = 'not loaded' if args.build_only else activate(job)[1]
        path = obtain(job)
        print(f'{path}: {path.stat().st_size / 1e6:.1f} MB, {checked}')
    return 0


def calibrated(path: str | None) -> dict[str, float | str]:
    """Method YAML -> the values of its calibration that a card keeps; none without a file."""
    from sparse_seg_ros.loading.method_config import read_method
    from sparse_seg_ros.yaml_files import read_yaml
    if path is None:
        return {}
    method = read_method(read_yaml(path), path)
    found = {name: getattr(method, name, None) for name in ('alpha', 'temperature', 'exposure')}
    return {name: value for name, value in found.items() if value is not None}


def read_scores(path: str, row: str) -> tuple[str, dict]:
    """JSON of an evaluation -> (its frames, the scores of one row)."""
    wanted = ('mean_iou', 'small_mean_iou', 'iou', 'density')
    try:
        figures = json.loads(Path(path).read_text())
        frames, rows = figures['frames'], figures['rows']
        if row in rows:
            return frames, {name: rows[row][name] for name in wanted}
    except (ValueError, KeyError, TypeError):
        raise ValueError(f'{path}: expected figures written by `sparse_seg evaluate --json`, got '
                         'something else; write them again') from None
    raise ValueError(f"{path} has no row {row!r}; it has {', '.join(rows)}; choose with --row")
