# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Scores as bytes and back, exactly: an npz without pickle, whose head is JSON."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import numpy as np

HEAD = 'head'
MOST_BYTES = 2 ** 30  # of them unpacked; millions of frames have a tenth of it
LISTS = ('names', 'counts_small', 'labelled', 'densities', 'milliseconds', 'has_uncertainty')


def pack(scores: Any) -> bytes:
    """Return the bytes; the lists are sorted, so that the order of adding does not matter."""
    head = {name: getattr(scores, name) for name in LISTS}
    head['densities'] = sorted(scores.densities)
    head['milliseconds'] = {stage: sorted(times) for stage, times in scores.milliseconds.items()}
    arrays, head['integers'] = {}, {}
    for part_name, part in parts_of(scores).items():
        for name, value in vars(part).items():
            path = f'{part_name}.{name}'
            if isinstance(value, np.ndarray):
                arrays[path] = value
            elif isinstance(value, int):
                head['integers'][path] = value
    arrays[HEAD] = np.frombuffer(json.dumps(head, sort_keys=True).encode(), np.uint8)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def unpack(data: bytes) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Bytes -> head and arrays; ValueError for other bytes."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            claimed = sum(part.file_size for part in archive.infolist())
        if claimed <= MOST_BYTES:
            with np.load(io.BytesIO(data), allow_pickle=False) as file:
                arrays = dict(file)
            return json.loads(bytes(arrays.pop(HEAD))), arrays
    except (ValueError, KeyError, EOFError, OSError, OverflowError, MemoryError,
            zipfile.BadZipFile) as error:
        raise ValueError(f'scores must be the bytes of Scores.to_bytes, got {len(data)} other '
                         'bytes; evaluate these frames again') from error
    raise ValueError(f'scores must unpack to at most {MOST_BYTES} bytes, got {len(data)} bytes '
                     f'that unpack to {claimed}; evaluate fewer frames at once')


def fill(scores: Any, head: dict[str, Any], arrays: dict[str, np.ndarray]) -> Any:
    """Set what was counted in new scores of the same classes, and return them."""
    for name in LISTS[2:]:
        setattr(scores, name, head[name])
    for path, value in {**head['integers'], **arrays}.items():
        part, name = path.split('.')
        setattr(parts_of(scores)[part], name, value)
    return scores


def parts_of(scores: Any) -> dict[str, Any]:
    """Return all that is counted, by name."""
    return {'matrix': scores.matrix, **scores.parts}
