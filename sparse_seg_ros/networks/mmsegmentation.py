# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
What networks defined as in MMSegmentation share: normalisation, and the reading of its files.

Where MMEngine averaged the weights in training, the average is what loads: its files hold the
average under `state_dict` and the last weights, which are not read, under `ema_state_dict`.
"""

from __future__ import annotations

from torch import Tensor

MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)  # ImageNet, RGB in 0..255
NOT_NEEDED = (
    'auxiliary_head.', 'decode_head.loss_decode.',  # help in training only
    'steps',  # counter of MMEngine's averaged models
)


def network_tensors(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of a file by name -> those of the network itself, which has no auxiliary head."""
    return {key: tensor for key, tensor in tensors.items() if not key.startswith(NOT_NEEDED)}
