# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
From a network to its engine: found in the cache or built, loaded, and checked before it is used.

The order of building: the ONNX file, checked against torch in ONNX Runtime; for TensorRT its plan;
then the sidecar. An engine that fails its self-check is not activated.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from torch import nn

from sparse_seg_ros.engines import cache, export_onnx, with_onnxruntime, with_tensorrt
from sparse_seg_ros.engines.cache import Key
from sparse_seg_ros.engines.contract import Engine, Shape
from sparse_seg_ros.engines.self_check import (
    Agreement,
    check,
    load_reference,
    make_images,
    make_reference,
)

LOG = logging.getLogger(__name__)
ADAPTERS = {'onnxruntime': with_onnxruntime, 'tensorrt': with_tensorrt}
REFERENCE = '.check.safetensors'


@dataclass(frozen=True)
class Job:
    """
    An engine to be found or built: its network, its purpose, and the folder where it is kept.

    mean, std: of RGB in 0..255, for the images of the self-check.
    """

    network: nn.Module
    engine: str
    shape: Shape
    precision: str
    device: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    folder: Path

    @property
    def adapter(self) -> Any:
        """The module that builds and loads this engine."""
        return ADAPTERS[self.engine]

    @property
    def path(self) -> Path:
        """Where the artefact is, once it is built."""
        return self.folder / f'{self.key.stem}{self.adapter.SUFFIX}'

    @cached_property
    def key(self) -> Key:
        """Everything the artefact depends on."""
        return Key(cache.weights_hash(self.network), self.engine, self.adapter.version(),
                   self.adapter.device_name(self.device), self.precision, self.shape[0],
                   self.shape[2:], torch.__version__, package_version())


def package_version() -> str:
    """Version of this package, as installed."""
    try:
        return version('sparse_seg_ros')
    except PackageNotFoundError:
        return 'not installed'


def choose_precision(engine: str, precision: str, device: str) -> str:
    """'auto' -> fp16 on CUDA, else fp32; ValueError for one that an engine does not have."""
    if precision == 'auto':
        return 'fp16' if device.startswith('cuda') else 'fp32'
    known = ADAPTERS[engine].PRECISIONS
    if precision not in known:
        raise ValueError(f"engine {engine} computes in {' or '.join(known)}, not {precision}; "
                         'set precision: auto, or engine: torch')
    return precision


def activate(job: Job) -> tuple[Engine, Agreement]:
    """Find or build an engine, load it and check it -> engine, how near it is to torch."""
    path = obtain(job)
    engine = job.adapter.load(path, job.device, job.shape, job.precision)
    agreement = check(engine, load_reference(path.with_suffix(REFERENCE)), job.device,
                      job.precision)
    LOG.info('%s: %s', engine.about, agreement)
    return engine, agreement


def load(path: str | Path, device: str = 'cpu') -> Engine:
    """
    Artefact -> engine, checked against its stored logits.

    Raises FileNotFoundError if it or its sidecar is missing, ImportError without the engine's
    package, ValueError if it is damaged, of another version or says something else than torch.
    """
    path = Path(path)
    key = cache.read(path).key
    adapter = ADAPTERS[key.engine]
    for name, here in (('engine_version', adapter.version()),
                       ('device', adapter.device_name(device))):
        if getattr(key, name) != here:
            raise ValueError(f'{path} was built for {key.engine} {name.replace("_", " ")} '
                             f'{getattr(key, name)}, here is {here}; build it again with '
                             '`sparse_seg export engine`')
    engine = adapter.load(path, device, key.shape, key.precision)
    check(engine, load_reference(path.with_suffix(REFERENCE)), device, key.precision)
    return engine


def obtain(job: Job) -> Path:
    """Job -> the artefact of its key, from the cache or else built now."""
    cached = cache.find(job.key, job.folder, job.adapter.SUFFIX)
    return cached or (build_plan if job.engine == 'tensorrt' else build_onnx)(job)


def build_onnx(job: Job) -> Path:
    """Export the network, check it, keep it with its reference logits."""
    reference = make_reference(job.network, make_images(job.shape, job.mean, job.std))
    return cache.store(job.key, job.folder, {
        '.onnx': lambda path: export_onnx.export(job.network, path, job.shape, job.precision,
                                                 reference),
        REFERENCE: reference.save}, made_with())


def build_plan(job: Job) -> Path:
    """Build a TensorRT plan from the ONNX file of the same network."""
    onnx = obtain(replace(job, engine='onnxruntime', device='cpu'))
    reference = load_reference(onnx.with_suffix(REFERENCE))
    return cache.store(job.key, job.folder, {
        '.plan': lambda path: with_tensorrt.build(onnx, path, job.precision, job.device),
        REFERENCE: reference.save}, made_with())


def made_with() -> dict[str, str | None]:
    """Return the versions of the tools, for the sidecar."""
    versions = {}
    for name in ('torch', 'onnx', 'onnxscript', 'onnxruntime', 'tensorrt'):
        try:
            versions[f'{name}_version'] = version(name)
        except PackageNotFoundError:
            continue
    return versions


def activate_all(jobs: Sequence[Job]) -> tuple[list[Engine], str]:
    """Activate the engines of several shapes -> engines, the worst agreement in words."""
    activated = [activate(job) for job in jobs]
    worst = min((agreement for _, agreement in activated), key=lambda each: each.labels)
    return [engine for engine, _ in activated], str(worst)
