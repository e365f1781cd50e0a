# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Mask classification as a loss: queries are matched with the classes in an image.

Cheng et al., "Masked-attention Mask Transformer for Universal Image Segmentation", section 3; its
loss is computed by `transformers`, for every layer of the decoder. As there, void pixels belong to
no mask. With several processes each one divides by the number of its own masks.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from sparse_seg_ros.labels import VOID
from sparse_seg_ros.model_card import Model
from sparse_seg_ros.networks.images import shrink


class MaskObjective(nn.Module):
    """Match the queries of a network with the classes of each image, and compare their masks."""

    class_weights: Tensor
    trained: Any  # a network with `queries` and `mask_loss`
    criterion: Any

    def __init__(self, model: Model, class_weights: Tensor):
        super().__init__()
        if not hasattr(model.network, 'mask_loss'):
            raise ValueError(f'network {model.card.network!r} has no queries that could learn '
                             "masks; set 'loss: pixels', or 'network: mask2former_swin_t'")
        self.trained, self.scale = model.network, model.card.scale
        self.criterion = self.trained.mask_loss(class_weights)
        self.register_buffer('class_weights', class_weights)

    def forward(self, images: Tensor, labels: Tensor, sources: Tensor) -> Tensor:
        """(B, 3, H, W) normalised, (B, H, W) ids, (B,) -> scalar loss."""
        small = shrink(images, self.scale)
        check_size(small, self.trained.multiple)
        targets = [masks_of(label) for label in labels]
        masks, classes = [mask for mask, _ in targets], [ids for _, ids in targets]
        losses = [self.criterion(layer.masks.float(), layer.classes.float(), masks, classes)
                  for layer in self.trained.queries(small)]
        return torch.stack([self.criterion.weight_dict[name] * value
                            for layer in losses for name, value in layer.items()]).sum()


def masks_of(label: Tensor) -> tuple[Tensor, Tensor]:
    """(H, W) ids -> (N, H, W) masks of the N classes in it, 0 or 1, and their ids (N,)."""
    ids = label.unique()
    ids = ids[ids != VOID].long()
    return (label == ids[:, None, None]).float(), ids


def check_size(images: Tensor, multiple: int) -> None:
    """Raise ValueError for views that would have to be padded: masks go over all of them."""
    if any(side % multiple for side in images.shape[-2:]):
        raise ValueError(f"'crop_hw' times 'scale' must be multiples of {multiple} for 'loss: "
                         f"masks', got {list(images.shape[-2:])}; change 'crop_hw'")
