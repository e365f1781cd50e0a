# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Figures of evaluations for MLflow, if it is installed: files in a folder, no server."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from pathlib import Path

EXPERIMENT = 'sparse_seg evaluate'
MOST_METRICS = 1000  # that MLflow takes at once
# New releases of MLflow write files only if asked to, and report their use unless told not to.
FILES_ONLY = ('MLFLOW_ALLOW_FILE_STORE', 'MLFLOW_DISABLE_TELEMETRY')
NOT_ALLOWED = re.compile(r'[^\w.\- /]')  # in the names of its metrics


class MlflowLog:
    """Writes each evaluation as a run of one experiment: `log(name, figures, facts)`."""

    def __init__(self, folder: Path):
        for name in FILES_ONLY:
            os.environ.setdefault(name, 'true')
        try:
            from mlflow import MlflowClient
        except ImportError:
            raise ImportError('--log mlflow needs the package mlflow; install it with `pip '
                              'install mlflow` or `pip install mlflow-skinny`') from None
        folder.mkdir(parents=True, exist_ok=True)
        self.client = MlflowClient(tracking_uri=folder.resolve().as_uri())

    def __call__(self, name: str, figures: Mapping[str, float], facts: Mapping[str, str]) -> None:
        """Write figures as metrics, facts as tags."""
        from mlflow.entities import Metric
        experiment = self.client.get_experiment_by_name(EXPERIMENT)
        number = experiment.experiment_id if experiment else \
            self.client.create_experiment(EXPERIMENT)
        run = self.client.create_run(number, tags=dict(facts), run_name=name).info.run_id
        now = round(time.time() * 1000)  # milliseconds
        metrics = [Metric(NOT_ALLOWED.sub('_', path), value, now, 0)
                   for path, value in figures.items()]
        for start in range(0, len(metrics), MOST_METRICS):
            self.client.log_batch(run, metrics[start:start + MOST_METRICS])
        self.client.set_terminated(run)
