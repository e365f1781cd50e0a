# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Forwards to the node's log what the package logs while a model loads, such as engine builds."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
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


@contextmanager
def forwarded(logger: Any) -> Iterator[None]:
    """Pass on what the package logs inside the block."""
    package, handler = logging.getLogger('sparse_seg_ros'), Forward(logger)
    level, propagates = package.level, package.propagate
    package.addHandler(handler)
    package.setLevel(logging.INFO)
    package.propagate = False
    try:
        yield
    finally:
        package.removeHandler(handler)
        package.setLevel(level)
        package.propagate = propagates
