# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Speed of sparse convolution against its rivals, interleaved in one run so that ratios hold.

The selected pixels are 12 % of 1024x2048, along the class boundaries of a street frame. It times
the submanifold 3x3 convolution against the dense convolution of the whole image (by oneDNN, or on
a GPU by cuDNN), against spconv and torchsparse where they are installed for that device and, if
another backend is the default, against plain torch. Then it times the whole six-stage extractor,
its tables built each time, against the same rivals: SparseRefine's Table 7.
"""

from __future__ import annotations

import importlib
from copy import deepcopy
from dataclasses import replace
from functools import partial
from itertools import product
from types import ModuleType

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from sparse_seg_ros.bench import with_spconv
from sparse_seg_ros.bench.rival_extractors import DenseExtractor
from sparse_seg_ros.data.street import Street
from sparse_seg_ros.device import PRECISIONS, native_precisions
from sparse_seg_ros.methods.sparse_refine.cost import count_macs, count_neighbours
from sparse_seg_ros.methods.sparse_refine.extractor import Extractor
from sparse_seg_ros.methods.sparse_refine.folded import folded
from sparse_seg_ros.methods.sparse_refine.refiner import SparseRefiner
from sparse_seg_ros.networks.folding import convolutions_of
from sparse_seg_ros.sparse import reference
from sparse_seg_ros.sparse.backend import backend_of, name_of
from sparse_seg_ros.sparse.convolution import conv
from sparse_seg_ros.sparse.layers import Conv
from sparse_seg_ros.sparse.level import Level
from sparse_seg_ros.sparse.tensor import SparseTensor
from sparse_seg_ros.sparse.tuning import Launch
from sparse_seg_ros.timing import interleaved

CHANNELS = (32, 64, 128)
DENSE_ROUNDS = 2  # of the whole extractor: a minute each on a CPU
SIZE_HW, DENSITY = (1024, 2048), 0.12


def run(repeats: int = 5, size_hw: tuple[int, int] = SIZE_HW, density: float = DENSITY,
        device: str = 'cpu') -> dict:
    """Time the convolutions and the extractor -> figures."""
    selected = street_selection(size_hw, density).to(device)
    on_cpu = selected.device.type == 'cpu'
    precisions = native_precisions() if on_cpu else ('fp16', 'bf16')
    with torch.inference_mode():
        convolutions = [
            time_convolution(selected, channels, precision, repeats)
            for precision, channels in tqdm([*product(precisions, CHANNELS)], 'convolutions',
                                            leave=False)
        ]
        extractors = [time_extractor(selected, precision, repeats)
                      for precision in tqdm(precisions, 'extractors', leave=False)]
    return {
        'size_hw': list(size_hw),
        'density': density,
        'repeats': repeats,
        'torch_device': device,
        'threads': torch.get_num_threads(),
        'precisions': list(precisions),
        'lacks_spconv': not with_spconv.is_built_for(selected.device),
        'convolutions': convolutions,
        'extractors': extractors,
    }


def tune(refiner: SparseRefiner, selected: Tensor, device: str) -> dict[str, Launch]:
    """
    Find the fastest launch for every width of a refiner and of the paper's, and store it.

    (1, H, W) bool selected pixels. Only Triton's convolutions on a GPU are tuned.
    """
    backend = backend_of(torch.device(device).type)
    gpu = backend.gpu_of(torch.device(device)) if name_of(backend) == 'triton' else None
    if gpu is None:
        raise ValueError(f'only Triton on a GPU can be tuned, got {name_of(backend)!r} on '
                         f'{device!r}; use --device cuda where there is one')
    part, found = Level(selected.to(device)).neighbours.parts[0], {}
    for cin, cout in tqdm(sorted(widths_of(refiner) | widths_of(SparseRefiner())), 'widths'):
        kind = {'dtype': torch.float16, 'device': device}
        found[f'{cin}x{cout}'] = backend.tune_launch(
            torch.randn(part.inputs, cin, **kind), torch.randn(9, cin, cout, **kind), part, gpu)
    return found


def widths_of(refiner: SparseRefiner) -> set[tuple[int, int]]:
    """Return the channels, in and out, of its sparse 3x3 convolutions."""
    dense = [layer for layer in convolutions_of(refiner.extractor)
             if layer.kernel_size == (3, 3) and layer.groups == 1 and layer.in_channels > 3]
    return {(layer.in_channels, layer.out_channels) for layer in dense} | {
        tuple(layer.kernel.shape[1:]) for layer in refiner.extractor.modules()
        if isinstance(layer, Conv)}


def describe(figures: dict) -> str:
    """Figures of `run` -> a line for each convolution and extractor."""
    height, width = figures['size_hw']
    lines = [f"{figures['density']:.0%} of {height}x{width}, median of {figures['repeats']}, "
             f"{figures['torch_device']}, {figures['threads']} threads, "
             f"{' and '.join(figures['precisions'])}"]
    if figures['lacks_spconv']:
        lines.append('spconv is not installed for this device: no comparison with it (for a CPU: '
                     'pip install spconv "cumm<0.8")')
    return '\n'.join([*lines, *map(describe_row, figures['convolutions']),
                      *map(describe_row, figures['extractors'])])


def describe_row(row: dict) -> str:
    """Return our time and GFLOP/s on the pairs that exist, and rivals' times over ours."""
    seconds = row['seconds']
    return ' '.join([
        f'{row["name"]:20} {1e3 * seconds["sparse"]:8.1f} ms {row["gflops"]:6.0f} GFLOP/s,'
        f'{row["of_dense_rate"]:5.0%} of the dense rate ',
        *(f'| {ratio:5.2f}x faster than {rival} ({1e3 * seconds[rival]:.0f} ms)'
          for rival, ratio in row['ratio'].items())])


def street_selection(size_hw: tuple[int, int], density: float) -> Tensor:
    """(1, H, W) bool: the 2x2 blocks nearest to a class boundary, as a 2x selector picks them."""
    label = Street(seed=7, size_hw=size_hw).frame(0).label[::2, ::2]
    distance = boundary_distance(label).flatten()
    nearest = distance.argsort(stable=True)[: round(density * label.size)]
    low = torch.zeros(label.size, dtype=torch.bool)
    low[nearest] = True
    full = low.view(label.shape).repeat_interleave(2, 0).repeat_interleave(2, 1)
    return full[None, : size_hw[0], : size_hw[1]].contiguous()


def boundary_distance(label: np.ndarray) -> Tensor:
    """(H, W) ids -> (H, W) pixels to the nearest boundary of classes."""
    is_inside = np.ones(label.shape, np.uint8)
    is_inside[:, 1:] &= label[:, 1:] == label[:, :-1]
    is_inside[1:] &= label[1:] == label[:-1]
    return torch.from_numpy(cv2.distanceTransform(is_inside, cv2.DIST_L2, 5))


def time_convolution(selected: Tensor, channels: int, precision: str, repeats: int) -> dict:
    """
    Time one submanifold 3x3 as within a network, tables ready and caches warm.

    Its features come from a convolution, so that ours need not copy them for a row of zeros.
    """
    level, device = Level(selected), selected.device
    kind = {'dtype': PRECISIONS[precision], 'device': device}
    x = SparseTensor(torch.randn(len(level), channels, **kind), level, backend_of(device.type))
    kernel = torch.randn(9, channels, channels, **kind)
    x = conv(x, kernel)
    image = torch.randn(1, channels, *selected.shape[1:], **kind)
    image_last = image.contiguous(memory_format=torch.channels_last)
    weight = kernel.view(3, 3, channels, channels).permute(3, 2, 1, 0).contiguous()
    rivals = {
        'sparse': lambda: conv(x, kernel),
        'dense': lambda: F.conv2d(image, weight, padding=1),
        'dense_last': lambda: F.conv2d(image_last, weight, padding=1),
    }
    for name, backend in rival_backends(x.backend).items():
        rivals[name] = partial(conv, replace(x, backend=backend), kernel)
    if with_spconv.is_built_for(device):
        name, dtype = with_spconv.rival(precision, device)
        rivals[name] = with_spconv.convolution(level, kernel.to(dtype))
    seconds = interleaved(rivals, repeats, calls=2, device=device)
    seconds['dense'] = min(seconds['dense'], seconds.pop('dense_last'))  # the faster layout
    pairs = (count_neighbours(each) for each in (selected, torch.ones_like(selected)))
    return make_row(f'conv 3x3 {channels:4} {precision}', seconds,
                    *(count * channels**2 for count in pairs))


def time_extractor(selected: Tensor, precision: str, repeats: int) -> dict:
    """Time the six-stage extractor and the building of its tables."""
    refiner = folded(SparseRefiner())
    kind = {'dtype': PRECISIONS[precision], 'device': selected.device}
    extractor = refiner.extractor.to(**kind)
    pixels = torch.randn(int(selected.sum()), 3, **kind)
    backend = backend_of(selected.device.type)
    rivals = {name: partial(extract, extractor, pixels, selected, each) for name, each in
              {'sparse': backend, **rival_backends(backend)}.items()}
    if with_spconv.is_built_for(selected.device):
        name, dtype = with_spconv.rival(precision, selected.device)
        rivals[name] = with_spconv.extractor(deepcopy(extractor).to(dtype), pixels.to(dtype),
                                             selected)
    seconds = interleaved(rivals, repeats, device=selected.device)
    image = torch.zeros((*selected.shape, 3), **kind)
    image[selected] = pixels
    dense, last = DenseExtractor(extractor, selected), image.movedim(-1, 1)  # channels last
    seconds |= interleaved({'dense': lambda: dense(last)}, min(repeats, DENSE_ROUNDS),
                           device=selected.device)
    return make_row(f'extractor {precision}', seconds, *(
        count_macs(refiner, each)['extract'] for each in (selected, torch.ones_like(selected))))


def extract(extractor: Extractor, pixels: Tensor, selected: Tensor, backend: ModuleType) -> None:
    """Run the extractor once, with new tables."""
    extractor(SparseTensor(pixels, Level(selected), backend))


def rival_backends(own: ModuleType) -> dict[str, ModuleType]:
    """Return plain torch, and torchsparse where it is installed, unless they are our own."""
    if own is reference:  # on a CPU, which torchsparse has not
        return {}
    found = {'plain torch': reference}
    try:
        found['torchsparse'] = importlib.import_module('sparse_seg_ros.sparse.with_torchsparse')
    except ImportError:
        pass
    return {name: backend for name, backend in found.items() if backend is not own}


def make_row(name: str, seconds: dict[str, float], macs: int, dense_macs: int) -> dict:
    """
    Name, seconds by rival, multiply-adds on pairs that exist, and of the whole image -> figures.

    of_dense_rate: multiply-adds per second, against those of the dense convolution.
    """
    ours = seconds['sparse']
    return {
        'name': name,
        'seconds': seconds,
        'gflops': 2e-9 * macs / ours,
        'of_dense_rate': macs / ours / (dense_macs / seconds['dense']),
        'ratio': {rival: spent / ours for rival, spent in seconds.items() if rival != 'sparse'},
    }
