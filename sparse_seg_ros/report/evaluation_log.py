# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The figures of an evaluation for programs that compare runs: `evaluate --log`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from sparse_seg_ros.config import nearest
from sparse_seg_ros.evaluation.thresholds import flat
from sparse_seg_ros.report.evaluation_job import ModelResult, file_name
from sparse_seg_ros.report.with_mlflow import MlflowLog
from sparse_seg_ros.report.with_tensorboard import TensorBoardLog
from sparse_seg_ros.texts import cut

Log = Callable[[str, Mapping[str, float], Mapping[str, str]], None]  # name, figures, facts
LOGS: dict[str, tuple[Callable[[Path], Log], str]] = {
    'mlflow': (MlflowLog, 'mlruns'), 'tensorboard': (TensorBoardLog, 'runs')}


def open_log(words: str) -> Log:
    """KIND[:FOLDER] -> the log; ValueError for another kind, ImportError where it is missing."""
    kind, _, folder = words.partition(':')
    if kind not in LOGS:
        raise ValueError(f'--log must be one of {", ".join(LOGS)}, got {cut(repr(kind))}; '
                         f'{nearest(kind, LOGS)}')
    make, default = LOGS[kind]
    return make(Path(folder or default))


def write_log(log: Log, results: Iterable[ModelResult], source: str) -> None:
    """Write all figures of each model, with hashes of model and frames."""
    for result in results:
        summary = result.recorder.summary()
        figures = {path: value for path, value in flat(summary) if value is not None}
        facts = {'frames': source, 'data_sha256': summary['data_sha256'],
                 **{f'model.{name}': str(result.about[name])
                    for name in ('name', 'file', 'sha256', 'settings_sha256')}}
        log(file_name(result.name), figures, facts)
