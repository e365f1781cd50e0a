# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Hugging Face models of few channels, for tests, and the folders that they are saved in."""

from __future__ import annotations

import json

import pytest
import torch

from sparse_seg_ros.networks.mask2former import Mask2Former

transformers = pytest.importorskip('transformers')
pytest.importorskip('scipy')


def tiny_segformer(classes):
    """Return a SegformerForSemanticSegmentation of 40 000 weights with these class names."""
    torch.manual_seed(0)
    return transformers.SegformerForSemanticSegmentation(transformers.SegformerConfig(
        hidden_sizes=[8, 16, 40, 64], depths=[1, 1, 1, 1], decoder_hidden_size=32,
        id2label=dict(enumerate(classes)))).eval()


def tiny_mask2former(num_classes, width=32):
    """
    Return a Mask2FormerForUniversalSegmentation of 200 000 weights, every mask its own.

    width: of the decoder; 64 for images below 33 pixels, as its norms have 32 groups.
    """
    torch.manual_seed(0)
    swin = transformers.SwinConfig(
        embed_dim=12, depths=[1, 1, 2, 1], num_heads=[1, 2, 2, 2], window_size=4,
        out_features=['stage1', 'stage2', 'stage3', 'stage4'])
    model = transformers.Mask2FormerForUniversalSegmentation(transformers.Mask2FormerConfig(
        backbone_config=swin, feature_size=width, mask_feature_size=width, hidden_dim=width,
        encoder_feedforward_dim=32, dim_feedforward=32, encoder_layers=1, decoder_layers=4,
        num_attention_heads=4, num_queries=7, num_labels=num_classes)).eval()
    torch.nn.init.normal_(model.class_predictor.weight)
    return model


class TinyMask2Former(Mask2Former):
    """The same as a network of this package."""

    def __init__(self, num_classes: int):
        super().__init__(tiny_mask2former(num_classes))


def save_folder(model, folder, preprocessor=None):
    """Write model and, where given, preprocessor_config.json -> the folder."""
    model.save_pretrained(folder)
    if preprocessor is not None:
        (folder / 'preprocessor_config.json').write_text(json.dumps(preprocessor))
    return folder
