# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Whether the model that is loaded, and the images that come, can be as the parameters ask."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from sparse_seg_ros.messages.region import check_region
from sparse_seg_ros.node_config import NodeConfig

if TYPE_CHECKING:
    from sparse_seg_ros.segmenter import Segmenter  # imports torch: seconds

NO_SIZES: Mapping[str, tuple[int, int] | None] = {}


def check_limits(config: NodeConfig, segmenter: Segmenter | None) -> None:
    """Raise ValueError for a limit of the refinement that the model cannot have."""
    if segmenter is None:
        return
    known = segmenter.method.limits()
    for name, value in config.limits().items():
        if name in known:
            known[name].check(name, value)
        elif known or not segmenter.choice:
            raise ValueError(f'{name} {value} needs a model with refinement that has one; '
                             f'{config.model!r} has none, set it to null')


def check_roi(config: NodeConfig, segmenter: Segmenter | None,
              sizes_hw: Mapping[str, tuple[int, int] | None] = NO_SIZES) -> None:
    """
    Raise ValueError for a region that the images do not have, or the engine cannot take.

    sizes_hw: of the last image of each camera, by its name; None where none has come.
    """
    if config.roi is None:
        return
    for camera, size_hw in sizes_hw.items():
        if size_hw is not None:
            check_region(config.roi, size_hw, camera)
    sizes = segmenter.sizes_hw if segmenter is not None else ()
    if sizes and (config.roi[3], config.roi[2]) not in sizes:
        known = ', '.join(f'{width}x{height}' for height, width in sizes)
        raise ValueError(f'roi {list(config.roi)} must have a size that the engine was built '
                         f'for, {known}; build it for this one, or set roi to null')


def idle_limits(config: NodeConfig, former: NodeConfig, segmenter: Segmenter | None) -> list[str]:
    """Return warnings of limits that are new and do nothing, as auto took full resolution."""
    if segmenter is None or not segmenter.choice or segmenter.method.limits():
        return []
    return [f'{name} {value} has no effect: method auto took full resolution; set method to null '
            'to refine' for name, value in config.limits().items()
            if value != former.limits().get(name)]
