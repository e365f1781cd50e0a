# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Quality of service of the image subscription, and explanations of why no images arrive."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rclpy.qos import (
    DurabilityPolicy,
    HistoryPolicy,
    QoSPolicyKind,
    QoSProfile,
    ReliabilityPolicy,
)
from rclpy.qos_overriding_options import QoSOverridingOptions

# Reliability of the input is the parameter 'reliability': an override would pin it.
INPUT_OVERRIDES = QoSOverridingOptions((QoSPolicyKind.HISTORY, QoSPolicyKind.DEPTH))

INPUT_DEPTH = 5
NAMES = {ReliabilityPolicy.RELIABLE: 'reliable', ReliabilityPolicy.BEST_EFFORT: 'best effort'}
PROFILE_CURE = ('Fast DDS as installed loses best-effort images above 0.5 MB: start camera and '
                'node with FASTDDS_DEFAULT_PROFILES_FILE (Humble: FASTRTPS_...) set to '
                'config/fastdds_large_images.xml')


def output_profile() -> QoSProfile:
    """Return a new profile for outputs, which serves both kinds of reader; overrides change it."""
    return QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=1,
                      reliability=ReliabilityPolicy.RELIABLE)


def latched_profile() -> QoSProfile:
    """Return a new profile for what late subscribers must get, too."""
    return QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=1,
                      reliability=ReliabilityPolicy.RELIABLE,
                      durability=DurabilityPolicy.TRANSIENT_LOCAL)


def wanted_reliability(setting: str, publishers: Sequence[Any]) -> ReliabilityPolicy:
    """
    Return the reliability to subscribe with.

    auto is best effort as soon as one publisher is: a reliable reader gets nothing from it, and
    a best-effort reader gets images from all.
    """
    if setting != 'auto':
        return ReliabilityPolicy[setting.upper()]
    offers = {info.qos_profile.reliability for info in publishers}
    return ReliabilityPolicy.BEST_EFFORT if ReliabilityPolicy.BEST_EFFORT in offers \
        else ReliabilityPolicy.RELIABLE


def input_profile(reliability: ReliabilityPolicy) -> QoSProfile:
    """
    Return the profile of the image subscription.

    The callback only stores the frame, so a few waiting in the queue add no latency, and a frame
    that a newer one replaces is counted: with a queue of one DDS overwrites it unseen.
    """
    return QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=INPUT_DEPTH, reliability=reliability)


def why_silent(topic: str, subscribed: QoSProfile, publishers: Sequence[Any], wanted: type
               ) -> str:
    """Say in one line why no image of the type that is wanted arrives on a topic."""
    if not publishers:
        return f'0 publishers on {topic}; start the camera or remap the topic'
    count = f"{len(publishers)} publisher{'s' if len(publishers) > 1 else ''}"
    types = {info.topic_type.rpartition('/')[2] for info in publishers}
    if wanted.__name__ not in types:
        return f'{count} of {", ".join(types)}, this node takes {wanted.__name__}; ' \
            f'{type_cure(types)}'
    offers = {info.qos_profile.reliability for info in publishers}
    if subscribed.reliability == ReliabilityPolicy.RELIABLE \
            and ReliabilityPolicy.RELIABLE not in offers:
        return (f'{count}, incompatible QoS: it offers best effort, this node asks for reliable; '
                'set reliability to auto or best_effort')
    if ReliabilityPolicy.BEST_EFFORT in offers or \
            subscribed.reliability == ReliabilityPolicy.BEST_EFFORT:
        return f'{count}, nothing arrives; {PROFILE_CURE}'
    return f'{count}, nothing arrives; is the camera publishing?'


def type_cure(types: set[str]) -> str:
    """Say what to set where a topic has messages of other types than the node takes."""
    if 'CompressedImage' in types:
        return 'set image_transport to compressed and remap image/compressed to this topic'
    if 'Image' in types:
        return 'set image_transport to raw and remap image to this topic'
    return 'remap image to the topic of the camera'
