# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Cards from anywhere: what no model can have is refused, and named."""

from __future__ import annotations

import json
import math
from dataclasses import asdict

import pytest
from tiny import tiny_model

from sparse_seg_ros.methods.point_rend import PointHead
from sparse_seg_ros.model_card import ModelCard, read_card

CARD = asdict(ModelCard('compact', ('grass', 'sky'), 'farm', (1.0, 2.0, 3.0), (1.0, 1.0, 1.0),
                        colors=((0, 1, 2), (3, 4, 5))))


def read(**changes):
    return read_card(json.dumps({**CARD, **changes}), 'my.safetensors')


def test_a_card_of_megabytes_is_refused_before_it_is_parsed():
    with pytest.raises(ValueError, match=r'x: its model card must be at most 1 MiB, got \d+ byt'):
        read_card('[' * (1 << 21), 'x')


def test_a_card_comes_back_as_it_was_written():
    assert read() == ModelCard(**CARD)
    refining = tiny_model().card
    assert read_card(json.dumps(asdict(refining)), 'x') == refining


@pytest.mark.parametrize('changes', [
    {'std': [1.0, 0.0, 1.0]}, {'std': [1.0, -1.0, 1.0]}, {'mean': [math.nan, 0.0, 0.0]},
    {'mean': [1.0]}, {'mean': 3}, {'temperature': 0}, {'temperature': math.inf},
    {'temperature': True}, {'scale': 0}, {'scale': 5}, {'scale': 'half'}, {'alpha': -1},
    {'planes': [8, 0]}, {'planes': 'abc'}, {'classes': None}, {'classes': [1, 2]},
    {'planes': [8, 10 ** 9]},
    {'exposure': 'dark'}, {'training': []}, {'colors': [[0, 0, 256], [0, 0, 0]]},
    {'colors': ['red', 'blue']}, {'inputs': None}, {'network_config': 'x'}, {'patch': -1},
    {'uncertain_limit': 0.0}, {'uncertain_limit': 1.5},
], ids=json.dumps)
def test_a_value_that_no_model_can_have_is_named(changes):
    name, = changes
    with pytest.raises(ValueError, match=f"^my.safetensors: '{name}' of a model card must be .*, "
                                         'got .*; export the model again$'):
        read(**changes)


def test_a_colour_is_needed_for_every_class():
    with pytest.raises(ValueError, match='must have as many colours as classes, got 1 for 2'):
        read(colors=[[0, 0, 0]])


@pytest.mark.parametrize('refined_by', ['sparse_refine', 'patch_refine'])
def test_a_refiner_with_a_threshold_needs_one_in_its_card(refined_by):
    with pytest.raises(ValueError, match=f"'alpha' of a model card must be a number for the "
                                         f"refiner of '{refined_by}', got nothing; export"):
        tiny_model(refined_by=refined_by, alpha=None, patch=16)


def test_a_model_names_the_refiner_that_it_lacks():
    model = tiny_model(refines=False)
    with pytest.raises(ValueError, match='must have a PointHead as its refiner, got none; train'):
        model.require_refiner(PointHead)


@pytest.mark.parametrize(('text', 'words'), [
    ('', 'its model card is no JSON object'), ('[]', 'its model card is no JSON object'),
    ('[' * 100_000, 'its model card is no JSON object'),
    ('{"network": "compact"}', "'classes' is missing in the model card"),
    (json.dumps({**CARD, 'colours': []}), "unknown 'colours' in the model card; did you mean"),
])
def test_what_is_no_card_is_refused(text, words):
    with pytest.raises(ValueError, match=words):
        read_card(text, 'my.safetensors')
