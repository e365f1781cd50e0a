# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The one result type: checked at birth."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from ros_fakes import LABELS, make_image, make_segmenter

from sparse_seg_ros.pictures import overlay
from sparse_seg_ros.prediction import Prediction

LABELS_2X3, UNCERTAINTY = np.zeros((2, 3), np.uint8), np.zeros((2, 3), np.float32)


def test_density_is_the_fraction_of_refined_pixels():
    refined = np.zeros((2, 3), bool)
    refined[0] = True
    assert Prediction(LABELS_2X3, UNCERTAINTY, refined).density == 0.5
    assert Prediction(LABELS_2X3, UNCERTAINTY).density == 0.0


@pytest.mark.parametrize(('fields', 'words'), [
    ({'labels': LABELS_2X3.astype(int)}, 'labels must be (H, W) uint8'),
    ({'uncertainty': UNCERTAINTY.astype(float)}, 'uncertainty must be (H, W) float32 like the '
                                                 'labels (2, 3), got (2, 3) float64'),
    ({'uncertainty': UNCERTAINTY[:1]}, 'got (1, 3) float32'),
    ({'refined': LABELS_2X3}, 'refined must be (H, W) bool'),
    ({'confidence': LABELS_2X3}, 'confidence must be (H, W) float32'),
    ({'merged': LABELS_2X3}, 'merged must be (H, W) int32 like the labels (2, 3), got (2, 3) u'),
    ({'labels': LABELS_2X3[None], 'uncertainty': UNCERTAINTY[None]}, 'got (1, 2, 3) uint8'),
])
def test_an_array_of_another_type_or_shape_is_refused(fields, words):
    with pytest.raises(ValueError) as caught:
        Prediction(**{'labels': LABELS_2X3, 'uncertainty': UNCERTAINTY, **fields})
    assert words in str(caught.value)


def test_a_prediction_saves_and_shows_the_image_with_its_colours_and_a_legend(tmp_path):
    image = make_image()
    seen = make_segmenter()(image)
    seen.save(tmp_path / 'new' / 'out.png')
    picture = cv2.imread(str(tmp_path / 'new' / 'out.png'))[..., ::-1]
    assert (picture == seen.picture()).all() and picture.shape[0] > 40
    assert (picture[:40] == overlay(image, seen.labels, LABELS)).all()
    assert seen._repr_png_() == (tmp_path / 'new' / 'out.png').read_bytes()
    with pytest.raises(ValueError, match="written as .png or .jpg, got '.gif0'; give the file"):
        seen.save(tmp_path / 'out.gif0')


def test_a_prediction_without_image_says_how_to_draw_it(tmp_path):
    assert Prediction(LABELS_2X3, UNCERTAINTY)._repr_png_() is None
    with pytest.raises(ValueError, match='knows neither image nor label set; make it with segm'):
        Prediction(LABELS_2X3, UNCERTAINTY).save(tmp_path / 'out.png')


def test_a_path_is_segmented_like_the_image_turned_upright(tmp_path):
    image, segment = make_image(), make_segmenter()
    cv2.imwrite(str(tmp_path / 'a.png'), image[..., ::-1])
    assert (segment(tmp_path / 'a.png').labels == segment(image).labels).all()
    assert (segment(str(tmp_path / 'a.png')).image == image).all()
    with pytest.raises(FileNotFoundError, match='no picture gone.png'):
        segment('gone.png')


def test_detections_are_one_for_each_class_in_the_image():
    pytest.importorskip('supervision')
    labels = np.full((4, 6), 255, np.uint8)
    labels[1, 2:5] = 1
    found = Prediction(labels, np.full((4, 6), 0.25, np.float32), label_set=LABELS).to_detections()
    assert found.xyxy.tolist() == [[2, 1, 5, 2]] and found.class_id.tolist() == [1]
    assert (found.mask[0] == (labels == 1)).all() and found.confidence.tolist() == [0.75]
    assert found.data['class_name'].tolist() == ['bright']
    labels[:] = 255
    assert len(Prediction(labels, np.zeros((4, 6), np.float32)).to_detections()) == 0
