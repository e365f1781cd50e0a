# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The gated ensembler."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sparse_seg_ros.loading.checkpoints import load_strictly
from sparse_seg_ros.methods.reading import entropy
from sparse_seg_ros.methods.sparse_refine.ensembler import Ensembler, SigmoidEnsembler
from sparse_seg_ros.methods.sparse_refine.refiner import SparseRefiner


def two_logits(classes: int, count: int = 50) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    coarse, refined = torch.randn(2, count, classes, dtype=torch.float64)
    return coarse * 5, refined


def test_ensembler_is_the_released_formula():
    coarse, refined = two_logits(19)
    ensembler = Ensembler(19).double()
    for parameter in ensembler.parameters():
        nn.init.normal_(parameter, std=0.3)
    seen = []
    for logits in (coarse, refined):
        seen += [logits.softmax(1), entropy(logits[:, :, None, None]).view(-1, 1)]
    w = ensembler.gate(torch.cat(seen, 1)).softmax(1)
    want = ensembler.fuse(w[:, :1] * coarse + w[:, 1:] * refined)
    torch.testing.assert_close(ensembler(coarse, refined), want)


def test_the_sigmoid_ensembler_is_the_printed_formula():
    coarse, refined = two_logits(19)
    ensembler = SigmoidEnsembler(19).double()
    for parameter in ensembler.parameters():
        nn.init.normal_(parameter, std=0.1)
    entropies = [entropy(logits[:, :, None, None]).view(-1, 1) for logits in (coarse, refined)]
    y1, y2, (e1, e2) = coarse, refined, entropies
    # The gate's columns stand prediction by prediction: [y1; e1; y2; e2].
    w = torch.sigmoid(ensembler.gate(torch.cat([y1, e1, y2, e2], 1)))
    assert 0.01 < w.std()
    torch.testing.assert_close(ensembler(coarse, refined), ensembler.fuse(w * y1 + (1 - w) * y2))


@pytest.mark.parametrize('kind', [Ensembler, SigmoidEnsembler])
@pytest.mark.parametrize('trusts_refined', [False, True])
@pytest.mark.parametrize('classes', [2, 11, 19, 32, 33, 150])
def test_it_starts_as_the_coarse_logits_for_any_number_of_classes(classes, trusts_refined, kind):
    coarse, _ = two_logits(classes)
    refined = coarse if trusts_refined else torch.zeros_like(coarse)
    ensembler = kind(classes, trusts_refined).double()
    torch.testing.assert_close(ensembler(coarse, refined), coarse)
    assert torch.equal(ensembler(coarse, refined).argmax(1), coarse.argmax(1))


@pytest.mark.parametrize('classes', [11, 150])
def test_it_starts_with_gradients_for_both_predictions_and_the_gate(classes):
    coarse, refined = (logits.requires_grad_() for logits in two_logits(classes))
    ensembler = Ensembler(classes).double()
    ensembler(coarse, refined).square().sum().backward()
    for grad in (
        coarse.grad,
        refined.grad,
        ensembler.gate[2].weight.grad,
        ensembler.fuse[2].weight.grad,
    ):
        assert grad.abs().max() > 0


def test_weights_without_a_residual_give_the_released_formula_for_many_classes():
    coarse, refined = two_logits(150)
    refiner = SparseRefiner(150, (4, 8)).double()
    tensors = {key: torch.randn_like(tensor) if tensor.is_floating_point() else tensor
               for key, tensor in refiner.state_dict().items() if key != 'ensembler.skip'}
    load_strictly(refiner, {key: tensor.abs() for key, tensor in tensors.items()}, 'released')
    ensembler = refiner.ensembler
    described = torch.cat([part for logits in (coarse, refined) for part in (
        logits.softmax(1), entropy(logits[:, :, None, None]).view(-1, 1))], 1)
    w = ensembler.gate(described).softmax(1)
    want = ensembler.fuse(w[:, :1] * coarse + w[:, 1:] * refined)
    torch.testing.assert_close(ensembler(coarse, refined), want)


def test_no_pixels():
    assert Ensembler(19)(torch.zeros(0, 19), torch.zeros(0, 19)).shape == (0, 19)
