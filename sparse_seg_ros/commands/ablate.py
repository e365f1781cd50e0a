# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Compare variants of a method on the same frames in one table; those to be trained are, once.

A variant names a model or a training and what is different about it; see config/ablate for the
tables of SparseRefine. Trainings are kept in the folder, resumed and not repeated.

examples:
  sparse_seg ablate config/ablate/table_5b.yaml
  sparse_seg ablate config/ablate/table_3b.yaml --data my_robot/test -o runs/ablate
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from sparse_seg_ros.commands.evaluate import parse_size


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this verb."""
    parser.add_argument('config', help='YAML of variants')
    source = parser.add_mutually_exclusive_group()
    source.add_argument('--data', metavar='FOLDER/SPLIT',
                        help="labelled frames on disk, instead of the YAML's")
    source.add_argument('--streets', type=int, metavar='N',
                        help="so many rendered scenes, instead of the YAML's")
    parser.add_argument('--size', metavar='HxW', help='of the scenes')
    parser.add_argument('-o', '--out', metavar='FOLDER', default='runs/ablate',
                        help='tables and trained variants (default: runs/ablate)')
    parser.add_argument('--device', default='auto')
    parser.add_argument('--precision', default='auto')
    parser.add_argument('--json', metavar='FILE', help='write the figures there, too')


def run(args: argparse.Namespace) -> int:
    """Measure every variant, print the tables; 1 if a variant failed."""
    from sparse_seg_ros.device import choose_device
    from sparse_seg_ros.evaluation.ablation import measure_all
    from sparse_seg_ros.machine import write_figures
    from sparse_seg_ros.report.ablation_tables import to_markdown, to_record
    from sparse_seg_ros.training.variants import Trainings
    plan = asked_plan(args)
    folder, stem = Path(args.out), Path(args.config).stem
    trainings = Trainings(plan.variants, folder, choose_device(args.device))
    frames = labelled(plan.data, folder / 'cache')
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


def asked_plan(args: argparse.Namespace):
    """Return the YAML's plan, with the data that was asked for instead."""
    from dataclasses import replace

    from sparse_seg_ros.evaluation.ablation import read_plan
    from sparse_seg_ros.files import find_file
    plan = read_plan(find_file(args.config))
    changes = {}
    if args.data or args.streets is not None:
        changes = {'data': args.data or None}
    if args.streets is not None:
        changes['streets'] = args.streets
    if args.size:
        changes['size_hw'] = parse_size(args.size)
    return replace(plan, data=replace(plan.data, **changes))


def labelled(data, cache: Path):
    """Return the frames of a plan; they are gone through once per variant."""
    from sparse_seg_ros.data.frames import frames
    from sparse_seg_ros.data.rendered import RenderedStreet
    if data.data:
        return frames(data.data)
    return RenderedStreet(cache, data.streets, data.size_hw, data.seed)
