# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The command `sparse_seg`, also as `python -m sparse_seg_ros`."""

import sys

from sparse_seg_ros.commands import main

sys.exit(main())
