# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The data sets that frames can be read from, by the kind in 'kind:root/split'."""

from __future__ import annotations

import re
from pathlib import Path

from sparse_seg_ros.config import nearest
from sparse_seg_ros.data.datasets import driving, scenes
from sparse_seg_ros.data.datasets.layout import DataSet

DATASETS: dict[str, DataSet] = {
    'cityscapes': driving.CITYSCAPES,
    'bdd100k': driving.BDD100K,
    'kitti': driving.KITTI,
    'mapillary': driving.MAPILLARY,
    'idd': driving.IDD,
    'acdc': driving.ACDC,
    'a2d2': driving.A2D2,
    'comma10k': driving.COMMA10K,
    'camvid': driving.CAMVID,
    'voc': scenes.VOC,
    'pascal_context_59': scenes.PASCAL_CONTEXT_59,
    'pascal_context_60': scenes.PASCAL_CONTEXT_60,
    'ade20k': scenes.ADE20K,
    'coco_stuff': scenes.COCO_STUFF,
    'coco_stuff_10k': scenes.COCO_STUFF_10K,
    'deepglobe': scenes.DEEPGLOBE,
    'isic': scenes.ISIC,
    'rellis': scenes.RELLIS,
    'folder': scenes.FOLDER,
}
KIND = re.compile(r'(\w{2,}):(.+)', re.DOTALL)  # C: is a drive


def kind_of(split: object) -> tuple[str, Path] | None:
    """'voc:data/VOC2012/val' -> ('voc', Path('data/VOC2012/val')); None for another name."""
    match = KIND.fullmatch(str(split))
    return (match[1], Path(match[2])) if match and match[1] in DATASETS else None


def refuse_unknown_kind(split: str | Path) -> None:
    """Raise ValueError for 'name:path' where no data set has this name."""
    match = KIND.fullmatch(str(split))
    if match and match[1] not in DATASETS:
        raise ValueError(f'no data set {match[1]!r}, of {str(split)!r}; '
                         f'{nearest(match[1], DATASETS)}')
