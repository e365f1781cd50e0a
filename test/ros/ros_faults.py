# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Methods that hang, or end the thread that runs them."""

from __future__ import annotations

import threading

from ros_fakes import LABELS, Brightness

from sparse_seg_ros.segmenter import Segmenter


class Held(Brightness):
    """Waits, from the moment `hold` is called until `free` is set."""

    def __init__(self):
        super().__init__()
        self.free, self.entered = threading.Event(), threading.Event()
        self.free.set()

    def hold(self) -> None:
        self.free.clear()
        self.entered.clear()

    def __call__(self, images, request, clock):
        self.entered.set()
        self.free.wait(30)
        return super().__call__(images, request, clock)


class Deadly(Brightness):
    """Ends its thread on every image whose first pixel is white."""

    def __call__(self, images, request, clock):
        if bool((images[0, :, 0, 0] == 1).all()):
            raise SystemExit('the library ends')
        return super().__call__(images, request, clock)


def segmenter(method: Brightness) -> Segmenter:
    """Return a Segmenter around a method."""
    return Segmenter(method, LABELS, (127.5,) * 3, (127.5,) * 3)


def status(node, task: str):
    """Return the status of a task now."""
    return next(each for each in node.diagnostics.collect() if each.task == task)
