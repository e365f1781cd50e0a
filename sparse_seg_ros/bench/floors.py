# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
How fast a refined frame could be on a GPU: what every stage must move and multiply, at least.

A prediction from shapes, no measurement. Each layer reads its inputs, weights and tables from
memory once, writes its outputs once, and hides the shorter of moving and multiplying behind the
longer. What is done to every value of a layer by itself (activations, sums, softmax) joins it and
counts nothing, and a launch takes no time. So the time is a floor, but for what a chip's cache
keeps from one layer to the next.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import astuple, dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sparse_seg_ros.methods.macs import on_meta
from sparse_seg_ros.methods.sparse_refine.cost import count_macs, count_neighbours, count_strided
from sparse_seg_ros.methods.sparse_refine.method import SparseRefine
from sparse_seg_ros.methods.sparse_refine.sparse_network import SparseNetwork, around
from sparse_seg_ros.networks import padded_size
from sparse_seg_ros.networks.folding import convolutions_of
from sparse_seg_ros.networks.images import shrunk_hw
from sparse_seg_ros.networks.mobilenet_edgetpu import ENDS
from sparse_seg_ros.segmenter import Segmenter
from sparse_seg_ros.sparse.level import Level

HALF, FULL, INDEX, POSITION = 2, 4, 4, 8  # bytes of fp16, float32, a row of a table, a position
RESULT = 1 + 4 + 1  # bytes of a pixel: label, uncertainty, refined
STAGES = ('upload', 'shrink', 'dense', 'select', 'tables', 'extract', 'ensemble', 'finish',
          'download')


class Step(NamedTuple):
    """Work of one layer: bytes of the GPU's memory, multiply-accumulates, bytes of the link."""

    moved: int
    macs: int = 0
    linked: int = 0


@dataclass(frozen=True)
class Chip:
    """Bytes a second of its memory and of its link with the host, fp16 operations a second."""

    memory: float
    operations: float
    link: float

    def milliseconds(self, step: Step) -> float:
        """Return the time below which no program can do a step."""
        spent = max(step.moved / self.memory, 2 * step.macs / self.operations,
                    step.linked / self.link)
        return 1e3 * spent


CHIPS = {
    # NVIDIA's technical brief of the 64 GB module at MAXN: 170 sparse INT8 TOPS on the tensor
    # cores, so 85 dense, so 42.5 in fp16. Host and GPU share the memory: a copy reads and writes.
    'AGX Orin': Chip(204.8e9, 42.5e12, 204.8e9 / 2),
    # NVIDIA's data sheet of the SXM module: 1979 TFLOP/s in fp16 are with sparsity. PCIe 5.0 x16.
    'H200': Chip(4.8e12, 989.5e12, 63e9),
}


def run(segment: Segmenter, image: np.ndarray) -> dict:
    """Segment an image with SparseRefine -> the steps of every stage."""
    method = segment.method
    if not isinstance(method, SparseRefine) or not isinstance(
            method.refiner.extractor, SparseNetwork):
        raise ValueError("floors are counted for sparse_refine with the extractor 'network', got "
                         f"{segment.description['method']!r}; name another model")
    refined = segment(image).refined
    stages = count(method, torch.from_numpy(refined)[None])
    return {'size_hw': list(image.shape[:2]), 'density': float(refined.mean()),
            'stages': {name: [list(step) for step in stages[name]] for name in STAGES},
            'chips': {name: list(astuple(chip)) for name, chip in CHIPS.items()}}


def describe(figures: dict) -> str:
    """Figures of `run` -> a line for each stage."""
    lines = [f"{figures['density']:.1%} of {'x'.join(map(str, figures['size_hw']))}, fp16; a "
             'prediction from shapes, no measurement']
    return '\n'.join(lines + [
        f'{name:9} {moved / 1e6:8.1f} MB {linked / 1e6:6.1f} MB link {operations / 1e9:7.2f} GFLOP'
        + ''.join(f' | {chip} {spent:.3f} ms' for chip, spent in times.items())
        for name, moved, linked, operations, times in rows(figures)])


def rows(figures: dict) -> Iterator[tuple[str, int, int, int, dict[str, float]]]:
    """Yield name, bytes of memory and link, operations, milliseconds by chip; at last the sums."""
    chips = {name: Chip(*rates) for name, rates in figures['chips'].items()}
    stages = {name: [Step(*step) for step in steps] for name, steps in figures['stages'].items()}
    for name, steps in {**stages, 'total': sum(stages.values(), [])}.items():
        moved, macs, linked = (sum(column) for column in zip(*steps))
        yield name, moved, linked, 2 * macs, {
            chip: sum(map(rates.milliseconds, steps)) for chip, rates in chips.items()}


def count(method: SparseRefine, refined: Tensor) -> dict[str, list[Step]]:
    """(1, H, W) bool where a frame is refined -> the steps of every stage."""
    size_hw = refined.shape[1:]
    low_hw = shrunk_hw(tuple(size_hw), method.scale)
    full, low, classes = size_hw.numel(), low_hw[0] * low_hw[1], method.refiner.num_classes
    side = method.refiner.parts.side
    sites, pixels = refined[:, ::side, ::side], int(refined.sum())
    chosen, coarse = int(sites.sum()), low * classes * FULL
    is_direct = method.refiner.parts.ensembler == 'direct'  # takes what is refined as it is
    said = 0 if is_direct else (chosen + 2 * pixels) * classes * FULL
    return {
        'upload': [Step(0, linked=3 * full), Step(3 * full * (1 + HALF))],
        'shrink': [Step(3 * HALF * (full + low))],
        'dense': [*dense(method.network, 3, *padded_size(method.network, low_hw)),
                  Step(low * classes * (HALF + FULL))],
        'select': [Step(coarse + low * FULL), *2 * [Step(low * FULL)], Step(low * (FULL + 1)),
                   Step(chosen * classes * 2 * FULL)],
        'tables': tables(sites),
        'extract': extract(method.refiner.extractor, sites),
        'ensemble': [Step(said, count_macs(method.refiner, refined)['ensemble'])],
        'finish': [Step(coarse + pixels * (classes * FULL + POSITION) + full * RESULT)],
        'download': [Step(0, linked=full * RESULT)],
    }


def dense(module: nn.Module, *shape: int) -> list[Step]:
    """A module and (C, H, W) of its input -> a step of each convolution."""
    steps = []

    def add(layer: nn.Conv2d, given: tuple[Tensor, ...], out: Tensor) -> None:
        values = given[0].numel() + layer.weight.numel() + out.numel()
        steps.append(Step(HALF * values, out.numel() * layer.weight[0].numel()))

    twin = on_meta(module)
    for layer in convolutions_of(twin):
        layer.register_forward_hook(add)
    with torch.inference_mode():
        twin(torch.empty((1, *shape), device='meta'))
    return steps


def extract(extractor: SparseNetwork, sites: Tensor) -> list[Step]:
    """(1, h, w) bool -> the steps of the layers down to stride 8, those at 16, and the decoder."""
    if not sites.any():
        return [Step(0)]
    network, levels = extractor.network, levels_of(sites)
    return [*_encode(network, levels), *_deep(network, levels[2]), *_decode(network, levels)]


def levels_of(sites: Tensor) -> tuple[Level, ...]:
    """(1, h, w) bool -> the levels of the layers at strides 2, 4 and 8."""
    half = around(Level(sites))
    return half, half.coarser, half.coarser.coarser


def tables(sites: Tensor) -> list[Step]:
    """(1, h, w) bool -> the steps of the tables of all levels, as kernels/tables.py makes them."""
    if not sites.any():
        return [Step(0)]
    levels, steps = levels_of(sites), []
    for level in levels:
        pixels, count = level.mask.numel(), len(level)
        steps += [Step(pixels * (1 + INDEX)),  # ranks
                  Step(pixels * (1 + INDEX) + count * (INDEX + 4 * POSITION + 4)),
                  Step(count * (3 * POSITION + (1 + 9) * INDEX))]
    for level, coarser in zip(levels, levels[1:]):
        inputs, outputs = len(level), len(coarser)
        pairs = 9 * inputs // 4  # an input goes to 1, 2, 2 or 4 outputs, by its parity
        steps += [Step(outputs * (3 * POSITION + 9 * INDEX) + inputs * INDEX),
                  Step(4 * inputs * (1 + INDEX)),  # ranks
                  Step(inputs * (4 * INDEX + 4 * POSITION) + (outputs + pairs) * INDEX)]
    return steps


def _encode(network: nn.Module, levels: tuple[Level, ...]) -> Iterator[Step]:
    encoder, first = network.backbone, len(levels[0])
    stem, narrow = convolutions_of(encoder.stem)
    pixels = first * 4 * 3 * HALF  # of the image, each read once
    yield Step(pixels + HALF * (stem.weight.numel() + first * stem.out_channels),
               first * stem.weight.numel())
    yield pointwise(narrow, first)
    for place, block in enumerate(encoder.bottlenecks(0, ENDS[1])):
        at = 1 + (place >= ENDS[0])
        yield convolution(block.expand, levels[at - (place in (0, ENDS[0]))], levels[at])
        yield pointwise(block.project, len(levels[at]), adds=block.adds)


def _deep(network: nn.Module, eighth: Level) -> Iterator[Step]:
    encoder = network.backbone
    height, width = eighth.mask.shape[1:]
    yield from dense(encoder.blocks[ENDS[1]:], network.widths[-2], height, width)
    places = height * width // 4
    wide = encoder.widen.out_channels
    yield Step(HALF * places * wide, places * wide)  # the mean
    yield pointwise(encoder.pooled, 1)
    for layer in (encoder.widen, encoder.local, encoder.join, network.laterals[0],
                  network.coarse_head):
        for part in convolutions_of(layer):
            yield pointwise(part, places)


def _decode(network: nn.Module, levels: tuple[Level, ...]) -> Iterator[Step]:
    widths = network.laterals[0][0].out_channels + network.num_classes
    for at, block in zip((2, 1, 0), (*network.smooth, network.join)):
        count = len(levels[at])
        above = count if at == 2 else len(levels[at + 1])
        yield Step(HALF * widths * (above + count))  # enlarged
        first, second, *widening = convolutions_of(block)
        if at:
            for lateral in convolutions_of(network.laterals[3 - at]):
                yield pointwise(lateral, count, adds=True)
        yield convolution(first, levels[at], levels[at])
        for layer in widening:
            yield pointwise(layer, count)
        yield convolution(second, levels[at], levels[at], adds=True)
    yield pointwise(network.head, len(levels[0]), adds=True)


def pointwise(layer: nn.Conv2d, count: int, adds: bool = False) -> Step:
    """Return the step of a 1x1 convolution of so many sites; adds: other values to its own."""
    a, b = layer.in_channels, layer.out_channels
    return Step(HALF * (count * (a + b * (1 + adds)) + a * b), count * a * b)


def convolution(layer: nn.Conv2d, source: Level, target: Level, adds: bool = False) -> Step:
    """Return the step of a sparse 3x3 convolution, with its table of nine rows a site."""
    a, b, count = layer.in_channels, layer.out_channels, len(target)
    pairs = count_neighbours(target.mask) if source is target else count_strided(
        F.pad(source.mask, (source.padding,) * 4))
    values = len(source) * a + count * b * (1 + adds) + layer.weight.numel()
    return Step(HALF * values + 9 * INDEX * count, pairs * a * b)
