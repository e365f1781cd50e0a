# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Data sets of roads, as their archives unpack."""

from __future__ import annotations

from sparse_seg_ros.data.datasets.layout import ANY, DataSet, Layout

CITY = 'leftImg8bit/{split}/{city}/{frame}_leftImg8bit.png'
FOG = 'rgb_anon/{condition}/{split}/{drive}/{frame}_rgb_anon.png'
CONDITIONS = ('fog', 'night', 'rain', 'snow')

CITYSCAPES = DataSet('cityscapes', (
    Layout(CITY, 'gtFine/{split}/{city}/{frame}_gtFine_labelIds.png', 'labelIds'),
    Layout(CITY, 'gtFine/{split}/{city}/{frame}_gtFine_labelTrainIds.png', 'trainIds')))

BDD100K = DataSet('bdd100k', (
    Layout('images/10k/{split}/{frame}.jpg', 'labels/sem_seg/masks/{split}/{frame}.png',
           'trainIds'),
    Layout('seg/images/{split}/{frame}.jpg', 'seg/labels/{split}/{frame}_train_id.png',
           'trainIds')))

KITTI = DataSet('kitti', (
    Layout('{split}/image_2/{frame}.png', '{split}/semantic/{frame}.png', 'labelIds'),))

MAPILLARY = DataSet('mapillary', (
    Layout('{split}/images/{frame}.jpg', '{split}/v2.0/labels/{frame}.png'),))

IDD = DataSet('idd', tuple(
    Layout(f'leftImg8bit/{{split}}/{{drive}}/{{frame}}_leftImg8bit.{suffix}',
           'gtFine/{split}/{drive}/{frame}_gtFine_labellevel3Ids.png')
    for suffix in ('png', 'jpg')),
    cure='IDD ships polygons: createLabels.py of its tools draws them with --id-type level3Id')

# 'val' is all conditions, 'fog_val' one of them.
ACDC = DataSet('acdc', tuple(
    Layout(FOG, f'gt/{{condition}}/{{split}}/{{drive}}/{{frame}}_gt_{suffix}.png', form)
    for suffix, form in (('labelIds', 'labelIds'), ('labelTrainIds', 'trainIds'))),
    {f'{condition}_{split}': {'condition': condition, 'split': split}
     for condition in CONDITIONS for split in ('train', 'val', 'test')})

# It has no splits: a split is one of its drives, or all of them.
A2D2 = DataSet('a2d2', (
    Layout('{split}/camera/{camera}/{time}_camera_{place}_{number}.png',
           '{split}/label/{camera}/{time}_label_{place}_{number}.png'),),
    {'all': {'split': ANY}})

# Its makers validate on images whose names end in 9.
COMMA10K = DataSet('comma10k', (
    Layout('imgs/{frame}.png', 'masks/{frame}.png'),),
    {'train': {'frame': '*[!9]'}, 'val': {'frame': '*9'}, 'all': {'frame': ANY}})

CAMVID = DataSet('camvid', (
    Layout('{split}/{frame}.png', '{split}annot/{frame}.png', 'ids'),
    Layout('{split}/{frame}.png', '{split}_labels/{frame}_L.png', 'colors'),
    Layout('701_StillsRaw_full/{frame}.png', 'LabeledApproved_full/{frame}_L.png', 'colors')),
    {'all': {'frame': ANY}}, cure='all 701 originals are the split all')
