# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Data sets of other scenes, as their archives unpack, and folders of one's own."""

from __future__ import annotations

from sparse_seg_ros.data.datasets.layout import ANY, DataSet, Layout

CONTEXT = (Layout('JPEGImages/{frame}.jpg', 'SegmentationClassContext/{frame}.png',
                  listing='ImageSets/SegmentationContext/{split}.txt'),)
CONTEXT_CURE = ('Pascal Context ships JSON: the converter of MMSegmentation, pascal_context.py, '
                'writes such labels')

VOC = DataSet('voc', (
    Layout('JPEGImages/{frame}.jpg', 'SegmentationClass/{frame}.png',
           listing='ImageSets/Segmentation/{split}.txt'),))

PASCAL_CONTEXT_59 = DataSet('pascal_context_59', CONTEXT, cure=CONTEXT_CURE)
PASCAL_CONTEXT_60 = DataSet('pascal_context_60', CONTEXT, cure=CONTEXT_CURE)

ADE20K = DataSet('ade20k', (
    Layout('images/{split}/{frame}.jpg', 'annotations/{split}/{frame}.png'),))

COCO_STUFF = DataSet('coco_stuff', (
    Layout('images/{split}/{frame}.jpg', 'annotations/{split}/{frame}_labelTrainIds.png',
           'trainIds'),
    Layout('images/{split}/{frame}.jpg', 'annotations/{split}/{frame}.png', 'stuffthingmaps')))

COCO_STUFF_10K = DataSet('coco_stuff_10k', (
    Layout('images/{split}/{frame}.jpg', 'annotations/{split}/{frame}_labelTrainIds.png'),),
    cure='COCO-Stuff 10K ships .mat files: the converter of MMSegmentation, coco_stuff10k.py, '
    'writes such labels')

DEEPGLOBE = DataSet('deepglobe', (
    Layout('{split}/{frame}_sat.jpg', '{split}/{frame}_mask.png'),))

ISIC = DataSet('isic', (
    Layout('ISIC-2017_{split}_Data/{frame}.jpg',
           'ISIC-2017_{split}_Part1_GroundTruth/{frame}_segmentation.png'),
    Layout('ISIC2018_Task1-2_{split}_Input/{frame}.jpg',
           'ISIC2018_Task1_{split}_GroundTruth/{frame}_segmentation.png')))

RELLIS = DataSet('rellis', (Layout('', '', listing='{split}.lst'),),
                 cure='its lines must be "image label", from that folder on')

# 'all' is a folder of images beside one of labels, without splits.
FOLDER = DataSet('', tuple(
    Layout(f'{image}/{{frame}}.{{suffix}}', f'{label}/{{frame}}.png')
    for labels in ('labels', 'masks', 'annotations')
    for image, label in (('images/{split}', f'{labels}/{{split}}'),
                         ('{split}/images', f'{{split}}/{labels}'),
                         ('images', labels))),
    {'all': {'frame': ANY}})
