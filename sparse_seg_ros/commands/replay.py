# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Segment every image of a bag, offline and without ROS, into a new bag, and print numbers.

Pictures and videos, too: the new bag then holds them as the images of a camera, in JPEG.

With --online the bag is played into the node instead, at the pace of its camera. That measures
latency, age and dropped frames, and with labels the accuracy of what consumers had in time.

examples:
  sparse_seg replay --bag drive.mcap -o drive_segmented --preview pictures --json numbers.json
  sparse_seg replay --pictures drive.mp4 -o drive_segmented
  sparse_seg replay --bag drive.mcap -o online --online --rate 0.5 --labels /camera/label
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sparse_seg_ros.commands import options
from sparse_seg_ros.node_config import NodeConfig


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this verb."""
    source = options.add_source(parser, 'bag', 'pictures')  # hidden: words of former versions
    source.add_argument('bag', nargs='?', default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    out = parser.add_mutually_exclusive_group(required=True)
    options.add_out(out, 'bag to write: the whole input, masks, uncertainty and timing',
                    metavar='BAG')
    out.add_argument('--output', dest='out', type=Path, help=argparse.SUPPRESS)
    options.add_model(parser)
    options.add_device(parser)
    options.add_precision(parser)
    options.add_remap(parser, 'segment')
    parser.add_argument('--topic', help='image topic (default: the only topic with colour images)')
    parser.add_argument('--labels', help='topic of true labels (mono8), online also a folder of '
                        'PNGs named by stamps; with it, mIoU is printed')
    parser.add_argument('--online', action='store_true', help='play the bag into the node; -o is '
                        'a folder for the recording and the log')
    parser.add_argument('--rate', type=float, default=1.0,
                        help='online: speed of playing; 1 = as recorded (default)')
    parser.add_argument('--attach', action='store_true', help='online: play into the node that '
                        'runs already in this ROS domain and listens to the topic')
    parser.add_argument('--preview', type=Path, metavar='DIR',
                        help='folder for overlays, uncertainties, a contact sheet and a film')
    parser.add_argument('--storage', default='mcap', choices=('mcap', 'sqlite3'),
                        help='format of the output bag')
    parser.add_argument('--metadata', type=int, default=8, choices=(5, 8, 9),
                        help='version of its metadata.yaml: 5 for Humble, 9 for Jazzy and later; '
                        '8 is read by all of them (default)')
    parser.add_argument('--uncertainty', default='32FC1', choices=('32FC1', 'mono8'),
                        help='encoding of the uncertainty; mono8 takes a quarter of the space')
    parser.add_argument('--max-pixels', type=int, default=NodeConfig.max_pixels, metavar='N',
                        help='larger images count as invalid (default: %(default)s, 4096x2160)')
    options.add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Replay -> exit code, 0 only if frames were segmented, and scored, and the bag was whole."""
    if args.online:
        return run_online(args)
    if args.rate != 1 or args.attach:
        raise ValueError('--rate and --attach go with --online; without it every frame is '
                         'segmented, as fast as it goes')
    from sparse_seg_ros.bags.replay import Replay, ReplayJob
    from sparse_seg_ros.machine import to_json
    from sparse_seg_ros.new_paths import write

    bag = Path(args.bag) if getattr(args, 'bag', None) else None
    job = ReplayJob(bag, args.out, args.topic, args.labels, args.preview, args.json,
                    args.storage, args.metadata, args.uncertainty, args.max_pixels,
                    tuple(args.pictures or ()))
    job.check()  # before the model is loaded
    segmenter = options.load_model(args)
    with ended_like_ctrl_c():
        report = Replay(job, segmenter).run()
    print_report(report)
    if args.json:
        write(args.json, to_json({**report, 'weights': {
            args.model: segmenter.weights}}).encode())
    if report['damage']:
        print(f"sparse_seg replay: {report['damage']}", file=sys.stderr)
    is_scored = report.get('scored') != 0
    return 0 if report['frames'] and is_scored and not report['damage'] else 1


@contextmanager
def ended_like_ctrl_c() -> Iterator[None]:
    """Let SIGTERM end the work inside as Ctrl-C does, so that the bag is closed properly."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def run_online(args: argparse.Namespace) -> int:
    """Play the bag into the node -> exit code, 0 only if frames came back and were scored."""
    from sparse_seg_ros.demo import online
    from sparse_seg_ros.machine import to_json
    from sparse_seg_ros.new_paths import write
    if not getattr(args, 'bag', None) or args.preview or args.remap:
        raise ValueError('--online takes a --bag, and no --preview or --remap; the node has the '
                         'parameter labels_remap')
    job = online.OnlineJob(Path(args.bag), args.out, args.topic, args.labels, args.rate,
                           args.model, args.device, args.precision, args.attach)
    report = online.run_online(job)
    print_online(report)
    if args.json:
        write(args.json, to_json(report).encode())
    for words in filter(None, [*report.get('notes', ()), report.get('damage')]):
        print(words, file=sys.stderr)
    return 0 if report.get('scored') != 0 and not report.get('damage') else 1


def print_online(report: dict) -> None:
    """Print the numbers of an online replay."""
    from sparse_seg_ros.stream.slots import OUTCOMES
    lost = ', '.join(f'{report[name]} {name}' for name in OUTCOMES if name != 'published')
    print(f"{report['published']} of {report['sent']} frames published, "
          f"{report['not_received']} not received; {lost}")
    print(f"{'milliseconds':<40}{'p50':>9}{'p95':>9}{'p99':>9}")
    for title, key in (('camera to mask', 'latency_ms'),
                       ('age of what consumers had at each frame', 'age_ms')):
        print(f'{title:<40}' + ''.join('        -' if value is None else f'{value:>9.1f}'
                                       for value in report[key].values()))
    if 'miou' in report:
        print(f"mIoU of what was published {percent(report['miou'])} "
              f"({report['scored']} frames); streaming, of what consumers had at each frame, "
              f"{percent(report['streaming_miou'])} ({report['labelled']} frames)")
    print(f"wrote {report['recording']}")


def percent(value: float | None) -> str:
    """0.123 -> '12.3 %'."""
    return 'n/a' if value is None else f'{100 * value:.1f} %'


def print_report(report: dict) -> None:
    """Print the numbers of a replay."""
    print(f"{report['frames']} frames of {report['topic']} in {report['seconds']:.1f} s, "
          f"{report['fps']:.2f} frames per second; {report['invalid']} invalid")
    print(f"refined pixels: {report['refined']:.1%}")
    print(f"{'milliseconds':<14}{'p50':>9}{'p95':>9}")
    for stage, ranks in report['milliseconds'].items():
        print(f"{stage:<14}{ranks['p50']:>9.1f}{ranks['p95']:>9.1f}")
    if 'miou' in report:
        miou = 'n/a' if report['miou'] is None else f"{report['miou']:.1%}"
        print(f"mIoU {miou} over {report['scored']} labelled frames")
        for name, iou in report['iou'].items():
            print(f"{name:<14}{'never seen' if iou is None else format(iou, '9.1%')}")
    print(f"wrote {report['output']}")
