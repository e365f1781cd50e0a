# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Batch norms folded into the dense convolutions before them, for inference."""

from __future__ import annotations

from copy import deepcopy
from typing import TypeVar

from torch import nn
from torch.nn.utils import fuse_conv_bn_eval

Network = TypeVar('Network', bound=nn.Module)


def folded(network: Network) -> Network:
    """Return a copy that computes the same, without the norms behind convolutions."""
    twin = deepcopy(network).eval()
    for pair in [module for module in twin.modules() if is_conv_norm(module)]:
        pair[0], pair[1] = fuse_conv_bn_eval(*pair), nn.Identity()
    return twin


def is_conv_norm(module: nn.Module) -> bool:
    """Tell whether a module is a convolution and a batch norm, nothing else."""
    return isinstance(module, nn.Sequential) and len(module) == 2 \
        and isinstance(module[0], nn.Conv2d) and isinstance(module[1], nn.BatchNorm2d)


def convolutions_of(module: nn.Module) -> list[nn.Conv2d]:
    """Return the convolutions in a module, in its order."""
    return [part for part in module.modules() if isinstance(part, nn.Conv2d)]
