# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""From the masks and classes of queries to logits of pixels, for decoders like Mask2Former's."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

LEAST_SCORE = 1e-10  # SparseRefine takes the logarithm of scores


class Queries(NamedTuple):
    """What a layer of the decoder says of its Q queries."""

    classes: Tensor  # (B, Q, C + 1) logits; the last class is "nothing"
    masks: Tensor  # (B, Q, h, w) logits


def semantic_logits(classes: Tensor, masks: Tensor, size_hw: torch.Size) -> Tensor:
    """
    (B, Q, C + 1), (B, Q, h, w) logits of queries -> (B, C, H, W) logits, ln of class scores.

    A class's score is the sum over queries of its probability times the mask, which is enlarged
    bilinearly before its sigmoid. The last class of a query is "nothing" and scores nowhere.
    """
    masks = F.interpolate(masks, size=size_hw, mode='bilinear', align_corners=False).sigmoid()
    scores = torch.einsum('bqc, bqhw -> bchw', classes.softmax(-1)[..., :-1], masks)
    return scores.float().clamp_min(LEAST_SCORE).log()  # fp16 has no number so small
