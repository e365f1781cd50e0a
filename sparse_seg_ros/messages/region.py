# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The region of an image that is segmented, the scale of the outputs, and the CameraInfo of both.

Integer coordinates are centres of pixels, as in ROS and OpenCV: pixel u' of a resized image is at
(u' + 0.5) / scale - 0.5 in the image before.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Region = tuple[int, int, int, int]  # x, y, width, height, in pixels of the image


def check_region(region: Region, size_hw: tuple[int, int], camera: str) -> None:
    """Raise ValueError unless a region lies in the images of a camera."""
    x, y, width, height = region
    if x + width > size_hw[1] or y + height > size_hw[0]:
        raise ValueError(f'roi {list(region)} (x, y, width, height) must lie in the images of '
                         f'{camera}, which are {size_hw[1]}x{size_hw[0]}; make it smaller, or set '
                         'it to null')


def crop(image: np.ndarray, region: Region | None, camera: str) -> np.ndarray:
    """(H, W, 3) -> (height, width, 3), the region alone; ValueError where it lies outside."""
    if region is None:
        return image
    check_region(region, image.shape[:2], camera)
    x, y, width, height = region
    return np.ascontiguousarray(image[y:y + height, x:x + width])


def scaled_size(size_hw: tuple[int, int], scale: float) -> tuple[int, int]:
    """(H, W) -> (H, W) of the outputs."""
    return max(1, round(size_hw[0] * scale)), max(1, round(size_hw[1] * scale))


def size_of_info(info: Any) -> tuple[int, int]:
    """CameraInfo -> (H, W) of the images that it is about."""
    height, width = info.roi.height or info.height, info.roi.width or info.width
    return height // max(1, info.binning_y), width // max(1, info.binning_x)


def info_of_outputs(info: Any, header: Any, region: Region | None, scale: float) -> Any:
    """
    CameraInfo of an image -> that of the outputs for it, under its header.

    Where region or scale change the outputs, whatever the camera has cut or binned is worked into
    K, P, width and height, too; distortion and rectification are those of the lens and stay.
    """
    made = type(info)(**{name: getattr(info, name)
                         for name in info.get_fields_and_field_types()})
    made.header = header
    size_hw = size_of_info(info)
    x, y, width, height = region or (0, 0, size_hw[1], size_hw[0])
    made_height, made_width = scaled_size((height, width), scale)
    if (made_height, made_width) == size_hw:
        return made
    to_outputs = pixels_to(x, y, made_width / width, made_height / height)
    to_image = np.diag([1 / max(1, info.binning_x), 1 / max(1, info.binning_y), 1]) @ \
        np.array([[1, 0, -info.roi.x_offset], [0, 1, -info.roi.y_offset], [0, 0, 1.0]])
    change = to_outputs @ to_image
    made.k = (change @ np.reshape(info.k, (3, 3))).ravel()
    made.p = (change @ np.reshape(info.p, (3, 4))).ravel()
    made.height, made.width, made.binning_x, made.binning_y = made_height, made_width, 0, 0
    made.roi = type(info.roi)(do_rectify=info.roi.do_rectify)
    return made


def pixels_to(x: int, y: int, scale_x: float, scale_y: float) -> np.ndarray:
    """Return (3, 3): pixel of an image -> pixel of the outputs for its region from (x, y) on."""
    return np.array([[scale_x, 0, (0.5 - x) * scale_x - 0.5],
                     [0, scale_y, (0.5 - y) * scale_y - 0.5], [0, 0, 1]])
