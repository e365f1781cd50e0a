# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The package for colcon (build type ament_python) and pip alike."""

from pathlib import Path

from setuptools import find_packages, setup

NAME = 'sparse_seg_ros'
SHARE = f'share/{NAME}'
DATA_FOLDERS = ('launch', 'config', 'config/labels', 'config/remaps', 'config/thresholds',
                'config/train', 'config/ablate', 'models', 'rviz', 'foxglove')

ROS_WHEELS = [f'ros-{name}' for name in (
    'rclpy', 'rmw-fastrtps-cpp', 'sensor-msgs', 'diagnostic-msgs', 'lifecycle-msgs',
    'rcl-interfaces', 'std-msgs', 'std-srvs')]
TRANSFORMERS = ['transformers>=5.20', 'scipy']
ON_PC = "platform_machine == 'x86_64' and python_version < '3.14'"
# Export to ONNX, and its check; on a GPU onnxruntime is another wheel: doc/jetson.md.
ENGINES = ['torch>=2.6', 'onnx', 'onnxscript', 'onnxruntime']


def files_in(folder: str) -> list[str]:
    """Return the files of a data folder, those that ship."""
    return sorted(str(path) for path in Path(folder).glob('*')
                  if path.is_file() and not path.name.startswith('.'))


setup(
    name=NAME,
    version='0.1.0',
    description='High-resolution semantic segmentation of camera topics in ROS 2',
    long_description='Dense at low resolution, sparse at full resolution where it is unsure.',
    maintainer='sparse_seg_ros maintainers',
    maintainer_email='maintainers@sparse-seg-ros.example.com',
    license='Apache-2.0',
    packages=find_packages(include=[NAME, f'{NAME}.*']),
    package_data={NAME: ['py.typed', '*/*.html']},
    data_files=[
        ('share/ament_index/resource_index/packages', [f'resource/{NAME}']),
        (SHARE, ['package.xml']),
        *((f'{SHARE}/{folder}', files_in(folder)) for folder in DATA_FOLDERS),
    ],
    python_requires='>=3.10',
    install_requires=[
        'setuptools', 'torch>=2.4', 'numpy', 'opencv-python-headless', 'PyYAML', 'safetensors',
        'rosbags>=0.11', 'lz4', "backports.zstd; python_version < '3.14'", 'tqdm', 'jinja2',
    ],
    extras_require={
        # Real rclpy over real DDS without a ROS install; never beside one.
        'ros': [f'{wheel}; {ON_PC}' for wheel in ROS_WHEELS],
        'plot': ['matplotlib'],
        'curves': ['tensorboard'],  # of a training, and figures of evaluations
        'mlflow': ['mlflow-skinny'],  # the same figures
        'fleet': ['ray'],  # evaluate --bags on a cluster
        'video': ['av'],  # MP4 that browsers play
        # SegFormer and Mask2Former; NETWORKS has others that need nothing.
        'networks': TRANSFORMERS,
        'engines': ENGINES,
        # spconv is a second opinion for the tests of the sparse convolution and a rival in bench;
        # Triton's kernels are interpreted where there is no GPU.
        'test': ['matplotlib', 'tensorboard', 'pytest', 'hypothesis', 'ruff',
                 'basedpyright', *TRANSFORMERS,
                 'torchmetrics', 'scikit-learn',  # what metrics are compared with
                 *ENGINES, f'spconv; {ON_PC}', f'cumm<0.8; {ON_PC}', f'triton; {ON_PC}',
                 "av; python_version >= '3.11'"],
    },
    entry_points={'console_scripts': [
        f'segmentation_node = {NAME}.ros.run_node:main',
        f'sparse_seg = {NAME}.commands:main',
    ]},
)
