# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""SegFormer as `transformers` has it, with random weights: LRFormer's rival in benchmarks."""

from __future__ import annotations

from torch import Tensor, nn

from sparse_seg_ros.networks.with_transformers import build

SIZES = {'segformer_b1': ((2, 2, 2, 2), 256), 'segformer_b2': ((3, 4, 6, 3), 768),
         'segformer_b3': ((3, 4, 18, 3), 768), 'segformer_b5': ((3, 6, 40, 3), 768)}


class SegFormer(nn.Module):
    """(B, 3, H, W) -> (B, C, H/4, W/4) logits."""

    def __init__(self, name: str, num_classes: int):
        super().__init__()
        depths, decoder_width = SIZES[name]
        self.model = build({
            'model_type': 'segformer', 'depths': list(depths), 'hidden_sizes': [64, 128, 320, 512],
            'num_attention_heads': [1, 2, 5, 8], 'decoder_hidden_size': decoder_width,
            'num_labels': num_classes})

    def forward(self, images: Tensor) -> Tensor:
        return self.model(images).logits
