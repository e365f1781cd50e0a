# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The five networks of SparseRefine's Table 1: at full resolution, and low under a refiner.

Weights are random, so what the networks say is replaced, at no cost, by logits that are unsure
near the class boundaries of a street, and alpha is set to refine as many pixels of each as the
paper does under HRNet. Each stage then does the work that it does with trained weights.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sparse_seg_ros.data.street import Street
from sparse_seg_ros.engines.network import copy_attributes
from sparse_seg_ros.evaluation.bench_sparse import boundary_distance
from sparse_seg_ros.evaluation.tables import grid, machine
from sparse_seg_ros.methods.dense import Dense
from sparse_seg_ros.methods.macs import count_network
from sparse_seg_ros.methods.sparse_refine.folded import folded
from sparse_seg_ros.methods.sparse_refine.method import SparseRefine
from sparse_seg_ros.methods.sparse_refine.refiner import SparseRefiner
from sparse_seg_ros.methods.sparse_refine.selection import entropy_map
from sparse_seg_ros.networks import build_network, for_inference
from sparse_seg_ros.segmenter import PRECISIONS
from sparse_seg_ros.timing import Stopwatch

CLASSES = 19
DENSITY = 0.118  # of HRNet in the paper's Table 5b
SIX_STAGES, FIVE_STAGES = (32, 64, 128, 256, 512, 1024), (32, 64, 128, 256, 512)
COLUMNS = ('full', 'dense', 'select', 'extract', 'ensemble', 'label', 'total')


@dataclass(frozen=True)
class Published:
    """A row of Table 1, RTX 3090, fp16, batches of 4: ms at full and low resolution, refined."""

    scale: float
    full: float
    low: float
    refined: float
    planes: tuple[int, ...] = SIX_STAGES


PUBLISHED = {
    'hrnet_w48': Published(0.5, 53.4, 14.5, 32.4),
    'segformer_b5': Published(0.5, 140.6, 18.5, 38.5),
    'mask2former_swin_t': Published(0.5, 66.8, 19.1, 44.8, FIVE_STAGES),
    'mask2former_swin_l': Published(0.5, 150.8, 45.4, 89.9),
    'segnext_l': Published(0.625, 86.3, 33.6, 50.9),
}


class Guided(nn.Module):
    """A network that does its work, and then says what is true of a street, unsure near edges."""

    def __init__(self, network: nn.Module, label: np.ndarray):
        super().__init__()
        self.network, self.label = network, torch.from_numpy(label)
        self.logits = torch.empty(0)
        copy_attributes(network, self)

    def forward(self, images: Tensor) -> Tensor:
        """(1, 3, h, w) -> (1, C, h', w')."""
        shape = self.network(images).shape
        if self.logits.shape != shape:
            self.logits = unsure_at_edges(self.label, shape).to(images.device)
        return self.logits


def unsure_at_edges(label: Tensor, shape: torch.Size) -> Tensor:
    """(H, W) ids, (1, C, h, w) -> logits whose entropy falls with the distance to an edge."""
    small = F.interpolate(label[None, None], shape[-2:])[:, 0]
    distance = boundary_distance(small[0].numpy())
    distance += torch.rand(distance.shape, generator=torch.Generator().manual_seed(0))  # no ties
    doubt = 0.5 * torch.exp(-distance / 16)
    small = small.to(torch.int64)
    is_true = F.one_hot(small, shape[1]).movedim(3, 1).bool()
    return torch.where(is_true, 1 - doubt, doubt / (shape[1] - 1)).log()


def run(names: list[str] | None = None, size_hw: tuple[int, int] = (1024, 2048),
        repeats: int = 3, precision: str = 'fp32', device: str = 'cpu') -> dict:
    """Print milliseconds, parameters and multiply-adds of each network, and return them."""
    print(f'one street {size_hw[0]}x{size_hw[1]}, {DENSITY:.1%} refined, {precision}, median of '
          f'{repeats}, {device}, {torch.get_num_threads()} threads; ms')
    rows = {}
    for name in names or PUBLISHED:
        rows[name] = measure(name, size_hw, repeats, precision, device)
        print(name, {key: round(value, 2) for key, value in rows[name].items()}, flush=True)
    print(markdown(rows))
    return {**machine(), 'size_hw': list(size_hw), 'density': DENSITY, 'repeats': repeats,
            'precision': precision, 'rows': rows}


def measure(name: str, size_hw: tuple[int, int], repeats: int, precision: str,
            device: str = 'cpu') -> dict:
    """Time one network at full resolution and refined, taking turns -> figures of its row."""
    published = PUBLISHED[name]
    torch.manual_seed(0)
    network = for_inference(build_network(name, CLASSES).eval())
    network.to(device, memory_format=torch.channels_last)
    frame = Street(seed=7, size_hw=size_hw).frame(0)
    refiner = SparseRefiner(CLASSES, published.planes, alpha=0.0)
    full = Dense(network, 1.0)
    refined = SparseRefine(Guided(network, frame.label), folded(refiner).to(device),
                           published.scale)
    images = normalised(frame.image, network).to(device)
    with torch.inference_mode(), torch.autocast(images.device.type, PRECISIONS[precision],
                                                enabled=precision != 'fp32'):
        doubt = entropy_map(refined.coarse_logits(images)).flatten()
        refined.alpha = float(doubt.kthvalue(round((1 - DENSITY) * len(doubt))).values)
        rounds = [{**clocked(refined, images), 'full': clocked(full, images)['total']}
                  for _ in range(repeats + 1)][1:]  # the first warms up
        selected = refined(images, Stopwatch(), False).refined.cpu()
    row = {stage: float(np.median([seen[stage] for seen in rounds])) for stage in COLUMNS}
    refined.network = network.cpu()  # without its guide
    macs = refined.count_macs(size_hw, selected)
    return {**row, 'ratio': row['full'] / row['total'], 'density': float(selected.float().mean()),
            'parameters': sum(weight.numel() for part in (network, refiner)
                              for weight in part.parameters()),
            'macs_full': count_network(network, 1.0, size_hw), 'macs_low': macs['dense'],
            'macs_refined': sum(macs.values()), 'paper_full': published.full,
            'paper_low': published.low, 'paper_refined': published.refined,
            'paper_ratio': published.full / published.refined}


def normalised(image: np.ndarray, network: nn.Module) -> Tensor:
    """(H, W, 3) uint8 -> (1, 3, H, W) as the network wants it."""
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (network.mean, network.std))
    return (((torch.from_numpy(image).movedim(2, 0).float() - mean) / std)[None]
            .contiguous(memory_format=torch.channels_last))


def clocked(method: Dense | SparseRefine, images: Tensor) -> dict[str, float]:
    """Run a method once -> milliseconds of its stages and of all."""
    clock = Stopwatch(images.device)
    method(images, clock, False)
    return {**clock.milliseconds, 'total': sum(clock.milliseconds.values())}


def markdown(rows: dict[str, dict]) -> str:
    """Rows -> a table, the paper's figures last."""
    head = ['network', 'full ms', *COLUMNS[1:], 'times faster', 'parameters M', 'MACs T, full',
            'low', 'refined', 'paper: full ms', 'low', 'refined', 'times faster']
    return grid(head, [[
        name, *(f'{row[stage]:.0f}' for stage in COLUMNS), f"{row['ratio']:.2f}",
        f"{row['parameters'] / 1e6:.1f}",
        *(f'{row[key] / 1e12:.2f}' for key in ('macs_full', 'macs_low', 'macs_refined')),
        *(f'{row[key]:.1f}' for key in ('paper_full', 'paper_low', 'paper_refined')),
        f"{row['paper_ratio']:.1f}"] for name, row in rows.items()])
