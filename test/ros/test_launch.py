# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Files that launch files use; the launch files themselves where ROS 2 is installed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import xml.etree.ElementTree as ElementTree
from contextlib import suppress
from pathlib import Path

import pytest
import yaml

from sparse_seg_ros.environment import large_image_settings, private_settings

CHECKOUT = Path(__file__).resolve().parents[2]


def test_the_settings_name_a_profile_that_exists_by_the_variable_of_the_distribution(monkeypatch):
    monkeypatch.setenv('ROS_DISTRO', 'kilted')
    profile = Path(large_image_settings()['FASTDDS_DEFAULT_PROFILES_FILE'])
    assert profile == CHECKOUT / 'config' / 'fastdds_large_images.xml'
    monkeypatch.setenv('ROS_DISTRO', 'humble')
    assert large_image_settings()['FASTRTPS_DEFAULT_PROFILES_FILE'] == str(profile)
    assert private_settings(7)['ROS_DOMAIN_ID'] == '7'


def test_malloc_gets_huge_pages_unless_the_user_has_tunables(monkeypatch):
    monkeypatch.delenv('GLIBC_TUNABLES', raising=False)
    assert large_image_settings()['GLIBC_TUNABLES'] == 'glibc.malloc.hugetlb=1'
    monkeypatch.setenv('GLIBC_TUNABLES', 'glibc.malloc.check=1')
    assert large_image_settings()['GLIBC_TUNABLES'] == 'glibc.malloc.check=1'


def test_the_profile_has_large_buffers_and_is_the_default():
    root = ElementTree.parse(CHECKOUT / 'config' / 'fastdds_large_images.xml')
    space = '{http://www.eprosima.com}'
    assert root.find(f'.//{space}segment_size').text == str(64 * 2 ** 20)
    assert root.find(f'.//{space}receiveBufferSize').text == str(4 * 2 ** 20)
    assert root.find(f'.//{space}participant').get('is_default_profile') == 'true'


def test_rviz_shows_image_overlay_and_uncertainty_on_a_fixed_scale():
    config = yaml.safe_load((CHECKOUT / 'rviz' / 'seg.rviz').read_text())
    displays = {each['Name']: each for each in config['Visualization Manager']['Displays']}
    assert list(displays) == ['Image', 'Overlay', 'Uncertainty']
    uncertainty = displays['Uncertainty']
    assert uncertainty['Topic']['Value'] == 'segmentation/uncertainty'
    assert [uncertainty[key] for key in ('Normalize Range', 'Min Value', 'Max Value')] == [
        False, 0, 1]


def launch_arguments(name: str) -> set[str]:
    """Return the names of a launch file's arguments, where ROS 2's launch is installed."""
    pytest.importorskip('launch_ros')
    index = pytest.importorskip('ament_index_python.packages')
    try:
        index.get_package_share_directory('sparse_seg_ros')
    except index.PackageNotFoundError:
        pytest.skip('sparse_seg_ros is not in the ament index')
    from launch.launch_description_sources import PythonLaunchDescriptionSource
    source = PythonLaunchDescriptionSource(str(CHECKOUT / 'launch' / name))
    return {each.name for each in
            source.try_get_launch_description_without_context().get_launch_arguments()}


@pytest.mark.parametrize('name', ['seg.launch.py', 'replay.launch.py'])
def test_a_launch_file_describes_its_arguments(name):
    assert {'namespace', 'image', 'cameras', 'model', 'device', 'precision', 'params_file',
            'image_transport', 'reliability', 'rviz', 'log_level'} <= launch_arguments(name)


@pytest.mark.parametrize('arguments, text', [
    (['params_file:=/nowhere.yaml'], "params_file '/nowhere.yaml' does not exist"),
    (['log_level:=loud'], '"log_level" provided value "loud" is not valid'),
    (['cameras:=front,rear', 'image:=/camera/image_raw'], 'a name below every camera'),
    (['params_file:=/'], 'no settings file /'),
    (['cameras:=1,2'], "argument 'cameras' must be namespaces"),
    (['rviz:=maybe'], 'rviz must be true or false')])
def test_a_wrong_argument_ends_the_launch_before_anything_starts(arguments, text):
    launch_arguments('seg.launch.py')
    ended = subprocess.run(['ros2', 'launch', 'sparse_seg_ros', 'seg.launch.py', *arguments],
                           capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1 and text in ended.stdout + ended.stderr
    assert 'process started' not in ended.stdout + ended.stderr


def test_the_end_of_a_launch_ends_the_bag_without_an_error(tmp_path):
    launch_arguments('replay.launch.py')
    ros2 = shutil.which('ros2')
    (player := tmp_path / 'ros2').write_text(
        '#!/bin/sh\ntrap "exit 0" INT\necho it plays\nwhile :; do sleep 0.05; done\n')
    player.chmod(0o755)
    package = tmp_path / 'share' / 'ament_index' / 'resource_index' / 'packages' / 'ros2bag'
    package.parent.mkdir(parents=True)
    package.touch()
    launched = subprocess.Popen(
        [ros2, 'launch', 'sparse_seg_ros', 'replay.launch.py', f'bag:={tmp_path}', 'rviz:=false'],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        env={**os.environ, 'PATH': f"{tmp_path}:{os.environ['PATH']}",
             'AMENT_PREFIX_PATH': f"{tmp_path}:{os.environ['AMENT_PREFIX_PATH']}"})
    log = ''
    try:
        while 'it plays' not in log:
            log += (line := launched.stdout.readline())
            assert line, log
        os.killpg(launched.pid, signal.SIGINT)
        log += launched.communicate(timeout=60)[0]
    finally:
        with suppress(ProcessLookupError):
            os.killpg(launched.pid, signal.SIGKILL)
    assert launched.returncode == 0 and 'Caught exception' not in log, log
