# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Speed of dense networks: LRFormer against the SegFormer of its size, in one run."""

from __future__ import annotations

import functools

import torch
from torch import nn
from tqdm import tqdm

from sparse_seg_ros.bench.segformer import SegFormer
from sparse_seg_ros.device import autocast, native_precisions
from sparse_seg_ros.networks import build_network, for_inference
from sparse_seg_ros.timing import interleaved

CLASSES = 19
PAIRS = {'lrformer_t': 'segformer_b1', 'lrformer_s': 'segformer_b2'}


def run(size_hw: tuple[int, int] = (1024, 2048), repeats: int = 5, precision: str = 'auto',
        device: str = 'cpu') -> dict:
    """
    Time one image by both networks of each pair -> figures.

    precision: 'auto' is fp32 and fp16 on CUDA, and all that a CPU multiplies natively.
    """
    several = native_precisions() if device == 'cpu' else ('fp32', 'fp16')
    networks = {name: network for ours, rival in PAIRS.items() for name, network in (
        (ours, for_inference(build_network(ours, CLASSES).eval())),
        (rival, SegFormer(rival, CLASSES).eval()))}
    images = torch.randn(1, 3, *size_hw, device=device)
    images = images.contiguous(memory_format=torch.channels_last)
    rows = []
    for each in tqdm(several if precision == 'auto' else (precision,), 'precisions', leave=False):
        seconds = time_networks(networks, images, each, repeats)
        for ours, rival in PAIRS.items():
            rows.append({'name': ours, 'rival': rival, 'precision': each,
                         'seconds': seconds[ours], 'rival_seconds': seconds[rival],
                         'ratio': seconds[rival] / seconds[ours]})
    return {'size_hw': list(size_hw), 'repeats': repeats, 'torch_device': device,
            'threads': torch.get_num_threads(), 'rows': rows}


def describe(figures: dict) -> str:
    """Figures of `run` -> milliseconds of each pair and their ratio."""
    height, width = figures['size_hw']
    return '\n'.join([
        f'one image {height}x{width}, {CLASSES} classes, median of {figures["repeats"]}, '
        f'{figures["torch_device"]}, {figures["threads"]} threads',
        *(f'{row["name"]} {row["precision"]} {1e3 * row["seconds"]:8.0f} ms | '
          f'{row["ratio"]:.2f}x faster than {row["rival"]} ({1e3 * row["rival_seconds"]:.0f} ms)'
          for row in figures['rows'])])


def time_networks(networks: dict[str, nn.Module], images: torch.Tensor, precision: str,
                  repeats: int) -> dict[str, float]:
    """Return median seconds of each network, taking turns, in one precision."""
    for network in networks.values():
        network.to(images.device, memory_format=torch.channels_last)
    with torch.inference_mode(), autocast(images.device, precision):
        return interleaved({name: functools.partial(network, images)
                            for name, network in networks.items()}, repeats, device=images.device)
