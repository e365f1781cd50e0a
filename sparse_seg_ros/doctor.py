# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What this machine has, what that allows, and the command that adds what is missing."""

from __future__ import annotations

import importlib
import os
import platform
import shutil
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparse_seg_ros.files import share
from sparse_seg_ros.texts import LONG, cut

if TYPE_CHECKING:
    from sparse_seg_ros.model_card import ModelCard

GIB = 1 << 30
PACKAGES = {  # import name: (what it is for, command that installs it)
    'rclpy': ('node, demo and node benchmark',
              "source a ROS 2 install, or pip install -e '.[ros]' in an environment without one"),
    'launch_ros': ('ros2 launch', 'it comes with a ROS 2 install: ros-$ROS_DISTRO-launch-ros'),
    'cv_bridge': ('image encodings beyond those that the node converts itself',
                  'sudo apt install ros-$ROS_DISTRO-cv-bridge'),
    'vision_msgs': ('topic segmentation/label_info',
                    'sudo apt install ros-$ROS_DISTRO-vision-msgs'),
    'rosbags': ('replay and demo', 'pip install rosbags'),
    'matplotlib': ('plots of calibrate', 'pip install matplotlib'),
    'onnxruntime': ('engine: onnxruntime', "pip install -e '.[engines]'; for a GPU doc/jetson.md"),
    'onnx': ('export of engines', "pip install -e '.[engines]'"),
    'onnxscript': ('export of engines', "pip install -e '.[engines]'"),
    'tensorrt': ('engine: tensorrt', 'it comes with JetPack: doc/jetson.md'),
    'triton': ('sparse convolution on a GPU', 'pip install triton'),
    'torchsparse': ('sparse convolution on a GPU without Triton',
                    'build version 2.1 of github.com/mit-han-lab/torchsparse'),
    'spconv': ('a rival in bench sparse', "pip install spconv 'cumm<0.8'"),
}
# What a package raises that is not there, lacks a library, or fits no other package here.
BROKEN = (ImportError, OSError, RuntimeError, AttributeError, TypeError, ValueError)


OF_REFINERS = ('refined_by', 'planes', 'patch', 'inputs', 'alpha', 'selector', 'extractor',
               'ensembler')  # fields of a card
OF_SPARSE_REFINE = ('selector', 'extractor', 'ensembler')


@dataclass(frozen=True)
class Finding:
    """One line: is_fine is None for facts that are neither good nor bad."""

    name: str
    is_fine: bool | None
    detail: str
    cure: str = ''


def examine() -> list[Finding]:
    """Look at everything; nothing is changed and nothing here raises."""
    return [python(), machine(), torch_build(), arithmetic(), demo_model(), engines(),
            ros(), *map(package, PACKAGES), large_images()]


def examine_model(name: str) -> list[Finding]:
    """Load a model -> its card, the hashes of its file and network, and its provenance."""
    from sparse_seg_ros.files import file_hash
    from sparse_seg_ros.loading.bases import network_hash
    from sparse_seg_ros.loading.zoo import find_model, terms_of
    model, config, path = find_model(name)
    terms = {'licence': 'unknown; ask those who gave you the weights', 'source': 'unknown',
             **terms_of(model.card, config.weights)}
    facts = {**facts_of(model.card), **terms}
    history = facts.pop('training')
    hashes = {'file': path, **({'file sha256': file_hash(path)} if path.is_file() else {}),
              'tensors sha256': network_hash(model.network)}
    facts = {**hashes, **facts,
             **{f'trained: {stage}': value for stage, value in history.items()}}
    return [Finding(key, None, cut(' '.join(str(value).split()), LONG))
            for key, value in facts.items()]


def facts_of(card: ModelCard) -> dict[str, Any]:
    """Card -> its fields with something in them; a dense model has none of a refiner."""
    facts = asdict(card)
    absent = OF_REFINERS if not card.planes else (
        *(() if card.patch else ('patch',)),
        *(() if card.refined_by == 'sparse_refine' else OF_SPARSE_REFINE))
    return {name: value for name, value in facts.items()
            if name == 'training' or name not in absent and value not in ((), {}, '', None)}


def python() -> Finding:
    """Report the interpreter."""
    return Finding('python', sys.version_info >= (3, 10), platform.python_version(),
                   'use Python 3.10 or newer: make PYTHON=python3.11')


def machine() -> Finding:
    """Report processor, memory, disk and, on a Jetson, its release."""
    memory = os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / GIB
    free = shutil.disk_usage(share()).free / GIB
    words = [platform.machine(), f'{os.cpu_count()} cores', f'{memory:.0f} GiB memory',
             f'{free:.0f} GiB of disk free']
    tegra = Path('/etc/nv_tegra_release')
    if tegra.is_file():
        words.append(tegra.read_text().partition(',')[0].lstrip('# '))
    return Finding('machine', None, ', '.join(words))


def torch_build() -> Finding:
    """Report torch and the GPU it sees."""
    import torch
    if torch.cuda.is_available():
        name, memory = torch.cuda.get_device_name(), torch.cuda.mem_get_info()[1] / GIB
        return Finding('torch', True, f'{torch.__version__}, {name}, {memory:.0f} GiB')
    has_gpu = Path('/dev/nvidia0').exists() or Path('/etc/nv_tegra_release').is_file()
    return Finding('torch', not has_gpu, f'{torch.__version__}, on the CPU',
                   'there is a GPU that this torch cannot use: install the CUDA build for it')


def arithmetic() -> Finding:
    """Report what precision: auto means here."""
    from sparse_seg_ros.device import choose_device, choose_precision
    device = choose_device('auto')
    return Finding('arithmetic', None, f'{choose_precision("auto", device)} on {device}')


def demo_model() -> Finding:
    """Load the demo model; a damaged or missing file says so."""
    from sparse_seg_ros.loading.zoo import load
    try:
        description = load('demo').description
    except (ValueError, OSError) as error:
        return Finding('demo model', False, str(error), 'check out or install the package again')
    return Finding('demo model', True, f"{description['weights']} loads, "
                   f"sha256 {description['weights_hash'][:12]}")


def engines() -> Finding:
    """Report what can run the dense network here, the fastest last."""
    from sparse_seg_ros.engines import with_onnxruntime, with_tensorrt
    names = ['torch']
    for name, ask in (('onnxruntime', with_onnxruntime.providers),
                      ('tensorrt', with_tensorrt.version)):
        try:
            names.append(f'{name} ({ask()})')
        except ImportError:
            continue
    return Finding('engines', None, ', '.join(names))


def ros() -> Finding:
    """Report the ROS distribution and middleware that the environment names."""
    distribution = os.environ.get('ROS_DISTRO')
    middleware = os.environ.get('RMW_IMPLEMENTATION', 'the default middleware')
    if distribution:
        return Finding('ros', True, f'{distribution}, {middleware}')
    return Finding('ros', None, f'no ROS 2 install is sourced, {middleware}')


def package(name: str) -> Finding:
    """Report whether an optional package can be imported, and why not."""
    purpose, cure = PACKAGES[name]
    try:
        importlib.import_module(name)
    except BROKEN as error:
        return Finding(name, False, f'{purpose}: {type(error).__name__}: {error}', cure)
    return Finding(name, True, purpose)


def large_images() -> Finding:
    """Report whether processes of this shell receive best-effort images above 0.5 MB."""
    profile = share() / 'config/fastdds_large_images.xml'
    names = ('FASTDDS_DEFAULT_PROFILES_FILE', 'FASTRTPS_DEFAULT_PROFILES_FILE')
    files = [Path(os.environ[name]) for name in names if os.environ.get(name)]
    if not files:
        return Finding('large images', False, 'no Fast DDS profile in this shell: best-effort '
                       'images above 0.5 MB are lost; the launch files set it for the node only',
                       f'export {names[0]}={profile} (Humble: {names[1]})')
    missing = [str(file) for file in files if not file.is_file()]
    return Finding('large images', not missing, f"profile {', '.join(map(str, files))}"
                   + (' does not exist' if missing else ''), f'export {names[0]}={profile}')
