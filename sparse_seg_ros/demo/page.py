# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The page of the demo: one HTML file with everything in it, and the pictures beside it."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sparse_seg_ros import pictures
from sparse_seg_ros.demo.recording import Shown
from sparse_seg_ros.evaluation.resolutions import Compared
from sparse_seg_ros.files import share
from sparse_seg_ros.labels import LabelSet
from sparse_seg_ros.report.page import (
    SUMS,
    Figure,
    Strip,
    embed,
    legend,
    render,
    save,
    shrink,
    stage_rows,
)

COLUMNS = {'image': 'image', 'overlay': 'classes', 'uncertainty': 'uncertainty',
           'refined': 'refined pixels'}
LEAST_PUBLISHED = 0.95  # of the frames played, where the node keeps up
SHEET_WIDTH = 480
LOSSES = {'not_received': 'did not reach the node', 'superseded': 'gave way to newer ones',
          'stale': 'were too old', 'invalid': 'were no images', 'failed': 'failed',
          'abandoned': 'were abandoned'}
BUSY = ('decode', 'segment', 'publish')  # what keeps the node from the next frame


def write_page(folder: Path, picture_folder: Path, numbers: Mapping[str, Any],
               shown: Sequence[Shown], labels: LabelSet,
               compared: Mapping[int, Mapping[str, Compared]]) -> Path:
    """
    Write pictures/*.png, contact_sheet.jpg and index.html -> path of the page.

    compared: stamp -> the frame at each resolution; empty for a model without refinement.
    """
    rows = [draw(frame) for frame in shown]
    for stamp, row in compared.items():
        for name, one in row.items():
            save(picture_folder / f'{stamp}_resolution_{name}.png', one.overlay)
    for frame, row in zip(shown, rows):
        for name, picture in row.items():
            save(picture_folder / f'{frame.stamp}_{name}.png', picture)
    save(folder / 'contact_sheet.jpg', np.vstack([
        np.hstack([shrink(picture, SHEET_WIDTH) for picture in row.values()]) for row in rows]))
    first = shown[0].stamp
    page = folder / 'index.html'
    page.write_text(render('demo/page.html', {
        'headline': headline(numbers), 'model': describe_model(numbers['engine']),
        'tiles': tiles(numbers), 'counts': counts(numbers), 'pace': pace(numbers),
        'classes': legend(labels), 'stages': stage_rows(numbers['milliseconds']),
        'frames': [frame_strip(frame, row, picture_folder.name, first)
                   for frame, row in zip(shown, rows)],
        'resolutions': [resolution_strip(stamp, row, picture_folder.name, first)
                        for stamp, row in compared.items()],
        'medians': medians(numbers), 'next_steps': next_steps(numbers)}))
    return page


def draw(frame: Shown) -> dict[str, np.ndarray]:
    """Frame -> (H, W, 3) uint8 RGB per column."""
    arrays = frame.pictures
    dimmed = (arrays['image'] * 0.25).astype(np.uint8)
    refined = np.where(arrays['refined'][..., None] > 0, arrays['image'], dimmed)
    return {'image': arrays['image'], 'overlay': arrays['overlay'],
            'uncertainty': pictures.heat(arrays['uncertainty']), 'refined': refined}


def headline(numbers: Mapping[str, Any]) -> str:
    """Return what was played, in one sentence."""
    sent, total = numbers['sent'], numbers['in_bag']
    frames = f'all {sent} frames' if sent == total else \
        f'{sent} of {total} frames' if sent < total else f'{sent} frames'  # of a damaged bag
    rate = f" at {numbers['rate_hz']:.1f} Hz" if numbers['rate_hz'] else ''
    return f"{frames} of {numbers['topic']}{rate} through the ROS 2 node"


def pace(numbers: Mapping[str, Any]) -> str:
    """Say whether the node keeps up with the camera, and if not, why and what helps."""
    times, rate_hz = numbers['milliseconds'], numbers['rate_hz']
    if not rate_hz:
        return ''
    spent = sum(times[stage]['p50'] for stage in BUSY if stage in times)
    measured = (f'a frame takes {spent:.0f} ms, {1e3 / max(spent, 1e-9):.1f} frames a second, and '
                f'the camera sends {rate_hz:.1f}')
    is_fast = spent * rate_hz <= 1e3
    if is_fast and numbers['published'] >= LEAST_PUBLISHED * numbers['sent']:
        return f'The node keeps up with the camera: {measured}.'
    lost = {name: numbers[name] for name in LOSSES if numbers[name]}
    counts = ', '.join(f'{count} {LOSSES[name]}' for name, count in lost.items())
    text = f'The node does not keep up with the camera: {measured}{why_slow(times, is_fast)}.'
    if counts:
        text += f" Of {numbers['sent']} frames {counts}."
    return f'{text} {cure(numbers, is_fast, max(lost, key=lost.get, default=""))}'


def why_slow(times: Mapping[str, Mapping[str, float]], is_fast: bool) -> str:
    """Times of the stages -> what takes longest; is_fast: fast enough in the median."""
    if is_fast:
        return f'; some take longer, p95 is {times["segment"]["p95"]:.0f} ms'
    longest = max((stage for stage in times if stage not in (*SUMS, 'wait')),
                  key=lambda stage: times[stage]['p50'], default='')
    return f'; the longest stage is {longest}, {times[longest]["p50"]:.0f} ms' if longest else ''


def cure(numbers: Mapping[str, Any], is_fast: bool, largest_loss: str) -> str:
    """Say what helps against the loss of frames."""
    if is_fast and largest_loss == 'not_received':
        return ('Frames are lost between camera and node: doc/node.md says how large images come '
                'through DDS.')
    if is_fast and largest_loss not in ('superseded', ''):
        return 'node.log says why.'
    faster = 'refine fewer pixels (budget), let the faster method be taken (method auto)' \
        if numbers['refined'] else 'take a smaller network or smaller images'
    return ('A frame that arrives meanwhile replaces the one that waits, so the output does not '
            f'lag. For more frames, {faster}, or use a GPU.')


def describe_model(engine: Mapping[str, str]) -> dict[str, str]:
    """Return what segmented."""
    keys = ('model', 'method', 'device', 'precision', 'weights_hash')
    return {key.replace('_', ' '): Path(engine[key]).name for key in keys if key in engine}


def tiles(numbers: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the numbers to see first, and what they are."""
    latency, total = numbers['latency_milliseconds'], numbers['milliseconds']['segment']
    return [(f"{numbers['published']} of {numbers['sent']}", 'frames segmented'),
            (f"{total['p50']:.0f} ms", f"to segment one; p95 {total['p95']:.0f} ms"),
            (f"{latency['p50']:.0f} ms", f"camera to mask; p95 {latency['p95']:.0f} ms"),
            (f"{numbers['refined']:.1%}", 'of the pixels refined')]


def counts(numbers: Mapping[str, Any]) -> str:
    """Say what became of all frames."""
    names = ('received', 'superseded', 'stale', 'invalid', 'failed', 'abandoned', 'not_received')
    return ' · '.join(f'{numbers[name]} {name.replace("_", " ")}' for name in names)


def frame_strip(frame: Shown, row: Mapping[str, np.ndarray], folder: str, first: int) -> Strip:
    """Return the pictures of one frame; first: stamp of the first one."""
    height, width = row['image'].shape[:2]
    return Strip(
        seconds_after(first, frame.stamp),
        [Figure(f'{folder}/{frame.stamp}_{name}.png', embed(picture), COLUMNS[name])
         for name, picture in row.items()],
        f'{width}×{height} · {frame.milliseconds["segment"]:.0f} ms · '
        f'{frame.refined:.1%} refined')


def resolution_strip(stamp: int, row: Mapping[str, Compared], folder: str, first: int) -> Strip:
    """Return one frame at each resolution, with its times."""
    return Strip(seconds_after(first, stamp), [
        Figure(f'{folder}/{stamp}_resolution_{name}.png', embed(one.overlay), one.title,
               f'{one.milliseconds:.0f} ms', f'{one.refined:.1%} refined' if one.refined else '')
        for name, one in row.items()])


def seconds_after(first: int, stamp: int) -> str:
    """Stamps in nanoseconds -> the time between them in words."""
    return f'{(stamp - first) / 1e9:+.2f} s'


def medians(numbers: Mapping[str, Any]) -> str:
    """Return the times of the network's resolutions."""
    return ', '.join(f'{title} {spent:.0f} ms'
                     for title, spent in numbers['resolutions_milliseconds'].items())


def next_steps(numbers: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return (what for, command) of what to do after the demo."""
    topic = numbers['topic'].removesuffix('/compressed')
    is_raw = topic == numbers['topic']
    labels = f' --labels {numbers["labels"]}' if numbers['labels'] else ''
    remap = f' --ros-args -r image:={topic}' if is_raw else ''
    transport = '' if is_raw else ' image_transport:=compressed'
    model = numbers['model']
    chosen = ('', '') if model == 'demo' else (f' --model {model}', f' model:={model}')
    demo = 'make demo BAG=' if is_checkout() else f'{program()} demo --bag '
    rviz = 'rviz/seg.rviz' if is_checkout() else share() / 'rviz' / 'seg.rviz'
    return [
        ('the same with a bag of your camera', f'{demo}path/to/bag'),
        ('every frame of a bag, offline',
         f'{program()} replay --bag {numbers["bag"]} -o segmented --preview pictures{labels}'
         f'{chosen[0]}'),
        ('with ROS 2: look at this recording in RViz',
         f'ros2 bag play {numbers["recording"]} --loop\nrviz2 -d {rviz}{remap}'),
        ('with ROS 2: your camera, live',
         f'ros2 launch sparse_seg_ros seg.launch.py image:={topic}{transport}{chosen[1]} '
         'rviz:=true')]


def is_checkout() -> bool:
    """Tell a checkout, which has make, from an installed package."""
    return (share() / 'Makefile').is_file()


def program() -> str:
    """Return how `sparse_seg` is called from here: colcon keeps it off the path."""
    if shutil.which('sparse_seg'):
        return 'sparse_seg'
    if not is_checkout() and 'ROS_DISTRO' in os.environ:
        return 'ros2 run sparse_seg_ros sparse_seg'
    return f'{os.path.relpath(sys.executable)} -m sparse_seg_ros'
