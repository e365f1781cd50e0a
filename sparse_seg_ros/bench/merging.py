# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Speed of a network whose tokens merge, against itself unmerged and against merging elsewhere.

All take turns in one run, on the same weights: ALGM as a whole, its two halves (Table 5b), the
rival that merges a few tokens in every layer, and those that cluster tokens in the layer of the
global merging. Weights are random, so rule 'share' sets the numbers of tokens to those of the
paper: of 1025 tokens about 640 stay after the local and 500 after the global merging. The rivals
end with about the same number as ALGM.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode
from tqdm import tqdm

from sparse_seg_ros.device import autocast
from sparse_seg_ros.methods import algm
from sparse_seg_ros.networks import build_network
from sparse_seg_ros.networks.vit.segmenter_vit import SegmenterViT
from sparse_seg_ros.timing import Stopwatch, interleaved

WHOLE = algm.Merging(rule='share')
TOME = 'global in layers 1 to 12 (ToMe)'
RIVALS = {
    'no merging': None,
    'local, then global (ALGM)': WHOLE,
    'local only': algm.Merging((1, 0), rule='share'),
    'global only': algm.Merging((0, 5), rule='share'),
    TOME: algm.Merging(rule='every'),
    'clusters in layer 5 (ELViT)': algm.Merging(rule='elvit'),
    'peaks in layer 5 (AiluRus)': algm.Merging(rule='ailurus'),
    'medoids in layer 5 (Token Pooling)': algm.Merging((0, 5), rule='pooling'),
}


@dataclass(frozen=True)
class Setting:
    """What is timed, and how."""

    network: str = 'segmenter_s'
    classes: int = 150
    sizes_hw: Sequence[tuple[int, int]] = ((512, 512), (768, 768))
    batches: Sequence[int] = (1, 8)
    repeats: int = 5
    device: str = 'cpu'
    precision: str = 'fp32'


def run(setting: Setting) -> dict:
    """Measure images per second, token counts, multiplications and overheads -> figures."""
    torch.manual_seed(0)
    network = build_network(setting.network, setting.classes).eval().to(setting.device)
    rows, overheads = [], []
    with torch.inference_mode(), autocast(setting.device, setting.precision):
        for size_hw in tqdm(setting.sizes_hw, 'sizes', leave=False):
            for batch in setting.batches:
                images = torch.randn(batch, 3, *size_hw, device=setting.device)
                rows += time_rivals(network, images, setting)
            overheads.append(measure_overhead(network, size_hw, setting))
    algm.remove(network)
    return {'network': setting.network, 'precision': setting.precision,
            'repeats': setting.repeats, 'threads': torch.get_num_threads(), 'rows': rows,
            'overhead': overheads}


def describe(figures: dict) -> str:
    """Figures of `run` -> a line for each way of merging, and what merging itself takes."""
    lines = ['{network}, {precision}, {threads} threads, median of {repeats}'.format_map(figures)]
    for overhead in figures['overhead']:
        size = overhead['size']
        lines += [describe_row(row) for row in figures['rows'] if row['size'] == size]
        lines.append(f'{size} merging itself takes {overhead["fraction"]:.1%} of the backbone')
    return '\n'.join(lines)


def describe_row(row: dict) -> str:
    """Return the line of one way of merging."""
    return (f"{row['size']} batch {row['batch']} {row['merging']:34} "
            f"{row['images_per_second']:7.2f} images/s {row['ratio']:5.2f}x  "
            f"{row['giga_macs']:6.1f} GMACs  tokens {row['tokens'][0]} .. {row['tokens'][-1]}")


def time_rivals(network: SegmenterViT, images: Tensor, setting: Setting) -> list[dict]:
    """Time all ways of merging on the same images, taking turns -> a row each."""
    ways = {**RIVALS, TOME: as_many_in_every_layer(network, images[:1])}
    counts = {}

    def call(name: str) -> None:
        put(network, ways[name])
        network(images)
        if images.is_cuda:
            torch.cuda.synchronize()
        counts[name] = algm.token_counts(network)[0]

    calls = {name: lambda name=name: call(name) for name in ways}
    seconds = interleaved(calls, setting.repeats)
    return [{'merging': name, 'size': 'x'.join(map(str, images.shape[2:])), 'batch': len(images),
             'images_per_second': len(images) / spent,
             'ratio': seconds['no merging'] / spent,
             'giga_macs': count_macs(setting, ways[name], images.shape[2:]),
             'tokens': counts[name]} for name, spent in seconds.items()]


def as_many_in_every_layer(network: SegmenterViT, image: Tensor) -> algm.Merging:
    """Return the rival that ends with about as many tokens as ALGM does."""
    algm.apply(network, WHOLE)
    first = 1 + image.shape[2] * image.shape[3] // network.encoder.patch_size ** 2
    network(image)
    counts = algm.token_counts(network)[0]
    return algm.Merging(rule='every', tokens_per_layer=round((first - counts[-1]) / len(counts)))


def put(network: SegmenterViT, merging: algm.Merging | None) -> None:
    """Apply a way of merging, or none."""
    if merging is None:
        algm.remove(network)
    else:
        algm.apply(network, merging)


def count_macs(setting: Setting, merging: algm.Merging | None, size_hw: Sequence[int]) -> float:
    """Return giga multiply-adds of one image, with those that compare tokens by products."""
    with torch.device('meta'):
        network = build_network(setting.network, setting.classes).eval()
        image = torch.empty(1, 3, *size_hw)
    put(network, merging)
    with FlopCounterMode(display=False) as counter:
        network(image)
    return counter.get_total_flops() / 2e9


def measure_overhead(network: SegmenterViT, size_hw: tuple[int, int], setting: Setting) -> dict:
    """Return the time of merging as a fraction of that of the backbone around it."""
    images = torch.randn(1, 3, *size_hw, device=setting.device)
    fractions = []
    for _ in range(setting.repeats + 1):
        clock = Stopwatch(setting.device)
        algm.apply(network, WHOLE)
        network.encoder.merges = {layer: timed(merge, clock)
                                  for layer, merge in network.encoder.merges.items()}
        with clock('backbone'):
            network.encoder(images, network.layers)
        fractions.append(clock.milliseconds['merging'] / clock.milliseconds['backbone'])
    return {'size': 'x'.join(map(str, size_hw)), 'fraction': float(np.median(fractions[1:]))}


def timed(merge, clock: Stopwatch):
    """Return the same merge, its time added to the clock."""
    def call(tokens, keys):
        with clock('merging'):
            return merge(tokens, keys)
    return call
