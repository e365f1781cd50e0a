# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The options of `evaluate --bags`: many bags, in processes of this machine or on a cluster."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sparse_seg_ros.commands import options

if TYPE_CHECKING:
    from sparse_seg_ros.evaluation.thresholds import Threshold
    from sparse_seg_ros.fleet.evaluation import Fleet
    from sparse_seg_ros.report.evaluation_job import ModelResult

OF_CLASS = 'class.'
ONE_BY_ONE = ('save_predictions', 'corrupt')  # of every frame, so not for thousands of bags


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that say where the bags are evaluated."""
    parser.add_argument('--workers', type=int, metavar='N', help='bags of --bags that are '
                        'evaluated at the same time (default: one a GPU, or one for 4 cores)')
    parser.add_argument('--ray', nargs='?', const='local', metavar='ADDRESS', help='evaluate '
                        '--bags with Ray, on this machine or on the cluster at an address')


def check(args: argparse.Namespace) -> None:
    """Raise ValueError for options that do not go together."""
    if not args.bags:
        if args.ray is not None or args.workers is not None:
            raise ValueError('--ray and --workers go with --bags')
        return
    if args.out is None:
        raise ValueError('--bags needs a folder for the result of each bag; name it with --out')
    if not args.labels.startswith('/'):
        raise ValueError(f'--bags needs a topic with the true labels in every bag, got --labels '
                         f'{args.labels}; a topic begins with /')
    for name in ONE_BY_ONE:
        if getattr(args, name):
            raise ValueError(f'--{name.replace("_", "-")} does not go with --bags; evaluate a '
                             'bag with --bag')


def check_thresholds(thresholds: Sequence[Threshold]) -> None:
    """Raise ValueError for a name that no figure has, whatever the classes of the models."""
    from sparse_seg_ros.evaluation.recorder import Recorder
    from sparse_seg_ros.evaluation.thresholds import check_names
    from sparse_seg_ros.labels import LabelSet
    names = dict.fromkeys(each.figure.removeprefix(OF_CLASS).rpartition('.')[0]
                          for each in thresholds if each.figure.startswith(OF_CLASS))
    classes = tuple(name for name in names if name) or ('any',)
    summary = Recorder(LabelSet('any', classes, ((0, 0, 0),) * len(classes))).summary()
    check_names(summary, thresholds)


def run(args: argparse.Namespace) -> tuple[list[ModelResult], list[str]]:
    """Evaluate all bags -> results by model, and what failed, in words."""
    from sparse_seg_ros.fleet.evaluation import choose_way
    fleet = make_fleet(args)
    fleet.check()
    results, failed = fleet.run(choose_way(args.ray, args.workers, args.device),
                                keeps_records=bool(args.report))
    words = [f'{bag}: {error}' for bag, error in failed.items()]
    if not results:
        raise ValueError('no bag could be evaluated: ' + '; '.join(words))
    return results, words


def make_fleet(args: argparse.Namespace) -> Fleet:
    """Return what the options ask for."""
    from sparse_seg_ros.fleet.evaluation import Fleet, count_threads
    from sparse_seg_ros.fleet.segments import Settings, find_bags
    settings = Settings(args.labels, args.topic, args.all_frames, args.alpha, args.remap,
                        args.device, args.precision, count_threads())
    return Fleet(args.out, find_bags(args.bags), options.named_models(args.model), settings)
