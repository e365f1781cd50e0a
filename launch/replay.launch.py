# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Play a bag into the node at the speed of its camera, to see it in RViz and to test latency.

    ros2 launch sparse_seg_ros replay.launch.py bag:=drive image:=/camera/image_raw

Numbers on every frame come from `sparse_seg replay`, which drops none.
"""

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import LaunchContext, LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    ExecuteProcess,
    IncludeLaunchDescription,
    OpaqueFunction,
    Shutdown,
)
from launch.events.process import ProcessExited
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration

from sparse_seg_ros import launching

SHARE = Path(get_package_share_directory('sparse_seg_ros'))

PASSED_ON = {  # name: default
    'namespace': '',
    'image': '/camera/image_raw',
    'cameras': '',
    'model': '',
    'device': '',
    'precision': '',
    'image_transport': '',
    'reliability': '',
    'params_file': str(SHARE / 'config' / 'node.yaml'),
    'log_level': 'info',
    'rviz': 'true',
}


def make_player(context: LaunchContext) -> list:
    """Return the player of the bag, whose end is that of the launch if so wanted."""
    values = {name: LaunchConfiguration(name).perform(context)
             for name in ('bag', 'rate', 'delay', 'end_with_bag')}
    if not launching.is_installed('ros2bag'):
        wanted = map(launching.debian_package, ('ros2bag', 'rosbag2_storage_mcap'))
        raise ValueError(f"ros2bag is not installed; install {' and '.join(wanted)}, or use "
                         '`sparse_seg replay`')
    ends = launching.read_switch(values['end_with_bag'], 'end_with_bag')
    return [ExecuteProcess(
        output='screen', on_exit=shut_down if ends else None,
        cmd=['ros2', 'bag', 'play', launching.existing(values['bag'], 'bag'), '--clock', '100',
             '--rate', values['rate'], '--delay', values['delay']])]


def shut_down(event: ProcessExited, context: LaunchContext) -> list:
    """Return what ends the launch with the bag; twice is an error of launch_ros."""
    return [] if context.is_shutdown else [Shutdown(reason='the bag has ended')]


def generate_launch_description() -> LaunchDescription:
    """Return a player that waits for the node to load, and the node under simulated time."""
    values = {name: LaunchConfiguration(name) for name in PASSED_ON}
    return LaunchDescription([
        DeclareLaunchArgument('bag', description='rosbag2 folder, .mcap or .db3 file'),
        DeclareLaunchArgument('rate', default_value='1.0', description='speed of playing'),
        DeclareLaunchArgument('delay', default_value='10.0',
                              description='seconds until playing starts: the model loads'),
        DeclareLaunchArgument('end_with_bag', default_value='true',
                              description='false: node and RViz stay when the bag has ended'),
        *(DeclareLaunchArgument(name, default_value=default, description='see seg.launch.py')
          for name, default in PASSED_ON.items()),
        OpaqueFunction(function=make_player),
        IncludeLaunchDescription(
            PythonLaunchDescriptionSource(str(SHARE / 'launch' / 'seg.launch.py')),
            launch_arguments={**values, 'use_sim_time': 'true'}.items()),
    ])
