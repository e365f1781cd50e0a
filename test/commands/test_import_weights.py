# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Published weights become a model file that says what it is."""

from __future__ import annotations

import pytest
import torch
from edgetpu_oracle import released_tensors
from tiny import street_image

import sparse_seg_ros as ss
from sparse_seg_ros.commands import main
from sparse_seg_ros.files import file_hash
from sparse_seg_ros.loading import checkpoints
from sparse_seg_ros.loading.checkpoints import load_model
from sparse_seg_ros.networks.deeplab_edgetpu import DeepLabEdgeTPU


@pytest.fixture(name='folder')
def folder_of_a_release(tmp_path):
    torch.save(released_tensors(), tmp_path / 'released.pth')
    return tmp_path


def import_into(folder, *changes):
    return main(['import', f'{folder}/released.pth', '--network', 'deeplab_edgetpu', '--labels',
                 'cityscapes', '--scale', '0.5', '-o', f'{folder}/x.safetensors', *changes])


def test_a_released_file_becomes_a_model_with_a_card(folder, capsys):
    assert import_into(folder) == 0
    model, network = load_model(folder / 'x.safetensors'), DeepLabEdgeTPU(19)
    checkpoints.load(network, folder / 'released.pth')
    assert all(torch.equal(tensor, network.state_dict()[key])
               for key, tensor in model.network.state_dict().items())
    card = model.card
    assert (card.network, card.scale, card.mean) == ('deeplab_edgetpu', 0.5, (128.,) * 3)
    assert (card.labels, card.classes[13], card.colors[13]) == ('cityscapes', 'car', (0, 0, 142))
    about = card.training['imported']
    assert about['file'] == 'released.pth'
    assert about['sha256'] == file_hash(folder / 'released.pth')
    assert 'Apache-2.0' in about['licence'] and about['licence'] in capsys.readouterr().out
    seen = ss.load(folder / 'x.safetensors', device='cpu')(street_image(65, 90))
    assert seen.labels.shape == (65, 90) and seen.refined is None


@pytest.mark.parametrize(('changes', 'words'), [
    (['--network', 'compact'], "network 'compact' does not know the names of published weights"),
    (['--labels', 'camvid'], "'209.weight' must be (11, 128, 1, 1), got (19, 128, 1, 1)"),
    (['--scale', '2'], "'scale' of a model card must be above 0 and at most 1, got 2.0"),
])
def test_what_does_not_fit_is_one_sentence(folder, capsys, changes, words):
    assert import_into(folder, *changes) == 1
    said = capsys.readouterr().err.strip()
    assert said.startswith('sparse_seg import: ') and words in said and '\n' not in said
    assert not (folder / 'x.safetensors').exists()
