# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
A bag as one task of a fleet: it is evaluated into a folder of its own, or was already.

    FOLDER/segments/NAME/summary.json, frames.jsonl, scores.npz     as of one evaluation
    FOLDER/segments/NAME/done.json     written last: hashes of bag, model and settings, and counts
"""

from __future__ import annotations

import functools
import glob
import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from sparse_seg_ros.bags.bag_files import SUFFIXES
from sparse_seg_ros.bags.inputs import LabelledBag
from sparse_seg_ros.engines.cache import write_whole
from sparse_seg_ros.evaluation.evaluate import adjusted
from sparse_seg_ros.evaluation.loop import UNUSABLE
from sparse_seg_ros.files import file_hash
from sparse_seg_ros.loading.zoo import load
from sparse_seg_ros.report.evaluation_job import EvaluationJob, ModelResult, about
from sparse_seg_ros.segmenter import Segmenter
from sparse_seg_ros.texts import describe_error

DONE, METADATA = 'done.json', 'metadata.yaml'
WITHOUT_EFFECT = ('device', 'threads')  # on what is computed, so another machine may resume


@dataclass(frozen=True)
class Settings:
    """
    How the bags are evaluated, in plain values that can go to other machines.

    labels, topic: of the bags. alpha, remap: as of evaluate; None: the model's own. threads: of
    torch, the same for every task, because sums of floating point numbers depend on it.
    """

    labels: str
    topic: str | None = None
    keeps_all: bool = False
    alpha: float | None = None
    remap: str | None = None
    device: str = 'auto'
    precision: str = 'auto'
    threads: int = 1


@dataclass(frozen=True)
class Segment:
    """A bag, the model to evaluate on it, what that is called, and the folder for the result."""

    bag: str
    name: str
    model: str
    folder: str
    settings: Settings


def find_bags(patterns: Iterable[str]) -> dict[str, Path]:
    """
    Patterns such as 'drives/**/*.mcap' -> bags by their names, sorted.

    A bag is named by its path below the folder that all patterns share. A folder is one bag if it
    has metadata; without, each of its files is one where these match, too, else they are one
    together. Raises ValueError where nothing is a bag.
    """
    patterns = [os.path.abspath(pattern) for pattern in patterns]
    paths = {Path(path) for pattern in patterns for path in glob.glob(pattern, recursive=True)}
    files = {path for path in paths if path.is_file() and path.name.endswith(SUFFIXES)}
    single = {file.parent for file in files}
    folders = {path for path in paths if path.is_dir() and (
        (path / METADATA).is_file() or path not in single and holds_data(path))}
    bags = folders | {file for file in files if file.parent not in folders}
    if not bags:
        raise ValueError(f'no bag matches {" ".join(patterns)}; give a quoted pattern of .mcap or '
                         ".db3 files or of rosbag2 folders, such as 'drives/**/*.mcap'")
    base = os.path.commonpath([fixed_part(pattern) for pattern in patterns])
    return dict(sorted((os.path.relpath(path, base) if path != Path(base) else path.name, path)
                       for path in bags))


def fixed_part(pattern: str) -> str:
    """'/data/drives/**/*.mcap' -> '/data/drives'; of a path without a pattern, its folder."""
    parent = os.path.dirname(pattern)
    return parent if not glob.has_magic(parent) else fixed_part(parent)


def holds_data(folder: Path) -> bool:
    """Tell whether a folder has data files of rosbag2."""
    return any(file.name.endswith(SUFFIXES) for file in folder.iterdir())


def attempt(segment: Segment, device: str | None = None) -> str | None:
    """Evaluate a segment -> None, or what went wrong: one bag must not end a fleet."""
    try:
        evaluate_segment(segment, device or segment.settings.device)
    except (*UNUSABLE, ImportError, MemoryError) as error:  # a bug ends the process, and is told
        return describe_error(error)
    return None


def evaluate_segment(segment: Segment, device: str) -> None:
    """Evaluate a segment, unless it is done with equal hashes of bag, model and settings."""
    settings, folder = segment.settings, Path(segment.folder)
    torch.set_num_threads(settings.threads)
    segmenter = load_once(segment.model, settings.alpha, settings.remap, device,
                          settings.precision)
    hashes = hashes_of(segment, segmenter)
    if read_done(folder).get('hashes') == hashes:
        return
    (folder / DONE).unlink(missing_ok=True)
    bag = LabelledBag(Path(segment.bag), settings.labels, settings.topic, settings.keeps_all)
    result = EvaluationJob(folder, is_strict=False).run(segment.name, segmenter, bag)
    content = json.dumps({'hashes': hashes, **counts_of(result)})
    write_whole(folder / DONE, lambda part: part.write_text(content) and None)


@functools.lru_cache(maxsize=1)  # the tasks of one model come together
def load_once(model: str, alpha: float | None, remap: str | None, device: str, precision: str
              ) -> Segmenter:
    """Load a model, once in each process."""
    return adjusted(load(model, device, precision), alpha, remap)


def hashes_of(segment: Segment, segmenter: Segmenter) -> dict[str, str]:
    """Return what a finished segment must have been made from to be taken as it is."""
    known, settings = about(segment.name, segmenter), asdict(segment.settings)
    settings = {name: value for name, value in settings.items() if name not in WITHOUT_EFFECT}
    text = json.dumps([settings, known['settings_sha256'], repr(segmenter.remap)], sort_keys=True)
    return {'bag': file_hash(segment.bag), 'model': str(known['sha256']),
            'settings': hashlib.sha256(text.encode()).hexdigest()}


def read_done(folder: Path) -> dict[str, Any]:
    """Return the content of done.json; empty where the segment is not done."""
    try:
        content = json.loads((folder / DONE).read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def counts_of(result: ModelResult) -> dict[str, Any]:
    """Return what a merged result needs beside the scores."""
    recorder, matrix = result.recorder, result.recorder.flicker.matrix
    return {'labels': asdict(recorder.labels), 'invalid': recorder.invalid,
            'notes': result.notes, 'damage': result.damage,
            'flicker': {'pairs': recorder.flicker.pairs, 'counts': matrix.counts.tolist(),
                        'missed': matrix.missed.tolist()}}
