# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The node as a process, with the fake model: python node_process.py [--hang WHERE] [ROS arguments].

--hang load, or --hang frame, from the third on: for ever, as in native code; --hang exit: in what
the interpreter does at its end.
"""

from __future__ import annotations

import atexit
import ctypes
import sys
import time

from sparse_seg_ros.ros.run_node import main

HOURS = 3 * 3600
WARM_UP_FRAMES = 2


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

    if hangs == 'load':
        time.sleep(HOURS)
    if hangs == 'release':  # as DDS does, with the interpreter in its hands
        from sparse_seg_ros.ros.node import SegmentationNode

        SegmentationNode.release = lambda node: ctypes.PyDLL(None).sleep(HOURS)
    if hangs == 'exit':
        atexit.register(time.sleep, HOURS)
    segmenter = make_segmenter()
    if hangs == 'frame':
        segmenter.method = Hanging()
    return segmenter


if __name__ == '__main__':
    arguments, hangs = sys.argv[1:], ''
    if arguments[:1] == ['--hang']:
        hangs, arguments = arguments[1], arguments[2:]
    sys.exit(main(arguments, lambda config: load(hangs)))
