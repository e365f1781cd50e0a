# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What an engine is, and the one check that all of them make of their images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor

Shape = tuple[int, int, int, int]  # (B, 3, h, w)
LOGITS, MAP = 'logits', 'map_{}'  # names of what an engine returns
Outputs = Tensor | tuple[Tensor, ...]  # logits, and maps where there are any


class Engine(Protocol):
    """
    A dense network, built for images of one shape: (B, 3, h, w) -> (B, C, h', w') logits.

    One of a network that also returns maps returns a tuple: logits, maps.

    Takes float32 and returns float32 on the same device, whatever it computes in. shape: what it
    was built for; about: engine, version, provider and precision in words.
    """

    shape: Shape
    about: str

    def __call__(self, images: Tensor) -> Outputs:
        """(B, 3, h, w) float32 normalised -> (B, C, h', w') float32 logits, same device."""


def as_tuple(outputs: Outputs) -> tuple[Tensor, ...]:
    """What an engine or a network returned -> logits, and maps if there are any."""
    return (outputs,) if isinstance(outputs, Tensor) else tuple(outputs)


def as_outputs(tensors: Sequence[Tensor]) -> Outputs:
    """Logits, and maps if there are any -> what an engine returns: float32."""
    tensors = tuple(tensor.float() for tensor in tensors)
    return tensors[0] if len(tensors) == 1 else tensors


def check_shape(about: str, expected: Shape, images: Tensor) -> None:
    """Raise ValueError unless images have the shape that an engine was built for."""
    if tuple(images.shape) != tuple(expected):
        raise ValueError(
            f'{about} was built for {describe(expected)}, got {describe(tuple(images.shape))}; '
            'build one for these with `sparse_seg export engine --model MODEL --engine ... --size '
            'HxW --batch N`')


def describe(shape: tuple[int, ...]) -> str:
    """(B, 3, h, w) in words."""
    if len(shape) != 4:
        return f'a tensor of shape {shape}'
    batch, _, height, width = shape
    return f'network inputs of {height}x{width} in batches of {batch}'
