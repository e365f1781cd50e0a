# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
High-resolution semantic segmentation for ROS 2: dense at low resolution, sparse where unsure.

The public API; names are imported when first used, because torch takes seconds to import.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the same names, for editors and type checkers
    from sparse_seg_ros.data.frame import Frame as Frame
    from sparse_seg_ros.data.frames import frames as frames
    from sparse_seg_ros.data.street import Street as Street
    from sparse_seg_ros.data.street import street_frames as street_frames
    from sparse_seg_ros.evaluation.calibration import calibrate as calibrate
    from sparse_seg_ros.evaluation.evaluate import evaluate as evaluate
    from sparse_seg_ros.evaluation.scores import Report as Report
    from sparse_seg_ros.evaluation.scores import Scores as Scores
    from sparse_seg_ros.labels import LabelSet as LabelSet
    from sparse_seg_ros.labels import load_labels as load_labels
    from sparse_seg_ros.loading.exporting import export as export
    from sparse_seg_ros.loading.zoo import load as load
    from sparse_seg_ros.pictures import overlay as overlay
    from sparse_seg_ros.prediction import Prediction as Prediction
    from sparse_seg_ros.segmenter import Segmenter as Segmenter
    from sparse_seg_ros.training.config import TrainConfig as TrainConfig
    from sparse_seg_ros.training.loop import train as train

__version__ = '0.1.0'

_HOME = {
    'load': 'loading.zoo', 'Segmenter': 'segmenter', 'Prediction': 'prediction',
    'LabelSet': 'labels', 'load_labels': 'labels',
    'overlay': 'pictures',
    'frames': 'data.frames', 'Frame': 'data.frame',
    'Street': 'data.street', 'street_frames': 'data.street',
    'evaluate': 'evaluation.evaluate', 'Report': 'evaluation.scores',
    'Scores': 'evaluation.scores',
    'calibrate': 'evaluation.calibration',
    'train': 'training.loop', 'TrainConfig': 'training.config',
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
