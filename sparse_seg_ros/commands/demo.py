# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Play a street, or your bag, through the real node over DDS, and show what it saw on one page.

examples:
  sparse_seg demo
  sparse_seg demo --bag drive.mcap --topic /camera/image_raw --frames 200
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

STREET_FRAMES, BAG_FRAMES = 60, 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this verb."""
    parser.add_argument('--bag', type=Path, help='rosbag2 folder, or its .mcap or .db3 file '
                        '(default: a rendered street)')
    parser.add_argument('--topic', help='image topic (default: the only one with colours)')
    parser.add_argument('--frames', type=int, help='play so many frames, from the first on '
                        f'(default: {STREET_FRAMES} of a street, {BAG_FRAMES} of a bag)')
    parser.add_argument('--rate', type=float, default=1.0, help='speed of playing; 1 = as the '
                        'camera was, less if this machine is too slow for that')
    parser.add_argument('--size', default='540x960', help='HxW of the street')
    parser.add_argument('--seed', type=int, default=7, help='another seed is another street')
    parser.add_argument('--model', default='demo', help='zoo name, method YAML, weights file, '
                        'run folder or Hugging Face folder')
    parser.add_argument('--device', default='auto', help='cpu, cuda, cuda:0 or auto')
    parser.add_argument('--precision', default='auto', choices=('auto', 'fp32', 'bf16', 'fp16'))
    parser.add_argument('--out', type=Path, help='folder to write to (default: out/demo, or for a '
                        'bag out/ and its name)')
    parser.add_argument('--json', type=Path, metavar='FILE', help='write the numbers there, too')


def run(args: argparse.Namespace) -> int:
    """Run the demo and say where everything is."""
    from sparse_seg_ros.commands.evaluate import parse_size
    from sparse_seg_ros.demo.run import DemoJob, run_demo

    frames = (BAG_FRAMES if args.bag else STREET_FRAMES) if args.frames is None else args.frames
    if frames < 1:
        raise ValueError(f'--frames must be at least 1, got {frames}')
    if not args.rate > 0:
        raise ValueError(f'--rate must be above 0, got {args.rate}')
    folder = args.out or default_folder(args.bag)
    job = DemoJob(folder, args.bag, args.topic, frames, args.rate, parse_size(args.size),
                  args.seed, args.model, args.device, args.precision)
    numbers = run_demo(job)
    if args.json:
        args.json.write_text(json.dumps(numbers, indent=1) + '\n')
    tell(job, numbers)
    return 0


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
    said = pace(numbers) and f'\n{pace(numbers)}'
    resolutions = ', '.join(f'{title} {milliseconds:.0f} ms' for title, milliseconds in
                            numbers['resolutions_milliseconds'].items())
    compared = resolutions and f'\non the same frames, after the run: {resolutions}'
    print(f"""
{numbers['published']} of {numbers['sent']} frames segmented, {numbers['superseded']} superseded \
by newer ones, {numbers['not_received']} not received
{spent['p50']:.0f} ms to segment a frame (p95 {spent['p95']:.0f}), {latency['p50']:.0f} ms from \
camera to mask (p95 {latency['p95']:.0f}), {numbers['refined']:.1%} of the pixels \
refined{said}{compared}

page       {numbers['page']}
pictures   {job.pictures}, {job.out / 'contact_sheet.jpg'}
recording  {job.recording}

{steps}""")
