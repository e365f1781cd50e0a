# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Say what this machine has, what that allows, and how to add what is missing.

With --model, say what a model file is, and where its weights come from.

examples:
  sparse_seg doctor --json doctor.json
  sparse_seg doctor --model models/hrnet.safetensors
"""

from __future__ import annotations

import argparse
from dataclasses import asdict

from sparse_seg_ros.commands import options

SIGNS = {True: 'ok', False: '--', None: '  '}
NEEDED = ('python', 'torch', 'demo model')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this verb."""
    parser.add_argument('--model', help=f'describe this model instead: {options.MODEL}')
    options.add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Print all findings; fail if a package is missing that everything needs."""
    from sparse_seg_ros.doctor import examine, examine_model
    from sparse_seg_ros.machine import write_json
    findings = examine_model(args.model) if args.model else examine()
    for finding in findings:
        print(f'{SIGNS[finding.is_fine]}  {finding.name:<13} {finding.detail}')
        if finding.is_fine is False:
            print(f"{'':<18}-> {finding.cure}")
    if args.json:
        write_json(args.json, [asdict(finding) for finding in findings])
    return int(any(finding.is_fine is False for finding in findings if finding.name in NEEDED))
