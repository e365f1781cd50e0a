# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Messages inside bags: their types, and bytes to messages and back (rosbags), without ROS.

Every CDR message begins with a zero byte. One that begins like zstd was compressed by
`ros2 bag record --compression-mode message`, whether metadata.yaml tells so or is not there.
"""

from __future__ import annotations

import re
import struct
from typing import Any

from rosbags.interfaces import (
    Connection,
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag1 import ReaderError as Ros1ReaderError
from rosbags.rosbag2 import ReaderError
from rosbags.rosbag2.metadata import parse_qos
from rosbags.serde import SerdeError
from rosbags.typesys import (
    Stores,
    TypesysError,
    get_types_from_idl,
    get_types_from_msg,
    get_typestore,
)

from sparse_seg_ros.bags.unpacking import MOST_BYTES, unpack, zstd
from sparse_seg_ros.texts import one_line

IMAGE, COMPRESSED = 'sensor_msgs/msg/Image', 'sensor_msgs/msg/CompressedImage'
FOXGLOVE_IMAGE = 'foxglove_msgs/msg/CompressedImage'
FOXGLOVE_VIDEO = 'foxglove_msgs/msg/CompressedVideo'
FFMPEG_PACKET = 'ffmpeg_image_transport_msgs/msg/FFMPEGPacket'
VIDEO_TYPES = (FOXGLOVE_VIDEO, FFMPEG_PACKET)
IMAGE_TYPES = (IMAGE, COMPRESSED, FOXGLOVE_IMAGE, *VIDEO_TYPES)
# Of image_transport, the best for segmenting first: after a packet is lost, a video has a gap.
TRANSPORTS = ('compressed', 'ffmpeg', 'foxglove', 'zstd', 'theora', 'compressedDepth')
DIAGNOSTIC_ARRAY = 'diagnostic_msgs/msg/DiagnosticArray'
LABEL_INFO = 'vision_msgs/msg/LabelInfo'
NO_HASH = 'RIHS01_' + '0' * 64
IDL_PART = '=' * 80 + '\nIDL: '
ZSTD_MAGIC = b'\x28\xb5\x2f\xfd'
QOS_CHARACTERS = 100_000  # some 200 publishers; YAML of megabytes takes seconds
# What damaged bytes raise in rosbags, zstd and here; lz4 raises RuntimeError.
DAMAGE = (ReaderError, Ros1ReaderError, SerdeError, zstd.ZstdError, OSError, EOFError,
          RuntimeError, MemoryError, OverflowError, LookupError, ValueError, TypeError,
          AttributeError, AssertionError, struct.error)
FOREVER = QosTime(9223372036, 854775807)  # as rosbag2 records "no limit"

EXTRA_TYPES = {  # no part of a plain ROS, nor of rosbags
    **get_types_from_msg('uint16 class_id\nstring class_name', 'vision_msgs/msg/VisionClass'),
    **get_types_from_msg('std_msgs/Header header\nvision_msgs/VisionClass[] class_map\n'
                         'float32 threshold', LABEL_INFO),
    **{key: fields for name in (FOXGLOVE_IMAGE, FOXGLOVE_VIDEO)
       for key, fields in get_types_from_msg(
           'builtin_interfaces/Time timestamp\nstring frame_id\nuint8[] data\nstring format',
           name).items()},
    **get_types_from_msg('std_msgs/Header header\nint32 width\nint32 height\nstring encoding\n'
                         'uint64 pts\nuint8 flags\nbool is_bigendian\nuint8[] data',
                         FFMPEG_PACKET)}

TYPES = get_typestore(Stores.ROS2_JAZZY)
TYPES.register(EXTRA_TYPES)


class BagError(ValueError):
    """A bag that cannot be read or written, in words a user can act on."""


class BagDamageError(BagError):
    """A bag that lacks messages; all others were read."""


class MessageError(ValueError):
    """A message whose bytes are not those of its type."""


def full_type_name(name: str) -> str:
    """Return pkg/msg/Name for what some recorders write: pkg/Name, pkg::msg::dds_::Name_."""
    parts = [part for part in re.split('/|::', name) if part != 'dds_']
    if '::dds_::' in name:
        parts[-1] = parts[-1].removesuffix('_')
    return '/'.join(parts if len(parts) != 2 else (parts[0], 'msg', parts[1]))


def profile(is_latched: bool = False) -> Qos:
    """Return the QoS that the node publishes with; latched for what late subscribers need."""
    durability = QosDurability.TRANSIENT_LOCAL if is_latched else QosDurability.VOLATILE
    return Qos(QosHistory.KEEP_LAST, 1, QosReliability.RELIABLE, durability, FOREVER, FOREVER,
               QosLiveliness.AUTOMATIC, FOREVER, False)


def raw_topic(topic: str) -> str:
    """Return the topic that image_transport compresses: /camera/image_raw/ffmpeg -> without."""
    base, _, transport = topic.rpartition('/')
    return base if base and transport in TRANSPORTS else topic


def read_qos(text: Any) -> list[Qos]:
    """Return the QoS profiles that a bag records of a topic; none where they are unreadable."""
    if len(text or '') > QOS_CHARACTERS:
        return []
    try:
        return parse_qos(text)
    except (*DAMAGE, RecursionError):
        return []


def decompressed(raw: bytes) -> bytes:
    """Return the bytes of a message; those that cannot be unpacked come back."""
    if raw[:4] != ZSTD_MAGIC:
        return raw
    try:
        return unpack('zstd', raw, MOST_BYTES)
    except (zstd.ZstdError, ValueError, EOFError, MemoryError):
        return raw


def parse(raw: bytes, message_type: str) -> Any:
    """CDR bytes -> message with the same field names as in rclpy; raises MessageError."""
    try:
        return TYPES.deserialize_cdr(raw, message_type)
    except DAMAGE as error:
        if raw[:4] == ZSTD_MAGIC:
            raise MessageError(f'{len(raw)} bytes compressed by zstd are damaged or unpack to '
                               f'more than {MOST_BYTES} bytes; record the topic again') from None
        raise MessageError(f'{len(raw)} bytes are not a {message_type} ({one_line(error)}); the '
                           'message was cut short or damaged') from None


def header_of(message: Any) -> Any:
    """Return the header of an image message; of Foxglove's, which have none, stamp and frame."""
    if hasattr(message, 'header'):
        return message.header
    return TYPES.types['std_msgs/msg/Header'](stamp=message.timestamp, frame_id=message.frame_id)


def raw_stamp_nanoseconds(raw: bytes) -> int:
    """Return the stamp that a message starts with, in its header, without parsing the rest."""
    if len(raw) < 12:
        raise MessageError(f'{len(raw)} bytes hold no stamp; the message was cut short')
    seconds, nanoseconds = struct.unpack_from('<iI' if raw[1] & 1 else '>iI', raw, 4)
    return seconds * 10 ** 9 + nanoseconds


def definition(connection: Connection) -> dict[str, str]:
    """Return definition and hash of a type: its bag's, or TYPES', or an empty one and NO_HASH."""
    text, known = connection.msgdef.data, connection.msgtype in TYPES.fielddefs
    if not text and known:
        text = TYPES.generate_msgdef(connection.msgtype, ros_version=2)[0]
    return {'msgdef': text, 'rihs01': connection.digest or type_hash(connection.msgtype, text)}


def type_hash(name: str, text: str) -> str:
    """Return the hash of a type by its definition, which readers compare; NO_HASH if unusable."""
    store = get_typestore(Stores.EMPTY)
    try:
        for part in text.split(IDL_PART)[1:]:
            store.register(get_types_from_idl(part.partition('\n')[2]))
        if IDL_PART not in text:
            store.register(get_types_from_msg(text, name))
        return store.hash_rihs01(name)
    except (*DAMAGE, TypesysError):
        return NO_HASH
