# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
ONNX Runtime against eager torch on the CPU: agreement, difference and speed, in one run.

Networks other than the demo model have random weights, which make poor tests: norms that do
nothing, deep blocks scaled to almost nothing, one class that wins everywhere. So constant
parameters are drawn anew, and the logits of each class are shifted and scaled, inside what is
exported, to mean 0 and deviation 1 over the images: then every class wins somewhere, and plain
agreement of labels and differences in units of the logits' deviation mean something.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch
from torch import Tensor, nn
from tqdm import tqdm

from sparse_seg_ros.engines.activation import Job, activate
from sparse_seg_ros.engines.network import copy_attributes
from sparse_seg_ros.engines.self_check import make_images
from sparse_seg_ros.engines.with_torch import TorchEngine
from sparse_seg_ros.networks import build_network, padded_size
from sparse_seg_ros.timing import interleaved

CLASSES = 19
LEAST_DEVIATION = 1e-2  # of a class's logits
TELLING_APART = {  # in SegViT and Mask2Former; too small at birth, all classes tie: enlarged by
    'decoder.head.weight': 7,
    **{f'decoder.stages.{stage}.blocks.2.query.weight': 4 for stage in range(3)},
    'class_predictor.weight': 10, 'mask_embedder.2.0.weight': 40}


class Spread(nn.Module):
    """A network whose logits have mean 0 and deviation 1 in each class over some images."""

    def __init__(self, network: nn.Module, images: Tensor):
        super().__init__()
        self.network = network
        copy_attributes(network, self)
        with torch.no_grad():
            logits = network(images)
        deviation, mean = torch.std_mean(logits, dim=(0, 2, 3), keepdim=True)
        self.register_buffer('shift', mean)
        # a class that wins nowhere hardly varies: enlarging it would only enlarge rounding errors
        self.register_buffer('deviation', deviation.clamp(min=LEAST_DEVIATION))

    def forward(self, images: Tensor) -> Tensor:
        return (self.network(images) - self.shift) / self.deviation


@torch.no_grad()
def enliven(network: nn.Module, seed: int = 0) -> nn.Module:
    """
    Draw the vectors that are constant at first again, in place: norms, biases, layer scales.

    Layer scales (small at birth) are drawn around 0.1: with more, gated blocks grow to infinity.
    """
    generator = torch.Generator().manual_seed(seed)
    for tensor in network.state_dict().values():
        if tensor.ndim == 1 and tensor.is_floating_point() and (tensor == tensor[0]).all():
            drawn = torch.rand(tensor.shape, generator=generator) + 0.5  # 0.5 .. 1.5
            if tensor[0] == 0:  # a bias
                drawn = (drawn - 1) / 5
            elif tensor[0] < 0.1:  # a layer scale
                drawn = drawn / 10
            tensor.copy_(drawn)
    return network.eval()


def run(names: list[str], sizes: list[tuple[int, int]], repeats: int = 10) -> dict:
    """Measure networks by name ('demo' is the demo model's) at sizes -> figures."""
    pairs = tqdm([(name, size_hw) for name in names for size_hw in sizes], 'engines', leave=False)
    rows = [attempt(name, size_hw, repeats) for name, size_hw in pairs]
    return {'repeats': repeats, 'precision': 'fp32', 'threads': torch.get_num_threads(),
            'rows': rows}


def describe(figures: dict) -> str:
    """Figures of `run` -> a table."""
    return '\n'.join([
        f'median of {figures["repeats"]}, {figures["precision"]}, {figures["threads"]} threads',
        '| network | input | labels equal | widest tie | mean difference | largest | torch ms | '
        'onnxruntime ms | times faster |',
        '| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |',
        *map(describe_row, figures['rows'])])


def describe_row(row: dict) -> str:
    """Return the row of one network at one size, or the reason why it has no engine."""
    head = f"| {row['network']} | {row['size_hw'][0]}x{row['size_hw'][1]} |"
    if 'failed' in row:
        return f"{head} {row['failed']} | | | | | | |"
    return (f"{head} {row['labels_equal']:.3%} | {row['widest_tie']:.1e} | "
            f"{row['mean_difference']:.1e} | {row['largest_difference']:.1e} | "
            f"{row['milliseconds']['torch']:.1f} | {row['milliseconds']['onnxruntime']:.1f} | "
            f"{row['ratio']:.2f} |")


def attempt(name: str, size_hw: tuple[int, int], repeats: int) -> dict:
    """Measure one network; one that has no engine is a row with the reason, and stops no other."""
    try:
        return measure(name, size_hw, repeats)
    except (ValueError, RuntimeError) as error:
        return {'network': name, 'size_hw': list(size_hw), 'failed': str(error)}


def measure(name: str, size_hw: tuple[int, int], repeats: int) -> dict:
    """Build the engine of one network for one size, time it against torch -> its row."""
    network = make_network(name)
    shape = (1, 3, *padded_size(network, size_hw))
    images = make_images(shape, network.mean, network.std)
    if name != 'demo':
        network = Spread(network, images).eval()
    with tempfile.TemporaryDirectory() as folder:
        engine, agreement = activate(Job(network, 'onnxruntime', shape, 'fp32', 'cpu',
                                         network.mean, network.std, Path(folder)))
    eager = TorchEngine(network)
    last = images.contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        seconds = interleaved({'torch': lambda: eager(last), 'onnxruntime': lambda: engine(last)},
                              repeats)
    return {'network': name, 'size_hw': list(shape[2:]), 'labels_equal': agreement.labels,
            'widest_tie': agreement.widest_tie, 'mean_difference': agreement.mean_difference,
            'largest_difference': agreement.largest_difference, 'about': engine.about,
            'milliseconds': {kind: 1e3 * spent for kind, spent in seconds.items()},
            'ratio': seconds['torch'] / seconds['onnxruntime']}


def make_network(name: str) -> nn.Module:
    """Name -> network in evaluation mode, with the demo model's weights or random ones."""
    if name == 'demo':
        from sparse_seg_ros.loading.zoo import find_model
        return find_model('demo')[0].network
    torch.manual_seed(0)
    network = enliven(build_network(name, CLASSES))
    for key, tensor in network.state_dict().items():
        for ending, factor in TELLING_APART.items():
            if key.endswith(ending):
                tensor.mul_(factor)
    return network
