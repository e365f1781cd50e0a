# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What methods get in place of a network: its engines, with its attributes and its maps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from sparse_seg_ros.data.frame import UnusableImageError
from sparse_seg_ros.engines.contract import Engine, as_tuple, describe

ATTRIBUTES = ('stride', 'multiple', 'num_classes', 'mean', 'std')


class EngineNetwork:
    """
    A dense network run by engines, one for each shape: (B, 3, h, w) -> (B, C, h', w') logits.

    It has the attributes of the network that it stands for. sizes_hw: of the camera images that
    the engines were built for, in words for errors.
    """

    def __init__(self, network: Any, engines: Sequence[Engine], sizes: Sequence[str]):
        self.by_shape = {engine.shape: engine for engine in engines}
        self.about, self.sizes = engines[0].about, tuple(sizes)
        copy_attributes(network, self)

    def __call__(self, images: Tensor) -> Tensor:
        """(B, 3, h, w) -> (B, C, h', w') logits; UnusableImageError without an engine."""
        return self.with_maps(images)[0]

    def with_maps(self, images: Tensor) -> tuple[Tensor, ...]:
        """(B, 3, h, w) -> logits, and what else the engines return."""
        engine = self.by_shape.get(tuple(images.shape))
        if engine is None:
            raise UnusableImageError(
                f"{self.about} was built for images of {', '.join(self.sizes)}, and this one "
                f'makes {describe(tuple(images.shape))}; add its size to engine_sizes in the '
                'method YAML (and build it beforehand: sparse_seg export engine --model YAML '
                '--engine ...)')
        return as_tuple(engine(images))


class WithMaps(nn.Module):
    """A network whose engines return the maps of its encoder, too: (logits, maps)."""

    map_count = 2

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network
        copy_attributes(network, self)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        return self.network.with_maps(images)


def with_maps_for(refiner: nn.Module | None, network: nn.Module) -> nn.Module:
    """Return a network as engines run it: with its maps, where a refiner asks for them."""
    return WithMaps(network) if getattr(refiner, 'is_network', False) else network


def copy_attributes(network: Any, other: Any) -> None:
    """Give another object what a network declares of itself."""
    for name in ATTRIBUTES:
        setattr(other, name, getattr(network, name))
