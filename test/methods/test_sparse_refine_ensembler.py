# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The gated ensembler."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sparse_seg_ros.methods.sparse_refine.ensembler import Ensembler
from sparse_seg_ros.methods.sparse_refine.selection import entropy


def two_logits(classes: int, count: int = 50) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    return torch.randn(count, classes) * 5, torch.randn(count, classes)


def test_ensembler_is_the_released_formula():
    coarse, refined = two_logits(19)
    ensembler = Ensembler(19)
    for parameter in ensembler.parameters():
        nn.init.normal_(parameter, std=0.3)
    seen = []
    for logits in (coarse, refined):
        seen += [logits.softmax(1), entropy(logits[:, :, None, None]).view(-1, 1)]
    w = ensembler.gate(torch.cat(seen, 1)).softmax(1)
    want = ensembler.fuse(w[:, :1] * coarse + w[:, 1:] * refined)
    torch.testing.assert_close(ensembler(coarse, refined), want)


@pytest.mark.parametrize('classes', [2, 11, 19, 32])
def test_it_starts_as_the_coarse_logits_while_the_refined_ones_are_zero(classes):
    coarse, _ = two_logits(classes)
    torch.testing.assert_close(Ensembler(classes)(coarse, torch.zeros_like(coarse)), coarse)


def test_it_starts_with_gradients_for_both_predictions_and_the_gate():
    coarse, refined = (logits.requires_grad_() for logits in two_logits(11))
    ensembler = Ensembler(11)
    ensembler(coarse, refined).square().sum().backward()
    for grad in (
        coarse.grad,
        refined.grad,
        ensembler.gate[2].weight.grad,
        ensembler.fuse[2].weight.grad,
    ):
        assert grad.abs().max() > 0


def test_more_classes_than_it_can_pass_through_still_work():
    coarse, refined = two_logits(150)
    assert Ensembler(150)(coarse, refined).shape == (50, 150)


def test_no_pixels():
    assert Ensembler(19)(torch.zeros(0, 19), torch.zeros(0, 19)).shape == (0, 19)
