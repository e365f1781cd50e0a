# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""last.pt, from which a run resumes: it is written whole or not at all, and refused if damaged."""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from sparse_seg_ros.files import require_room

COPIES = 4  # of what is trained in last.pt: weights, average, and two moments of AdamW
DAMAGED = (RuntimeError, OSError, EOFError, ValueError, KeyError, pickle.UnpicklingError)


def write_state(state: dict[str, Any], path: Path) -> None:
    """Write a run's state; OSError in one sentence for a full disk, which leaves the last one."""
    part = path.with_suffix('.part')
    try:
        torch.save(state, part)
        with part.open('rb') as file:
            os.fsync(file.fileno())  # or a power cut leaves the new name without its content
    except (RuntimeError, OSError) as error:
        part.unlink(missing_ok=True)
        reason = str(error).partition('\n')[0]
        raise OSError(f'{part} can not be written ({reason}); is the disk full? The run goes on '
                      'from its last epoch once there is room') from None
    part.rename(path)


def read_state(path: Path) -> dict[str, Any]:
    """
    Read what write_state has written, onto the CPU.

    Raises ValueError with the cure for a damaged file: a GPU that is full, or a file that may not
    be read, is no damage.
    """
    try:
        return torch.load(path, map_location='cpu', weights_only=True)
    except PermissionError:
        raise
    except DAMAGED as error:  # OSError: torch seeks before the start of a torn file
        reason = str(error).partition('\n')[0]
        raise ValueError(f'{path} is damaged ({reason}); delete it to begin again, or train on in '
                         "another folder with 'start_from' this one") from None


def check_room(folder: Path, trained: nn.Module, parts: Iterable[nn.Module]) -> None:
    """Raise OSError unless there is room for two states, the old and the new, and two models."""
    size = 2 * COPIES * size_of(trained) + 2 * sum(map(size_of, parts))
    have = sum(path.stat().st_size for path in (folder / 'last.pt', folder / 'model.safetensors')
               if path.is_file())
    require_room(folder, size - have, 'the weights of this training')


def size_of(module: nn.Module) -> int:
    """Return the bytes of a module's weights and buffers."""
    return sum(tensor.numel() * tensor.element_size() for tensor in module.state_dict().values())
