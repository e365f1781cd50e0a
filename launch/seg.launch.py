# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Start the segmentation node, ready for large images, and RViz if wanted.

    ros2 launch sparse_seg_ros seg.launch.py image:=/camera/image_raw rviz:=true
"""

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, SetEnvironmentVariable
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import LifecycleNode, Node
from launch_ros.parameter_descriptions import ParameterValue

from sparse_seg_ros.ros.environment import large_image_settings

SHARE = Path(get_package_share_directory('sparse_seg_ros'))

ARGUMENTS = {  # name: (default, description)
    'namespace': ('', 'namespace of node and topics, such as the name of the camera'),
    'image': ('image', 'topic of the images, without /compressed'),
    'model': ('demo', 'zoo name, method YAML or weights file'),
    'device': ('auto', 'cpu, cuda, cuda:0 or auto'),
    'precision': ('auto', 'fp32, bf16, fp16 or auto'),
    'image_transport': ('raw', 'raw or compressed'),
    'params_file': (str(SHARE / 'config' / 'node.yaml'), 'all other parameters'),
    'use_sim_time': ('false', 'true for bags played with --clock'),
    'log_level': ('info', 'debug, info, warn, error'),
    'rviz': ('false', 'start RViz with image, overlay and uncertainty'),
}


def generate_launch_description() -> LaunchDescription:
    """Return node, environment and arguments."""
    given = {name: LaunchConfiguration(name) for name in ARGUMENTS}
    sim_time = ParameterValue(given['use_sim_time'], value_type=bool)
    texts = {name: ParameterValue(given[name], value_type=str)
             for name in ('model', 'device', 'precision', 'image_transport')}
    return LaunchDescription([
        *(DeclareLaunchArgument(name, default_value=default, description=description)
          for name, (default, description) in ARGUMENTS.items()),
        *(SetEnvironmentVariable(name, value) for name, value in large_image_settings().items()),
        LifecycleNode(
            package='sparse_seg_ros', executable='segmentation_node', name='segmentation',
            namespace=given['namespace'], output='screen',
            parameters=[given['params_file'], {**texts, 'use_sim_time': sim_time}],
            remappings=[('image', given['image']),
                        ('image/compressed', (given['image'], '/compressed'))],
            arguments=['--ros-args', '--log-level', given['log_level']]),
        Node(
            package='rviz2', executable='rviz2', namespace=given['namespace'],
            arguments=['-d', str(SHARE / 'rviz' / 'seg.rviz')],
            remappings=[('image', given['image'])],
            parameters=[{'use_sim_time': sim_time}], condition=IfCondition(given['rviz'])),
    ])
