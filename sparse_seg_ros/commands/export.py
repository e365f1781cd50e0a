# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Pack a trained model for shipping, or build the engine that runs its dense network.

examples:
  sparse_seg export weights --model runs/my_robot -o my_robot.safetensors
  sparse_seg export engine --model my_robot.yaml --engine tensorrt --precision fp16
  sparse_seg export weights --help        all options of one of them
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from sparse_seg_ros.commands import options
from sparse_seg_ros.config import read_size

if TYPE_CHECKING:
    from sparse_seg_ros.model_card import Model


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add a verb for each thing to export."""
    options.add_sub_verbs(parser, EXPORTS)


def add_weights(parser: argparse.ArgumentParser) -> None:
    """Add the options of packing."""
    parser.add_argument('--model', required=True, help='run folder or weights file')
    options.add_out(parser, 'weights file to write', metavar='FILE', required=True)
    options.add_precision(parser, 'here of the stored weights; auto = fp16')
    parser.add_argument('--calibration', metavar='YAML', help='file of `sparse_seg calibrate`; '
                        'its threshold, temperature and exposure go with the weights')
    parser.add_argument('--scores', nargs='*', default=[], metavar='JSON',
                        help='files of `sparse_seg evaluate --json`: scores for the card')
    parser.add_argument('--row', default='refined', help='row of those files to keep '
                        '(default: refined)')
    parser.add_argument('--base', metavar='FILE', help='model file of the dense network; the '
                        'packed file holds the refiner alone, and needs this one beside it')
    parser.add_argument('--refine', action='store_true', help='pack a dense network at half its '
                        'scale with a refiner of its own layers, which needs no training; '
                        'calibrate the result')


def export_weights(args: argparse.Namespace) -> int:
    r"""
    Pack a trained model for shipping: half-size weights, with its test scores in the card.

    examples:
      sparse_seg export weights --model runs/refiner -o models/demo.safetensors \
          --calibration runs/refiner/method.yaml --scores bench/results/camvid_test.json
      sparse_seg export weights --model runs/two_scales --refine -o refined.safetensors
    """
    from dataclasses import replace

    from sparse_seg_ros.device import PRECISIONS
    from sparse_seg_ros.files import file_hash
    from sparse_seg_ros.loading.checkpoints import load_model, save_model
    from sparse_seg_ros.loading.self_refined import refine_itself
    model = load_model(args.model)
    if args.refine:
        model = refine_itself(model)
    scores = dict(read_scores(path, args.row) for path in args.scores)
    card = replace(model.card, scores=scores, base=base_of(model, args.base, args.out),
                   **calibrated(args.calibration))
    packed = replace(model, card=card)
    save_model(packed, args.out, PRECISIONS['fp16' if args.precision == 'auto' else
                                            args.precision])
    print(f'{args.out}: {args.out.stat().st_size / 1e6:.1f} MB, sha256 {file_hash(args.out)}')
    return 0


def base_of(model: Model, path: str | None, out: Path) -> dict[str, str]:
    """Model, file of its network or None, file to write -> `base` of its card."""
    from sparse_seg_ros.loading.bases import name_base
    from sparse_seg_ros.loading.checkpoints import load_model
    if path is None:
        return {}
    if model.refiner is None:
        raise ValueError('--base leaves out the network, and this model has nothing else; remove '
                         'it, or export a refiner')
    if Path(path).resolve() == out.resolve():
        raise ValueError(f'{out} would be written over the network that --base names; choose '
                         'another name with -o')
    return name_base(model.network, path, load_model(path).network)


def add_engine(parser: argparse.ArgumentParser) -> None:
    """Add the options of engines."""
    options.add_model(parser)
    parser.add_argument('--engine', choices=('onnxruntime', 'tensorrt'), required=True,
                        help='the engine that runs the network')
    options.add_size(parser, default=None, of='camera images', note='engine_sizes of the YAML')
    parser.add_argument('--batch', type=int, default=1, metavar='N',
                        help='number of images at once; the node takes 1 (default: 1)')
    options.add_device(parser)
    options.add_precision(parser, 'auto = fp16 on CUDA, else fp32')
    options.add_out(parser, 'folder to write to (default: engine_folder of the YAML, or '
                    '~/.cache/sparse_seg_ros)', metavar='FOLDER')
    parser.add_argument('--build-only', action='store_true',
                        help='do not load the engine to compare it with torch; the node does')


def export_engine(args: argparse.Namespace) -> int:
    """
    Build what runs the dense network of a model, for one size of images, and check it.

    A method YAML with the same engine finds it again. The line that is printed says where it is
    and how near to torch.

    examples:
      sparse_seg export engine --model demo --engine onnxruntime --size 1024x2048
      sparse_seg export engine --model my_robot.yaml --engine tensorrt --precision fp16
    """
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
                         args.precision, args.batch)
        checked = 'not loaded' if args.build_only else activate(job)[1]
        path = obtain(job)
        print(f'{path}: {path.stat().st_size / 1e6:.1f} MB, {checked}')
    return 0


def calibrated(path: str | None) -> dict[str, float | str | None]:
    """Method YAML -> the values of its calibration that a card keeps; none without a file."""
    from sparse_seg_ros.loading.method_config import read_method
    from sparse_seg_ros.yaml_files import read_yaml
    if path is None:
        return {}
    method = read_method(read_yaml(path), path)
    found = {name: value for name in ('alpha', 'temperature', 'exposure', 'uncertain_limit')
             if (value := getattr(method, name, None)) is not None}
    if 'temperature' in found:  # another limit than the one of the card, or none
        found.setdefault('uncertain_limit', None)
    return found


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


EXPORTS = {'weights': (add_weights, export_weights), 'engine': (add_engine, export_engine)}
