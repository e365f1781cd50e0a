# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Start the segmentation node, ready for large images, and RViz if wanted.

    ros2 launch sparse_seg_ros seg.launch.py image:=/camera/image_raw rviz:=true
"""

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetEnvironmentVariable
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import LifecycleNode, Node

from sparse_seg_ros.ros.environment import large_image_settings

SHARE = Path(get_package_share_directory('sparse_seg_ros'))

ARGUMENTS = {  # name: (default, description)
    'namespace': ('', 'namespace of node and topics, such as the name of the camera'),
    'image': ('image', 'topic of the images, without /compressed'),
    'params_file': (str(SHARE / 'config' / 'node.yaml'), 'parameters of the node'),
    'model': ('', 'zoo name, method YAML or weights file; empty: as in params_file'),
    'device': ('', 'cpu, cuda, cuda:0 or auto; empty: as in params_file'),
    'precision': ('', 'fp32, bf16, fp16 or auto; empty: as in params_file'),
    'image_transport': ('', 'raw or compressed; empty: as in params_file'),
    'use_sim_time': ('false', 'true for bags played with --clock'),
    'log_level': ('info', 'debug, info, warn, error'),
    'rviz': ('false', 'start RViz with image, overlay and uncertainty'),
}
OVER_PARAMS_FILE = ('model', 'device', 'precision', 'image_transport')


def make_nodes(context: LaunchContext) -> list:
    """Return node and RViz for the arguments given."""
    given = {name: LaunchConfiguration(name).perform(context) for name in ARGUMENTS}
    sim_time = {'use_sim_time': given['use_sim_time'].lower() == 'true'}
    overrides = {name: given[name] for name in OVER_PARAMS_FILE if given[name]}
    segmentation = LifecycleNode(
        package='sparse_seg_ros', executable='segmentation_node', name='segmentation',
        namespace=given['namespace'], output='screen',
        parameters=[given['params_file'], {**overrides, **sim_time}],
        remappings=[('image', given['image']),
                    ('image/compressed', given['image'] + '/compressed')],
        arguments=['--ros-args', '--log-level', given['log_level']])
    rviz = Node(
        package='rviz2', executable='rviz2', namespace=given['namespace'],
        arguments=['-d', str(SHARE / 'rviz' / 'seg.rviz')], parameters=[sim_time],
        remappings=[('image', given['image'])])
    return [segmentation, rviz] if given['rviz'].lower() == 'true' else [segmentation]


def generate_launch_description() -> LaunchDescription:
    """Return arguments, environment and nodes."""
    return LaunchDescription([
        *(DeclareLaunchArgument(name, default_value=default, description=description)
          for name, (default, description) in ARGUMENTS.items()),
        *(SetEnvironmentVariable(name, value) for name, value in large_image_settings().items()),
        OpaqueFunction(function=make_nodes),
    ])
