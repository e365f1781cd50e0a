# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The decoder of LRFormer+: Mask2Former's, computed by `transformers`, which is imported here only.

LRFormer, section 4.5; Cheng et al., "Masked-attention Mask Transformer for Universal Image
Segmentation". The configuration is `transformers`' default: 100 queries, 6 layers of the pixel
decoder, 9 of the transformer decoder, all 256 wide. Nothing is fetched.
"""

from __future__ import annotations

from torch import Tensor, nn

from sparse_seg_ros.networks.mask_scores import Queries

try:
    from transformers import Mask2FormerConfig
    from transformers.models.mask2former.modeling_mask2former import (
        Mask2FormerPixelDecoder,
        Mask2FormerPreTrainedModel,
        Mask2FormerTransformerModule,
    )
except ImportError:
    raise ImportError('LRFormer+ needs transformers for its decoder: '
                      '`pip install transformers`') from None


class QueryDecoder(Mask2FormerPreTrainedModel):
    """[F1, F2, F3, F4] -> Queries of each layer in training, else of the last; masks at 1/4."""

    def __init__(self, widths: tuple[int, ...], num_classes: int):
        config = Mask2FormerConfig(num_labels=num_classes)
        super().__init__(config)
        self.pixel_decoder = Mask2FormerPixelDecoder(config, list(widths))
        self.transformer_module = Mask2FormerTransformerModule(config.feature_size, config)
        self.class_predictor = nn.Linear(config.hidden_dim, num_classes + 1)
        self.post_init()

    def forward(self, features: list[Tensor]) -> list[Queries]:
        pixels = self.pixel_decoder(features)
        queries = self.transformer_module(pixels.multi_scale_features, pixels.mask_features)
        states = queries.intermediate_hidden_states
        if not self.training:  # the last layer's are all that is asked for
            states = states[-1:]
        classes = [self.class_predictor(state.transpose(0, 1)) for state in states]
        return list(map(Queries, classes, queries.masks_queries_logits[-len(states):]))
