# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Play a bag into the node at the speed of its camera, to see it in RViz and to test latency.

    ros2 launch sparse_seg_ros replay.launch.py bag:=drive image:=/camera/image_raw

Numbers on every frame come from `sparse_seg replay`, which drops none.
"""

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, ExecuteProcess, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration

SHARE = Path(get_package_share_directory('sparse_seg_ros'))

PASSED_ON = {  # name: default
    'image': '/camera/image_raw',
    'model': '',
    'device': '',
    'precision': '',
    'image_transport': '',
    'params_file': str(SHARE / 'config' / 'node.yaml'),
    'log_level': 'info',
    'rviz': 'true',
}


def generate_launch_description() -> LaunchDescription:
    """Return the node under simulated time, and a player that waits for it to load."""
    given = {name: LaunchConfiguration(name) for name in PASSED_ON}
    return LaunchDescription([
        DeclareLaunchArgument('bag', description='rosbag2 folder, .mcap or .db3 file'),
        DeclareLaunchArgument('rate', default_value='1.0', description='speed of playing'),
        DeclareLaunchArgument('delay', default_value='10.0',
                              description='seconds until playing starts: the model loads'),
        *(DeclareLaunchArgument(name, default_value=default, description='see seg.launch.py')
          for name, default in PASSED_ON.items()),
        IncludeLaunchDescription(
            PythonLaunchDescriptionSource(str(SHARE / 'launch' / 'seg.launch.py')),
            launch_arguments={**given, 'use_sim_time': 'true'}.items()),
        ExecuteProcess(output='screen', cmd=[
            'ros2', 'bag', 'play', LaunchConfiguration('bag'), '--clock', '100',
            '--rate', LaunchConfiguration('rate'), '--delay', LaunchConfiguration('delay')]),
    ])
