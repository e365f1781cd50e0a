# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The launch file under launch_testing, where ROS 2 has it: it becomes active, and ends well."""

from __future__ import annotations

import unittest
from pathlib import Path

import pytest

pytest.importorskip('launch_testing')
pytest.importorskip('launch_ros')

import launch_testing
from ament_index_python.packages import PackageNotFoundError, get_package_share_directory
from launch import LaunchDescription
from launch.actions import IncludeLaunchDescription, SetEnvironmentVariable
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch_testing.actions import ReadyToTest
from launch_testing.asserts import assertExitCodes

from sparse_seg_ros.environment import private_settings

LAUNCH_FILE = Path(__file__).resolve().parents[2] / 'launch' / 'seg.launch.py'
DOMAIN, READY_SECONDS = 101, 120


@pytest.mark.launch_test
def generate_test_description() -> LaunchDescription:
    """Return what is launched: the demo model on the CPU, in a domain of its own."""
    try:
        get_package_share_directory('sparse_seg_ros')
    except PackageNotFoundError:
        pytest.skip('sparse_seg_ros is not in the ament index')
    return LaunchDescription([
        *(SetEnvironmentVariable(name, value)
          for name, value in private_settings(DOMAIN).items()),
        IncludeLaunchDescription(PythonLaunchDescriptionSource(str(LAUNCH_FILE)),
                                 launch_arguments={'device': 'cpu'}.items()), ReadyToTest()])


class TestWhileItRuns(unittest.TestCase):
    """The node is there."""

    def test_the_node_loads_the_model(self, proc_output):
        proc_output.assertWaitFor('ready after', timeout=READY_SECONDS)


@launch_testing.post_shutdown_test()
class TestAfterShutdown(unittest.TestCase):
    """The node is gone."""

    def test_the_node_ends_with_code_0_and_its_counters(self, proc_info, proc_output):
        assertExitCodes(proc_info)
        launch_testing.asserts.assertInStderr(proc_output, 'final counters: camera: 0 received',
                                              process=None, strict_proc_matching=False)
