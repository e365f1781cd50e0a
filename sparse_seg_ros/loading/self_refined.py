# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A dense model that refines itself: its network at half the scale, and again where unsure."""

from __future__ import annotations

from dataclasses import replace

from sparse_seg_ros.loading.checkpoints import build_model
from sparse_seg_ros.model_card import Model

ALPHA = 0.3  # nats, to be calibrated


def refine_itself(model: Model) -> Model:
    """
    Dense model -> one at half its scale, whose refiner has the layers and weights of its network.

    Nothing has to be trained, if the network has learnt at both scales (`second_scale`). Raises
    ValueError for a model that has a refiner, or a network whose layers can not run sparsely.
    """
    if model.refiner is not None:
        raise ValueError('this model has a refiner already; take one of a dense network')
    card = replace(model.card, scale=model.card.scale / 2, extractor='network', inputs=('rgb',),
                   ensembler='direct', alpha=ALPHA, temperature=1.0, uncertain_limit=None,
                   planes=getattr(model.network, 'widths', (1,)))
    refined = build_model(card)
    refined.network.load_state_dict(model.network.state_dict())
    refined.refiner.extractor.begin_as(refined.network)
    return refined
