# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The five networks of SparseRefine's Table 1: at full resolution, and low under a refiner.

Weights are random. So the logits of the networks are replaced, at no cost, by logits that are
unsure near the class boundaries of a street, and alpha is set to refine as many pixels of each
network as the paper does (Table A1). Each stage then does the work that it does with trained
weights.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from sparse_seg_ros.bench.sparse_convolution import boundary_distance
from sparse_seg_ros.config import nearest
from sparse_seg_ros.data.street import Street
from sparse_seg_ros.device import autocast
from sparse_seg_ros.engines.network import copy_attributes
from sparse_seg_ros.evaluation.published import BOARDS, PUBLISHED, Published, latency
from sparse_seg_ros.methods.dense.method import Dense
from sparse_seg_ros.methods.macs import count_network
from sparse_seg_ros.methods.reading import entropy_map
from sparse_seg_ros.methods.request import Request
from sparse_seg_ros.methods.sparse_refine.folded import folded
from sparse_seg_ros.methods.sparse_refine.method import SparseRefine
from sparse_seg_ros.methods.sparse_refine.refiner import SparseRefiner
from sparse_seg_ros.networks import build_network, for_inference
from sparse_seg_ros.report.tables import grid
from sparse_seg_ros.timing import Stopwatch

CLASSES = 19


@dataclass(frozen=True)
class Setting:
    """What is timed, how often, and on what; warm_up: rounds before the timed ones."""

    size_hw: tuple[int, int] = (1024, 2048)
    batch: int = 1
    repeats: int = 3
    precision: str = 'fp32'
    device: str = 'cpu'
    warm_up: int = 1


class Guided(nn.Module):
    """A network that does its work, and then says what is true of streets, unsure near edges."""

    def __init__(self, network: nn.Module, labels: Tensor):
        super().__init__()
        self.network, self.labels = network, labels
        self.logits = torch.empty(0)
        copy_attributes(network, self)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, h, w) -> (B, C, h', w')."""
        shape = self.network(images).shape
        if self.logits.shape != shape:
            self.logits = unsure_at_edges(self.labels, shape).to(images.device)
        return self.logits


def unsure_at_edges(labels: Tensor, shape: torch.Size) -> Tensor:
    """(B, H, W) ids, (B, C, h, w) -> logits whose entropy falls with the distance to an edge."""
    small = F.interpolate(labels[:, None], shape[-2:])[:, 0]
    distance = torch.stack([boundary_distance(label.numpy()) for label in small])
    distance += torch.rand(distance.shape, generator=torch.Generator().manual_seed(0))  # no ties
    doubt = 0.5 * torch.exp(-distance / 16)[:, None]
    is_true = F.one_hot(small.to(torch.int64), shape[1]).movedim(3, 1).bool()
    return torch.where(is_true, 1 - doubt, doubt / (shape[1] - 1)).log()


def run(names: list[str] | None = None, setting: Setting = Setting()) -> dict:
    """Measure milliseconds, parameters and multiply-adds of each network -> figures."""
    for name in names or ():
        if name not in PUBLISHED:
            raise ValueError(f'refined: {name!r} is not in the table; {nearest(name, PUBLISHED)}')
    rows = {name: measure(name, setting)
            for name in tqdm(names or PUBLISHED, 'networks', leave=False)}
    return {'size_hw': list(setting.size_hw), 'batch': setting.batch,
            'warm_up': setting.warm_up, 'repeats': setting.repeats,
            'precision': setting.precision,
            'torch_device': setting.device, 'threads': torch.get_num_threads(), 'rows': rows}


def describe(figures: dict) -> str:
    """Figures of `run` -> a line for each network, then the table beside the paper's."""
    height, width = figures['size_hw']
    return '\n'.join([
        f'streets {height}x{width}, batches of {figures["batch"]}, {figures["precision"]}, median '
        f'of {figures["repeats"]}, {figures["torch_device"]}, {figures["threads"]} threads; ms a '
        'frame',
        *(f"{name}: {row['full']:.0f} at full resolution, refined "
          f"{row['milliseconds']['total']:.0f}" for name, row in figures['rows'].items()),
        markdown(figures)])


def measure(name: str, setting: Setting) -> dict:
    """Time one network at full resolution and refined, taking turns -> figures of its row."""
    published = PUBLISHED[name]
    torch.manual_seed(0)
    network = for_inference(build_network(name, CLASSES).eval())
    network.to(setting.device, memory_format=torch.channels_last)
    images, labels = street_batch(setting, network)
    refiner = SparseRefiner(CLASSES, published.planes, alpha=0.0)
    full = Dense(network, 1.0)
    refined = SparseRefine(Guided(network, labels), folded(refiner).to(setting.device),
                           published.scale)
    with torch.inference_mode(), autocast(images.device.type, setting.precision):
        request = Request(alpha_of_density(refined.coarse_logits(images), published.density))
        rounds = [(clocked(refined, images, request), clocked(full, images, request)['total'])
                  for _ in range(setting.warm_up + setting.repeats)][setting.warm_up:]
        selected = refined(images, request, Stopwatch()).refined.cpu()
    times, full_times = zip(*rounds)
    milliseconds = {stage: float(np.median([time[stage] for time in times]))
                    for stage in times[0]}
    refined.network = network.cpu()  # without its guide
    return {'full': float(np.median(full_times)), 'milliseconds': milliseconds,
            'ratio': float(np.median(full_times)) / milliseconds['total'],
            'density': float(selected.float().mean()),
            'parameters': {'network': count_parameters(network),
                           'refiner': count_parameters(refiner)},
            'macs': macs_of_a_frame(refined, selected)}


def macs_of_a_frame(method: SparseRefine, selected: Tensor) -> dict[str, float]:
    """(B, H, W) bool -> multiply-accumulates at full and low resolution, and refined."""
    size_hw = tuple(selected.shape[1:])
    macs = method.count_macs(size_hw, selected)  # of one dense frame, and of all that is refined
    low = macs.pop('dense')
    return {'full': count_network(method.network, 1.0, size_hw), 'low': low,
            'refined': low + sum(macs.values()) / len(selected)}


def street_batch(setting: Setting, network: nn.Module) -> tuple[Tensor, Tensor]:
    """Return (B, 3, H, W) frames of streets as the network wants them, and their (B, H, W) ids."""
    frames = [Street(seed=7 + index, size_hw=setting.size_hw).frame(0)
              for index in range(setting.batch)]
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (network.mean, network.std))
    images = torch.stack([torch.from_numpy(frame.image) for frame in frames])  # (B, H, W, 3)
    images = (images.movedim(3, 1).float() - mean) / std
    return (images.contiguous(memory_format=torch.channels_last).to(setting.device),
            torch.stack([torch.from_numpy(frame.label) for frame in frames]))


def alpha_of_density(logits: Tensor, density: float) -> float:
    """(B, C, h, w) -> nats that a fraction of all sites exceeds."""
    doubt = entropy_map(logits).flatten()
    return float(doubt.kthvalue(round((1 - density) * len(doubt))).values)


def clocked(method: Dense | SparseRefine, images: Tensor, request: Request) -> dict[str, float]:
    """Run a method once on (B, 3, H, W) -> milliseconds a frame of its stages and of all."""
    clock = Stopwatch(images.device)
    method(images, request, clock)
    stages = {stage: spent / len(images) for stage, spent in clock.milliseconds.items()}
    return {**stages, 'total': sum(stages.values())}


def count_parameters(module: nn.Module) -> int:
    """Count all parameters of a module."""
    return sum(weight.numel() for weight in module.parameters())


def shares(milliseconds: dict[str, float]) -> list[float]:
    """Milliseconds by stage -> parts of dense, select and extract in a frame, and of the rest."""
    parts = [milliseconds[stage] / milliseconds['total']
             for stage in ('dense', 'select', 'extract')]
    return [*parts, 1 - sum(parts)]


def markdown(figures: dict) -> str:
    """Figures of `run` -> a table; last, the paper's figures for batches of that size."""
    head = ['network', 'parameters: network, refiner M (paper)', 'refined % (paper)',
            'TMACs: full, refined', 'ms: full, refined', 'times faster',
            'of a refined frame: dense, select, extract, ensemble and label %']
    for board in BOARDS:
        head += [f'paper, {board}: full, low, refined ms', 'times faster']
    return grid(head, [[name, *measured(row, PUBLISHED[name]),
                        *published_cells(name, figures['batch'], figures['precision'])]
                       for name, row in figures['rows'].items()])


def measured(row: dict, published: Published) -> list[str]:
    """Figures of one network -> its cells, without the name."""
    network, refiner = (row['parameters'][part] / 1e6 for part in ('network', 'refiner'))
    return [f'{network:.1f} ({published.parameters:.1f}), {refiner:.1f}',
            f"{100 * row['density']:.1f} ({100 * published.density:.1f})",
            f"{row['macs']['full'] / 1e12:.2f}, {row['macs']['refined'] / 1e12:.2f}",
            f"{row['full']:.0f}, {row['milliseconds']['total']:.0f}", f"{row['ratio']:.2f}",
            ', '.join(f'{100 * share:.0f}' for share in shares(row['milliseconds']))]


def published_cells(name: str, batch: int, precision: str) -> list[str]:
    """Return the paper's full, low and refined ms and their ratio on each board, or '-'."""
    cells = []
    for board in BOARDS:
        paper = latency(board, name, batch, 'fp32' if precision == 'fp32' else 'fp16')
        cells += ['-', '-'] if paper is None else [
            ', '.join('-' if value is None else f'{value:.1f}'
                      for value in (paper.full, paper.low, paper.refined)),
            '-' if paper.ratio is None else f'{paper.ratio:.2f}']
    return cells
