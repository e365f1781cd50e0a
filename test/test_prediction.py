# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The one result type: checked at birth."""

from __future__ import annotations

import numpy as np
import pytest

from sparse_seg_ros.prediction import Prediction

LABELS, UNCERTAINTY = np.zeros((2, 3), np.uint8), np.zeros((2, 3), np.float32)


def test_density_is_the_fraction_of_refined_pixels():
    refined = np.zeros((2, 3), bool)
    refined[0] = True
    assert Prediction(LABELS, UNCERTAINTY, refined).density == 0.5
    assert Prediction(LABELS, UNCERTAINTY).density == 0.0


@pytest.mark.parametrize(('fields', 'words'), [
    ({'labels': LABELS.astype(int)}, 'labels must be (H, W) uint8'),
    ({'uncertainty': UNCERTAINTY.astype(float)}, 'uncertainty must be (H, W) float32 like the '
                                                 'labels (2, 3), got (2, 3) float64'),
    ({'uncertainty': UNCERTAINTY[:1]}, 'got (1, 3) float32'),
    ({'refined': LABELS}, 'refined must be (H, W) bool'),
    ({'confidence': LABELS}, 'confidence must be (H, W) float32'),
    ({'merged': LABELS}, 'merged must be (H, W) int32 like the labels (2, 3), got (2, 3) uint8'),
    ({'labels': LABELS[None], 'uncertainty': UNCERTAINTY[None]}, 'got (1, 2, 3) uint8'),
])
def test_an_array_of_another_type_or_shape_is_refused(fields, words):
    with pytest.raises(ValueError) as caught:
        Prediction(**{'labels': LABELS, 'uncertainty': UNCERTAINTY, **fields})
    assert words in str(caught.value)
