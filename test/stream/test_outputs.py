# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What is published for one frame, as arrays."""

from __future__ import annotations

import numpy as np
import pytest

from sparse_seg_ros.labels import load_labels
from sparse_seg_ros.prediction import Prediction
from sparse_seg_ros.stream.outputs import OUTPUTS, SegmentedFrame


@pytest.mark.parametrize('name', ['confidence', 'merged'])
def test_an_optional_output_that_was_not_wanted_is_named(name):
    prediction = Prediction(np.zeros((2, 3), np.uint8), np.zeros((2, 3), np.float32))
    frame = SegmentedFrame(np.zeros((2, 3, 3), np.uint8), prediction, load_labels('camvid'))
    with pytest.raises(ValueError, match=f"segmented without '{name}'; ask for it in wants"):
        OUTPUTS[name].make(frame)
