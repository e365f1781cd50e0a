# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The demo: a bag, the real node, and a page that shows what it saw.

This process renders the bag and makes the page. Camera and node are two other processes, which
find each other over DDS in a domain of their own on this machine.
"""

from __future__ import annotations

import importlib.util
import json
import os
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from sparse_seg_ros.bags.bag import Bag
from sparse_seg_ros.bags.bag_messages import COMPRESSED, IMAGE
from sparse_seg_ros.bags.image_topics import choose_images
from sparse_seg_ros.bags.street_bag import LABEL_TOPIC, write_street_bag
from sparse_seg_ros.data.street import Street
from sparse_seg_ros.demo.child_process import ChildProcess, describe, last_lines
from sparse_seg_ros.demo.page import write_page
from sparse_seg_ros.demo.recording import Recording
from sparse_seg_ros.environment import large_image_settings, private_settings
from sparse_seg_ros.evaluation.resolutions import compare, middle_times
from sparse_seg_ros.labels import LabelSet
from sparse_seg_ros.loading.zoo import load, load_resolutions
from sparse_seg_ros.stream.health import RECEIVED, WAITING
from sparse_seg_ros.stream.stage_times import StageTimes

FRAMES_SHOWN, FRAMES_COMPARED = 5, 3
LOOK_SECONDS = 0.5  # between two looks at the node
HIGHEST_DOMAIN = 100


@dataclass(frozen=True)
class DemoJob:
    """What to play, into which model, and the folder for the results."""

    out: Path
    bag: Path | None = None
    topic: str | None = None
    frames: int = 60
    rate: float = 1.0
    size_hw: tuple[int, int] = (540, 960)
    seed: int = 7
    model: str = 'demo'
    device: str = 'auto'
    precision: str = 'auto'

    @property
    def street(self) -> Path:
        """The bag that is rendered when none is given."""
        return self.out / 'street_bag'

    @property
    def recording(self) -> Path:
        """The bag with images and answers."""
        return self.out / 'segmented_bag'

    @property
    def pictures(self) -> Path:
        """The folder of pictures."""
        return self.out / 'pictures'

    @property
    def log(self) -> Path:
        """What the node printed."""
        return self.out / 'node.log'


def run_demo(job: DemoJob, say: Callable[[str], None] = print) -> dict[str, Any]:
    """Run the demo -> its numbers, and 'page', the path of the page."""
    check_ros()
    labels = check_model(job.model)
    clear(job)
    bag = job.bag or render(job, say)
    topic, is_compressed = find_images(bag, job.topic)
    say(f'playing {topic} of {bag} into the node, as its camera did; node log: {job.log}')
    played = play(job, bag, topic, is_compressed)
    recording = Recording(job.recording, topic)
    if not recording.complete:
        raise ValueError(f'no frame came back: {words(played["counters"])}; the end of {job.log}:'
                         f'\n{last_lines(job.log)}')
    if len(played['sent_seconds']) < played['sent']:
        say(f'{played["sent"]} images have only {len(played["sent_seconds"])} different stamps; '
            'pictures and times show one image of each')
    numbers = {'bag': str(bag), 'model': job.model, 'topic': topic,
               'in_bag': count_images(bag, topic),
               'recording': str(job.recording),
               'labels': None if job.bag else LABEL_TOPIC,
               **summarise(played, recording)}
    shown = recording.read(spread(recording.complete, FRAMES_SHOWN))
    chosen = spread(shown, FRAMES_COMPARED)
    segmenters = load_resolutions(job.model, job.device, job.precision)
    if segmenters:
        say('comparing the resolutions of the network on the same frames')
    compared = compare(segmenters, [frame.pictures['image'] for frame in chosen])
    numbers['resolutions_milliseconds'] = middle_times(compared)
    page = write_page(job.out, job.pictures, numbers, shown, labels,
                      {frame.stamp: row for frame, row in zip(chosen, compared)})
    return {**numbers, 'page': str(page)}


def check_ros() -> None:
    """Raise ImportError with the cures where there is no ROS."""
    if importlib.util.find_spec('rclpy') is None:
        raise ImportError('the demo needs ROS 2, and Python finds no rclpy: run `make demo`, '
                          'which installs it; or source /opt/ros/<distribution>/setup.bash; '
                          "or pip install 'sparse_seg_ros[ros]'")


def check_model(name: str) -> LabelSet:
    """Load a model, and what it is compared with, so that a bad one is an error at once."""
    loaded = load_resolutions(name, 'cpu', 'fp32') or {'own': load(name, 'cpu', 'fp32')}
    return next(iter(loaded.values())).labels


def clear(job: DemoJob) -> None:
    """Remove what an earlier demo left in the folder; never the bag that is to be played."""
    own = [job.recording, job.pictures] + ([] if job.bag else [job.street])
    for folder in own:
        if job.bag and job.bag.resolve().is_relative_to(folder.resolve()):
            raise ValueError(f'{job.bag} is what an earlier demo recorded, and would be replaced; '
                             'move it, or choose another folder with --out')
        if folder.exists():
            shutil.rmtree(folder)
    try:
        job.pictures.mkdir(parents=True)
    except OSError as error:
        raise ValueError(f'cannot write to {job.out}: {error.strerror}; choose a folder that you '
                         'may write to with --out') from None


def render(job: DemoJob, say: Callable[[str], None]) -> Path:
    """Render a drive as a bag -> its path."""
    height, width = job.size_hw
    say(f'rendering a street, {job.frames} frames of {width}x{height}')
    return write_street_bag(job.street, Street(job.seed, job.size_hw), job.frames,
                            lambda indices: tqdm(indices, 'rendering', leave=False))


def find_images(path: Path, topic: str | None) -> tuple[str, bool]:
    """Bag -> (image topic, whether it is compressed)."""
    with Bag(path) as bag:
        images = choose_images(bag, topic)
    if images.msgtype not in (IMAGE, COMPRESSED):
        raise ValueError('the node must get Image or CompressedImage of sensor_msgs, got '
                         f'{images.msgtype} on {images.topic}; segment it with `sparse_seg '
                         'replay`')
    return images.topic, images.msgtype == COMPRESSED


def count_images(path: Path, topic: str) -> int:
    """Return how many images of a topic a bag holds."""
    with Bag(path) as bag:
        return sum(each.msgcount for each in bag.connections if each.topic == topic)


def play(job: DemoJob, bag: Path, topic: str, is_compressed: bool) -> dict[str, Any]:
    """Play a bag into a node of its own -> the report of the player."""
    from sparse_seg_ros.demo.player import PlayJob, arguments

    result = job.out / 'played.json'
    result.unlink(missing_ok=True)
    domain = random.SystemRandom().randint(1, HIGHEST_DOMAIN)
    environment = {**os.environ, **private_settings(domain), **large_image_settings()}
    play_job = PlayJob(str(bag), str(job.recording), topic, job.frames, job.rate)
    with ChildProcess('node', 'sparse_seg_ros.ros.run_node',
                      node_arguments(job, topic, is_compressed), environment, job.log) as node, \
            ChildProcess('player', 'sparse_seg_ros.demo.player',
                         arguments(play_job, result), environment) as player:
        while not player.wait(LOOK_SECONDS):
            node.check_alive()
    report = read_report(result, player)
    if 'error' in report:
        raise ChildProcessError(f'{report["error"]}; the end of {job.log}:\n{node.last_lines()}')
    return report


def read_report(result: Path, player: ChildProcess) -> dict[str, Any]:
    """Return what the player reports; 'error' where it could not."""
    return json.loads(result.read_text()) if result.exists() else {
        'error': f'the player ended with {describe(player.process.returncode)}'}


def node_arguments(job: DemoJob, topic: str, is_compressed: bool) -> list[str]:
    """Return the command line of the node; stamps of a bag are old, so no age is too high."""
    parameters = {'model': job.model, 'device': job.device, 'precision': job.precision,
                  'image_transport': 'compressed' if is_compressed else 'raw',
                  'max_age_seconds': 0.0}
    listened = 'image/compressed' if is_compressed else 'image'
    return ['--ros-args', '-r', f'{listened}:={topic}', *(
        word for name, value in parameters.items() for word in ('-p', f'{name}:={value}'))]


def summarise(played: dict[str, Any], recording: Recording) -> dict[str, Any]:
    """Return all numbers of the page."""
    times = StageTimes(capacity=None)
    for milliseconds in recording.milliseconds.values():
        times.add(milliseconds)
    latency = latencies(played)
    return {
        'engine': played['engine'], 'sent': played['sent'],
        'not_received': played['sent'] - played['counters'][RECEIVED],
        **{name: count for name, count in played['counters'].items() if name != WAITING},
        'recorded': len(recording.complete),
        'rate_hz': round((played['sent'] - 1) / max(played['seconds'], 1e-9), 2),
        'latency_milliseconds': {f'p{rank}': round(float(np.percentile(latency, rank)), 1)
                                 for rank in (50, 95)},
        'milliseconds': times.percentiles(50, 95),
        'refined': round(float(np.mean(list(recording.refined.values()))), 4)}


def latencies(played: dict[str, Any]) -> list[float]:
    """Report of the player -> milliseconds from each image that was sent to its mask."""
    sent = dict(map(tuple, played['sent_seconds']))
    return [(moment - sent[stamp]) * 1e3 for stamp, moment in played['masked_seconds']]


def spread(items: list, count: int) -> list:
    """Return count items, evenly spread, with the first and the last."""
    places = np.linspace(0, len(items) - 1, min(count, len(items)))
    return [items[round(place)] for place in places]


def words(counters: dict[str, int]) -> str:
    """Return counters in words."""
    return ', '.join(f'{count} {name}' for name, count in counters.items())
