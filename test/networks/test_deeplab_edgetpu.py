# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The released DeepLab against a walk along its graph, and zero-shot on real frames."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from counting import count_parameters
from edgetpu_oracle import DATA, RELEASED, literal_logits, released_tensors

from sparse_seg_ros.data.frames import frames
from sparse_seg_ros.evaluation.metrics import ConfusionMatrix
from sparse_seg_ros.labels import load_labels
from sparse_seg_ros.loading import checkpoints
from sparse_seg_ros.methods.dense.method import Dense
from sparse_seg_ros.networks import build_network, run_padded
from sparse_seg_ros.networks.deeplab_edgetpu import DeepLabEdgeTPU
from sparse_seg_ros.networks.features import run_with_features
from sparse_seg_ros.segmenter import Segmenter

TO_CAMVID = np.array([3, 4, 1, 1, 7, 2, 6, 6, 5, 5, 0, 9, 10, 8, 8, 8, 8, 10, 10], np.uint8)


def test_it_has_the_released_number_of_parameters():
    assert count_parameters(DeepLabEdgeTPU(19)) == 2_055_379


@pytest.fixture(name='network')
def drawn_network(tmp_path):
    """Return the network filled from a file in the released layout, and what is in it."""
    tensors = released_tensors()
    torch.save(tensors, tmp_path / 'released.pth')
    network = DeepLabEdgeTPU(19).double().eval()
    checkpoints.load(network, tmp_path / 'released.pth')
    return network, tensors


@torch.inference_mode()
@pytest.mark.parametrize('size', [(33, 49), (48, 64), (37, 50), (1, 18)], ids=str)
def test_logits_equal_those_of_the_graph_at_every_size(network, size):
    network, tensors = network
    images = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0)).double()
    got, want = run_padded(network, images), literal_logits(images, tensors)
    assert got.shape == (2, 19, *size) and want.std() > 1e-4
    torch.testing.assert_close(got, want, atol=1e-9 * want.abs().max().item(), rtol=0)


@torch.inference_mode()
@pytest.mark.parametrize('size', [(33, 49), (48, 37)], ids=str)
def test_features_are_those_nearest_to_each_pixel(network, size):
    logits, features = run_with_features(network[0], torch.randn(1, 3, *size).double())
    assert logits.shape[2:] == size
    for side, have, places in zip(size, features.values.shape[2:],
                                  (features.rows, features.columns)):
        away = (torch.arange(side)[:, None] - 16 * torch.arange(have)).abs()
        assert torch.equal(away[torch.arange(side), places], away.amin(1))


def test_weights_for_other_classes_say_so(network, tmp_path):
    with pytest.raises(ValueError, match="'209.weight' must be .* they seem to be for 19"):
        checkpoints.load(build_network('deeplab_edgetpu', 11), tmp_path / 'released.pth')


@pytest.mark.skipif(not (RELEASED.is_file() and (DATA / 'camvid').is_dir()),
                    reason=f'needs {RELEASED} and CamVid')
def test_zero_shot_on_camvid_it_scores_what_was_measured():
    network = build_network('deeplab_edgetpu', 19).eval()
    checkpoints.load(network, RELEASED)
    segment = Segmenter(Dense(network), load_labels('cityscapes'), network.mean, network.std)
    matrix = ConfusionMatrix(11)
    for image, label in frames(DATA / 'camvid/test').spread(6):
        seen = segment(cv2.resize(image, (769, 577))).labels
        seen = cv2.resize(seen, image.shape[1::-1], interpolation=cv2.INTER_NEAREST)
        matrix.add(TO_CAMVID[seen], label)
    assert 0.55 < matrix.mean_iou() < 0.7  # 0.622 on all of the 233 frames
