# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the arguments of the launch files become, without launch."""

from __future__ import annotations

import pytest

from sparse_seg_ros import launching

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
        ('image/compressed', '/camera/image_raw/compressed'),
        ('camera_info', '/camera/camera_info')]
    assert launching.remappings('image', []) == [
        ('image', 'image'), ('image/compressed', 'image/compressed')]


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


@pytest.mark.parametrize('name, argument, text', [
    ('cameras', '1,2', "argument 'cameras' must be namespaces such as 'front'"),
    ('cameras', 'front,re-ar', "got 're-ar'; use letters, digits and _"),
    ('cameras', 'front,front', "must name every camera once, got 'front' again"),
    ('image_transport', 'theora', "argument 'image_transport' must be one of raw, compressed")])
def test_what_the_node_would_refuse_is_refused_before_it_starts(name, argument, text):
    with pytest.raises(ValueError, match=text):
        launching.parameters(LEFT_OUT | {name: argument})


@pytest.mark.parametrize('image', ['/cam//x', 'image raw', '1/image', '/', 'image:=x'])
def test_a_name_that_is_no_topic_is_refused_with_an_example(image):
    with pytest.raises(ValueError, match='must be a topic such as /camera/image_raw'):
        launching.remappings(image, [])


OTHERS = {
    'empty': ('', 'only of no node'), 'a text': ('just text', 'only of no node'),
    'bare parameters': ('model: demo', 'only of no node'),
    'another node': ('/segmentatoin:\n  ros__parameters: {}', 'only of /segmentatoin;'),
    'another namespace': ('segmentation:\n  ros__parameters: {}', 'only of /segmentation;'),
    'no YAML': ('a: [', 'not valid YAML')}


@pytest.mark.parametrize('text, error', OTHERS.values(), ids=OTHERS)
def test_a_params_file_without_the_node_is_refused_with_the_cure(text, error, tmp_path):
    (path := tmp_path / 'my.yaml').write_text(text)
    with pytest.raises(ValueError, match=error):
        launching.params_file(str(path), launching.full_name('robot'))


@pytest.mark.parametrize('name', ['/**', '/**/segmentation', '/*/segmentation', '/robot/*',
                                  'robot/segmentation', '/robot:\n /segmentation'])
def test_a_params_file_may_name_the_node_in_any_way_of_ros(name, tmp_path):
    (path := tmp_path / 'my.yaml').write_text(f'other:\n ros__parameters: {{}}\n{name}:\n  '
                                              'ros__parameters: {}\n')
    assert launching.params_file(str(path), launching.full_name('robot')) == str(path)


def test_a_folder_is_no_params_file(tmp_path):
    with pytest.raises(FileNotFoundError, match='no settings file'):
        launching.params_file(str(tmp_path), '/segmentation')


def test_the_full_name_of_the_node_has_all_its_namespaces():
    assert launching.full_name('') == launching.full_name('/', '/') == '/segmentation'
    assert launching.full_name('front', '/robot') == '/robot/front/segmentation'
    assert launching.full_name('/front', '/robot') == '/front/segmentation'
