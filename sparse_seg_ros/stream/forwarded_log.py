# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Forwards to the node's log what the package logs, such as engine builds."""

from __future__ import annotations

import logging
from typing import Any

from sparse_seg_ros.texts import LONG, cut


class Forward(logging.Handler):
    """Passes records on to a logger of rclpy."""

    def __init__(self, logger: Any):
        super().__init__(logging.INFO)
        self.logger = logger

    def emit(self, record: logging.LogRecord) -> None:
        """Log one record; rclpy needs a line of code for each severity."""
        text = cut(record.getMessage(), LONG)
        if record.levelno >= logging.WARNING:
            self.logger.warning(text)
        else:
            self.logger.info(text)


def forward_log(logger: Any) -> None:
    """
    Pass on what the package logs from now on.

    For a process that belongs to the node: one that it shares, such as a component container,
    decides itself what becomes of the logs of Python.
    """
    package = logging.getLogger('sparse_seg_ros')
    package.addHandler(Forward(logger))
    package.setLevel(logging.INFO)
    package.propagate = False
