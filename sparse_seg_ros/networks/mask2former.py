# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Mask2Former on Swin transformers, computed by `transformers`.

Cheng et al., "Masked-attention Mask Transformer for Universal Image Segmentation". Sizes are those
of the published Cityscapes models for semantic segmentation, all with 100 queries. The authors'
published weights are CC BY-NC 4.0: not for commercial use.
"""

from __future__ import annotations

from torch import Tensor, nn

from sparse_seg_ros.networks.mask_scores import Queries, semantic_logits
from sparse_seg_ros.networks.with_transformers import mask2former, mask_loss


class Mask2Former(nn.Module):
    """
    (B, 3, H, W) normalised -> (B, C, H, W) logits; H and W must be multiples of 32.

    model: a Mask2FormerForUniversalSegmentation of `transformers`.
    """

    stride, multiple = 1, 32
    mean, std = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)  # ImageNet, RGB in 0..255

    def __init__(self, model: nn.Module):
        super().__init__()
        self.num_classes = model.config.num_labels
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        output = self.model(images)
        return semantic_logits(output.class_queries_logits, output.masks_queries_logits,
                               images.shape[-2:])

    def queries(self, images: Tensor) -> list[Queries]:
        """(B, 3, H, W) -> Queries of every layer of the decoder, the last one last."""
        output = self.model.model(images, output_hidden_states=True)
        classes = [self.model.class_predictor(state.transpose(0, 1))
                   for state in output.transformer_decoder_intermediate_states]
        return list(map(Queries, classes, output.masks_queries_logits))

    def mask_loss(self, class_weights: Tensor) -> nn.Module:
        """(C,) -> the loss that the network learns masks with."""
        return mask_loss(self.model.config, class_weights)


class Mask2FormerSwinT(Mask2Former):
    """47 million parameters."""

    def __init__(self, num_classes: int):
        super().__init__(mask2former(96, (2, 2, 6, 2), (3, 6, 12, 24), 7, 224, num_classes))


class Mask2FormerSwinS(Mask2Former):
    """69 million parameters."""

    def __init__(self, num_classes: int):
        super().__init__(mask2former(96, (2, 2, 18, 2), (3, 6, 12, 24), 7, 224, num_classes))


class Mask2FormerSwinB(Mask2Former):
    """107 million parameters."""

    def __init__(self, num_classes: int):
        super().__init__(mask2former(128, (2, 2, 18, 2), (4, 8, 16, 32), 12, 384, num_classes))


class Mask2FormerSwinL(Mask2Former):
    """215 million parameters."""

    def __init__(self, num_classes: int):
        super().__init__(mask2former(192, (2, 2, 18, 2), (6, 12, 24, 48), 12, 384, num_classes))
