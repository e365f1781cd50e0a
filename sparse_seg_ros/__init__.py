# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
High-resolution semantic segmentation for ROS 2: dense at low resolution, sparse where unsure.

The public API; names are imported when first used, because torch takes seconds to import.
"""

from __future__ import annotations

import importlib

__version__ = '0.1.0'

_HOME = {
    'load': 'loading.zoo', 'Segmenter': 'segmenter', 'Prediction': 'prediction',
    'LabelSet': 'labels', 'load_labels': 'labels',
    'frames': 'data.frames', 'Street': 'data.street', 'street_frames': 'data.street',
    'evaluate': 'evaluation.evaluate', 'Report': 'evaluation.scores',
    'calibrate': 'evaluation.calibration',
    'train': 'training.loop',
    'export': 'loading.exporting',
}
__all__ = ['__version__', *_HOME]


def __dir__() -> list[str]:
    """Return the public names."""
    return __all__


def __getattr__(name: str):
    """Import a public name from its module."""
    if name not in _HOME:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    return getattr(importlib.import_module(f'{__name__}.{_HOME[name]}'), name)
