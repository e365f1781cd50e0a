# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Start the segmentation node, ready for large images, and RViz if wanted.

    ros2 launch sparse_seg_ros seg.launch.py image:=/camera/image_raw rviz:=true
    ros2 launch sparse_seg_ros seg.launch.py cameras:=front,rear image:=image_raw
"""

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import LaunchContext, LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    LogInfo,
    OpaqueFunction,
    SetEnvironmentVariable,
)
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import LifecycleNode, Node

from sparse_seg_ros import launching
from sparse_seg_ros.environment import large_image_settings

SHARE = Path(get_package_share_directory('sparse_seg_ros'))

ARGUMENTS = {  # name: (default, description)
    'namespace': ('', 'namespace of node and topics, such as the name of the vehicle'),
    'image': ('image', 'topic of the images, without /compressed; with cameras the name below '
              'each of them, such as image_raw'),
    'cameras': ('', 'names of several cameras, such as front,rear; empty: as in params_file'),
    'params_file': (str(SHARE / 'config' / 'node.yaml'), 'parameters of the node'),
    'model': ('', 'zoo name, method YAML or weights file; empty: as in params_file'),
    'method': ('', 'auto, dense, sparse_refine ...; empty: as in params_file'),
    'device': ('', 'cpu, cuda, cuda:0 or auto; empty: as in params_file'),
    'precision': ('', 'fp32, bf16, fp16 or auto; empty: as in params_file'),
    'image_transport': ('', 'raw or compressed; empty: as in params_file'),
    'reliability': ('', 'auto, reliable or best_effort, for the image subscription; empty: as in '
                    'params_file'),
    'autostart': ('', 'false: wait for `ros2 lifecycle set`; empty: as in params_file'),
    'use_sim_time': ('false', 'true for bags played with --clock'),
    'log_level': ('info', 'how much is logged'),
    'rviz': ('false', 'start RViz with image, overlay and uncertainty, of the first camera'),
}
CHOICES = {'log_level': ['debug', 'info', 'warn', 'error', 'fatal']}


def make_nodes(context: LaunchContext) -> list:
    """Return node and RViz for the arguments of the launch; all are checked first."""
    values = {name: LaunchConfiguration(name).perform(context) for name in ARGUMENTS}
    cameras = launching.read_cameras(values['cameras'])
    name = launching.full_name(values['namespace'],
                               context.launch_configurations.get('ros_namespace', ''))
    segmentation = LifecycleNode(
        package='sparse_seg_ros', executable='segmentation_node', name=launching.NODE,
        namespace=values['namespace'], output='screen',
        parameters=[launching.params_file(values['params_file'], name),
                    launching.parameters(values)],
        remappings=launching.remappings(values['image'], cameras),
        arguments=['--ros-args', '--log-level', values['log_level']])
    if not launching.read_switch(values['rviz'], 'rviz'):
        return [segmentation]
    if not launching.is_installed('rviz2'):
        return [LogInfo(msg='rviz2 is not installed, so RViz is not started; install '
                            f"{launching.debian_package('rviz2')}"), segmentation]
    return [segmentation, make_rviz(values, cameras)]


def make_rviz(values: dict[str, str], cameras: list[str]) -> Node:
    """Return RViz, in the namespace of the first camera where there are several."""
    return Node(
        package='rviz2', executable='rviz2',
        namespace='/'.join(part for part in (values['namespace'], *cameras[:1]) if part),
        arguments=['-d', str(SHARE / 'rviz' / 'seg.rviz')],
        parameters=[{'use_sim_time': launching.read_switch(values['use_sim_time'],
                                                           'use_sim_time')}],
        remappings=[('image', values['image'])])


def generate_launch_description() -> LaunchDescription:
    """Return arguments, environment and nodes."""
    return LaunchDescription([
        *(DeclareLaunchArgument(name, default_value=default, description=description,
                                choices=CHOICES.get(name))
          for name, (default, description) in ARGUMENTS.items()),
        *(SetEnvironmentVariable(name, value) for name, value in large_image_settings().items()),
        OpaqueFunction(function=make_nodes),
    ])
