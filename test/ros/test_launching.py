# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the arguments of the launch files become, without launch."""

from __future__ import annotations

import pytest

from sparse_seg_ros.ros import launching

LEFT_OUT = dict.fromkeys((*launching.OVER_PARAMS_FILE, 'autostart', 'cameras'), '') | {
    'use_sim_time': 'false'}


def test_what_is_left_out_leaves_the_params_file_alone():
    assert launching.parameters(LEFT_OUT) == {'use_sim_time': False}


def test_what_is_given_has_the_type_of_its_parameter():
    given = LEFT_OUT | {'model': 'demo', 'reliability': 'best_effort', 'autostart': 'False',
                        'cameras': 'front, rear', 'use_sim_time': 'true'}
    assert launching.parameters(given) == {
        'model': 'demo', 'reliability': 'best_effort', 'autostart': False,
        'cameras': ['front', 'rear'], 'use_sim_time': True}


@pytest.mark.parametrize('text', ['front,rear', ' front , rear ', "['front', 'rear']",
                                  '[front,rear,]'])
def test_cameras_may_be_written_as_a_list_or_not(text):
    assert launching.read_cameras(text) == ['front', 'rear']
    assert launching.read_cameras('') == launching.read_cameras('[]') == []


def test_one_camera_publishes_on_the_topic_named():
    assert launching.remappings('/camera/image_raw', []) == [
        ('image', '/camera/image_raw'),
        ('image/compressed', '/camera/image_raw/compressed')]


def test_several_cameras_publish_on_the_same_name_below_each():
    assert launching.remappings('image_raw', ['front', 'rear']) == [
        ('front/image', 'front/image_raw'),
        ('front/image/compressed', 'front/image_raw/compressed'),
        ('rear/image', 'rear/image_raw'),
        ('rear/image/compressed', 'rear/image_raw/compressed')]


def test_an_absolute_topic_cannot_be_below_every_camera():
    with pytest.raises(ValueError, match='name below every camera, such as image_raw'):
        launching.remappings('/camera/image_raw', ['front', 'rear'])


def test_a_missing_file_and_a_word_that_is_no_switch_are_refused(tmp_path):
    assert launching.existing(str(tmp_path), 'bag') == str(tmp_path)
    with pytest.raises(ValueError, match="params_file '/nowhere.yaml' does not exist"):
        launching.existing('/nowhere.yaml', 'params_file')
    with pytest.raises(ValueError, match="rviz must be true or false, got 'yes'"):
        launching.read_switch('yes', 'rviz')


def test_a_package_that_is_not_installed_is_named_as_debian_names_it(monkeypatch):
    monkeypatch.setenv('ROS_DISTRO', 'jazzy')
    assert not launching.is_installed('no_such_package')
    monkeypatch.delenv('AMENT_PREFIX_PATH', raising=False)
    assert not launching.is_installed('no_such_package')
    assert launching.debian_package('rosbag2_storage_mcap') == 'ros-jazzy-rosbag2-storage-mcap'
