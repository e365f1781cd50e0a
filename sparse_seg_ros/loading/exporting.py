# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""From a segmenter to an engine of its dense network, on disk."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from sparse_seg_ros.engines.activation import Job, activate, choose_precision
from sparse_seg_ros.engines.network import with_maps_for
from sparse_seg_ros.loading.dense_stage import dense_shape
from sparse_seg_ros.segmenter import Segmenter


def export(segment: Segmenter, folder: str | Path, engine: str = 'onnxruntime',
           size_hw: tuple[int, int] = (1024, 2048), precision: str = 'auto',
           batch: int = 1) -> Path:
    """
    Build an engine for images of one size, check it against torch -> its file in the folder.

    A method YAML finds it there: `engine_folder`. Raises ValueError if it does not say what torch
    says, ImportError without the packages that building needs.
    """
    job = engine_job(segment, folder, engine, size_hw, precision, batch)
    activate(job)
    return job.path


def engine_job(segment: Segmenter, folder: str | Path, engine: str, size_hw: tuple[int, int],
               precision: str, batch: int) -> Job:
    """Return what is to be built; ValueError if the segmenter runs on an engine already."""
    network, device = segment.method.network, str(segment.device)
    if not isinstance(network, nn.Module):
        raise ValueError('this segmenter runs on an engine already; load it with engine: torch '
                         'to export it')
    if batch < 1:
        raise ValueError(f'batch must be at least 1, got {batch}')
    mean, std = (tuple(values.flatten().tolist()) for values in
                 (segment.normalisation.mean, segment.normalisation.std))
    network = with_maps_for(getattr(segment.method, 'refiner', None), network)
    return Job(network, engine, dense_shape(network, size_hw, segment.method.scale, batch),
               choose_precision(engine, precision, device), device, mean, std, Path(folder))
