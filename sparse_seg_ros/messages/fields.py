# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Arrays -> fields of ROS images; the other way is pixels.py.

Message types are arguments, so that this file serves the messages of rclpy and, in bags without
ROS, the messages of rosbags. `msg.data.frombytes()` is the one quick way to fill a message of
rclpy: assigning an array takes 100 times as long.
"""

from __future__ import annotations

from typing import Any

import numpy as np

# encoding -> dtype and number of channels of the array
LAYOUTS = {'mono8': (np.uint8, 1), 'rgb8': (np.uint8, 3), '32FC1': (np.float32, 1)}


def image_fields(array: np.ndarray, encoding: str) -> dict[str, Any]:
    """(H, W) or (H, W, 3) array -> the fields of an Image beside header and data."""
    dtype, channels = LAYOUTS[encoding]
    shape = array.shape[:2] + ((channels,) if channels > 1 else ())
    if array.dtype != dtype or array.shape != shape:
        raise ValueError(f'a {encoding} image must be {shape} {np.dtype(dtype).name}, '
                         f'got {array.shape} {array.dtype}')
    height, width = array.shape[:2]
    return {'height': height, 'width': width, 'encoding': encoding, 'is_bigendian': 0,
            'step': width * channels * array.itemsize}


def image_message(image_type: type, header: Any, array: np.ndarray, encoding: str) -> Any:
    """(H, W) or (H, W, 3) array -> rclpy Image with a copy of its bytes and the given header."""
    message = image_type(header=header, **image_fields(array, encoding))
    message.data.frombytes(np.ascontiguousarray(array).data.cast('B'))
    return message


def stamp_nanoseconds(header: Any) -> int:
    """Header of a message -> nanoseconds of its stamp."""
    return header.stamp.sec * 10 ** 9 + header.stamp.nanosec
