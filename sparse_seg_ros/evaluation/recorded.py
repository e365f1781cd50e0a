# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Score labels that were predicted before, and saved: by this package, or by any other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from sparse_seg_ros.data.frame import AnyFrame, Frame
from sparse_seg_ros.data.frames import check_classes
from sparse_seg_ros.data.label_folder import LabelFolder
from sparse_seg_ros.evaluation.loop import OnInvalid, Sink, raise_it, read_frames
from sparse_seg_ros.labels import LabelSet
from sparse_seg_ros.prediction import Prediction


class Recorded(Protocol):
    """Labels of frames, wherever they were saved."""

    def find(self, frame: Frame) -> np.ndarray | None:
        """Return the (H, W) uint8 ids that were predicted for a frame; None without any."""


class RecordedFolder:
    """Predictions in a folder of PNGs that have the names of their frames."""

    def __init__(self, folder: str):
        self.labels = LabelFolder(folder)
        self.owners: dict[Path, str] = {}

    def find(self, frame: Frame) -> np.ndarray | None:
        """Return the (H, W) uint8 ids of a frame; None without its file."""
        path = self.labels.find(frame)
        if path and self.owners.setdefault(path, frame.source) != frame.source:
            raise ValueError(f'{path} has its name, and that of {self.owners[path]}; give frames '
                             'of one name to separate runs')
        return None if path is None else self.labels.read(path)


def score_recorded(recorded: Recorded, labels: LabelSet, frames: Iterable[AnyFrame],
                   sinks: Sequence[Sink], on_invalid: OnInvalid = raise_it) -> None:
    """
    Give the sinks every frame with the labels that were predicted for it.

    Nothing is known of their uncertainty. Raises ValueError for frames that say they have other
    classes; on_invalid also gets frames without a prediction.
    """
    check_classes(frames, labels.names, 'the predictions')
    for view in read_frames(frames, 'evaluating', on_invalid):
        try:
            ids = recorded.find(view.frame)
            if ids is None:
                raise ValueError('no prediction has its name or stamp')
            seen = Prediction(ids, np.zeros(ids.shape, np.float32), image=view.image,
                              label_set=labels)
            for sink in sinks:
                sink(view.frame, view.image, seen)
        except ValueError as error:
            on_invalid(view.frame, 'prediction', error)
