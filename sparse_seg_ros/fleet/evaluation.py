# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Evaluate models on many bags, in parallel; what a former run has finished is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from tqdm import tqdm

from sparse_seg_ros.fleet.in_processes import in_processes
from sparse_seg_ros.fleet.merging import merge, write_merged
from sparse_seg_ros.fleet.segments import Segment, Settings, attempt
from sparse_seg_ros.fleet.with_ray import on_ray
from sparse_seg_ros.new_paths import check_can_hold, check_is_new
from sparse_seg_ros.report.evaluation_job import ModelResult, file_name
from sparse_seg_ros.threads import count_cores

MOST_THREADS = 4  # of a worker; more threads make a frame little faster, more workers do
ATTEMPTS = 2
SEGMENTS = 'segments'
Way = Callable[[Sequence[Segment]], Iterator[tuple[Segment, str | None]]]


@dataclass(frozen=True)
class Fleet:
    """
    Many bags and models, and where the results go.

    folder: new, or that of a former run of the same kind. bags: by their names, sorted. models:
    by their names.
    """

    folder: Path
    bags: Mapping[str, Path]
    models: Mapping[str, str]
    settings: Settings

    def check(self) -> None:
        """Raise ValueError for folders that hold something else, or cannot be written."""
        for name in self.models:
            if not (self.folder_of(name) / SEGMENTS).is_dir():
                check_is_new(self.folder_of(name), 'output', may_be_empty=True)
        check_can_hold(self.folder, f'output {self.folder}')

    def folder_of(self, name: str) -> Path:
        """Return the folder of a model."""
        return self.folder if len(self.models) == 1 else self.folder / file_name(name)

    def segments(self, name: str) -> dict[Segment, str]:
        """Return the segments of a model, each with the name of its bag."""
        folder = self.folder_of(name) / SEGMENTS
        return {Segment(str(path), name, self.models[name], str(folder / bag), self.settings): bag
                for bag, path in self.bags.items()}

    def run(self, way: Way, keeps_records: bool = False
            ) -> tuple[list[ModelResult], dict[str, str]]:
        """Evaluate all -> result of each model, and errors by the names of their bags."""
        tasks = {name: self.segments(name) for name in self.models}
        errors = run_segments([each for own in tasks.values() for each in own], way)
        results, failed = [], {}
        for name, own in tasks.items():
            here = {bag: errors[segment] for segment, bag in own.items() if segment in errors}
            done = [segment for segment in own if segment not in errors]
            failed.update({bag if len(tasks) == 1 else f'{name}: {bag}': error
                           for bag, error in here.items()})
            if done:
                bags = {segment.folder: bag for segment, bag in own.items()}
                results.append(merge(done, bags, keeps_records))
                write_merged(self.folder_of(name), results[-1], here, len(done))
        return results, failed


def run_segments(segments: Sequence[Segment], way: Way) -> dict[Segment, str]:
    """Evaluate segments, those that fail once more -> those that failed again, with errors."""
    errors: dict[Segment, str | None] = dict.fromkeys(segments)
    left = list(segments)
    for _ in range(ATTEMPTS):
        if left:
            errors.update(tqdm(way(left), 'bags', len(left), leave=False))
        left = [segment for segment in left if errors[segment]]
    return {segment: error for segment, error in errors.items() if error}


def here(segments: Iterable[Segment]) -> Iterator[tuple[Segment, str | None]]:
    """Evaluate segments in this process -> each with None, or with its error."""
    before = torch.get_num_threads()
    try:
        for segment in segments:
            yield segment, attempt(segment)
    finally:
        torch.set_num_threads(before)


def choose_way(ray_address: str | None, workers: int | None, device: str) -> Way:
    """--ray, --workers, --device -> how segments are run; ValueError for no workers."""
    if workers is not None and workers < 1:
        raise ValueError(f'--workers must be at least 1, got {workers}')
    if ray_address is not None:
        return lambda segments: on_ray(segments, ray_address, workers)
    count = workers or count_workers(device)
    return here if count == 1 else lambda segments: in_processes(segments, count)


def count_threads() -> int:
    """Return the number of torch's threads in every worker of this machine."""
    return min(MOST_THREADS, count_cores())


def count_workers(device: str) -> int:
    """Return how many processes suit this machine: one a GPU, else one for four cores."""
    if device != 'cpu' and torch.cuda.is_available():
        return torch.cuda.device_count() if device in ('auto', 'cuda') else 1
    return max(1, count_cores() // count_threads())
