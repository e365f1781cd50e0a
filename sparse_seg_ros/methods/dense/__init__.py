# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A network once over the image, or over windows of it; nothing is refined."""

from __future__ import annotations

from dataclasses import dataclass

from sparse_seg_ros.config import setting
from sparse_seg_ros.methods.dense.method import Dense
from sparse_seg_ros.methods.dense.objective import DenseObjective
from sparse_seg_ros.methods.kind import Kind, MethodConfig, scale_and_temperature
from sparse_seg_ros.model_card import Model
from sparse_seg_ros.networks.sliding import Windows


@dataclass(frozen=True)
class DenseConfig(MethodConfig):
    """Settings of a method that sees the image once, at one scale."""

    window: tuple[int, int] | None = setting(
        None, 'height and width of the windows that the network sees one after the other; null: '
        'the whole image at once', at_least=1, example='[512, 512]')
    stride: tuple[int, int] | None = setting(
        None, 'pixels from one window to the next, down and across; null: as large as a window',
        at_least=1, example='[512, 512]')

    def windows(self) -> Windows | None:
        """Return the windows; None where the network sees all of the image at once."""
        if self.window is None:
            if self.stride is not None:
                raise ValueError(f"setting 'stride' {list(self.stride)} needs a 'window', such as "
                                 '[512, 512]')
            return None
        return Windows(self.window, self.stride or self.window)


def build(model: Model, config: DenseConfig) -> Dense:
    """Put a network under the method; scale and temperature are set."""
    return Dense(model.network, *scale_and_temperature(config, model.card), config.windows())


KIND = Kind(DenseConfig, build, stage='dense', objective=DenseObjective)
__all__ = ['KIND', 'Dense', 'DenseConfig', 'DenseObjective']
