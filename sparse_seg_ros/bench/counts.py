# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Parameters and multiply-adds of networks beside those that the papers print, and their scores.

Nothing runs: the tensors have no values. The papers call multiply-adds FLOPs. Rows of networks
that are not in this package are left out. SegFormer has the decoder of its authors here, 256 wide
under B1 and 768 from B2 on; the networks of NETWORKS have MMSegmentation's, always 256.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import torch
from torch import nn
from tqdm import tqdm

from sparse_seg_ros.bench.segformer import SIZES, SegFormer
from sparse_seg_ros.config import nearest
from sparse_seg_ros.methods.macs import count_module
from sparse_seg_ros.networks import build_network
from sparse_seg_ros.report.tables import grid


@dataclass(frozen=True)
class Printed:
    """A row of a paper: multiply-adds in 1e9, parameters in 1e6, mIoU or accuracy in per cent."""

    network: str
    macs: float | None
    parameters: float | None
    score: float
    size_hw: tuple[int, int] | None = None  # None: that of the table
    options: tuple[str, ...] = ()  # of the network


@dataclass(frozen=True)
class Table:
    """What its rows have in common."""

    about: str
    num_classes: int
    size_hw: tuple[int, int]
    rows: tuple[Printed, ...]


def option(text: str, macs: float, parameters: float | None, score: float) -> Printed:
    """Return a row of LRFormer-S with an option."""
    return Printed('lrformer_s', macs, parameters, score, options=(text,) if text else ())


LARGE, FINE = (640, 640), (384, 384)
TABLES = {
    'lrformer_table_3': Table('ADE20K, mIoU', 150, (512, 512), (
        Printed('segformer_b1', 16, 14, 42.2), Printed('lrformer_t', 17, 13, 46.7),
        Printed('segformer_b2', 62, 28, 46.5), Printed('mask2former_swin_t', 74, 47, 47.7),
        Printed('lrformer_s', 40, 32, 50.0), Printed('segformer_b3', 96, 47, 49.4),
        Printed('lrformer_b', 75, 69, 51.0), Printed('segformer_b5', 183, 85, 51.0, LARGE),
        Printed('lrformer_l', 183, 113, 52.6, LARGE), Printed('setr_mla_l', None, 302, 48.6))),
    'lrformer_table_4': Table('COCO-Stuff, mIoU', 171, (512, 512), (
        Printed('segformer_b1', 16, 14, 40.2), Printed('lrformer_t', 17, 13, 43.9),
        Printed('segformer_b2', 62, 28, 44.6), Printed('lrformer_s', 40, 32, 46.4),
        Printed('segformer_b3', 79, 47, 45.5), Printed('segformer_b5', 112, 85, 46.7),
        Printed('lrformer_b', 75, 69, 47.2), Printed('lrformer_l', 122, 113, 47.9))),
    'lrformer_table_5': Table('Cityscapes, mIoU', 19, (1024, 2048), (
        Printed('segformer_b1', 244, 14, 78.5), Printed('lrformer_t', 122, 13, 80.7),
        Printed('segformer_b2', 717, 28, 81.0), Printed('lrformer_s', 295, 32, 81.9),
        Printed('segformer_b3', 963, 47, 81.7), Printed('segformer_b5', 1460, 85, 82.4),
        Printed('lrformer_b', 555, 67, 83.0), Printed('lrformer_l', 908, 111, 83.2))),
    'lrformer_table_6': Table('ImageNet-1K, accuracy', 1000, (224, 224), (
        Printed('lrformer_t_classifier', 1.8, 13, 80.8),
        Printed('lrformer_s_classifier', 4.7, 30, 83.5),
        Printed('lrformer_b_classifier', 9.3, 62, 84.5),
        Printed('lrformer_l_classifier', 15.7, 101, 85.0),
        Printed('lrformer_l_classifier', 46.3, 101, 87.2, FINE),
        Printed('lrformer_xl_classifier', 31.6, 187, 87.0))),
    'lrformer_table_7': Table('pooled size: ADE20K, mIoU', 150, (512, 512), (
        option('query_side=4', 38, None, 46.3), option('query_side=8', 38, None, 46.8),
        option('', 40, None, 48.5), option('query_side=32', 52, None, 48.6),
        option('query_side=48', 74, None, 48.7), option('query_side=64', 108, None, 48.5))),
    'lrformer_table_10': Table('decoder heads: ADE20K, mIoU', 150, (512, 512), (
        option('', 40, 32, 49.5), option('head=ocr', 48, 34, 48.0),
        option('head=ppm', 82, 44, 48.4), option('head=da', 94, 42, 48.9),
        option('head=cc', 84, 42, 48.6))),
    'lrformer_table_11': Table('width of the decoder: ADE20K, mIoU', 150, (512, 512), (
        option('decoder_width=128', 27, 30, 47.8), option('decoder_width=256', 32, 31, 49.2),
        option('', 40, 32, 49.5), option('decoder_width=512', 50, 37, 49.6),
        option('decoder_width=768', 79, 46, 49.2), option('decoder_width=1024', 117, 58, 49.2))),
    'lrformer_table_13': Table('ADE20K, mIoU', 150, (512, 512), (
        Printed('mask2former_swin_t', 74, 47, 47.7), Printed('mask2former_swin_s', 98, 69, 51.3),
        Printed('lrformer_plus_t', 53, 31, 49.4), Printed('lrformer_plus_s', 70, 48, 51.3),
        Printed('lrformer_plus_b', 94, 80, 53.7),
        Printed('mask2former_swin_b', 223, 107, 53.9, LARGE),
        Printed('lrformer_plus_l', 192, 119, 55.8, LARGE),
        Printed('mask2former_swin_l', 403, 215, 56.1, LARGE),
        Printed('lrformer_plus_xl', 365, 205, 58.1, LARGE))),
    'algm_table_1': Table('ADE20K, mIoU without merging', 150, (512, 512), (
        Printed('segmenter_t', 12.8, None, 38.1), Printed('segmenter_s', 38.6, None, 45.3),
        Printed('segmenter_b', 130, None, 48.5), Printed('segmenter_l', 672, None, 51.8, LARGE),
        Printed('segvit_l', 638, None, 54.5, LARGE), Printed('setr_naive_l', 363, None, 48.1))),
}


def run(names: Sequence[str] | None = None) -> dict:
    """Names in TABLES, None for all -> figures."""
    names = list(names or TABLES)
    if unknown := [name for name in names if name not in TABLES]:
        raise ValueError(f'no counts for table {unknown[0]!r}; {nearest(unknown[0], TABLES)}')
    rows = [(name, row) for name in names for row in TABLES[name].rows]
    return {'rows': [{'table': name, **asdict(row), **count(row, TABLES[name])}
                     for name, row in tqdm(rows, 'networks', leave=False)]}


def count(row: Printed, table: Table) -> dict:
    """Row of a table -> size, classes, multiply-adds and parameters of the network here."""
    size_hw = row.size_hw or table.size_hw
    with torch.device('meta'):
        network = build(row.network, table.num_classes, row.options).eval()
    return {'size_hw': list(size_hw), 'num_classes': table.num_classes,
            'counted_macs': count_module(network, 1, 3, *size_hw),
            'counted_parameters': sum(weights.numel() for weights in network.parameters())}


def build(name: str, num_classes: int, options: tuple[str, ...]) -> nn.Module:
    """Name of a network -> one with random weights; SegFormer as its authors have it."""
    if name in SIZES:
        return SegFormer(name, num_classes)
    return build_network(name, num_classes, options)


def describe(figures: dict) -> str:
    """Figures of `run` -> a table for each of the papers'."""
    tables: dict[str, list[dict]] = {}
    for row in figures['rows']:
        tables.setdefault(row['table'], []).append(row)
    return '\n\n'.join(f'{name}: {TABLES[name].about}, {TABLES[name].num_classes} classes\n\n'
                       + draw(rows) for name, rows in tables.items())


def draw(rows: list[dict]) -> str:
    """Draw the rows of one table."""
    head = ['network', 'size', 'G multiply-adds: paper', 'here', '%', 'M parameters: paper',
            'here', 'score in the paper']
    return grid(head, [[
        ' '.join((row['network'], *row['options'])), '{}x{}'.format(*row['size_hw']),
        said(row['macs']),
        f"{row['counted_macs'] / 1e9:.1f}", change(row['counted_macs'] / 1e9, row['macs']),
        said(row['parameters']), f"{row['counted_parameters'] / 1e6:.1f}", f"{row['score']:.1f}"]
        for row in rows])


def said(value: float | None) -> str:
    """Figure of a paper, or nothing -> text."""
    return '-' if value is None else f'{value:g}'


def change(counted: float, printed: float | None) -> str:
    """By how much per cent a count is above what is printed."""
    return '-' if printed is None else f'{round(100 * (counted / printed - 1)):+d}'
