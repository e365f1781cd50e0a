# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The last features of a network: what goes into its classifier.

A network whose classifier is a convolution of a map names it in a class attribute, `classifier`:
'head', 'decode_head.conv_seg'. The features are read where that module is called, so that networks
need no second way through them. Where the logits of that size are not its output, `logits_module`
names the module whose output they are. Where row i of them lies on row i * stride of the image,
`is_aligned` is True. What has a method `with_maps`, which returns the logits and maps of its
encoder, gives these, too: some networks, and their engines.
"""

from __future__ import annotations

from dataclasses import dataclass
from threading import get_ident

import torch
from torch import Tensor, nn

from sparse_seg_ros.networks import NETWORKS, run_padded


@dataclass(frozen=True)
class Features:
    """
    Last features of the images that gave (B, C, h, w) logits, at the network's own stride.

    values: (B, F, h', w'). rows: (h,) int64, the row of values nearest to each row of logits;
    columns: (w,) as well. logits: (B, C, h', w') of that size. maps: (B, Ci, hi, wi) each, of the
    encoder, for the padded images; none of a network without `with_maps`. An engine gives maps
    alone.
    """

    values: Tensor | None
    rows: Tensor | None
    columns: Tensor | None
    maps: tuple[Tensor, ...] = ()
    logits: Tensor | None = None

    def at(self, batch: Tensor, y: Tensor, x: Tensor) -> Tensor:
        """(N,) each, pixels of the logits -> (N, F)."""
        return self.require_values().movedim(1, -1)[batch, self.rows[y], self.columns[x]]

    def magnitude(self) -> Tensor:
        """(B, h, w) L2 norm."""
        return self.require_values().float().norm(dim=1)[:, self.rows][:, :, self.columns]

    def require_values(self) -> Tensor:
        """Return the values; ValueError where an engine has kept them to itself."""
        if self.values is None:
            raise ValueError('an engine gives no last features of a network; set engine: torch')
        return self.values

    def require_maps(self) -> tuple[Tensor, Tensor]:
        """Return values and logits; ValueError as of `require_values`."""
        values = self.require_values()
        if self.logits is None:
            raise ValueError('the features must come with their logits, got none; take them from '
                             '`run_with_features`')
        return values, self.logits


def run_with_features(network: nn.Module, images: Tensor) -> tuple[Tensor, Features]:
    """(B, 3, h, w) normalised -> (B, C, h, w) logits as from `run_padded`, last features, maps."""
    maps: list[Tensor] = []

    def call(padded: Tensor) -> Tensor:
        logits, *rest = network.with_maps(padded) if hasattr(network, 'with_maps') else (
            network(padded),)
        maps.extend(rest)
        return logits

    if not isinstance(network, nn.Module):  # an engine, which keeps its features to itself
        logits = run_padded(network, images, call)
        return logits, Features(None, None, None, tuple(maps))
    inputs, outputs, thread = [], [], get_ident()

    def keep(_: nn.Module, args: tuple[Tensor, ...]) -> None:
        if get_ident() == thread:  # others may run the same network meanwhile
            inputs.append(args[0])

    def keep_output(_: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> None:
        if get_ident() == thread:
            outputs.append(output)

    classifier = classifier_of(network)
    last = network.get_submodule(getattr(network, 'logits_module', network.classifier))
    with classifier.register_forward_pre_hook(keep), last.register_forward_hook(keep_output):
        logits = run_padded(network, images, call)
    values, = inputs
    rows, columns = (nearest_places(network, side, have, values.device)
                     for side, have in zip(images.shape[-2:], values.shape[-2:]))
    return logits, Features(values, rows, columns, tuple(maps), outputs[0])


def nearest_places(network: nn.Module, side: int, have: int, device: torch.device) -> Tensor:
    """Sides of an image and of its features -> (side,) the feature nearest to each pixel."""
    stride = getattr(network, 'feature_stride', None)
    if stride is not None:
        return (torch.arange(side, device=device) + stride // 2) // stride
    return torch.arange(side, device=device) * have // (side + -side % network.multiple)


def count_features(network: nn.Module) -> int:
    """Return the number of channels of the last features."""
    return classifier_of(network).in_channels


def classifier_of(network: nn.Module) -> nn.Module:
    """Return the module that turns features into logits; ValueError if none is declared."""
    name = getattr(network, 'classifier', None)
    if name is None:
        known = ', '.join(name for name, kind in NETWORKS.items() if hasattr(kind, 'classifier'))
        raise ValueError(f'{type(network).__name__} has no map of last features to give; take '
                         f'one of {known}, or a selector and inputs without features')
    return network.get_submodule(name)
