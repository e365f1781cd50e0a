# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The parameters of the ROS node, as settings; config/node.yaml has them all."""

from __future__ import annotations

import re
from dataclasses import dataclass

from sparse_seg_ros.config import Settings, setting
from sparse_seg_ros.messages.status import ONLY_CAMERA
from sparse_seg_ros.methods import method_names

LARGEST_ALPHA = 5.55  # nats: more than the entropy of 256 classes; a model says less when loaded
NAMESPACE = re.compile(r'/?[A-Za-z_]\w*(/[A-Za-z_]\w*)*', re.ASCII)  # of a camera


@dataclass(frozen=True)
class NodeConfig(Settings):
    """Parameters of the ROS node, see config/node.yaml."""

    model: str = setting(
        'demo', 'The model to run: a name in models/zoo.yaml, a method YAML, a weights file or a '
        'Hugging Face folder.', changes='unconfigured')
    method: str | None = setting(
        None, 'How a frame is segmented. null: as the model says. auto: by refinement or at full '
        'resolution, whichever is better on this machine.', choices=method_names,
        changes='unconfigured')
    labels_remap: str | None = setting(
        None, 'A remap of the labels to other classes, which masks, colours and label_info then '
        "have: a name in config/remaps, or a YAML of your own. null: the model's own classes.",
        changes='unconfigured')
    device: str = setting(
        'auto', "The device of torch: 'cpu', 'cuda' or 'cuda:0'. auto takes CUDA if it is there.",
        changes='unconfigured')
    precision: str = setting(
        'auto', 'The arithmetic of the networks. auto takes the fastest safe one on the device.',
        choices=('auto', 'fp32', 'bf16', 'fp16'), changes='unconfigured')
    threads: int | None = setting(
        None, 'The CPU threads of torch. null: as many as other processes leave cores free.',
        at_least=1, at_most=256, changes='live')
    cameras: tuple[str, ...] | None = setting(
        None, 'The namespaces of the cameras. null: one camera, on the topic image.')
    image_transport: str = setting(
        'raw', 'Whether the node subscribes to raw or to compressed images.',
        choices=('raw', 'compressed'))
    reliability: str = setting(
        'auto', 'The reliability of the image subscription. auto follows the publishers.',
        choices=('auto', 'reliable', 'best_effort'))
    autostart: bool = setting(
        True, 'Whether the node configures and activates itself at the start.')
    max_age_seconds: float = setting(
        2.0, 'Images older than this many seconds are dropped as stale, and so are images of '
        'unknown age. 0 keeps all images.', at_least=0.0, at_most=10.0, changes='live')
    max_pixels: int = setting(
        4096 * 2160, 'Images with more pixels than this are dropped before they are decoded.',
        at_least=1, at_most=2 ** 28, changes='live')
    alpha: float | None = setting(
        None, 'Pixels above this entropy in nats, or score of another selector, are refined. '
        "null: the model's own value.", at_least=0.0, at_most=LARGEST_ALPHA, changes='live',
        former='alpha_nats')
    budget: float | None = setting(
        None, 'At most this fraction of the pixels is refined, the most uncertain first. null: '
        "the model's own value.", at_least=0.0, at_most=1.0, changes='live')
    budget_milliseconds: float = setting(
        100.0, 'The timing status warns when a frame takes longer than this many milliseconds.',
        at_least=1.0, at_most=5000.0, changes='live')
    deadline_ms: float | None = setting(
        None, 'Frames should be published within this many milliseconds: each refines only as '
        'much as its time allows. null: no deadline.', at_least=1.0, at_most=5000.0,
        changes='live')
    deadline_from: str = setting(
        'stamp', 'What the deadline counts from: the stamp of an image, or its arrival in the '
        'node.', choices=('stamp', 'arrival'), changes='live')
    camera_deadlines_ms: tuple[float, ...] | None = setting(
        None, 'The deadline of each camera in milliseconds, in the order of cameras; 0.0: none. '
        'null: deadline_ms for all.', at_least=0.0, at_most=5000.0, changes='live')
    camera_weights: tuple[float, ...] | None = setting(
        None, 'The share of the time that each camera has if there is too little for all, in the '
        'order of cameras. null: equal shares.', at_least=0.01, at_most=100.0, changes='live')
    camera_max_hz: tuple[float, ...] | None = setting(
        None, 'The most frames a second of each camera, in the order of cameras; 0.0: no limit. '
        'null: no limits.', at_least=0.0, at_most=1000.0, changes='live')
    workers: int = setting(
        1, 'The number of frames that are segmented at the same time. More than 1 pays only where '
        'one frame leaves cores or the GPU idle.', at_least=1, at_most=16)
    check_pictures: bool = setting(
        True, 'Whether the picture of each camera is checked for faults, such as a frozen or a '
        'covered one.', changes='live')
    publish_uncertainty: bool = setting(
        True, 'Whether segmentation/uncertainty is published.', changes='live')
    uncertainty_encoding: str = setting(
        '32FC1', 'The encoding of segmentation/uncertainty: 32FC1 in [0, 1], or mono8 in 0..255.',
        choices=('32FC1', 'mono8'), changes='live')
    overlay_alpha: float = setting(
        0.5, 'Opacity of the colours in segmentation/overlay, from 0 to 1.', at_least=0.0,
        at_most=1.0, changes='live')
    roi: tuple[int, int, int, int] | None = setting(
        None, 'The region of the images that is segmented: x, y, width and height in pixels. The '
        'outputs have its size. null: the whole image.', at_least=0, changes='live',
        example='[0, 200, 1920, 800]')
    output_scale: float = setting(
        1.0, 'The size of the outputs as a fraction of that of the image, or of its region.',
        at_least=0.05, at_most=1.0, changes='live')
    snapshot_folder: str | None = setting(
        None, 'The folder that ~/snapshot writes to. null: sparse_seg_ros/snapshots in ROS_HOME, '
        'which is ~/.ros where it is not set.')

    def __post_init__(self):
        super().__post_init__()
        if self.roi is not None and not (self.roi[2] and self.roi[3]):
            raise ValueError("setting 'roi' must have a width and a height of at least 1, got "
                             f'{list(self.roi)}; give x, y, width, height')
        cameras = self.cameras or ()
        for camera in cameras:
            check_camera(camera, cameras)
        for name in ('camera_deadlines_ms', 'camera_weights', 'camera_max_hz'):
            values = getattr(self, name)
            if values is not None and len(values) != len(self.namespaces):
                raise ValueError(f'setting {name!r} must have a number for each camera, got '
                                 f'{len(values)} for {len(self.namespaces)}; write them in the '
                                 "order of 'cameras'")

    @property
    def namespaces(self) -> tuple[str, ...]:
        """Namespaces of the cameras; '' for the only one."""
        return self.cameras or ('',)

    def by_camera(self, values: tuple[float, ...] | None) -> dict[str, float]:
        """Return the value of each camera by its name; {} of none."""
        names = [name or ONLY_CAMERA for name in self.namespaces]
        return dict(zip(names, values or ()))

    def deadline_seconds(self) -> dict[str, float]:
        """Return the deadline of each camera that has one, by its name."""
        milliseconds = self.camera_deadlines_ms or \
            (self.deadline_ms or 0.0,) * len(self.namespaces)
        return {name: value / 1e3 for name, value in self.by_camera(milliseconds).items() if value}

    def limits(self) -> dict[str, float]:
        """Return the limits of the refinement that are set here, by name."""
        limits = {'alpha': self.alpha, 'budget': self.budget}
        return {name: value for name, value in limits.items() if value is not None}


def check_camera(camera: str, cameras: tuple[str, ...]) -> None:
    """Raise ValueError unless a camera has a namespace of its own that ROS allows."""
    if camera == '':
        raise ValueError("setting 'cameras' must give every camera a namespace, got '' in "
                         f'{list(cameras)}; name that one, too, or leave it out')
    if not NAMESPACE.fullmatch(camera):
        raise ValueError("setting 'cameras' must be namespaces such as 'front' or 'robot/front', "
                         f'got {camera!r}; use letters, digits and _, and no / at the end')
    if [each.strip('/') for each in cameras].count(camera.strip('/')) > 1:
        raise ValueError(f"setting 'cameras' must name every camera once, got {camera!r} again in "
                         f'{list(cameras)}; leave it out')
