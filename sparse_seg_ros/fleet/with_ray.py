# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Segments as tasks of Ray, if the package `ray` is installed: on this machine or a cluster."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sparse_seg_ros.fleet.segments import Segment, attempt
from sparse_seg_ros.texts import describe_error

LOCAL = 'local'


def on_ray(segments: Sequence[Segment], address: str, workers: int | None
           ) -> Iterator[tuple[Segment, str | None]]:
    """Evaluate segments on the cluster at an address -> each with None, or with its error."""
    try:
        import ray
    except ImportError:
        raise ImportError('--ray needs the package ray; install it with `pip install ray`, or '
                          'leave --ray out to use processes of this machine') from None
    threads = segments[0].settings.threads
    own = {}
    if address == LOCAL:
        os.environ.setdefault('RAY_USAGE_STATS_ENABLED', '0')  # nothing leaves this machine
        own = {'include_dashboard': False, 'num_cpus': workers and workers * threads}
    try:
        ray.init(address, log_to_driver=False, **own)
    except RuntimeError as error:  # such as another release of Ray or Python
        raise ValueError(f'cannot join the Ray cluster at {address}: {describe_error(error)}; use '
                         'the same releases on all machines') from None
    try:
        task = ray.remote(max_retries=0)(attempt).options(
            **needs(ray.nodes(), threads, segments[0].settings.device))
        waiting, running = list(reversed(segments)), {}
        while waiting or running:
            while waiting and (workers is None or len(running) < workers):
                segment = waiting.pop()
                running[task.remote(segment)] = segment
            for reference in ray.wait(list(running))[0]:
                try:
                    error = ray.get(reference)
                except ray.exceptions.RayError as lost:
                    error = describe_error(lost)
                yield running.pop(reference), error
    finally:
        ray.shutdown()


def needs(nodes: Sequence[Mapping[str, Any]], threads: int, device: str) -> dict[str, float]:
    """Machines of a cluster -> what each task takes of one: never more than the largest has."""
    cores, gpus = (max(node['Resources'].get(name, 0) for node in nodes if node['Alive'])
                   for name in ('CPU', 'GPU'))
    return {'num_cpus': min(threads, cores), 'num_gpus': int(gpus >= 1 and device != 'cpu')}
