# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
What attention costs while images grow: LRFormer beside SegFormer, as in LRFormer's table 12.

Multiply-adds are counted, not run. `products` are those of the table: queries with keys and shares
with values in the encoder, and 4 for each value that LRFormer enlarges. `attention` counts whole
attention modules, with those of the decoder. Both networks are timed in turns in one run.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from tqdm import tqdm

from sparse_seg_ros.bench.segformer import SegFormer
from sparse_seg_ros.device import autocast
from sparse_seg_ros.networks import build_network, for_inference
from sparse_seg_ros.networks.lrformer.decoder import TokenConv

CLASSES = 19
ATTENTION = ('LowResolutionAttention', 'FoldedAttention', 'SegformerAttention')
NETWORKS: dict[str, Callable[[], nn.Module]] = {
    'lrformer_t': lambda: build_network('lrformer_t', CLASSES),
    'lrformer_s': lambda: build_network('lrformer_s', CLASSES),
    'segformer_b2': lambda: SegFormer('segformer_b2', CLASSES),
}
TIMED = ('lrformer_t', 'segformer_b2')
PUBLISHED = {('lrformer_s', 512): 0.8, ('lrformer_s', 1024): 0.9, ('lrformer_s', 1536): 1.1,
             ('segformer_b2', 512): 3.4, ('segformer_b2', 1024): 54.0,
             ('segformer_b2', 1536): 293.6}  # products in 1e9, LRFormer's table 12


def run(sides: tuple[int, ...] = (512, 1024, 1536, 2048), repeats: int = 3,
        precision: str = 'fp32') -> dict:
    """Count multiply-adds and measure times on square images -> figures."""
    if odd := [side for side in sides if side < 32 or side % 32]:
        raise ValueError(f'sides must be multiples of 32, got {odd[0]}')
    rows = [{'network': name, 'side': side, **count_macs(NETWORKS[name], side),
             'published': PUBLISHED.get((name, side))} for name in NETWORKS for side in sides]
    networks = {name: for_inference(NETWORKS[name]().eval()).to(
        memory_format=torch.channels_last) for name in TIMED}
    for side in tqdm(sides, 'sides', leave=False):
        spent = time_networks(networks, side, repeats, precision)
        for row in rows:
            if row['side'] == side:
                row |= spent.get(row['network'], {})
    exponents = {name: exponent([row for row in rows if row['network'] == name])
                 for name in TIMED}
    return {'repeats': repeats, 'precision': precision, 'threads': torch.get_num_threads(),
            'rows': rows, 'exponents': exponents}


def describe(figures: dict) -> str:
    """Figures of `run` -> the table of multiply-adds and times, and how times grow."""
    return '\n'.join([
        f'square images, {CLASSES} classes, {figures["precision"]}, median of '
        f'{figures["repeats"]}, {figures["threads"]} threads',
        *map(describe_row, figures['rows']),
        *(f'{name}: time grows with pixels ** {value:.2f}'
          for name, value in figures['exponents'].items())])


def attentions(network: nn.Module) -> dict[str, nn.Module]:
    """Return the attention modules of a network by name."""
    return {name: module for name, module in network.named_modules()
            if type(module).__name__ in ATTENTION}


def count_macs(build: Callable[[], nn.Module], side: int) -> dict[str, float]:
    """Maker of a network, side of a square image -> its multiply-adds in 1e9, see above."""
    with torch.device('meta'):
        network = build().eval()
        images = torch.empty(1, 3, side, side)
    enlarged: dict[str, int] = {}  # values that an attention module of LRFormer gives
    for name, module in attentions(network).items():
        module.register_forward_hook(
            lambda _, __, output, name=name: enlarged.update(
                {name: output.numel() if isinstance(output, Tensor) else 0}))
    with FlopCounterMode(display=False) as counter:
        network(images)
    counts = {name.partition('.')[2]: flops for name, flops in counter.get_flop_counts().items()}
    total = sum(counts[''].values()) / 2e9
    whole = sum(sum(counts[name].values()) for name in enlarged) / 2e9
    products = sum(count_products(counts, name, module) / 2e9 + 4e-9 * enlarged[name]
                   for name, module in attentions(network).items() if 'decode' not in name)
    return {'macs': total, 'attention': whole, 'products': products, 'share': whole / total}


def count_products(counts: dict[str, dict], name: str, module: nn.Module) -> int:
    """Flops by module and operation -> those of an attention without its layers."""
    own = sum(flops for operation, flops in counts[name].items()
              if operation is not torch.ops.aten.convolution)
    layers = (f'{name}.{child}' for child, layer in module.named_modules()
              if isinstance(layer, (nn.Linear, TokenConv)))
    return own - sum(sum(counts[layer].values()) for layer in layers)


def time_networks(networks: dict[str, nn.Module], side: int, repeats: int,
                  precision: str) -> dict[str, dict[str, float]]:
    """Time networks in turns on a square image, after one round of warming up -> medians."""
    images = torch.randn(1, 3, side, side).contiguous(memory_format=torch.channels_last)
    with torch.inference_mode(), autocast('cpu', precision):
        rounds = [{name: time_attention(network, images) for name, network in networks.items()}
                  for _ in range(repeats + 1)][1:]
    seconds = {name: np.median([spent[name] for spent in rounds], axis=0) for name in networks}
    return {name: {'seconds': total, 'time_share': inside / total}
            for name, (total, inside) in seconds.items()}


def time_attention(network: nn.Module, images: Tensor) -> tuple[float, float]:
    """Return the seconds of one call, and those of them within attention modules."""
    ticks: list[float] = []
    hooks = [hook for module in attentions(network).values() for hook in (
        module.register_forward_pre_hook(lambda *_: ticks.append(-time.perf_counter())),
        module.register_forward_hook(lambda *_: ticks.append(time.perf_counter())))]
    start = time.perf_counter()
    network(images)
    total = time.perf_counter() - start
    for hook in hooks:
        hook.remove()
    return total, sum(ticks)


def exponent(rows: list[dict]) -> float:
    """Return b of the seconds ~ pixels ** b that fits best; nan for a single size."""
    if len(rows) < 2:
        return float('nan')
    pixels, seconds = (np.log([row[key] for row in rows]) for key in ('side', 'seconds'))
    return float(np.polyfit(2 * pixels, seconds, 1)[0])


def describe_row(row: dict) -> str:
    """Return the line of one network at one size."""
    return (f"{row['network']:13} {row['side']:5} {row['macs']:8.1f} GMAC | attention "
            f"{row['attention']:6.2f} ({row['share']:5.1%}) | products {row['products']:6.2f}"
            + (f" (paper {row['published']})" if row['published'] else '')
            + (f" | {row['seconds'] * 1e3:8.0f} ms, {row['time_share']:5.1%} in attention"
               if 'seconds' in row else ''))
