# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""IoU is that of cityscapesScripts on the same files."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from miniature_trees import make_tree

from sparse_seg_ros.data.frames import frames
from sparse_seg_ros.evaluation.metrics import ConfusionMatrix


@pytest.mark.parametrize('form', ['labelIds', 'labelTrainIds'])
def test_iou_is_that_of_cityscapes_scripts_on_the_same_tree(form, tmp_path):
    scripts = pytest.importorskip('cityscapesscripts.evaluation.evalPixelLevelSemanticLabeling')
    split = frames(make_tree('cityscapes', tmp_path, size_hw=(40, 60)))
    truths = [keep(path, tmp_path) for _, path in split.paths]
    if form == 'labelTrainIds':
        for _, path in split.paths:
            as_train_ids(path, scripts.id2label)
        split = frames('cityscapes', tmp_path, 'val')
    random, matrix, predictions = np.random.default_rng(0), ConfusionMatrix(19), []
    ids = np.array([scripts.trainId2label[place].id for place in range(19)], np.uint8)
    for number, frame in enumerate(split):
        predicted = random.integers(0, 19, (40, 60), np.uint8)
        predicted[:20] = np.minimum(frame.label()[:20], 18)  # half of it is right
        matrix.add(predicted, frame.label())
        predictions.append(str(tmp_path / f'{number}.png'))
        cv2.imwrite(predictions[-1], ids[predicted])
    scripts.args.evalInstLevelScore = scripts.args.JSONOutput = False
    scripts.args.quiet = True
    theirs = scripts.evaluateImgLists(predictions, truths, scripts.args)['classScores']
    for name, iou in zip(split.classes, matrix.iou()):
        assert theirs[name] == pytest.approx(iou, nan_ok=True), name
    assert np.isfinite(matrix.iou()).all()


def test_iou_is_that_of_cityscapes_scripts_for_a_hundred_random_confusions():
    scripts = pytest.importorskip('cityscapesscripts.evaluation.evalPixelLevelSemanticLabeling')
    ids = [scripts.trainId2label[place].id for place in range(19)]
    for seed in range(100):
        random, matrix = np.random.default_rng(seed), ConfusionMatrix(19)
        matrix.counts[:] = random.integers(0, 10 ** random.integers(1, 8), (19, 19))
        theirs = np.zeros((max(scripts.id2label) + 1,) * 2, np.ulonglong)
        theirs[np.ix_(ids, ids)] = matrix.counts
        scripts.args.evalLabels = ids
        expected = [scripts.getIouScoreForLabel(number, theirs, scripts.args) for number in ids]
        assert matrix.iou() == pytest.approx(expected, rel=1e-12)


def keep(path, folder):
    """Copy a label to where it is no part of the tree, and return the place."""
    return str(shutil.copy(path, folder / path.name))


def as_train_ids(path, id2label):
    """Turn a file of labelIds into one of labelTrainIds."""
    values = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    table = np.array([id2label[value].trainId % 256 for value in range(34)], np.uint8)
    cv2.imwrite(str(path).replace('labelIds', 'labelTrainIds'), table[values])
    Path(path).unlink()
