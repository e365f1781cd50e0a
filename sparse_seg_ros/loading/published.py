# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Layouts that weights are published in: how a file is recognised, and the terms that it comes under.

A layout is told by a tensor that no layout further down has. The sizes of its networks differ in
shapes; the one that agrees with the most tensors of the file is taken.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from sparse_seg_ros.config import nearest
from sparse_seg_ros.loading.checkpoints import released_keys
from sparse_seg_ros.networks import build_network
from sparse_seg_ros.networks.segformer import nvidia

UNKNOWN_LICENCE = 'unknown; ask those who published them'
DATA_TERMS = 'trained on data sets that have terms of their own, mostly non-commercial'
LEAST_AGREEMENT = 0.5  # of a network's tensors; below, the file holds another size


@dataclass(frozen=True)
class Layout:
    """
    Names that a publisher gives to the tensors of some networks.

    telltale: a tensor that only these files have, and perhaps those of layouts above. classes: the
    tensor with an entry per class, and its dimension with them. read_config: tensors and names of
    classes -> the configuration of a network of Hugging Face, where the file is for one.
    """

    publisher: str
    telltale: str
    classes: tuple[str, int]
    networks: tuple[str, ...]
    licence: str = UNKNOWN_LICENCE
    read_config: Callable[[dict[str, Tensor], tuple[str, ...]], dict] | None = None

    def count_classes(self, tensors: dict[str, Tensor]) -> int | None:
        """Return the number of classes of a file; None where the classifier is not there."""
        name, dimension = self.classes
        return tensors[name].shape[dimension] if name in tensors else None


def sizes(name: str, letters: str) -> tuple[str, ...]:
    """'segnext_{}', 'ts' -> ('segnext_t', 'segnext_s')."""
    return tuple(name.format(letter) for letter in letters)


CONV_SEG = ('decode_head.conv_seg.bias', 0)
SEGVIT = 'decode_head.input_proj_{}.weight'  # of a stage of its decoder
REFINER = Layout('SparseRefine', 'backbone.net.0.kernel', ('classifier.bias', 0), (),
                 f'MIT (the authors), {DATA_TERMS}')
LAYOUTS = (
    Layout('MMSegmentation', 'backbone.stage2.0.branches.0.0.conv1.weight', CONV_SEG,
           ('hrnet_w48',), f'Apache-2.0 (MMSegmentation), {DATA_TERMS}'),
    Layout('MMSegmentation', 'backbone.layers.0.1.0.attn.attn.in_proj_weight', CONV_SEG,
           sizes('segformer_b{}', '012345'), 'Apache-2.0 (MMSegmentation); the encoders began '
           "with NVIDIA's weights, which are for non-commercial use only"),
    Layout('NVIDIA', nvidia.TELLTALE, ('decode_head.linear_pred.bias', 0), ('segformer',),
           'NVIDIA Source Code License for SegFormer: for non-commercial use only',
           nvidia.read_config),
    Layout('MMSegmentation', 'backbone.block1.0.attn.spatial_gating_unit.conv0.weight', CONV_SEG,
           sizes('segnext_{}', 'tsbl'), 'Apache-2.0 (MMSegmentation and the authors, who ask to '
           f'be contacted about commercial use), {DATA_TERMS}'),
    Layout('LRFormer', 'backbone.d_convs1.0.weight', CONV_SEG,
           (*sizes('lrformer_{}', 'tsbl'), 'lrformer_xl'),
           f'Apache-2.0 (the authors), {DATA_TERMS}'),
    Layout('Segmenter', 'decoder.cls_emb', ('decoder.cls_emb', 1), sizes('segmenter_{}', 'tsbl'),
           f'MIT (the authors), {DATA_TERMS}'),
    Layout('Segmenter', 'decoder.head.weight', ('decoder.head.bias', 0),
           sizes('segmenter_linear_{}', 'tsbl'), f'MIT (the authors), {DATA_TERMS}'),
    Layout('MMSegmentation', 'decode_head.cls_emb', ('decode_head.cls_emb', 1),
           sizes('segmenter_{}', 'tsbl'), f'Apache-2.0 (MMSegmentation), {DATA_TERMS}'),
    Layout('MMSegmentation', 'decode_head.up_convs.0.0.conv.weight', CONV_SEG,
           tuple(f'setr_{decoder}_{size}' for size in 'lb' for decoder in ('naive', 'pup', 'mla')),
           f'Apache-2.0 (MMSegmentation), {DATA_TERMS}'),
    Layout('SegViT', SEGVIT.format(3), ('decode_head.q.weight', 0),
           sizes('segvit_{}', 'sbl'), 'BSD-2-Clause for academic use (the authors, who ask to be '
           f'contacted about commercial use), {DATA_TERMS}'),
    Layout('MMSegmentation', 'backbone.layers.0.ln1.weight', CONV_SEG,
           sizes('segmenter_linear_{}', 'tsbl'), f'Apache-2.0 (MMSegmentation), {DATA_TERMS}'),
    Layout('Google Coral', '209.weight', ('209.bias', 0), ('deeplab_edgetpu',),
           'Apache-2.0 (Google Coral); trained on Cityscapes, whose data are for non-commercial '
           'use'),
)


@dataclass(frozen=True)
class Recognised:
    """What a file of weights is: its layout, network, and number of classes where it tells."""

    layout: Layout
    network: str
    num_classes: int | None

    def __str__(self) -> str:
        classes = f', {self.num_classes} classes' if self.num_classes else ', without a classifier'
        return f'{self.network} of {self.layout.publisher}{classes}'


def recognise(tensors: dict[str, Tensor], source: str | Path) -> Recognised:
    """Tensors of a published file, without wrappers -> what they are; source: for the errors."""
    if REFINER.telltale in tensors:
        raise ValueError(f"{source}: holds SparseRefine's refiner alone; import its dense network "
                         "first and name that model file with --base")
    if SEGVIT.format(1) in tensors and SEGVIT.format(3) not in tensors:
        raise ValueError(f'{source}: holds a shrunk SegViT, whose decoder has other stages; '
                         'import one that is not shrunk')
    layout = next((layout for layout in LAYOUTS if layout.telltale in tensors), None)
    if layout is None:
        raise ValueError(f'{source}: no published layout that is known; '
                         f'{describe_nearest(tensors)}; name the network with --network if the '
                         'names are its own')
    num_classes = layout.count_classes(tensors)
    if layout.read_config:  # of any size
        return Recognised(layout, layout.networks[0], num_classes)
    agreements = {name: agreement(name, num_classes, tensors) for name in layout.networks}
    network = max(agreements, key=lambda name: agreements[name])
    if agreements[network] < LEAST_AGREEMENT:
        raise ValueError(f'{source}: layout of {layout.publisher}, but of an unknown size; '
                         f'{network} comes nearest, and {agreements[network]:.0%} of its tensors '
                         f'agree; known sizes: {", ".join(layout.networks)}')
    return Recognised(layout, network, num_classes)


def layout_of(network: str, tensors: dict[str, Tensor], source: str | Path) -> Layout:
    """Network that the user names, tensors of a file -> its layout; the network's own if none."""
    layouts = [layout for layout in LAYOUTS if layout.telltale in tensors]
    for layout in layouts:
        if network in layout.networks:
            return layout
    if layouts:
        raise ValueError(f'{source}: layout of {layouts[0].publisher} for '
                         f'{" or ".join(layouts[0].networks)}, not for network {network!r}; leave '
                         'out --network')
    return Layout(network, '', ('', 0), (network,))


def agreement(name: str, num_classes: int | None, tensors: dict[str, Tensor]) -> float:
    """Return the fraction of tensors, of a network and a file, that both have in one shape."""
    shapes, network_tensors = published_shapes(name, num_classes or 2)
    own = network_tensors(tensors)
    return sum(key in own and own[key].shape == shape for key, shape in shapes.items()
               ) / len(shapes.keys() | own.keys())


@lru_cache
def published_shapes(name: str, num_classes: int):
    """Return the shapes of a network by published name, and its translator of files."""
    with torch.device('meta'):
        network = build_network(name, num_classes)
    tensors = network.state_dict()
    return ({released: tensors[key].shape for released, key in released_keys(network).items()},
            getattr(network, 'network_tensors', dict))


def describe_nearest(tensors: dict[str, Tensor]) -> str:
    """Tensors of an unknown layout -> the known one that shares the most names with it."""
    shared = {}
    for layout in LAYOUTS:
        if layout.read_config:
            continue
        try:
            shapes, network_tensors = published_shapes(layout.networks[0], 19)
        except ImportError:
            continue  # its optional package is not installed
        shared[layout] = len(shapes.keys() & network_tensors(tensors).keys()) / len(shapes)
    best = max(shared, key=lambda layout: shared[layout])
    if not shared[best]:
        return nearest(min(tensors, default=''), [layout.telltale for layout in LAYOUTS])
    return (f'{best.networks[0]} of {best.publisher} comes nearest, with {shared[best]:.0%} of '
            f'its names, but {best.telltale!r} is missing')
