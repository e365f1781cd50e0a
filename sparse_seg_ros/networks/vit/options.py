# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Options of plain vision transformers: parts that a method uses, and that learn beside them."""

from __future__ import annotations

from dataclasses import dataclass

from sparse_seg_ros.config import Settings, setting

POLICIES = ('none', 'efficientnet_lite0')


@dataclass(frozen=True)
class ViTOptions(Settings):
    """By the names that `network_options` has; without any there are no such parts."""

    first_exit: int = setting(0, 'layer, from 1, after which there is an exit; 0: none',
                              at_least=0)
    second_exit: int = setting(0, 'layer of another exit; 0: none', at_least=0)
    policy: str = setting('none', 'network that tells which neighbouring patches may share a '
                          'token', choices=POLICIES)

    def exit_layers(self, depth: int) -> list[int]:
        """Return the layers of the exits; ValueError unless a network of this depth has more."""
        layers = [layer for layer in (self.first_exit, self.second_exit) if layer]
        if max(layers, default=0) >= depth or layers != sorted(set(layers)):
            raise ValueError(f'exits must be after layers 1 <= first < second < {depth}, the '
                             f'blocks of this network, or 0 for none, got {self.first_exit} and '
                             f'{self.second_exit}; DToP has 6 and 8 of 12')
        return layers
