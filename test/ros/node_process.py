# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The node as a process, with the fake model: python node_process.py [ROS arguments]."""

from __future__ import annotations

import sys

from ros_fakes import make_segmenter

from sparse_seg_ros.ros.run_node import main

if __name__ == '__main__':
    sys.exit(main(sys.argv[1:], lambda config: make_segmenter()))
