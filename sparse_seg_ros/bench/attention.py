# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
What attention costs while images grow: LRFormer beside SegFormer, as in LRFormer's table 12.

Multiply-adds are counted, not run. `products` are those of the table: queries with keys and shares
with values in the encoder, and 4 for each value that LRFormer enlarges. `attention` counts whole
attention modules, with those of the decoder. `memory` is what training takes at least, see
training_memory.py, with as many images on a GPU as in the table. Both networks are timed in turns
in one run.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from tqdm import tqdm

from sparse_seg_ros.bench.segformer import SegFormer
from sparse_seg_ros.bench.training_memory import count_memory
from sparse_seg_ros.device import autocast
from sparse_seg_ros.networks import build_network, for_inference
from sparse_seg_ros.networks.lrformer.decoder import TokenConv
from sparse_seg_ros.timing import Stopwatch

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
BATCHES = {512: 2}  # images on a GPU there, at other sides one
PUBLISHED_MEMORY = {('lrformer_s', 512): '4.2', ('lrformer_s', 1024): '5.7',
                    ('lrformer_s', 1536): '15.3', ('segformer_b2', 512): '7.2',
                    ('segformer_b2', 1024): '18.8',
                    ('segformer_b2', 1536): 'out of memory'}  # GB, of training


def run(sides: tuple[int, ...] = (512, 1024, 1536, 2048), repeats: int = 3,
        precision: str = 'fp32', device: str = 'cpu') -> dict:
    """Count multiply-adds and memory, and measure times, on square images -> figures."""
    if odd := [side for side in sides if side < 32 or side % 32]:
        raise ValueError(f'sides must be multiples of 32, got {odd[0]}')
    rows = [count(name, side) for name in NETWORKS for side in sides]
    networks = {name: for_inference(NETWORKS[name]().eval()).to(
        device, memory_format=torch.channels_last) for name in TIMED}
    for side in tqdm(sides, 'sides', leave=False):
        spent = time_networks(networks, side, repeats, precision, device)
        for row in rows:
            if row['side'] == side:
                row |= spent.get(row['network'], {})
    exponents = {name: exponent([row for row in rows if row['network'] == name])
                 for name in TIMED}
    return {'repeats': repeats, 'precision': precision, 'torch_device': device,
            'threads': torch.get_num_threads(), 'rows': rows, 'exponents': exponents}


def count(name: str, side: int) -> dict:
    """Name in NETWORKS, side of a square image -> what is counted, beside the paper's figures."""
    batch = BATCHES.get(side, 1)
    memory = count_memory(NETWORKS[name], (batch, 3, side, side))
    return {'network': name, 'side': side, **count_macs(NETWORKS[name], side),
            'published': PUBLISHED.get((name, side)), 'batch': batch, 'memory': memory / 1e9,
            'published_memory': PUBLISHED_MEMORY.get((name, side))}


def describe(figures: dict) -> str:
    """Figures of `run` -> the table of multiply-adds and times, and how times grow."""
    return '\n'.join([
        f'square images, {CLASSES} classes, {figures["precision"]}, median of '
        f'{figures["repeats"]}, {figures["torch_device"]}, {figures["threads"]} threads',
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


def time_networks(networks: dict[str, nn.Module], side: int, repeats: int, precision: str,
                  device: str) -> dict[str, dict[str, float]]:
    """Time networks in turns on a square image, after one round of warming up -> medians."""
    images = torch.randn(1, 3, side, side, device=device)
    images = images.contiguous(memory_format=torch.channels_last)
    with torch.inference_mode(), autocast(device, precision):
        rounds = [{name: time_attention(network, images) for name, network in networks.items()}
                  for _ in range(repeats + 1)][1:]
    seconds = {name: np.median([spent[name] for spent in rounds], axis=0) for name in networks}
    return {name: {'seconds': total, 'time_share': inside / total}
            for name, (total, inside) in seconds.items()}


def time_attention(network: nn.Module, images: Tensor) -> tuple[float, float]:
    """Return the seconds of one call, and those of them within attention modules."""
    clock = Stopwatch(images.device)
    with ExitStack() as hooks, ExitStack() as inside:
        for module in attentions(network).values():
            hooks.enter_context(module.register_forward_pre_hook(
                lambda *_: inside.enter_context(clock('attention'))))
            hooks.enter_context(module.register_forward_hook(lambda *_: inside.close()))
        with clock('rest'):
            network(images)
    milliseconds = clock.milliseconds
    return sum(milliseconds.values()) / 1e3, milliseconds['attention'] / 1e3


def exponent(rows: list[dict]) -> float:
    """Return b of the seconds ~ pixels ** b that fits best; nan for a single size."""
    if len(rows) < 2:
        return float('nan')
    pixels, seconds = (np.log([row[key] for row in rows]) for key in ('side', 'seconds'))
    return float(np.polyfit(2 * pixels, seconds, 1)[0])


def describe_row(row: dict) -> str:
    """Return the line of one network at one size."""
    return ' | '.join([
        f"{row['network']:13} {row['side']:5} {row['macs']:8.1f} GMAC",
        f"attention {row['attention']:6.2f} ({row['share']:5.1%})",
        f"products {row['products']:6.2f}{paper(row['published'])}",
        f"training {row['batch']} at a time {row['memory']:5.1f} GB"
        f"{paper(row['published_memory'])}",
        *([f"{row['seconds'] * 1e3:8.0f} ms, {row['time_share']:5.1%} in attention"]
          if 'seconds' in row else [])])


def paper(figure: float | str | None) -> str:
    """Return the paper's figure in brackets, if there is one."""
    return f' (paper {figure})' if figure else ''
