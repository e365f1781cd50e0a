# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Rivals DToP, DoViT and PAUMER: tokens that an exit classifies with confidence stop there.

Tang et al., "Dynamic Token Pruning in Plain Vision Transformers for Semantic Segmentation", from
its description: at each exit the tokens whose largest probability is above a threshold leave the
network with what the exit says, but the most confident few of each class stay as context.
Liu et al., "Dynamic Token-Pass Transformers for Semantic Segmentation", from its description: such
tokens stop, without context, and are put back in their places for the decoder.
Courdier et al., "PAUMER: Patch Pausing Transformer for Semantic Segmentation", from its
description: the share of the tokens stops whose predictions have the lowest entropy.
Different from there: the exits of all are one linear layer behind a norm; DToP's are like its
decoder. How many stop by DToP and DoViT is left to the images, as in ALGM: in training as many in
all of a batch. PAUMER draws its share anew for each batch; here it is a setting, in training, too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from sparse_seg_ros.methods.algm.choices import share_of
from sparse_seg_ros.methods.algm.merging import rank_candidates
from sparse_seg_ros.networks.vit.tokens import Stopped, Tokens


@dataclass(frozen=True)
class EarlyExit:
    """
    Tokens -> those that go on.

    grade: values (B, T, d) -> logits (B, T, C). choose: such logits -> (B, P) places of the tokens
    that stop.
    """

    grade: nn.Module
    choose: Callable[[Tensor], Tensor]

    def __call__(self, tokens: Tokens) -> Tokens:
        logits = self.grade(tokens.values[:, 1:])  # (B, T - 1, C)
        return stop(tokens, logits, self.choose(logits))

    def keep_first(self, tokens: Tokens, count: int) -> Tokens:
        """Let the first tokens go on: the cost depends on nothing but their number."""
        self.grade(tokens.values[:, 1:])
        return replace(tokens, values=tokens.values[:, :count])


def order_to_stop(logits: Tensor, confidence: float, context: int) -> Tensor:
    """
    (B, n, C) logits -> (B, P) places of the tokens that stop, the most confident first.

    confidence: probability above which a token stops. context: number of tokens of each class, the
    most confident, that go on nevertheless.
    """
    precision = torch.promote_types(logits.dtype, torch.float32)
    sure, labels = logits.detach().to(precision).softmax(2).max(2)  # (B, n)
    stops = (sure > confidence) & (rank_in_class(sure, labels) >= context)
    count = int(stops.sum(1).min())
    return rank_candidates(sure.masked_fill(~stops, -1)).argsort(1)[:, :count]


def least_entropy(logits: Tensor, share: float) -> Tensor:
    """(B, n, C) logits -> (B, P) places of a share of the tokens, rounded, the surest first."""
    precision = torch.promote_types(logits.dtype, torch.float32)
    scores = logits.detach().to(precision).log_softmax(2)
    negative = (scores.exp() * scores).sum(2)  # entropy
    return rank_candidates(negative).argsort(1)[:, :share_of(negative, share)]


def rank_in_class(sure: Tensor, labels: Tensor) -> Tensor:
    """(B, n) confidences, labels -> (B, n): how many of its class are surer, equals in order."""
    order = sure.argsort(dim=1, descending=True, stable=True)
    order = order.gather(1, labels.gather(1, order).argsort(dim=1, stable=True))
    labels = labels.gather(1, order)  # ascending
    place = torch.arange(labels.shape[1], device=labels.device)
    rank = place - torch.searchsorted(labels, labels)
    return torch.zeros_like(rank).scatter(1, order, rank)


def stop(tokens: Tokens, logits: Tensor, places: Tensor) -> Tokens:
    """Keep aside the tokens at (B, P) places of (B, T - 1, C) logits; the others stay in order."""
    count, length = places.shape[1], tokens.values.shape[1]
    goes = torch.zeros_like(tokens.values[..., 0], dtype=torch.int64).scatter(1, 1 + places, 1)
    order = torch.cat((goes.argsort(dim=1, stable=True)[:, :length - count], 1 + places), 1)
    left, gone = take(tokens.values, order).split((length - count, count), 1)
    stopped, groups = Stopped(gone, take(logits, places)), order.argsort(dim=1)  # (B, T)
    if tokens.groups is not None and tokens.stopped is not None:  # these follow, as before
        stopped = Stopped(*(torch.cat(parts, 1) for parts in zip(stopped, tokens.stopped)))
        own = torch.arange(length, tokens.groups.shape[1], device=groups.device)
        groups = torch.cat((groups, own.expand(len(groups), -1)), 1).gather(1, tokens.groups)
    return replace(tokens, values=left, groups=groups, stopped=stopped)


def take(values: Tensor, places: Tensor) -> Tensor:
    """(B, n, c), (B, m) places -> (B, m, c)."""
    return values.gather(1, places[..., None].expand(-1, -1, values.shape[2]))
