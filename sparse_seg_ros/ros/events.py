# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Events of QoS that are safe to remove while an executor waits.

An executor of rclpy lists what it waits for, and then adds it to the set that it waits on. If a
topic is removed between the two, it raises InvalidHandle out of its spinning; it passes over
subscriptions that are gone, but not over their events. Humble has the names in another module.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from rclpy.exceptions import InvalidHandle

try:
    from rclpy.event_handler import (
        EventHandler,
        PublisherEventCallbacks,
        SubscriptionEventCallbacks,
    )
except ImportError:  # Humble
    from rclpy.qos_event import PublisherEventCallbacks, SubscriptionEventCallbacks
    from rclpy.qos_event import QoSEventHandler as EventHandler


class RemovableHandler(EventHandler):  # pyright: ignore[reportGeneralTypeIssues]
    """An event handler that may be gone before an executor waits for it."""

    def add_to_wait_set(self, wait_set: Any) -> None:
        """Add the event, if it is still there."""
        with suppress(InvalidHandle):
            super().add_to_wait_set(wait_set)


def removable(handlers: list) -> list:
    """Make event handlers, as rclpy made them, removable."""
    for handler in handlers:
        handler.__class__ = RemovableHandler
    return handlers


class InputEvents(SubscriptionEventCallbacks):
    """What happens to a subscription, as its base class has it."""

    def create_event_handlers(self, *arguments: Any, **named: Any) -> list:
        """Return the handlers, removable."""
        return removable(super().create_event_handlers(*arguments, **named))


class OutputEvents(PublisherEventCallbacks):
    """What happens to a publisher, as its base class has it."""

    def create_event_handlers(self, *arguments: Any, **named: Any) -> list:
        """Return the handlers, removable."""
        return removable(super().create_event_handlers(*arguments, **named))
