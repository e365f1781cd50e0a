# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The two processes of node.py: `python -m sparse_seg_ros.bench.node_processes ROLE CASE`."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from sparse_seg_ros.bags.bag_messages import DIAGNOSTIC_ARRAY, IMAGE
from sparse_seg_ros.bench.node import Case, FrameTimes
from sparse_seg_ros.messages.fields import stamp_nanoseconds
from sparse_seg_ros.messages.status import AGE, read_array, read_milliseconds
from sparse_seg_ros.ros.probe import Probe, open_ros
from sparse_seg_ros.ros.run_node import main as run_node

PATIENCE_SECONDS, RESEND_SECONDS = 60.0, 0.2
WARM_UP_FRAMES = 5


class FixedTime:
    """A method that takes a fixed time and no processor: thresholds for labels, then sleep."""

    optional, needs_truth = (), False

    def __init__(self, milliseconds: float):
        self.milliseconds = milliseconds

    def __call__(self, images: Any, request: Any, clock: Any) -> Any:
        """(1, 3, H, W) -> MethodOutput."""
        from sparse_seg_ros.methods.output import MethodOutput

        with clock('dense'):
            labels = (images[:, 0] > 0).byte()  # (1, H, W)
            time.sleep(self.milliseconds / 1e3)
        return MethodOutput(labels, labels.float())

    def has_static_shapes(self, *_: Any) -> bool:
        """Return that no budget decides what a frame costs."""
        return False

    def limits(self) -> dict:
        """Return none: nothing is refined."""
        return {}


def load_fixed_time(milliseconds: float) -> Any:
    """Return a Segmenter around FixedTime."""
    from sparse_seg_ros.labels import load_labels
    from sparse_seg_ros.segmenter import Segmenter

    return Segmenter(FixedTime(milliseconds), load_labels('camvid'), (127.5,) * 3, (127.5,) * 3)


class BenchCamera:
    """Publishes images at a rate through a probe and collects what the node says about them."""

    def __init__(self, case: Case, probe: Probe):
        self.case, self.probe = case, probe
        self.times: dict[int, FrameTimes] = {}  # by stamp
        probe.listen('segmentation/mask', IMAGE, lambda topic, mask: None)
        probe.listen('segmentation/timing', DIAGNOSTIC_ARRAY, self.take_times)

    def take_times(self, topic: str, message: Any) -> None:
        """Keep the times of one frame under its stamp."""
        status, = read_array(message)
        self.times[stamp_nanoseconds(message.header)] = FrameTimes(
            float(status.values[AGE]), read_milliseconds(status))

    def warm_up(self, image: np.ndarray) -> dict[str, int]:
        """Send until frames come back -> counters until then."""
        self.probe.wait_until_ready()
        end = time.monotonic() + PATIENCE_SECONDS
        while len(self.times) < WARM_UP_FRAMES:
            if time.monotonic() > end:
                raise TimeoutError('the node answers no image')
            self.probe.send(image)
            with self.probe.changed:
                self.probe.changed.wait(RESEND_SECONDS)
        return self.probe.wait_until_settled()

    def run(self) -> dict[str, Any]:
        """Send all frames -> sent, counters and times of these."""
        shape = (self.case.height, self.case.width, 3)
        image = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
        before = self.warm_up(image)
        stamps, due = [], time.monotonic()
        for _ in range(self.case.frames):
            due += 1 / self.case.rate_hz
            time.sleep(max(0.0, due - time.monotonic()))
            stamps.append(self.probe.send(image))
        after = self.probe.wait_until_settled()
        return {'sent': len(stamps),
                'counters': {name: after[name] - before[name] for name in after},
                'times': [asdict(self.times[stamp]) for stamp in stamps if stamp in self.times]}


def main() -> int:
    """Be the node or the camera."""
    role, case, result = sys.argv[1], Case(**json.loads(sys.argv[2])), Path(sys.argv[3])
    if role == 'node':
        return run_node(['--ros-args', '-p', 'max_age_seconds:=0.0', '--log-level', 'warn'],
                        lambda config: load_fixed_time(case.method_milliseconds))
    with open_ros(), Probe('bench_camera', 'image', IMAGE, case.reliability) as probe:
        result.write_text(json.dumps(BenchCamera(case, probe).run()))
    return 0


if __name__ == '__main__':
    sys.exit(main())
