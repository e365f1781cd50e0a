# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The result of a fleet: that of one process over the same bags, bit for bit."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sparse_seg_ros.evaluation.flicker import Flicker
from sparse_seg_ros.evaluation.recorder import Recorder
from sparse_seg_ros.evaluation.scores import Scores
from sparse_seg_ros.fleet.segments import Segment, read_done
from sparse_seg_ros.labels import LabelSet
from sparse_seg_ros.machine import to_json
from sparse_seg_ros.new_paths import write
from sparse_seg_ros.report.evaluation_job import FRAMES, SCORES, SUMMARY, ModelResult


def merge(segments: Sequence[Segment], bags: Mapping[str, str], keeps_records: bool = False
          ) -> ModelResult:
    """
    Finished segments of one model, in order -> their result.

    bags: folder of each segment -> name of its bag. keeps_records: of every frame, for a report;
    else only what the hash of all frames takes.
    """
    done = {segment: read_done(Path(segment.folder)) for segment in segments}
    labels = done[segments[0]]['labels']
    recorder = Recorder(LabelSet(labels['name'], tuple(labels['names']),
                                 tuple(map(tuple, labels['colors']))))
    recorder.scores = add_all([read_scores(segment) for segment in segments])
    recorder.flicker = add_all([flicker_of(each['flicker']) for each in done.values()])
    recorder.invalid = sum(each['invalid'] for each in done.values())
    for segment in segments:
        for line in (Path(segment.folder) / FRAMES).read_text().splitlines():
            record = json.loads(line)
            recorder.records.append(record if keeps_records else {
                name: record[name] for name in ('sha256',) if name in record})
    model = json.loads((Path(segments[0].folder) / SUMMARY).read_text())['model']
    model['settings']['device'] = model['settings']['device'].partition(':')[0]
    words = {bags[segment.folder]: each for segment, each in done.items()}
    damage = '; '.join(f'{bag}: {each["damage"]}' for bag, each in words.items()
                       if each['damage'])
    return ModelResult(segments[0].name, recorder, model, [
        f'{bag}: {note}' for bag, each in words.items() for note in each['notes']],
        damage or None)


def write_merged(folder: Path, result: ModelResult, failed: Mapping[str, str], count: int
                 ) -> None:
    """Write summary.json and scores.npz of all segments; count: of those that are done."""
    summary = {**result.summary(), 'segments': {'done': count, 'failed': dict(failed)}}
    write(folder / SUMMARY, to_json(summary).encode())
    write(folder / SCORES, result.recorder.scores.to_bytes())


def read_scores(segment: Segment) -> Scores:
    """Return the scores of a segment."""
    return Scores.from_bytes((Path(segment.folder) / SCORES).read_bytes())


def flicker_of(counts: Mapping[str, Any]) -> Flicker:
    """Return the flicker of a segment; frames of different bags do not follow each other."""
    flicker = Flicker(len(counts['missed']))
    flicker.pairs = counts['pairs']
    flicker.matrix.counts = np.array(counts['counts'], np.int64)
    flicker.matrix.missed = np.array(counts['missed'], np.int64)
    return flicker


def add_all(parts: list[Any]) -> Any:
    """Add parts in their order, by halves: lists in them are copied a few times, not each time."""
    if len(parts) == 1:
        return parts[0]
    middle = len(parts) // 2
    return add_all(parts[:middle]) + add_all(parts[middle:])
