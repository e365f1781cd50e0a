# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Published weights are imported, scored on their data set and run in the node, by commands."""

from __future__ import annotations

import pytest

pytest.importorskip('rclpy')

from miniature_trees import make_tree
from published import (
    mmsegmentation_tensors,
    nvidia_tensors,
    random_network,
    released_tensors,
    write_refiner,
)
from ros_images import connect, image, serve
from safetensors.torch import save_file
from sensor_msgs.msg import Image
from tiny import street_image

from sparse_seg_ros.commands import main
from sparse_seg_ros.labels import load_labels
from sparse_seg_ros.messages.pixels import to_labels
from sparse_seg_ros.ros.node import load_model

LAYOUTS = {  # what is published -> network and data set; the smallest network of each layout
    "Coral's DeepLab": ('deeplab_edgetpu', 'cityscapes'),
    "MMSegmentation's SegNeXt": ('segnext_t', 'ade20k'),
    "MMSegmentation's SegFormer": ('segformer_b0', 'cityscapes'),
    "MMSegmentation's HRNet": ('hrnet_w48', 'cityscapes'),
    "MMSegmentation's Segmenter": ('segmenter_t', 'ade20k'),
    "SegViT's": ('segvit_s', 'ade20k'),
    "LRFormer's": ('lrformer_t', 'coco_stuff'),
    "Segmenter's with masks": ('segmenter_t', 'pascal_context_59'),
    "Segmenter's linear": ('segmenter_linear_t', 'ade20k'),
}


def write_published(path, publisher: str, name: str, num_classes: int) -> None:
    """Write random weights of a network as its publisher names them."""
    named = mmsegmentation_tensors if publisher in ("MMSegmentation's Segmenter", "SegViT's") \
        else released_tensors
    save_file(named(random_network(name, num_classes)), path)


def run_in_node(ros, model: str, capfd) -> None:
    """Let the node load a model and segment an image; what the weights are is logged once."""
    node = ros.segmentation(load_model, model=model, device='cpu', max_age_seconds=0.0)
    node.autostart()
    assert node.state == 'active'
    assert serve(ros, node, connect(ros), image(street_image(64, 96))).published == 1
    logged = capfd.readouterr().err
    assert logged.count('licence of the weights: ') == logged.count('source of the weights: ') == 1


@pytest.mark.parametrize('layout', LAYOUTS)
def test_a_published_file_is_imported_scored_on_its_data_set_and_run_by_the_node(
        tmp_path, ros, capfd, layout):
    name, labels = LAYOUTS[layout]
    if name.startswith('segformer'):
        pytest.importorskip('transformers')
    released, model = f'{tmp_path}/released.safetensors', f'{tmp_path}/model.safetensors'
    write_published(released, layout, name, len(load_labels(labels)))
    frames = make_tree(labels, tmp_path / 'data', size_hw=(64, 96))
    assert main(['import', released, '--labels', labels, '-o', model]) == 0
    assert main(['evaluate', '--model', model, '--frames', frames, '--device', 'cpu']) == 0
    run_in_node(ros, model, capfd)


def test_a_hugging_face_folder_is_imported_scored_and_run_by_the_node(tmp_path, ros, capfd):
    from hugging_face import save_folder, tiny_segformer
    folder = save_folder(tiny_segformer(load_labels('cityscapes').names), tmp_path / 'folder')
    model, frames = f'{tmp_path}/model.safetensors', make_tree(
        'cityscapes', tmp_path / 'data', size_hw=(64, 96))
    assert main(['import', str(folder), '-o', model]) == 0
    assert '19 classes' in capfd.readouterr().out
    assert main(['evaluate', '--model', model, '--frames', frames, '--device', 'cpu']) == 0
    run_in_node(ros, model, capfd)


def test_a_published_refiner_on_nvidias_segformer_refines_in_the_node(tmp_path, ros):
    from hugging_face import tiny_segformer
    save_file(nvidia_tensors(tiny_segformer(range(19))), tmp_path / 'nvidia.safetensors')
    write_refiner(tmp_path / 'refiner.safetensors', 19)
    dense, model = f'{tmp_path}/dense.safetensors', f'{tmp_path}/model.safetensors'
    assert main(['import', f'{tmp_path}/nvidia.safetensors', '--labels', 'cityscapes',
                 '-o', dense]) == 0
    assert main(['import', f'{tmp_path}/refiner.safetensors', '--base', dense, '-o', model]) == 0
    node = ros.segmentation(load_model, model=model, device='cpu', max_age_seconds=0.0)
    refined = ros.collect(Image, 'segmentation/refined', 1)
    node.autostart()
    publisher, (camera,) = connect(ros), node.cameras.values()
    ros.wait(camera.publishers['refined'].get_subscription_count)
    publisher.publish(image(street_image(64, 96)))
    ros.wait(lambda: refined)
    assert to_labels(refined[0]).shape == (64, 96) and to_labels(refined[0]).any()
