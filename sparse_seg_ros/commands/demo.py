# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Play a street, or your bag, through the real node over DDS, and show what it saw on one page.

examples:
  sparse_seg demo
  sparse_seg demo --bag drive.mcap --topic /camera/image_raw --limit 200
"""

from __future__ import annotations

import argparse
from pathlib import Path

from sparse_seg_ros.commands import options

STREET_FRAMES, BAG_FRAMES = 60, 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this verb."""
    options.add_source(parser, 'bag', 'street', required=False)
    parser.add_argument('--topic', help='image topic (default: the only topic with colour images)')
    parser.add_argument('--limit', type=int, metavar='N', help='play only the first N frames '
                        f'(default: {STREET_FRAMES} of a street, {BAG_FRAMES} of a bag)')
    parser.add_argument('--frames', dest='limit', type=int, help=argparse.SUPPRESS)  # former name
    parser.add_argument('--rate', type=float, default=1.0, help='speed of playing; 1 = the '
                        'rate of the camera, or less on a machine that is too slow for it')
    options.add_size(parser, default='540x960')
    parser.add_argument('--seed', type=int, default=7, help='seed of the street')
    options.add_model(parser)
    options.add_device(parser)
    options.add_precision(parser)
    options.add_out(parser, 'folder to write to (default: out/demo, or for a bag out/ and its '
                    'name)', metavar='FOLDER')
    options.add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Run the demo and say where everything is."""
    from sparse_seg_ros.demo.run import DemoJob, run_demo
    from sparse_seg_ros.machine import write_json

    frames = count_frames(args)
    if not args.rate > 0:
        raise ValueError(f'--rate must be above 0, got {args.rate}')
    folder = args.out or default_folder(args.bag)
    job = DemoJob(folder, args.bag, args.topic, frames, args.rate, options.size_hw(args),
                  args.seed, args.model, args.device, args.precision)
    numbers = run_demo(job)
    if args.json:
        write_json(args.json, numbers)
    tell(job, numbers)
    return 0


def count_frames(args: argparse.Namespace) -> int:
    """Return how many frames are played: --limit, or --street, or the default of the source."""
    for name in ('limit', 'street'):
        if getattr(args, name) is not None:
            return options.at_least_one(args, name)
    return BAG_FRAMES if args.bag else STREET_FRAMES


def default_folder(bag: Path | None) -> Path:
    """Bag or None -> the folder of its demo, so that one bag does not overwrite another's."""
    if bag is None:
        return Path('out/demo')
    bag = bag.resolve()
    return Path('out') / (bag.stem if bag.is_file() else bag.name)


def tell(job, numbers: dict) -> None:
    """Print what happened, where it is, and what to do next."""
    from sparse_seg_ros.demo.page import next_steps, pace

    spent, latency = numbers['milliseconds']['segment'], numbers['latency_milliseconds']
    steps = '\n'.join(f'# {about}\n{command}' for about, command in next_steps(numbers))
    advice = pace(numbers) and f'\n{pace(numbers)}'
    resolutions = ', '.join(f'{title} {milliseconds:.0f} ms' for title, milliseconds in
                            numbers['resolutions_milliseconds'].items())
    compared = resolutions and f'\non the same frames, after the run: {resolutions}'
    print(f"""
{numbers['published']} of {numbers['sent']} frames segmented, {numbers['superseded']} superseded \
by newer ones, {numbers['not_received']} not received
{spent['p50']:.0f} ms to segment a frame (p95 {spent['p95']:.0f}), {latency['p50']:.0f} ms from \
camera to mask (p95 {latency['p95']:.0f}), {numbers['refined']:.1%} of the pixels \
refined{advice}{compared}

page       {numbers['page']}
pictures   {job.pictures}, {job.out / 'contact_sheet.jpg'}
recording  {job.recording}

{steps}""")
