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
    'bdd100k': Tree(
        'val', 'images/10k/{split}/{frame}.jpg', 'labels/sem_seg/masks/{split}/{frame}.png',
        ('7d2f7975-e0c1c5a7', '7d4a9094-0455564b'), TRAIN_IDS),
    'bdd100k seg': Tree(
        'val', 'seg/images/{split}/{frame}.jpg', 'seg/labels/{split}/{frame}_train_id.png',
        ('7d2f7975-e0c1c5a7', '7d4a9094-0455564b'), TRAIN_IDS),
    'kitti': Tree('training', '{split}/image_2/{frame}.png', '{split}/semantic/{frame}.png',
                  ('000000_10', '000001_10'), CITY_IDS),
    'mapillary': Tree(
        'validation', '{split}/images/{frame}.jpg', '{split}/v2.0/labels/{frame}.png',
        ('_1Gn_xkw7sa_i9GU4mkxxQ', 'zzyiDLDqZYMJbhE1BdHBjQ'),
        {0: 0, 21: 21, 122: 122, 123: 255}, form='palette'),
    'idd': Tree('val', 'leftImg8bit/{split}/{frame}_leftImg8bit.png',
                'gtFine/{split}/{frame}_gtFine_labellevel3Ids.png',
                ('119/903127', '201/001234'), {0: 0, 8: 8, 25: 25, 255: 255}),
    'idd jpg': Tree('val', 'leftImg8bit/{split}/{frame}_leftImg8bit.jpg',
                    'gtFine/{split}/{frame}_gtFine_labellevel3Ids.png',
                    ('119/903127', '201/001234'), {0: 0, 8: 8, 25: 25, 255: 255}),
    'acdc': Tree('val', 'rgb_anon/{frame}_rgb_anon.png',
                 'gt/{frame}_gt_labelIds.png',
                 ('fog/val/GOPR0476/GOPR0476_frame_000854',
                  'night/val/GOPR0356/GOPR0356_frame_000321'), CITY_IDS),
    'acdc trainIds': Tree('fog_val', 'rgb_anon/{frame}_rgb_anon.png',
                          'gt/{frame}_gt_labelTrainIds.png',
                          ('fog/val/GOPR0476/GOPR0476_frame_000854',
                           'fog/val/GP010476/GP010476_frame_000001'), TRAIN_IDS),
    'a2d2': Tree('20180807_145028',
                 '{split}/camera/cam_front_center/20180807145028_camera_{frame}.png',
                 '{split}/label/cam_front_center/20180807145028_label_{frame}.png',
                 ('frontcenter_000000091', 'frontcenter_000000135'),
                 {(255, 0, 0): 0, (128, 0, 0): 0, (182, 89, 6): 1, (255, 0, 255): 33,
                  (53, 46, 82): 37}),
    'comma10k': Tree('val', 'imgs/{frame}.png', 'masks/{frame}.png',
                     ('0000_0085e9e41513078a_2018-08-19--13-26-08_11_869',
                      '0001_a23b0de0bc12dcba_2018-06-24--00-29-19_17_79'),
                     {(64, 32, 32): 0, (255, 0, 0): 1, (128, 128, 96): 2, (0, 255, 102): 3,
                      (204, 0, 255): 4}),
    'camvid': Tree('val', '{split}/{frame}.png', '{split}annot/{frame}.png',
                   ('0016E5_07959', '0016E5_07961'), {0: 0, 3: 3, 10: 10, 11: 255}),
    'camvid kaggle': Tree('val', '{split}/{frame}.png', '{split}_labels/{frame}_L.png',
                          ('0016E5_07959', '0016E5_07961'), {
                              (128, 128, 128): 0, (128, 0, 192): 3, (0, 0, 0): 255}),
    'camvid originals': Tree('all', '701_StillsRaw_full/{frame}.png',
                             'LabeledApproved_full/{frame}_L.png',
                             ('0001TP_006690', '0016E5_08159'), {
                                 (128, 128, 128): 0, (0, 128, 64): 1, (192, 128, 192): 8,
                                 (0, 128, 192): 10, (0, 0, 0): 255}),
    'voc': Tree('val', 'JPEGImages/{frame}.jpg', 'SegmentationClass/{frame}.png',
                YEARS, {0: 0, 15: 15, 20: 20, 255: 255}, (VOC, '{frame}'), 'palette'),
    'deepglobe': Tree('train', '{split}/{frame}_sat.jpg', '{split}/{frame}_mask.png',
                      ('119', '606'), {(0, 255, 255): 0, (255, 255, 0): 1, (3, 250, 1): 3,
                                       (0, 0, 0): 255}),
    'isic': Tree('Training', 'ISIC2018_Task1-2_{split}_Input/{frame}.jpg',
                 'ISIC2018_Task1_{split}_GroundTruth/{frame}_segmentation.png',
                 ('ISIC_0000000', 'ISIC_0000001'), {0: 0, 255: 1}),
    'isic 2017': Tree('Training', 'ISIC-2017_{split}_Data/{frame}.jpg',
                      'ISIC-2017_{split}_Part1_GroundTruth/{frame}_segmentation.png',
                      ('ISIC_0000000', 'ISIC_0000001'), {0: 0, 255: 1}),
    'rellis': Tree('val', '00000/pylon_camera_node/{frame}.jpg',
                   '00000/pylon_camera_node_label_id/{frame}.png',
                   ('frame000104-1581624663_149', 'frame000119-1581624664_649'),
                   {0: 255, 1: 0, 3: 1, 34: 18},
                   ('{split}.lst', '00000/pylon_camera_node/{frame}.jpg '
                    '00000/pylon_camera_node_label_id/{frame}.png')),
    'folder': Tree('val', 'images/{split}/{frame}.jpg', 'labels/{split}/{frame}.png',
                   ('my first', 'b'), {0: 0, 1: 1, 255: 255}, form='grey16'),
    'folder without splits': Tree('all', 'images/{frame}.png', 'labels/{frame}.png',
                                  ('my first', 'b'), {0: 0, 1: 1, 255: 255}),
    'folder inside': Tree('val', '{split}/images/{frame}.jpeg', '{split}/masks/{frame}.png',
                          ('my first', 'b'), {0: 0, 1: 1, 255: 255}),
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
