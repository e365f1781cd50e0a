# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The verbs of `sparse_seg`, one module each, with add_arguments(parser) and run(args) -> exit code.

They parse arguments and print. Other modules do the work, and are imported only when it is run.
Options that verbs share are in options.py. A verb with sub-verbs, such as bench, needs no run.
"""

from __future__ import annotations

import argparse
import importlib
import logging
import sys

from sparse_seg_ros import __version__
from sparse_seg_ros.memory import keep_freed_memory

COMMANDS = {
    'demo': 'play a street, or your bag, through the real node and show what it saw',
    'predict': 'segment pictures, folders, videos or a camera into files to look at',
    'replay': 'segment every frame of a bag, offline, into a new bag',
    'train': 'train a dense network, a refiner or one of its rivals',
    'calibrate': 'fit the thresholds and the temperature of a model to labelled frames',
    'evaluate': 'score models on labelled frames or street scenes',
    'ablate': 'train variants of a method, and compare them in one table',
    'import': 'turn weights that others have published into a model file',
    'export': 'pack a trained model for shipping, or build its engine',
    'bench': 'measure speed against named rivals',
    'doctor': 'say what this machine has and how to add what is missing',
}
MODULES = {'import': 'import_weights'}  # of verbs that Python keeps for itself


def main(arguments: list[str] | None = None) -> int:
    """Run one verb; return 0 only on success, 1 with a line on stderr for what a user can mend."""
    parser = argparse.ArgumentParser(
        'sparse_seg', description='High-resolution semantic segmentation for ROS 2.')
    parser.add_argument('--version', action='version', version=f'%(prog)s {__version__}')
    verbs = parser.add_subparsers(dest='verb', metavar='VERB')
    words = sys.argv[1:] if arguments is None else arguments
    for verb, summary in COMMANDS.items():
        module = importlib.import_module(
            f'sparse_seg_ros.commands.{MODULES.get(verb, verb)}')
        verb_parser = verbs.add_parser(verb, help=summary, description=module.__doc__,
                                       formatter_class=argparse.RawDescriptionHelpFormatter)
        verb_parser.set_defaults(run=getattr(module, 'run', None))  # None: its sub-verbs have one
        module.add_arguments(verb_parser)
    args = parser.parse_args(words)
    if args.verb is None:
        parser.print_help()
        return 0
    keep_freed_memory()
    logging.basicConfig(format='%(message)s')
    logging.getLogger('sparse_seg_ros').setLevel(logging.INFO)
    try:
        return args.run(args)
    except (ValueError, OSError, ImportError) as error:
        print(f'sparse_seg {args.verb}: {error}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f'sparse_seg {args.verb}: interrupted', file=sys.stderr)
        return 130
