# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
r"""
Fit the thresholds and the temperature of a model to labelled frames, without training.

The threshold decides what is refined: choose it to find most errors (--recall), for a fraction
of the image (--density), or for the time of a frame on this machine (--milliseconds). A model
that merges tokens (ALGM) gets the similarity from which they merge: the paper's automatic one,
or the one that merges most without a loss of mIoU (--keep-miou).

examples:
  sparse_seg calibrate --model runs/refiner/model.safetensors --frames my_robot/val \
      --recall 0.8 -o config/my_robot.yaml --plot curve.png --check my_robot/test
  sparse_seg calibrate --street 50 --milliseconds 500 -o config/fast.yaml
  sparse_seg calibrate --model config/algm.yaml --frames my_robot/val --keep-miou \
      -o config/my_algm.yaml --plot merging.png
"""

from __future__ import annotations

import argparse
import math
import os
from dataclasses import asdict
from pathlib import Path

from sparse_seg_ros.commands import options

THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.93, 0.96, 0.98, 0.99, 1.0)  # similarities tried


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this verb."""
    options.add_model(parser)
    options.add_source(parser, 'frames', 'street')
    options.add_size(parser)
    goal = parser.add_mutually_exclusive_group()
    goal.add_argument('--recall', type=float, help='fraction of the errors to find (default: 0.8)')
    goal.add_argument('--density', type=float, help='largest mean fraction of pixels to refine')
    goal.add_argument('--milliseconds', type=float, help='largest time of a frame on this machine')
    goal.add_argument('--alpha', type=float, help='keep this threshold in nats; only measure it')
    goal.add_argument('--keep-miou', action='store_true', help='merge as many tokens as possible '
                      'without a loss; only for a model that merges tokens')
    parser.add_argument('--similarities', action='store_true', help='also print how similar '
                        'tokens of one class and of two are, by layer; only for a model that '
                        'merges tokens')
    options.add_out(parser, 'method YAML to write', metavar='YAML')
    parser.add_argument('--plot', metavar='PNG', help='drawing of the curves; needs matplotlib')
    parser.add_argument('--check', metavar='SPLIT', nargs='?', const='', help='measure the result '
                        'on other frames: a [KIND:]ROOT/SPLIT, or as many other rendered ones')
    options.add_device(parser)
    options.add_precision(parser)
    options.add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Calibrate, print the result, and write the wanted files."""
    from sparse_seg_ros.evaluation import calibration
    from sparse_seg_ros.loading.zoo import find_model, load
    from sparse_seg_ros.report import calibration_tables
    if find_model(args.model)[1].method == 'auto':
        raise ValueError(f'{args.model} has method auto, which may take either of two models; '
                         'calibrate one of them, such as its refinement with sparse_refine')
    segment = load(args.model, args.device, args.precision)
    frames = kept_frames(args, args.frames, options.CALIBRATION_STREETS)
    others = other_frames(args)
    similarities = class_similarities(args, segment, frames)
    segment, merging = fit_merging(args, segment, frames)
    curve = calibration.selection_curve(segment, frames)
    print(calibration_tables.thresholds(curve), end='\n\n')
    point = None
    if segment.alpha is not None:
        segment, point = calibration.choose_threshold(segment, curve, chosen_goal(args), frames)
        print(f'alpha {segment.alpha:.3g} nats: {calibration_tables.effect(point)}')
    segment = segment.with_temperature(calibration.best_temperature(segment, frames))
    print(f'temperature {segment.temperature:.3g}')
    segment = segment.with_uncertain_limit(calibration.uncertain_limit(segment, frames))
    print(f'uncertain limit {segment.uncertain_limit:.3g}: the node warns where more of the image '
          'is uncertain')
    trust = {'calibrated': calibration.measure_uncertainty(segment, frames)}
    if others is not None:
        trust['checked'] = calibration.measure_uncertainty(segment, others)
    for name, measured in trust.items():
        print(f'{name} on {calibration_tables.trust(measured)}')
    write(args, segment, curve, point, trust, merging, similarities)
    return 0


def kept_frames(args: argparse.Namespace, split: str | None, seed: int):
    """Return the frames of a split, or rendered ones, that can be gone through more than once."""
    frames = options.labelled_frames(split, args.street, args.size, seed)
    return frames if split else list(frames)


def other_frames(args: argparse.Namespace):
    """Return the frames of --check, None without it."""
    if args.check is None:
        return None
    if args.frames and not args.check:
        raise ValueError('--check without a name measures other scenes, which needs --street; '
                         'name a [KIND:]ROOT/SPLIT')
    return kept_frames(args, args.check, options.HELD_OUT_STREETS)


def fit_merging(args: argparse.Namespace, segment, frames):
    """
    Find the threshold of a model that merges tokens, and say so.

    Segmenter -> the same with that threshold, and its Fit; None for any other model.
    """
    from sparse_seg_ros.evaluation import similarity
    if not similarity.can_fit(segment):
        if args.keep_miou:
            raise ValueError("--keep-miou needs a model that merges tokens by a threshold, "
                             "'method: algm' with 'merge_rule: adaptive' or 'fixed'; "
                             f'{args.model} is none')
        return segment, None
    from sparse_seg_ros.report import calibration_tables
    segment, found = similarity.fit(segment, frames, THRESHOLDS if args.keep_miou else ())
    print(f'similarities of tokens: mean {found.mean:.3f}, deviation {found.deviation:.3f}; '
          f'automatic threshold {found.automatic:.3f}')
    if found.points:
        print(calibration_tables.merging(found.points))
    print(f'merge threshold {segment.method.merging.threshold:.3f}')
    return segment, found


def class_similarities(args: argparse.Namespace, segment, frames):
    """Measure and print the similarities within and between classes, if they are wanted."""
    if not args.similarities:
        return None
    from sparse_seg_ros.evaluation.class_similarity import measure_class_similarity
    from sparse_seg_ros.report import calibration_tables
    found = measure_class_similarity(segment, frames)
    print(calibration_tables.similarities(found), end='\n\n')
    return asdict(found)


def chosen_goal(args: argparse.Namespace):
    """Return the goal that the options name."""
    from sparse_seg_ros.evaluation.calibration import Goal
    goals = {kind: getattr(args, kind) for kind in ('recall', 'density', 'milliseconds', 'alpha')}
    return next((Goal(kind, value) for kind, value in goals.items() if value is not None), Goal())


def write(args: argparse.Namespace, segment, curve, point, trust: dict, merging,
          similarities: dict | None) -> None:
    """Write method YAML, plot and figures, if the options name them."""
    from sparse_seg_ros.report.calibration_tables import TABLE_NATS
    if args.out:
        args.out.write_text(method_yaml(args, segment, point, merging))
        print(f'method written to {args.out}; use it as a model: --model {args.out}')
    if args.plot:
        from sparse_seg_ros.report.plots import plot_merging, plot_selection
        if merging is not None and merging.points:
            plot_merging(merging, args.plot)
        else:
            plot_selection(curve, point, args.plot)
    options.write_json(args, {
        'model': args.model, 'weights': {args.model: segment.weights},
        'alpha': segment.alpha, 'temperature': segment.temperature,
        'uncertain_limit': segment.uncertain_limit,
        'merging': None if merging is None else asdict(merging), 'similarities': similarities,
        **{name: asdict(measured) for name, measured in trust.items()},
        'curve': [asdict(curve.at(nats)) for nats in TABLE_NATS]})


def method_yaml(args: argparse.Namespace, segment, point, merging) -> str:
    """Return a complete method YAML with the calibrated values and where they come from."""
    from dataclasses import replace

    from sparse_seg_ros.config import to_yaml
    from sparse_seg_ros.loading.zoo import HUB, find_model, read_zoo
    from sparse_seg_ros.report.calibration_tables import effect
    _, config, weights = find_model(args.model)
    if config.weights not in read_zoo() and not config.weights.startswith(HUB):
        config = replace(config, weights=os.path.relpath(weights, args.out.parent))
    source = Path(args.frames).name if args.frames else f'{args.street} rendered streets'
    notes = {'temperature': f'divides the logits; fitted to {source}',
             'uncertain_limit': 'fraction of the pixels of a frame; above, it is not such as '
             f'{source}'}
    if point is not None:
        config = replace(config, alpha=math.floor(segment.alpha * 1e4) / 1e4)
        notes['alpha'] = f'nats; on {source}: {effect(point)}'
    if merging is not None:
        config = replace(config, merge_threshold=round(segment.method.merging.threshold, 4))
        how = 'mean + deviation of similarities' if merging.chosen is None else \
            f'keeps the mIoU and {100 * merging.chosen.kept:.0f} % of the tokens'
        notes['merge_threshold'] = f'cosine similarity; on {source}: {how}'
    return to_yaml(replace(config, temperature=round(segment.temperature, 4),
                           uncertain_limit=round(segment.uncertain_limit, 4)), notes)
