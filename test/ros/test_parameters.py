# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Parameters: strict overrides, descriptors, live changes."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import yaml

pytest.importorskip('rclpy')

from rcl_interfaces.srv import DescribeParameters, SetParameters
from rclpy.parameter import Parameter
from tiny import tiny_model

from sparse_seg_ros.config import choices_of, hints, parts_of
from sparse_seg_ros.loading.checkpoints import save_model
from sparse_seg_ros.methods.request import Limit
from sparse_seg_ros.node_config import LARGEST_ALPHA, NodeConfig
from sparse_seg_ros.ros.node import load_model
from sparse_seg_ros.ros.parameters import SETTINGS

NODE_YAML = Path(__file__).parents[2] / 'config' / 'node.yaml'

BAD = [
    ({'max_age_secnds': 1.0},
     "unknown parameter 'max_age_secnds'; did you mean 'max_age_seconds'?"),
    ({'max_age_seconds': 1}, "'max_age_seconds' must be a double, got the integer 1; write 1.0"),
    ({'overlay_alpha': 1.5}, "parameter 'overlay_alpha' must be at most 1.0, got 1.5"),
    ({'precision': 'fp8'}, "'precision' must be one of auto, fp32, bf16, fp16; got 'fp8'"),
    ({'autostart': 'yes'}, "parameter 'autostart' must be true or false, got 'yes'"),
    ({'max_age_seconds': 60.0}, "parameter 'max_age_seconds' must be at most 10.0, got 60.0"),
    ({'cameras': ['front', 'front']}, "parameter 'cameras' must name every camera once, got "
     "'front' again in ['front', 'front']; leave it out"),
    ({'cameras': ['front', '/front']}, "must name every camera once, got 'front' again"),
    ({'cameras': ['', 'rear']}, "must give every camera a namespace, got '' in ['', 'rear']"),
    ({'cameras': ['my camera']}, "got 'my camera'; use letters, digits and _"),
    ({'cameras': ['front', 'rear'], 'camera_weights': [1.0]}, "parameter 'camera_weights' must "
     "have a number for each camera, got 1 for 2; write them in the order of 'cameras'"),
    ({'camera_max_hz': [1.0, 2.0]}, "'camera_max_hz' must have a number for each camera"),
    ({'camera_deadlines_ms': [-1.0]}, "'camera_deadlines_ms' must be at least 0.0 or null"),
    ({'camera_weights': [0.0]}, "'camera_weights' must be at least 0.01 or null, got 0.0"),
    ({'deadline_from': 'end'}, "'deadline_from' must be one of stamp, arrival; got 'end'"),
    ({'workers': 0}, "parameter 'workers' must be at least 1, got 0"),
    ({'cameras': ['front/']}, "got 'front/'; use letters, digits and _, and no / at the end"),
]


@pytest.mark.parametrize(('overrides', 'text'), BAD)
def test_a_bad_override_is_an_error_with_its_cure(ros, overrides, text):
    with pytest.raises(ValueError) as caught:
        ros.segmentation(**overrides)
    assert text in str(caught.value)


def test_overrides_become_the_configuration(ros):
    node = ros.segmentation(cameras=['front', 'rear'], max_age_seconds=2.0, use_sim_time=False)
    assert node.config == NodeConfig(cameras=('front', 'rear'), max_age_seconds=2.0)


def test_a_parameter_without_a_value_is_an_error_that_names_the_default(ros):
    text = "'model' must have a value, got none or an empty list; its default is 'demo'"
    with pytest.raises(ValueError, match=text):
        ros.segmentation(model=None)


@pytest.mark.parametrize('null', ['null', '~'])  # as null of YAML arrives
def test_no_cameras_are_one_camera(ros, null):
    assert ros.segmentation(cameras=null).config == NodeConfig()


def test_a_former_name_is_taken_with_a_warning_unless_both_are_given(ros, capfd):
    assert ros.segmentation(alpha_nats=0.25).config.alpha == 0.25
    assert "parameter 'alpha_nats' is now called 'alpha'" in capfd.readouterr().err
    with pytest.raises(ValueError, match="'alpha_nats' is the former name of parameter 'alpha'"):
        ros.segmentation(alpha_nats=0.25, alpha=0.3)


def test_a_parameter_that_is_null_has_a_value_that_can_be_loaded_again(ros):
    node = ros.segmentation()
    values = {name: node.get_parameter(name).value for name in ('alpha', 'budget', 'cameras')}
    assert set(values.values()) == {'null'}
    assert ros.segmentation(**values).config == NodeConfig()
    deleted = set_parameter(ros, 'budget', None)
    assert not deleted.successful and 'must have a value' in deleted.reason
    assert node.has_parameter('budget')


def set_parameter(ros, name, value):
    request = [Parameter(name, value=value).to_parameter_msg()]
    return ros.call(SetParameters, 'segmentation/set_parameters', parameters=request).results[0]


def test_live_changes_apply_and_bad_ones_are_rejected_with_a_reason(ros):
    node = ros.segmentation()
    assert set_parameter(ros, 'overlay_alpha', 0.25).successful
    assert node.config.overlay_alpha == 0.25
    for name, value, text in (
            ('overlay_alpha', 2.0, 'overlay_alpha'), ('max_age_seconds', 1, 'max_age_seconds'),
            ('uncertainty_encoding', 'mono16', 'must be one of 32FC1, mono8'),
            ('autostart', False, 'read-only')):
        result = set_parameter(ros, name, value)
        assert not result.successful and text in result.reason, result.reason
    assert node.config == NodeConfig(overlay_alpha=0.25)


def test_the_model_can_be_corrected_while_the_node_is_unconfigured(ros):
    from ros_fakes import make_segmenter

    def load(config):
        if config.model != 'demo':
            raise FileNotFoundError(f'no model {config.model}')
        return make_segmenter()

    node = ros.segmentation(load, model='/nowhere', device='cpu')
    node.autostart()
    assert node.error.endswith('no model /nowhere')
    assert not set_parameter(ros, 'precision', 'fp8').successful
    for name, value in (('model', 'demo'), ('device', 'auto'), ('precision', 'fp32')):
        assert set_parameter(ros, name, value).successful
    node.trigger_configure()
    assert (node.state, node.config) == ('inactive', NodeConfig(precision='fp32'))
    result = set_parameter(ros, 'model', 'other')
    assert not result.successful and result.reason == (
        "parameter 'model' can change only while the node is unconfigured, it is inactive; "
        'clean the node up first')
    node.trigger_cleanup()
    assert set_parameter(ros, 'model', 'other').successful


@pytest.mark.parametrize('name', ['alpha', 'budget'])
def test_a_limit_is_rejected_for_a_model_without_refinement(ros, name):
    from ros_fakes import make_segmenter

    node = ros.segmentation(load=lambda config: make_segmenter(alpha=None))
    node.trigger_configure()
    result = set_parameter(ros, name, 0.5)
    assert not result.successful and 'needs a model with refinement' in result.reason


def test_limits_are_kept_for_refinement_where_auto_has_taken_full_resolution(ros):
    from ros_fakes import make_segmenter
    from ros_images import connect, image, serve

    segmenter = make_segmenter(alpha=None)
    segmenter.choice = 'auto takes full resolution'
    node = ros.segmentation(load=lambda config: segmenter, method='auto', budget=0.5)
    warnings = []
    node.get_logger().warning = warnings.append
    node.autostart()
    assert node.state == 'active'
    assert serve(ros, node, connect(ros), image()).published == 1
    assert set_parameter(ros, 'threads', 1).successful
    assert [text.partition(';')[0] for text in warnings] == [
        'budget 0.5 has no effect: method auto took full resolution']
    assert set_parameter(ros, 'alpha', 0.4).successful
    assert warnings[1].startswith('alpha 0.4 has no effect') and len(warnings) == 2


def test_the_model_is_loaded_under_the_method_of_the_parameter(ros, tmp_path):
    save_model(tiny_model(), tmp_path / 'tiny.safetensors')
    config = NodeConfig(model=str(tmp_path / 'tiny.safetensors'), method='dense', device='cpu')
    assert load_model(config).description['method'] == 'dense'


def test_method_auto_compares_under_the_limits_of_the_parameters(monkeypatch):
    import sparse_seg_ros

    loaded = []
    monkeypatch.setattr(sparse_seg_ros, 'load', lambda *words: loaded.append(words))
    load_model(NodeConfig(method='auto', budget=0.05))
    assert loaded == [('demo', 'auto', 'auto', 'auto', {'budget': 0.05})]


def test_a_threshold_above_the_largest_score_of_the_model_is_rejected(ros):
    node = ros.segmentation()
    node.trigger_configure()
    result = set_parameter(ros, 'alpha', 0.7)
    assert not result.successful
    assert 'alpha out of range' in result.reason and '0.693' in result.reason
    assert set_parameter(ros, 'alpha', 0.6).successful


def test_a_threshold_above_the_largest_score_of_a_model_keeps_it_from_being_configured(ros):
    node = ros.segmentation(alpha=0.7)
    node.trigger_configure()
    assert 'alpha must be from 0 to 0.693 nats, got 0.7' in node.error


def most_alpha(ros) -> float:
    described = ros.call(DescribeParameters, 'segmentation/describe_parameters', names=['alpha'])
    return described.descriptors[0].floating_point_range[0].to_value


def test_the_slider_of_the_threshold_ends_where_the_scores_of_the_model_end(ros):
    node = ros.segmentation(alpha=0.5)
    assert most_alpha(ros) == LARGEST_ALPHA > math.log(255)
    node.trigger_configure()
    assert most_alpha(ros) == pytest.approx(math.log(2), abs=1e-3)
    assert node.get_parameter('alpha').value == node.config.alpha == 0.5
    node.trigger_cleanup()
    assert most_alpha(ros) == LARGEST_ALPHA
    assert set_parameter(ros, 'alpha', 2.0).successful  # the next model may have more classes


def test_a_method_without_a_threshold_may_have_a_budget(ros):
    node = ros.segmentation()
    node.trigger_configure()
    node.segmenter.method.limits = lambda: {'budget': Limit(1.0, 1.0)}  # as of PointRend
    assert set_parameter(ros, 'budget', 0.5).successful


def test_limits_are_checked_while_the_model_goes(ros):
    node = ros.segmentation()
    node.trigger_configure()

    def go():
        node.segmenter = None
        return {'alpha': Limit(1.0, 0.3)}

    node.segmenter.method.limits = go
    assert set_parameter(ros, 'alpha', 0.5).successful and node.segmenter is None


LIVE = [name for name, item in SETTINGS.items() if item.metadata['changes'] == 'live']
SAMPLES = {bool: [True, False], int: [1, 3], float: [0.5, 1.0, 100.0]}
WRONG = {bool: [1, 'yes'], int: [-1, 0.5, True, 'many'], float: [-1.0, 1, math.nan, math.inf, 'x'],
         str: [1, 'nonsense']}


def samples(name: str) -> list:
    """Return values that suit a parameter, by its type and range or choices."""
    item = SETTINGS[name]
    hint, may_be_null = parts_of(hints(NodeConfig)[name])
    least, most = item.metadata['at_least'], item.metadata['at_most']
    values = [value for value in SAMPLES.get(hint, choices_of(item))
              if hint is bool or least is None or least <= value <= most]
    return values + ['null'] * may_be_null


@pytest.mark.parametrize('name', [name for name in LIVE
                                  if parts_of(hints(NodeConfig)[name])[0] in WRONG])
def test_every_live_parameter_is_taken_by_the_next_frame_or_refused_with_a_reason(ros, name):
    node = ros.segmentation()
    node.trigger_configure()
    for value in samples(name):
        result, = node.set_parameters([Parameter(name, value=value)])
        expected = None if value == 'null' else value
        if result.successful:
            assert getattr(node.config, name) == expected
        else:
            assert value == 1.0 and name == 'alpha' and result.reason  # beyond this model
    before = node.config
    for value in WRONG[parts_of(hints(NodeConfig)[name])[0]]:
        result, = node.set_parameters([Parameter(name, value=value)])
        assert not result.successful and name in result.reason, (value, result.reason)
    assert node.config is before or node.config == before


def test_every_number_that_can_change_has_a_range_for_a_slider(ros):
    ros.segmentation()
    numbers = [name for name in LIVE if parts_of(hints(NodeConfig)[name])[0] in (int, float)]
    found = ros.call(DescribeParameters, 'segmentation/describe_parameters', names=numbers)
    assert numbers and [each.name for each in found.descriptors
                        if not each.floating_point_range and not each.integer_range] == []


def test_every_parameter_describes_itself(ros):
    ros.segmentation()
    found = ros.call(DescribeParameters, 'segmentation/describe_parameters',
                     names=list(SETTINGS)).descriptors
    for descriptor in found:
        assert descriptor.description
        may_change = SETTINGS[descriptor.name].metadata['changes'] != 'never'
        assert descriptor.read_only != may_change
    ranges = {each.name: each.floating_point_range for each in found}
    assert ranges['overlay_alpha'][0].to_value == 1.0
    for name, (span,) in ((name, each) for name, each in ranges.items() if each):
        assert span.to_value - span.from_value <= 5000.0, f'{name} is useless as a slider'


def test_node_yaml_is_complete_at_the_defaults_and_every_line_is_commented(ros):
    values = yaml.safe_load(NODE_YAML.read_text())['/**']['ros__parameters']
    assert set(values) == set(SETTINGS)
    words = {name: 'null' if value is None else value for name, value in values.items()}
    assert ros.segmentation(**words).config == NodeConfig()  # as rcl reads null
    lines = NODE_YAML.read_text().partition('ros__parameters:\n')[2].splitlines()
    assert all('  # ' in line for line in lines)
