# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Segment pictures, folders, videos or a camera, and write what people can look at.

Of each picture: overlay with legend, ids, uncertainty, and all side by side. Of a video: the
overlay as MP4. Of several frames also a contact sheet. `replay` does the same for a bag.

examples:
  sparse_seg predict street.jpg -o street_classes.png
  sparse_seg predict 'drive/*.jpg' night/ -o pictures
  sparse_seg predict drive.mp4 -o drive_classes.mp4
  sparse_seg predict 0 -o camera --limit 100          # the first camera of this machine
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from sparse_seg_ros.commands import options

if TYPE_CHECKING:
    from sparse_seg_ros.report.predict_job import PredictJob

def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this verb."""
    parser.add_argument('sources', nargs='+', metavar='IN', help='picture, folder, pattern, video '
                        'or number of a camera')
    options.add_out(parser, 'new folder for all files; for one picture also a .png or .jpg, for '
                    'one video an .mp4, .webm or .avi', metavar='OUT', required=True)
    options.add_model(parser)
    options.add_device(parser)
    options.add_precision(parser)
    options.add_remap(parser, 'segment')
    parser.add_argument('--write', nargs='+', metavar='KIND', help='what to write: overlay, ids, '
                        'uncertainty, side (default: all of a picture, overlay of a video)')
    parser.add_argument('--alpha', type=float, help='refine above this entropy, in nats')
    parser.add_argument('--budget', type=float, help='refine at most this fraction')
    parser.add_argument('--limit', type=int, metavar='N', help='stop after N frames')
    options.add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Segment everything -> exit code, 0 only if every frame could be read and segmented."""
    from sparse_seg_ros.report.predict_job import PredictJob
    if args.limit is not None:
        options.at_least_one(args, 'limit')
    job = PredictJob(args.sources, args.out, args.write, args.limit)
    segment = options.load_model(args).with_limits(args.alpha, args.budget)
    job.run(segment)
    for note in job.notes:
        print(note, file=sys.stderr)
    print_shares(job)
    options.write_json(args, {'sources': args.sources, 'weights': {args.model: segment.weights},
                              **job.figures()})
    if job.interrupted:
        return 130
    return 0 if job.scores.frames and not job.failed else 1


def print_shares(job: PredictJob) -> None:
    """Print how many frames there were, how long they took and what they show."""
    figures = job.figures()
    print(f"{figures['frames']} frames, {figures['failed']} could not be used; refined pixels: "
          f"{figures['refined']:.1%}; {figures['milliseconds']['total']['p50']:.0f} ms a frame "
          '(median)' if figures['frames'] else f"no frame of {figures['failed']} could be used")
    for name, share in figures['shares'].items():
        print(f'{name:<14}{share:>9.1%}')
    print(f'wrote {Path(job.out)}')
