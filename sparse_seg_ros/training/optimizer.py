# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How fast each weight learns: the optimiser, its groups of parameters, and the schedule."""

from __future__ import annotations

import math
import re

import torch
from torch import nn

from sparse_seg_ros.training.config import TrainConfig

BLOCK = re.compile(r'(?:^|\.)encoder\.blocks\.(\d+)\.')
EMBEDDING = re.compile(r'(?:^|\.)encoder\.(patch_embed\.|cls_token$|pos_embed$)')


def build_optimizer(module: nn.Module, config: TrainConfig
                    ) -> tuple[torch.optim.Optimizer, list[float]]:
    """Return the optimiser of a module, and what each group multiplies the learning rate by."""
    groups, factors = parameter_groups(module, config)
    if config.optimizer in ('sgd', 'nesterov'):
        return torch.optim.SGD(groups, config.learning_rate, config.momentum,
                               nesterov=config.optimizer == 'nesterov'), factors
    return torch.optim.AdamW(groups, config.learning_rate), factors


def parameter_groups(module: nn.Module, config: TrainConfig) -> tuple[list[dict], list[float]]:
    """
    Split parameters -> groups for the optimiser, and what each multiplies the learning rate by.

    Weight decay is for matrices, not for norms and biases; `head_rate` for what is not in a
    backbone; `layer_decay` for the blocks of a vision transformer.
    """
    check_rates(module, config)
    depth = depth_of(module)
    rates = {name: rate_of(name, depth, config) for name, _ in module.named_parameters()}
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for name, parameter in module.named_parameters():
        groups.setdefault((rates[name], parameter.ndim <= 1), []).append(parameter)
    kinds = sorted(groups)  # slow before fast, and of each the matrices first
    return ([{'params': groups[kind], 'weight_decay': 0.0 if kind[1] else config.weight_decay}
             for kind in kinds], [rate for rate, _ in kinds])


def rate_of(name: str, depth: int, config: TrainConfig) -> float:
    """Name of a parameter, blocks of the network -> what multiplies its learning rate."""
    head = 1.0 if is_of_backbone(name) else config.head_rate
    block = BLOCK.search(name)
    if block:
        return head * config.layer_decay ** (depth - int(block[1]))
    return head * (config.layer_decay ** (depth + 1) if EMBEDDING.search(name) else 1.0)


def check_rates(module: nn.Module, config: TrainConfig) -> None:
    """Raise ValueError for rates of a backbone or of blocks that a module does not have."""
    names = dict(module.named_parameters())
    if config.head_rate != 1 and not any(map(is_of_backbone, names)):
        raise ValueError(f'{type(module).__name__} has no backbone that could learn slower; '
                         "remove 'head_rate'")
    if config.layer_decay != 1 and not depth_of(module):
        raise ValueError(f'{type(module).__name__} is no vision transformer whose blocks could '
                         "learn slower; remove 'layer_decay'")


def depth_of(module: nn.Module) -> int:
    """Return how many blocks the vision transformer in a module has; 0 where there is none."""
    blocks = [BLOCK.search(name) for name, _ in module.named_parameters()]
    return max((int(block[1]) + 1 for block in blocks if block), default=0)


def is_of_backbone(name: str) -> bool:
    """Tell whether a parameter belongs to a module named 'backbone'."""
    return 'backbone' in name.split('.')


def learning_rate(config: TrainConfig, step: int, steps_per_epoch: int) -> float:
    """Linear warm-up, then a cosine or a power of the steps that are left, to zero."""
    warm = min(1.0, (step + 1) / (config.warmup_steps or steps_per_epoch))
    done = step / (steps_per_epoch * config.epochs)
    left = (1 - done) ** config.poly_power if config.schedule == 'poly' else \
        0.5 * (1 + math.cos(math.pi * done))
    return config.learning_rate * warm * left
