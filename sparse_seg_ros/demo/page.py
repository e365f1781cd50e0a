# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The page of the demo: one HTML file with everything in it, and the pictures beside it."""

from __future__ import annotations

import base64
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import Any

import cv2
import numpy as np

from sparse_seg_ros import pictures
from sparse_seg_ros.demo.recording import Shown
from sparse_seg_ros.evaluation.resolutions import Compared
from sparse_seg_ros.files import PACKAGE, share
from sparse_seg_ros.labels import LabelSet

TEMPLATE = PACKAGE / 'demo' / 'page.html'
COLUMNS = {'image': 'image', 'overlay': 'classes', 'uncertainty': 'uncertainty',
           'refined': 'refined pixels'}
LEAST_PUBLISHED = 0.95  # of the frames played, where the node keeps up
EMBEDDED_WIDTH, SHEET_WIDTH, JPEG_QUALITY = 720, 480, 84
LOSSES = {'not_received': 'did not reach the node', 'superseded': 'gave way to newer ones',
          'stale': 'were too old', 'invalid': 'were no images', 'failed': 'failed',
          'abandoned': 'were abandoned'}
BUSY = ('decode', 'segment', 'publish')  # what keeps the node from the next frame
SUMS = ('segment', 'total')  # of other stages
STAGES = {
    'wait': 'in the slot, until the worker is free', 'decode': 'message to array',
    'upload': 'array to tensor, normalised', 'dense': 'network at low resolution',
    'select': 'entropy, choice of pixels', 'extract': 'sparse network on the chosen pixels',
    'ensemble': 'both predictions weighed', 'label': 'labels and uncertainty',
    'download': 'tensor to array', 'publish': 'arrays to messages, sent',
    'segment': 'upload to download', 'total': 'callback to publish'}


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
    page = folder / 'index.html'
    page.write_text(Template(TEMPLATE.read_text()).substitute(
        headline=headline(numbers), model=model_line(numbers['engine']), tiles=tiles(numbers),
        pace=pace(numbers),
        resolutions=resolutions(compared, numbers, picture_folder.name, shown[0].stamp),
        frames='\n'.join(frame_section(frame, row, picture_folder.name, shown[0].stamp)
                         for frame, row in zip(shown, rows)),
        stages=stage_rows(numbers['milliseconds']), legend=legend(labels),
        next=escape('\n\n'.join(f'# {about}\n{command}'
                                for about, command in next_steps(numbers)))))
    return page


def draw(frame: Shown) -> dict[str, np.ndarray]:
    """Frame -> (H, W, 3) uint8 RGB per column."""
    found = frame.pictures
    dimmed = (found['image'] * 0.25).astype(np.uint8)
    refined = np.where(found['refined'][..., None] > 0, found['image'], dimmed)
    return {'image': found['image'], 'overlay': found['overlay'],
            'uncertainty': pictures.heat(found['uncertainty']), 'refined': refined}


def save(path: Path, picture: np.ndarray) -> None:
    """Write a picture; a full disk is an error in words."""
    if not cv2.imwrite(str(path), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)):
        raise OSError(f'cannot write {path}; is the disk full?')


def shrink(picture: np.ndarray, width: int) -> np.ndarray:
    """(H, W, 3) -> (h, width, 3)."""
    height = max(1, round(picture.shape[0] * width / picture.shape[1]))
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)


def embed(picture: np.ndarray) -> str:
    """(H, W, 3) RGB -> data URL of a JPEG, not wider than a column of the page needs."""
    if picture.shape[1] > EMBEDDED_WIDTH:
        picture = shrink(picture, EMBEDDED_WIDTH)
    coded = cv2.imencode('.jpg', cv2.cvtColor(picture, cv2.COLOR_RGB2BGR),
                         [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1]
    return f'data:image/jpeg;base64,{base64.b64encode(coded).decode()}'


def headline(numbers: Mapping[str, Any]) -> str:
    """Return what was played, in one sentence."""
    sent, total = numbers['sent'], numbers['in_bag']
    frames = f'all {sent} frames' if sent == total else \
        f'{sent} of {total} frames' if sent < total else f'{sent} frames'  # of a damaged bag
    rate = f" at {numbers['rate_hz']:.1f} Hz" if numbers['rate_hz'] else ''
    return f"{frames} of {escape(numbers['topic'])}{rate} through the ROS 2 node"


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
    said = f'The node does not keep up with the camera: {measured}{why_slow(times, is_fast)}.'
    if counts:
        said += f" Of {numbers['sent']} frames {counts}."
    return f'{said} {cure(numbers, is_fast, max(lost, key=lost.get, default=""))}'


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


def model_line(engine: Mapping[str, str]) -> str:
    """Return what segmented."""
    keys = ('model', 'method', 'device', 'precision', 'weights_hash')
    return ' · '.join(f'{key.replace("_", " ")} <b>{escape(Path(engine[key]).name)}</b>'
                      for key in keys if key in engine)


def tiles(numbers: Mapping[str, Any]) -> str:
    """Return the numbers to see first."""
    latency, total = numbers['latency_milliseconds'], numbers['milliseconds']['segment']
    first = [(f"{numbers['published']} of {numbers['sent']}", 'frames segmented'),
             (f"{total['p50']:.0f} ms", f"to segment one; p95 {total['p95']:.0f} ms"),
             (f"{latency['p50']:.0f} ms", f"camera to mask; p95 {latency['p95']:.0f} ms"),
             (f"{numbers['refined']:.1%}", 'of the pixels refined')]
    others = ('received', 'superseded', 'stale', 'invalid', 'failed', 'abandoned', 'not_received')
    counts = ' · '.join(f'{numbers[name]} {name.replace("_", " ")}' for name in others)
    return '\n'.join(f'<div class="tile"><b>{value}</b><span>{about}</span></div>'
                     for value, about in first) + f'\n<p class="counts">{counts}</p>'


def frame_section(frame: Shown, row: Mapping[str, np.ndarray], folder: str, first: int) -> str:
    """Return the strip of one frame; its pictures lead to the full-size ones."""
    figures = '\n'.join(
        f'<figure><a href="{folder}/{frame.stamp}_{name}.png"><img src="{embed(picture)}" '
        f'alt="{COLUMNS[name]}"></a><figcaption>{COLUMNS[name]}</figcaption></figure>'
        for name, picture in row.items())
    height, width = row['image'].shape[:2]
    about = (f'{width}×{height} · {frame.milliseconds["segment"]:.0f} ms · '
             f'{frame.refined:.1%} refined')
    return (f'<section class="frame"><h3>{(frame.stamp - first) / 1e9:+.2f} s '
            f'<small>{about}</small></h3><div class="strip">{figures}</div></section>')


def resolutions(compared: Mapping[int, Mapping[str, Compared]], numbers: Mapping[str, Any],
                folder: str, first: int) -> str:
    """Return the section on the network's resolutions; '' where there is nothing to compare."""
    if not compared:
        return ''
    times = ', '.join(f'{escape(title)} {spent:.0f} ms'
                      for title, spent in numbers['resolutions_milliseconds'].items())
    strips = '\n'.join(
        f'<section class="frame"><h3>{(stamp - first) / 1e9:+.2f} s</h3><div class="strip same" '
        f'style="--columns: {len(row)}">{compared_figures(stamp, row, folder)}</div></section>'
        for stamp, row in compared.items())
    return (f'<h2>The same frames at each resolution</h2>\n<p class="note">Segmented again, in '
            f'turns, after the run through the node had ended. Medians: {times}.</p>\n{strips}')


def compared_figures(stamp: int, row: Mapping[str, Compared], folder: str) -> str:
    """Return one frame at each resolution, with its times."""
    return '\n'.join(
        f'<figure><a href="{folder}/{stamp}_resolution_{name}.png"><img '
        f'src="{embed(one.overlay)}" alt="{escape(one.title)}"></a><figcaption>'
        f'{escape(one.title)} · <b>{one.milliseconds:.0f} ms</b>'
        + (f' · {one.refined:.1%} refined' if one.refined else '') + '</figcaption></figure>'
        for name, one in row.items())


def stage_rows(milliseconds: Mapping[str, Mapping[str, float]]) -> str:
    """Return the table of stages, each with a bar: solid to the median, faint to p95."""
    longest = max(ranks['p95'] for stage, ranks in milliseconds.items() if stage not in SUMS)
    order = [*(stage for stage in STAGES if stage in milliseconds),
             *(stage for stage in milliseconds if stage not in STAGES)]
    return '\n'.join(stage_row(stage, milliseconds[stage], longest) for stage in order)


def stage_row(stage: str, ranks: Mapping[str, float], longest: float) -> str:
    """Return one row; sums have no bar."""
    bar = '' if stage in SUMS else ''.join(
        f'<i class="{rank}" style="width:{100 * ranks[rank] / max(longest, 1e-9):.1f}%"></i>'
        for rank in ('p95', 'p50'))
    return (f'<tr{" class=sum" if stage in SUMS else ""}><th>{escape(stage)}</th>'
            f'<td>{STAGES.get(stage, "")}</td><td class="bar">{bar}</td>'
            f'<td>{ranks["p50"]:.1f}</td><td>{ranks["p95"]:.1f}</td></tr>')


def legend(labels: LabelSet) -> str:
    """Return the colour and name of every class."""
    names = [escape(name.replace('_', ' ')) for name in labels.names]
    return '\n'.join(f'<li><i style="background:rgb{color}"></i>{name}</li>'
                     for name, color in zip(names, labels.colors))


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
