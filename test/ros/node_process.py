# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The node as a process, with the fake model: python node_process.py [--hang WHERE] [ROS arguments].

--hang load, or --hang frame, from the third on: for ever, as in native code; --hang exit: in what
the interpreter does at its end. --hang nowhere: goes through its transitions again and again.
--hang with build: builds an engine of ONNX Runtime.
"""

from __future__ import annotations

import atexit
import ctypes
import logging
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

from sparse_seg_ros.ros.run_node import main

HOURS = 3 * 3600
WARM_UP_FRAMES = 2
CYCLING = []  # not empty once a node goes through its transitions


def load(hangs: str):
    """Return the fake model, which may hang."""
    from ros_fakes import Brightness, make_segmenter

    class Hanging(Brightness):
        count = 0

        def __call__(self, images, request, clock):
            self.count += 1
            if self.count > WARM_UP_FRAMES:
                print('the frame hangs', file=sys.stderr, flush=True)
                time.sleep(HOURS)
            return super().__call__(images, request, clock)

    logging.getLogger('sparse_seg_ros.engines').info('the package says what it does')
    if hangs == 'load':
        time.sleep(HOURS)
    if hangs == 'release':  # as DDS does, with the interpreter in its hands
        from sparse_seg_ros.ros.node import SegmentationNode

        SegmentationNode.release = lambda node: ctypes.PyDLL(None).sleep(HOURS)
    if hangs == 'exit':
        atexit.register(time.sleep, HOURS)
    if hangs == 'build':
        return build_engine()
    if hangs == 'nowhere' and not CYCLING:
        CYCLING.append(True)
        cycle_from_activation_on()
    segmenter = make_segmenter()
    if hangs == 'frame':
        segmenter.method = Hanging()
    return segmenter


def build_engine():
    """Return a small model on an engine that is built now."""
    sys.path.append(str(Path(__file__).resolve().parents[1]))
    from tiny import TinyPooling, tiny_model

    from sparse_seg_ros import load as load_model
    from sparse_seg_ros.loading.checkpoints import save_model
    from sparse_seg_ros.networks import NETWORKS

    NETWORKS['pooling'] = TinyPooling
    folder = Path(tempfile.mkdtemp())
    save_model(tiny_model(refines=False, network='pooling'), folder / 'tiny.safetensors')
    (folder / 'method.yaml').write_text(
        'method: dense\nweights: tiny.safetensors\nengine: onnxruntime\n'
        'engine_sizes: [96x128]\nengine_folder: engines\n')
    return load_model(str(folder / 'method.yaml'), 'cpu')


def cycle_from_activation_on() -> None:
    """Make a node go through its transitions again and again once it is active."""
    from sparse_seg_ros.ros.node import SegmentationNode

    open_gate = SegmentationNode.open_gate

    def open_and_cycle(node):
        SegmentationNode.open_gate = open_gate
        open_gate(node)
        threading.Thread(target=cycle, args=(node,), daemon=True).start()

    SegmentationNode.open_gate = open_and_cycle


def cycle(node) -> None:
    """Go through the transitions of a node without end."""
    while True:
        for step in (node.trigger_deactivate, node.trigger_cleanup, node.trigger_configure,
                     node.trigger_activate):
            with suppress(Exception):  # of rclpy: another transition runs, or the node is gone
                step()


if __name__ == '__main__':
    arguments, hangs = sys.argv[1:], ''
    if arguments[:1] == ['--hang']:
        hangs, arguments = arguments[1], arguments[2:]
    sys.exit(main(arguments, lambda config: load(hangs)))
