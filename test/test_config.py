# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Settings: strict YAML, and errors that name the cure."""

from __future__ import annotations

import pytest
import yaml

from sparse_seg_ros.config import (
    MethodConfig,
    NodeConfig,
    from_mapping,
    nearest,
    to_yaml,
)
from sparse_seg_ros.files import share
from sparse_seg_ros.training.config import TrainConfig
from sparse_seg_ros.yaml_files import read_yaml


def test_defaults_fit_their_own_ranges():
    assert (MethodConfig().scale, NodeConfig().device) == (0.0, 'auto')
    assert TrainConfig().stage == 'dense'


def test_a_misspelt_setting_is_named_with_the_one_that_was_meant():
    with pytest.raises(ValueError, match="my.yaml: unknown setting 'scael'; did you mean 'scale'"):
        from_mapping(MethodConfig, {'scael': 0.5}, 'my.yaml')


def test_a_setting_unlike_any_other_is_answered_with_the_known_ones():
    with pytest.raises(ValueError, match="unknown setting 'xyz'; known: method, weights, full"):
        from_mapping(MethodConfig, {'xyz': 1}, 'my.yaml')


@pytest.mark.parametrize(('values', 'words'), [
    ({'scale': 2.0}, "my.yaml: setting 'scale' must be at most 1.0, got 2.0"),
    ({'scale': 0.04}, "setting 'scale' must be at least 0.05, or 0 for that of the weights"),
    ({'scale': float('nan')}, "setting 'scale' must be at least 0.0, got nan"),
    ({'method': 'x' * 10_000}, 'xxx ... 10002 characters in all ... xxx'),
    ({'x' * 10_000: 1}, 'xxx ... 10002 characters in all ... xxx'),
    ([[0] * 10_000], ' ... 30002 characters in all ... '),
    ({'scale': 'half'}, "setting 'scale' must be float, got 'half'"),
    ({'scale': True}, "setting 'scale' must be float, got True"),
    ({'method': 'magic'}, "'method' must be one of dense, sparse_refine, point_rend, "
                          "patch_refine, algm, auto; got 'magic'"),
    ({'merge_threshold': 1.5}, "setting 'merge_threshold' must be at most 1.0, got 1.5"),
    ({'window': [512, 512]}, "setting 'window' is for method dense or algm, not 'sparse_refine'; "
                             'leave it out'),
    ({'method': 'dense', 'merge_layers': [1, 3]}, "'merge_layers' is for method algm, not 'dense"),
    ([1, 2], 'expected settings as "name: value" lines'),
    (None, 'expected settings as "name: value" lines, got None'),
])
def test_a_bad_value_is_refused_with_its_range(values, words):
    with pytest.raises(ValueError) as caught:
        from_mapping(MethodConfig, values, 'my.yaml')
    assert words in str(caught.value)


def test_a_whole_number_is_taken_for_a_float_and_a_list_for_a_tuple():
    config = from_mapping(TrainConfig, {'scale': 1, 'planes': [8, 16]}, 'my.yaml')
    assert config.scale == 1.0 and isinstance(config.scale, float)
    assert config.planes == (8, 16)


@pytest.mark.parametrize(('values', 'words'), [
    ({'crop_hw': [360]}, "setting 'crop_hw' must be height and width in pixels, such as [360, "),
    ({'crop_hw': [0, 480]}, "setting 'crop_hw' must be height and width"),
    ({'street_size_hw': [1.5, 2]}, "setting 'street_size_hw' must be height and width"),
    ({'scales': [1.5, 0.5]}, "setting 'scales' must be the smallest and the largest factor"),
    ({'street_scales': [0, 1]}, "setting 'street_scales' must be the smallest"),
    ({'planes': []}, "setting 'planes' must be whole numbers above 0, got []"),
    ({'splits': 'train'}, "setting 'splits' must be a list, got 'train'"),
    ({'splits': [1]}, "setting 'splits' must be a list of names, got [1]"),
])
def test_lists_of_a_training_are_looked_into(values, words):
    with pytest.raises(ValueError) as caught:
        from_mapping(TrainConfig, values, 'my.yaml')
    assert words in str(caught.value)


def test_a_written_method_has_the_settings_of_its_method_alone():
    for method, has_merging in (('sparse_refine', False), ('dense', False), ('algm', True)):
        text = to_yaml(MethodConfig(method), {})
        assert ('merge_layers: [1, 5]' in text) == has_merging
        assert ('window: []' in text) == (method != 'sparse_refine')
        assert from_mapping(MethodConfig, yaml.safe_load(text), 'my.yaml') == MethodConfig(method)


def test_settings_cannot_be_changed_after_birth():
    with pytest.raises(AttributeError):
        MethodConfig().scale = 1.0


def test_nearest_suggests_or_lists():
    assert nearest('colour', ['color', 'size']) == "did you mean 'color'?"
    assert nearest('qqq', ['color', 'size']) == 'known: color, size'


@pytest.mark.parametrize('path', sorted((share() / 'config').glob('*.yaml')),
                         ids=lambda path: path.name)
def test_the_method_files_that_ship_can_be_read(path):
    content = read_yaml(path)
    if 'method' in content:
        from_mapping(MethodConfig, content, str(path))


@pytest.mark.parametrize('path', sorted((share() / 'config/train').glob('*.yaml')),
                         ids=lambda path: path.name)
def test_the_training_files_that_ship_can_be_read(path):
    from_mapping(TrainConfig, read_yaml(path), str(path))
