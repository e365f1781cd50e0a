# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
An evaluation of one model or several, and its files.

    FOLDER/summary.json     figures of the model, and hashes of model, configuration and frames
    FOLDER/frames.jsonl     a line for each frame, written as it comes
    FOLDER/scores.npz       all counts, for adding to those of other frames

Of several models each has a folder of its name in FOLDER.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from sparse_seg_ros import pictures
from sparse_seg_ros.data.encoding import load_encoding, unpack
from sparse_seg_ros.data.frame import AnyFrame, Frame
from sparse_seg_ros.evaluation.evaluate import score
from sparse_seg_ros.evaluation.loop import OnInvalid, Sink, raise_it
from sparse_seg_ros.evaluation.recorder import Recorder
from sparse_seg_ros.evaluation.scores import METRIC_INPUTS
from sparse_seg_ros.evaluation.thresholds import Threshold, check_names, failures
from sparse_seg_ros.labels import VOID, LabelSet
from sparse_seg_ros.machine import finite, to_json
from sparse_seg_ros.new_paths import check_can_hold, check_is_new, write
from sparse_seg_ros.prediction import Prediction
from sparse_seg_ros.report.predictions import free_name
from sparse_seg_ros.segmenter import Segmenter

SUMMARY, FRAMES, SCORES = 'summary.json', 'frames.jsonl', 'scores.npz'


@dataclass(frozen=True)
class ModelResult:
    """A model, what is known about it, and what its frames gave."""

    name: str
    recorder: Recorder
    about: dict[str, Any]
    notes: list[str] = field(default_factory=list)
    damage: str | None = None

    def summary(self) -> dict[str, Any]:
        """Return the content of summary.json, without the machine."""
        return {'model': self.about, **self.recorder.summary(), 'damage': self.damage}


@dataclass(frozen=True)
class EvaluationJob:
    """
    Where an evaluation writes to, and what its models must keep.

    folder, predictions: new folders, or None. thresholds: of every model. form: of the files of
    predictions, as the label set names it; '': ids of the classes. keeps_strips: pictures of the
    worst and best frames. is_strict: a frame that cannot be used ends the evaluation.
    """

    folder: Path | None = None
    predictions: Path | None = None
    thresholds: tuple[Threshold, ...] = ()
    form: str = ''
    keeps_strips: bool = False
    is_strict: bool = True

    def check(self) -> None:
        """Raise ValueError for a place that takes no files, or has some."""
        for path, what in ((self.folder, 'output'), (self.predictions, 'output')):
            if path is not None:
                check_is_new(path, what, may_be_empty=True)
                check_can_hold(path.parent, f'{what} {path}')

    def run(self, name: str, segment: Segmenter, frames: Iterable[AnyFrame],
            is_single: bool = True) -> ModelResult:
        """Evaluate a model; ValueError where the frames have no labels."""
        wants = {*METRIC_INPUTS}.intersection(segment.method.optional)
        return self.record(about(name, segment), segment.labels, frames,
                           partial(score, segment, frames, wants=wants), is_single)

    def record(self, known: dict[str, Any], labels: LabelSet, frames: Iterable[AnyFrame],
               loop: Callable[[list[Sink], OnInvalid], None], is_single: bool = True,
               has_uncertainty: bool = True) -> ModelResult:
        """Run a loop over frames; known: about the model, with its name."""
        name = known['name']
        check_names({'model': known, **Recorder(labels).summary()}, self.thresholds)
        folder = self.folder if is_single or self.folder is None else \
            self.folder / file_name(name)
        with ExitStack() as stack:
            line = (lambda record: None) if folder is None else \
                stack.enter_context(JsonLines(folder / FRAMES))
            recorder = Recorder(labels, line, self.keeps_strips, has_uncertainty)
            on_invalid = raise_it if self.is_strict else recorder.count_invalid
            sinks: list[Sink] = [partial(recorder.or_else, on_invalid)]
            if self.predictions is not None:
                sinks.append(PredictionFiles(
                    self.predictions if is_single else self.predictions / file_name(name),
                    encoder_of(labels, self.form) if self.form else np.asarray))
            loop(sinks, on_invalid)
        result = ModelResult(name, recorder, known,
                             list(getattr(frames, 'notes', ())), getattr(frames, 'damage', None))
        if not recorder.scores.labelled:
            is_unusable = recorder.invalid and not recorder.scores.frames
            what = 'could be used' if is_unusable else 'has a label to score against'
            raise ValueError('; '.join(filter(None, [
                f'none of the frames {what}', recorder.unusable(),
                *result.notes])))
        recorder.scores.warn_of_other_order()
        if folder is not None:
            write(folder / SUMMARY, to_json(result.summary()).encode())
            write(folder / SCORES, recorder.scores.to_bytes())
        return result

    def failures(self, results: Iterable[ModelResult]) -> list[str]:
        """Return what the models do not keep of the thresholds, in words."""
        return [f'{result.name}: {words}' for result in results
                for words in failures(result.summary(), self.thresholds)]


class JsonLines:
    """A file with a line of JSON for each record, readable up to where a run was killed."""

    def __init__(self, path: Path):
        write(path, b'')
        self.file = path.open('a')

    def __enter__(self) -> JsonLines:
        return self

    def __exit__(self, *error: object) -> None:
        self.file.close()

    def __call__(self, record: dict[str, Any]) -> None:
        """Write a record."""
        self.file.write(json.dumps(finite(record), allow_nan=False) + '\n')
        self.file.flush()


def encoder_of(labels: LabelSet, form: str) -> Callable[[np.ndarray], np.ndarray]:
    """Label set, and a form of its files -> (H, W) ids to what the pixels of a file are."""
    encoding = load_encoding(labels.name, form)
    if encoding is None:
        raise ValueError(f"label set {labels.name!r} names no form under 'files'; leave out "
                         '--form')
    first: dict[int, int] = {}
    for value, number in encoding.values.items():
        first.setdefault(number, value)
    values = [first.get(number, first.get(VOID, 0)) for number in range(VOID + 1)]
    if encoding.is_color:
        return np.array([unpack(value) for value in values], np.uint8).__getitem__
    return np.array(values, np.uint16 if max(values) > VOID else np.uint8).__getitem__


class PredictionFiles:
    """Writes NAME.png of every frame: a sink of the loop."""

    def __init__(self, folder: Path, encode: Callable[[np.ndarray], np.ndarray]):
        self.folder, self.encode = folder, encode
        self.names_used: set[str] = set()

    def __call__(self, frame: Frame, image: np.ndarray, seen: Prediction) -> None:
        """Write the file of one frame."""
        name = free_name(frame.name or 'frame', self.names_used)
        write(self.folder / f'{name}.png', pictures.encode(self.encode(seen.labels), '.png'))


def about(name: str, segment: Segmenter) -> dict[str, Any]:
    """Return what is known about a model: its name, settings and hashes."""
    settings = dict(segment.description)
    hashed = json.dumps({key: value for key, value in settings.items() if key != 'device'},
                        sort_keys=True)
    return {'name': name, **segment.weights, 'settings': settings,
            'settings_sha256': hashlib.sha256(hashed.encode()).hexdigest(),
            'classes': list(segment.labels.names), **segment.origin}


def check_folders(names: Iterable[str]) -> None:
    """Raise ValueError for names of models that would have one folder."""
    folders: dict[str, str] = {}
    for name in names:
        other = folders.setdefault(file_name(name), name)
        if other != name:
            raise ValueError(f'models {other!r} and {name!r} would both have the folder '
                             f'{file_name(name)}; name them apart')


def file_name(name: str) -> str:
    """Name of a model, perhaps a path -> name of its folder."""
    return re.sub(r'[^\w.-]+', '_', name).strip('._') or 'model'
