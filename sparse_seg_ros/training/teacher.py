# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A trained network that another network imitates (Hinton et al. 2015)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from sparse_seg_ros.methods.dense.method import Dense
from sparse_seg_ros.model_card import Model, ModelCard


class Teacher:
    """
    The dense network of a model, at its own scale and with its own normalisation.

    No module, so that what holds it neither trains nor saves it.
    """

    def __init__(self, model: Model, pupil: ModelCard, device: torch.device):
        self.method = Dense(model.network.eval().requires_grad_(False).to(device),
                            model.card.scale)
        mean, std, pupil_mean, pupil_std = (
            torch.tensor(values, device=device).view(1, 3, 1, 1)
            for values in (model.card.mean, model.card.std, pupil.mean, pupil.std))
        self.gain, self.shift = pupil_std / std, (pupil_mean - mean) / std

    @torch.no_grad()
    def __call__(self, images: Tensor, size_hw: torch.Size) -> Tensor:
        """(B, 3, H, W) as the pupil sees them -> (B, C, h, w) mean probabilities of each pixel."""
        logits = self.method.coarse_logits(images * self.gain + self.shift)
        return F.interpolate(logits.softmax(1), size_hw, mode='area')
