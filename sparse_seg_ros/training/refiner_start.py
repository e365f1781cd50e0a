# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a refiner's training begins with, and what of the refiner learns."""

from __future__ import annotations

from torch import Tensor

from sparse_seg_ros.loading.checkpoints import load_strictly
from sparse_seg_ros.methods.sparse_refine.refiner import SparseRefiner
from sparse_seg_ros.model_card import Model, ModelCard


def begin_refiner(start: Model, model: Model, source: str) -> None:
    """Let a refiner begin with that of another model, if it is of its kind; or as its network."""
    if goes_on(start.card, model.card):
        load_strictly(model.refiner, refiner_tensors(start, model), source)
    elif getattr(model.refiner, 'is_network', False):
        model.refiner.extractor.begin_as(model.network)


def goes_on(start: ModelCard, card: ModelCard) -> bool:
    """
    Tell whether a run trains on the refiner that it starts from: one of the same kind.

    With the extractor 'network' it begins as its network if the old refiner has another one.
    """
    is_other = card.extractor == 'network' != start.extractor
    return bool(start.planes) and bool(card.planes) and start.refined_by == card.refined_by \
        and not is_other


def refiner_tensors(start: Model, model: Model) -> dict[str, Tensor]:
    """Tensors of the refiner to go on from; an ensembler of another kind begins anew."""
    tensors = start.refiner.state_dict()
    if start.card.ensembler == model.card.ensembler:
        return tensors
    own = model.refiner.state_dict()
    return {key: tensor for key, tensor in tensors.items() if not is_of_ensembler(key)} | {
        key: tensor for key, tensor in own.items() if is_of_ensembler(key)}


def is_of_ensembler(key: str) -> bool:
    """Tell whether a tensor of a refiner belongs to its ensembler."""
    return key.startswith('ensembler.')


def freeze_all_but_ensembler(start: Model, model: Model, source: str) -> None:
    """Let the ensembler learn alone; ValueError if the rest of the refiner has learnt nothing."""
    refiner = model.require_refiner(SparseRefiner)
    knows = refiner.is_network and not list(refiner.selector.parameters())
    if not (knows or goes_on(start.card, model.card)):
        raise ValueError("setting 'learns: ensembler' needs a refiner whose other parts have "
                         f"learnt, which {source} does not have; remove it, name a model with "
                         "such a refiner, or set 'extractor: network' with selector entropy")
    refiner.requires_grad_(False)
    refiner.ensembler.requires_grad_(True)
