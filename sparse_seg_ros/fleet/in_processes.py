# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Segments in processes of this machine. One that dies costs its segment's attempt, no more."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sparse_seg_ros.fleet.segments import Segment

SPAWN = multiprocessing.get_context('spawn')  # CUDA does not survive a fork


class Worker:
    """A process that evaluates one segment after the other; number: counts from 0."""

    def __init__(self, number: int):
        self.number = number
        self.pipe, theirs = SPAWN.Pipe()
        self.process = SPAWN.Process(target=serve, args=(theirs, number), daemon=True)
        self.process.start()
        theirs.close()  # so that the pipe ends with the process
        self.segment: Segment | None = None

    def begin(self, segment: Segment) -> None:
        """Hand a segment over."""
        self.segment = segment
        self.pipe.send(segment)

    def outcome(self) -> str | None:
        """Return how the segment ended: None, or an error."""
        try:
            return self.pipe.recv()
        except (EOFError, OSError):
            self.process.join()
            return f'its process ended with exit code {self.process.exitcode}'

    def end(self, at_once: bool = False) -> None:
        """End the process, when it has nothing to do or at once."""
        self.pipe.close()
        if at_once:
            self.process.terminate()
        self.process.join()


def in_processes(segments: Sequence[Segment], workers: int
                 ) -> Iterator[tuple[Segment, str | None]]:
    """Evaluate segments in a number of processes -> each with None, or with its error."""
    waiting = list(reversed(segments))
    busy: dict[Connection, Worker] = {}
    try:
        for number in range(min(workers, len(segments))):
            start(Worker(number), waiting.pop(), busy)
        while busy:
            for pipe in wait(list(busy)):
                worker = busy.pop(pipe)
                ended, error = worker.segment, worker.outcome()
                if not worker.process.is_alive() and waiting:
                    worker = Worker(worker.number)
                if waiting:
                    start(worker, waiting.pop(), busy)
                else:
                    worker.end()
                yield ended, error
    finally:
        for worker in busy.values():
            worker.end(at_once=True)


def start(worker: Worker, segment: Segment, busy: dict[Connection, Worker]) -> None:
    """Hand a segment to a worker that has none."""
    busy[worker.pipe] = worker
    try:
        worker.begin(segment)
    except OSError:
        pass  # it died meanwhile; its pipe says so


def serve(pipe: Connection, number: int) -> None:
    """Evaluate what comes through the pipe, until it is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that waits
    os.environ['TQDM_DISABLE'] = '1'  # read when tqdm is imported, so that comes after
    from tqdm import tqdm

    from sparse_seg_ros.fleet.segments import attempt
    tqdm.set_lock(threading.RLock())  # its own semaphore outlives a kill
    while True:
        try:
            segment = pipe.recv()
        except EOFError:
            return
        pipe.send(attempt(segment, own_device(segment.settings.device, number)))


def own_device(device: str, number: int) -> str:
    """Return the device of a worker: where there are several GPUs, each gets its own."""
    import torch
    if device not in ('auto', 'cuda') or not torch.cuda.is_available():
        return device
    return f'cuda:{number % torch.cuda.device_count()}'
