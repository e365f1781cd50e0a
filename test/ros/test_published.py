# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Published weights run in the node, after commands alone."""

from __future__ import annotations

import cv2
import pytest

pytest.importorskip('rclpy')

from published import mmsegmentation_tensors, random_network, released_tensors
from ros_images import connect, image, serve
from safetensors.torch import save_file
from tiny import street_image

from sparse_seg_ros.commands import main
from sparse_seg_ros.ros.node import load_model


@pytest.mark.parametrize('name', ['deeplab_edgetpu', 'segnext_t', 'lrformer_t', 'segformer_b0',
                                  'segmenter_t', 'segmenter_t of MMSegmentation'])
def test_a_published_file_is_imported_evaluated_and_run_by_the_node(tmp_path, ros, capfd, name):
    if name.startswith('segformer'):
        pytest.importorskip('transformers')
    name, _, publisher = name.partition(' of ')
    named = mmsegmentation_tensors if publisher else released_tensors
    save_file(named(random_network(name, 19)), tmp_path / 'released.safetensors')
    cv2.imwrite(str(tmp_path / 'a.png'), street_image(64, 96))
    cv2.imwrite(str(tmp_path / 'a_ids.png'), street_image(64, 96)[:, :, 0] % 19)
    (tmp_path / 'val.txt').write_text('a.png a_ids.png\n')
    model = f'{tmp_path}/model.safetensors'
    assert main(['import', f'{tmp_path}/released.safetensors', '--labels', 'cityscapes',
                 '-o', model]) == 0
    assert main(['evaluate', '--model', model, '--frames', f'{tmp_path}/val', '--device',
                 'cpu']) == 0
    node = ros.segmentation(load_model, model=model, device='cpu')
    node.autostart()
    assert node.state == 'active'
    publisher = connect(ros)
    assert serve(ros, node, publisher, image(street_image(64, 96))).published == 1
    said = capfd.readouterr().err
    assert said.count('licence of the weights: ') == said.count('source of the weights: ') == 1
