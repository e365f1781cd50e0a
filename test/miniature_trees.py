# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Data sets in miniature, each in the folders, names and pixel values that its makers publish.

Nothing here is taken from the readers: the paths are written out a second time.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from small_png import png


class Tree(NamedTuple):
    """
    One published form of a data set.

    values: what stands in the label files -> id of the class, 255 for void. listing: a file that
    names the frames of a split, and its lines. form: 'grey', 'palette' or 'grey16'.
    """

    split: str
    image: str
    label: str
    frames: tuple[str, ...]
    values: dict
    listing: tuple[str, str] | None = None
    form: str = 'grey'


CITY = ('aachen/aachen_000000_000019', 'bremen/bremen_000001_000019')
CITY_IDS = {7: 0, 8: 1, 23: 10, 26: 13, 33: 18, 0: 255, 4: 255, 29: 255}
TRAIN_IDS = {0: 0, 1: 1, 10: 10, 13: 13, 18: 18, 255: 255}
VOC = 'ImageSets/Segmentation/{split}.txt'
CONTEXT = 'ImageSets/SegmentationContext/{split}.txt'
YEARS = ('2007_000032', '2007_000033')
TREES = {
    'cityscapes': Tree(
        'val', 'leftImg8bit/{split}/{frame}_leftImg8bit.png',
        'gtFine/{split}/{frame}_gtFine_labelIds.png', CITY, CITY_IDS),
    'cityscapes trainIds': Tree(
        'val', 'leftImg8bit/{split}/{frame}_leftImg8bit.png',
        'gtFine/{split}/{frame}_gtFine_labelTrainIds.png', CITY, TRAIN_IDS),
    'ade20k': Tree(
        'validation', 'images/{split}/{frame}.jpg', 'annotations/{split}/{frame}.png',
        ('ADE_val_00000001', 'ADE_val_00000002'), {0: 255, 1: 0, 3: 2, 150: 149}),
    'coco_stuff': Tree(
        'val2017', 'images/{split}/{frame}.jpg', 'annotations/{split}/{frame}.png',
        ('000000000139', '000000000285'), {0: 0, 10: 10, 12: 11, 181: 170, 255: 255}),
    'coco_stuff trainIds': Tree(
        'val2017', 'images/{split}/{frame}.jpg', 'annotations/{split}/{frame}_labelTrainIds.png',
        ('000000000139', '000000000285'), {0: 0, 10: 10, 170: 170, 255: 255}),
    'coco_stuff_10k': Tree(
        'test2014', 'images/{split}/{frame}.jpg', 'annotations/{split}/{frame}_labelTrainIds.png',
        ('COCO_train2014_000000000077', 'COCO_train2014_000000000109'),
        {0: 255, 1: 0, 171: 170}),
    'pascal_context_59': Tree(
        'val', 'JPEGImages/{frame}.jpg', 'SegmentationClassContext/{frame}.png',
        ('2008_000002', '2008_000007'), {0: 255, 1: 0, 59: 58}, (CONTEXT, '{frame}')),
    'pascal_context_60': Tree(
        'val', 'JPEGImages/{frame}.jpg', 'SegmentationClassContext/{frame}.png',
        ('2008_000002', '2008_000007'), {0: 0, 1: 1, 59: 59}, (CONTEXT, '{frame}')),
}


def make_tree(name: str, folder: str | Path, split: str = '', size_hw: tuple[int, int] = (8, 24),
              ) -> str:
    """
    Write two frames of a data set into a folder -> what --frames is to be, 'voc:folder/val'.

    name: key of TREES. The pixel values stand in upright stripes, all of them in each label.
    """
    tree, folder = TREES[name], Path(folder)
    split = split or tree.split
    random = np.random.default_rng(0)
    for frame in tree.frames:
        write(folder / tree.image.format(split=split, frame=frame),
              random.integers(0, 256, (*size_hw, 3), np.uint8))
        write(folder / tree.label.format(split=split, frame=frame),
              stripes([*tree.values], size_hw), tree.form)
    if tree.listing:
        path = folder / tree.listing[0].format(split=split)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(''.join(tree.listing[1].format(frame=frame) + '\n'
                                for frame in tree.frames))
    return f'{name.split()[0]}:{folder}/{split}'


def true_label(name: str, size_hw: tuple[int, int] = (8, 24)) -> np.ndarray:
    """Name of a tree -> (H, W) uint8 ids that the label of each of its frames stands for."""
    return stripes([*TREES[name].values.values()], size_hw)


def stripes(values: list, size_hw: tuple[int, int]) -> np.ndarray:
    """Pixel values, ids or (r, g, b), -> (H, W) or (H, W, 3) array with one stripe of each."""
    height, width = size_hw
    row = np.array(values, np.uint8)[np.arange(width) * len(values) // width]
    return np.repeat(row[None], height, axis=0)


def write(path: Path, picture: np.ndarray, form: str = 'grey') -> None:
    """Write a picture and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if form == 'palette':
        path.write_bytes(png(picture, 8, True))
        return
    if picture.ndim == 3:
        picture = picture[..., ::-1]
    if form == 'grey16':
        picture = picture.astype(np.uint16)
    assert cv2.imwrite(str(path), picture), path
