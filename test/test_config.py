# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Settings: strict YAML, and errors that name the cure."""

from __future__ import annotations

import pytest
import yaml

from sparse_seg_ros.config import from_mapping, nearest, to_yaml
from sparse_seg_ros.files import share
from sparse_seg_ros.loading.method_config import as_method, read_method, settings_of
from sparse_seg_ros.methods.kind import MethodConfig
from sparse_seg_ros.node_config import NodeConfig
from sparse_seg_ros.training.config import TrainConfig
from sparse_seg_ros.yaml_files import read_yaml


def test_defaults_fit_their_own_ranges():
    assert (MethodConfig().scale, NodeConfig().device) == (None, 'auto')
    assert TrainConfig().stage == 'dense'


def test_a_misspelt_setting_is_named_with_the_one_that_was_meant():
    with pytest.raises(ValueError, match="my.yaml: unknown setting 'scael'; did you mean 'scale'"):
        read_method({'scael': 0.5}, 'my.yaml')


def test_a_setting_unlike_any_other_is_answered_with_the_known_ones():
    with pytest.raises(ValueError, match="unknown setting 'xyz'; known: method, weights, scale"):
        read_method({'xyz': 1}, 'my.yaml')


@pytest.mark.parametrize(('values', 'words'), [
    ({'scale': 5.0}, "my.yaml: setting 'scale' must be at most 4.0 or null, got 5.0"),
    ({'scale': 0.04}, "'scale' must be at least 0.05 or null, got 0.04"),
    ({'scale': float('nan')}, "setting 'scale' must be at least 0.05 or null, got nan"),
    ({'method': 'x' * 10_000}, 'xxx ... 10002 characters in all ... xxx'),
    ({'x' * 10_000: 1}, 'xxx ... 10002 characters in all ... xxx'),
    ([[0] * 10_000], ' ... 30002 characters in all ... '),
    ({'scale': 'half'}, "setting 'scale' must be a number or null, got 'half'"),
    ({'scale': True}, "setting 'scale' must be a number or null, got True"),
    ({'method': 'magic'}, "'method' must be one of dense, sparse_refine, point_rend, "
                          "patch_refine, algm, sparse_vit, auto; got 'magic'"),
    ({'method': 'algm', 'merge_threshold': 1.5}, "'merge_threshold' must be at most 1.0, got 1"),
    ({'window': [512, 512]}, "setting 'window' is for method dense or algm, not 'sparse_refine'; "
                             'leave it out'),
    ({'method': 'dense', 'merge_layers': [1, 3]}, "'merge_layers' is for method algm, not 'dense"),
    ([1, 2], 'expected settings as "name: value" lines'),
    (None, 'expected settings as "name: value" lines, got None'),
])
def test_a_bad_value_is_refused_with_its_range(values, words):
    with pytest.raises(ValueError) as caught:
        read_method(values, 'my.yaml')
    assert words in str(caught.value)


def test_a_whole_number_is_taken_for_a_float_and_a_list_for_a_tuple():
    config = from_mapping(TrainConfig, {'scale': 1, 'planes': [8, 16]}, 'my.yaml')
    assert config.scale == 1.0 and isinstance(config.scale, float)
    assert config.planes == (8, 16)


@pytest.mark.parametrize(('values', 'words'), [
    ({'crop_hw': [360]}, "'crop_hw' must be a list of 2 whole numbers, such as [360, 480]"),
    ({'crop_hw': [1, 'x', 3]}, "such as [360, 480], got [1, 'x', 3]"),
    ({'crop_hw': [0, 480]}, "setting 'crop_hw' must be at least 1, got 0"),
    ({'street_size_hw': [1.5, 2]}, "'street_size_hw' must be a list of 2 whole numbers, such "),
    ({'planes': ['a']}, "setting 'planes' must be a list of whole numbers, got ['a']"),
    ({'planes': [True]}, "setting 'planes' must be a list of whole numbers, got [True]"),
    ({'out_of_fold_networks': []}, 'must be a list of texts or null, got []'),
    ({'start_from': ''}, "setting 'start_from' must be text or null, got ''"),
    ({'scales': [1.5, 0.5]}, "setting 'scales' must be the smallest and the largest factor"),
    ({'street_scales': [0, 1]}, "setting 'street_scales' must be the smallest"),
    ({'planes': []}, "setting 'planes' must be a list of whole numbers, got []"),
    ({'splits': 'train'}, "setting 'splits' must be a list of texts, got 'train'"),
    ({'splits': [1]}, "setting 'splits' must be a list of texts, got [1]"),
])
def test_lists_of_a_training_are_looked_into(values, words):
    with pytest.raises(ValueError) as caught:
        from_mapping(TrainConfig, values, 'my.yaml')
    assert words in str(caught.value)


def test_a_written_method_has_the_settings_of_its_method_alone():
    for method, has_merging in (('sparse_refine', False), ('dense', False), ('algm', True)):
        text = to_yaml(settings_of(method)(method), {})
        assert ('merge_layers: [1, 5]' in text) == has_merging
        assert ('window: null' in text) == (method != 'sparse_refine')
        assert read_method(yaml.safe_load(text), 'my.yaml') == settings_of(method)(method)


def test_a_former_name_is_read_with_a_warning_and_its_unset_value_is_null(caplog):
    assert read_method({'alpha_nats': 0.25}, 'my.yaml').alpha == 0.25
    assert "my.yaml: setting 'alpha_nats' is now called 'alpha'" in caplog.text
    assert read_method({'alpha_nats': -1.0}, 'my.yaml').alpha is None
    assert from_mapping(TrainConfig, {'alpha_nats': 0.5}, 'my.yaml').alpha == 0.5
    with pytest.raises(ValueError, match="'alpha_nats' is the former name of 'alpha', which is"):
        read_method({'alpha_nats': 0.25, 'alpha': 0.5}, 'my.yaml')
    with pytest.raises(ValueError, match="'alpha_nats' is for method .*, not 'dense'"):
        read_method({'method': 'dense', 'alpha_nats': 0.25}, 'my.yaml')


def test_settings_of_one_method_become_those_of_another_where_both_have_them():
    config = read_method({'method': 'auto', 'full': 'mine', 'alpha': 0.2, 'engine': 'torch'}, 'x')
    assert as_method('sparse_refine', config).alpha == 0.2
    assert as_method('dense', config).engine == 'torch'


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
        read_method(content, str(path))


@pytest.mark.parametrize('path', sorted((share() / 'config/train').glob('*.yaml')),
                         ids=lambda path: path.name)
def test_the_training_files_that_ship_can_be_read(path):
    from_mapping(TrainConfig, read_yaml(path), str(path))
