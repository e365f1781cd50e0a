# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Compare variants of a method on the same frames, in one table; train the variants that need it.

A variant names a model or a training, and what is different about it. The YAMLs in config/ablate
draw the tables of the papers. Finished trainings stay in the folder and are not repeated; how long
the others take is estimated before the first.

examples:
  sparse_seg ablate table_5b
  sparse_seg ablate config/ablate/table_3b.yaml --frames my_robot/test -o runs/ablate
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from sparse_seg_ros.commands import options

PAPERS_PROTOCOL = 'sparse_seg bench refined --batch 4 --precision fp16 --warm-up 100 --repeats 500'
ELSEWHERE = {  # tables without a plan: the commands that draw them
    'table_1': PAPERS_PROTOCOL,
    'table_2': 'sparse_seg evaluate --model full.yaml refined.yaml '
               '--frames bdd100k:data/bdd100k/val',
    'table_7': 'sparse_seg bench sparse',
    'table_a1': 'sparse_seg calibrate --model refined.yaml --recall 0.8 '
                '--frames cityscapes:data/cityscapes/val',
    'table_a2': PAPERS_PROTOCOL,
    'table_a3': PAPERS_PROTOCOL,
    'algm_table_2': 'sparse_seg ablate algm_table_1 --frames cityscapes:data/cityscapes/val',
    'lrformer_table_1': 'sparse_seg bench attention',
    'lrformer_table_3': 'sparse_seg bench counts lrformer_table_3',
    'lrformer_table_4': 'sparse_seg bench counts lrformer_table_4',
    'lrformer_table_6': 'sparse_seg bench counts lrformer_table_6',
    'lrformer_table_13': 'sparse_seg bench counts lrformer_table_13',
    'lrformer_table_5': 'sparse_seg bench networks --size 1024x2048',
    'lrformer_table_12': 'sparse_seg bench attention --sides 512 1024 1536',
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this verb."""
    parser.add_argument('config', help='YAML of variants, or the name of one in config/ablate')
    source = options.add_source(parser, 'frames', 'street', required=False)
    source.add_argument('--data', dest='frames', help=argparse.SUPPRESS)  # former names
    source.add_argument('--streets', dest='street', type=int, help=argparse.SUPPRESS)
    options.add_size(parser, default=None, note="the YAML's")
    options.add_out(parser, 'folder for tables and trained variants (default: %(default)s)',
                    metavar='FOLDER', default='runs/ablate')
    options.add_device(parser)
    options.add_precision(parser)
    options.add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Measure every variant, print the tables; 1 if a variant failed."""
    from sparse_seg_ros.device import choose_device
    from sparse_seg_ros.evaluation.ablation import measure_all
    from sparse_seg_ros.machine import write_figures
    from sparse_seg_ros.report.ablation_tables import to_markdown, to_record
    from sparse_seg_ros.training.variants import Trainings
    plan = chosen_plan(args)
    folder, stem = args.out, Path(args.config).stem
    trainings = Trainings(plan.variants, folder, choose_device(args.device))
    if trainings.to_do():
        print(describe_cost(len(trainings.to_do()), *trainings.hours()), file=sys.stderr)
    frames = frames_of_plan(plan.data, folder / 'cache')
    outcomes = {}
    for name, outcome in measure_all(plan, frames, trainings.find, args.device, args.precision):
        outcomes[name] = outcome
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f'{stem}.md').write_text(to_markdown(plan, outcomes))
        for path in (folder / f'{stem}.json', args.json):
            if path:
                write_figures(path, to_record(plan, outcomes))
    print(to_markdown(plan, outcomes))
    failed = [name for name, outcome in outcomes.items() if isinstance(outcome, Exception)]
    if failed:
        print(f"sparse_seg ablate: {', '.join(failed)} failed, see the table", file=sys.stderr)
    return 1 if failed else 0


def describe_cost(count: int, hours: float, unknown: list[str]) -> str:
    """Say how long the trainings take: their number, hours in all, and those not known yet."""
    known = [] if count == len(unknown) else [
        f'about {hours:.1f} h' if hours > 0.1 else f'about {60 * hours:.0f} min']
    later = [f'{", ".join(unknown)} not estimated'] * bool(unknown)
    return f'{count} to train on this machine: {"; ".join(known + later)}'


def chosen_plan(args: argparse.Namespace):
    """Return the YAML's plan, on the frames of the options, if any."""
    from dataclasses import replace

    from sparse_seg_ros.evaluation.ablation import read_plan
    from sparse_seg_ros.files import find_file
    named = find_file(Path('config/ablate') / f'{args.config}.yaml')
    if args.config in ELSEWHERE:
        raise ValueError(f'{args.config} has no plan; draw it with: {ELSEWHERE[args.config]}')
    plan = read_plan(named if named.is_file() else find_file(args.config))
    changes = {}
    if args.frames:
        changes['data'] = args.frames
    if args.street is not None:
        changes |= {'data': None, 'streets': options.at_least_one(args, 'street')}
    if args.size:
        changes['size_hw'] = options.size_hw(args)
    return replace(plan, data=replace(plan.data, **changes))


def frames_of_plan(data, cache: Path):
    """Return the frames of a plan; they are gone through once per variant."""
    from sparse_seg_ros.data.frames import frames
    from sparse_seg_ros.data.rendered import RenderedStreet
    if data.data:
        return frames(data.data)
    return RenderedStreet(cache, data.streets, data.size_hw, data.seed)
