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
    else only what the hash of all frames takes, and what could not be used.
    """
    labels = read_done(Path(segments[0].folder))['labels']
    recorder = Recorder(LabelSet(labels['name'], tuple(labels['names']),
                                 tuple(map(tuple, labels['colors']))))
    notes, damages = [], []
    for segment in segments:
        recorder.scores.absorb(read_scores(segment))
        recorder.flicker = recorder.flicker + read_flicker(segment)
        done, bag = read_done(Path(segment.folder)), bags[segment.folder]
        recorder.invalid += done['invalid']
        recorder.records += read_records(segment, bag, keeps_records)
        notes += [f'{bag}: {note}' for note in done['notes']]
        damages += [f'{bag}: {done["damage"]}'] if done['damage'] else []
    model = json.loads((Path(segments[0].folder) / SUMMARY).read_text())['model']
    model['settings']['device'] = model['settings']['device'].partition(':')[0]
    return ModelResult(segments[0].name, recorder, model, notes, '; '.join(damages) or None)


def write_merged(folder: Path, result: ModelResult, failed: Mapping[str, str], count: int
                 ) -> None:
    """Write summary.json and scores.npz of all segments; count: of those that are done."""
    summary = {**result.summary(), 'segments': {'done': count, 'failed': dict(failed)}}
    write(folder / SUMMARY, to_json(summary).encode())
    write(folder / SCORES, result.recorder.scores.to_bytes())


def read_scores(segment: Segment) -> Scores:
    """Return the scores of a segment; ValueError where they cannot be read."""
    path = Path(segment.folder) / SCORES
    try:
        return Scores.from_bytes(path.read_bytes())
    except ValueError as error:
        raise ValueError(f'{path}: {error}; remove {segment.folder} and give the command again'
                         ) from None


def read_flicker(segment: Segment) -> Flicker:
    """Return the flicker of a segment; frames of different bags do not follow each other."""
    counts = read_done(Path(segment.folder))['flicker']
    flicker = Flicker(len(counts['missed']))
    flicker.pairs = counts['pairs']
    flicker.matrix.counts = np.array(counts['counts'], np.int64)
    flicker.matrix.missed = np.array(counts['missed'], np.int64)
    return flicker


def read_records(segment: Segment, bag: str, is_whole: bool) -> list[dict[str, Any]]:
    """Return the records of the frames of a segment, or only hashes and errors, with the bag."""
    lines = (Path(segment.folder) / FRAMES).read_text().splitlines()
    return [{**record, 'frame': f"{bag}: {record['frame']}"} if 'error' in record else
            record if is_whole else {'sha256': record['sha256']}
            for record in map(json.loads, lines)]
