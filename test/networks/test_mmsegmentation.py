# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Files as MMSegmentation writes them: what loads, what is left out, and what is refused."""

from __future__ import annotations

import sys
from types import ModuleType

import hrnet_oracle
import numpy as np
import pytest
import segnext_oracle
import torch
from layers_oracle import draw
from safetensors.torch import load_file, save_file
from tiny import TinyHRNet, TinySegNeXt

from sparse_seg_ros.loading import checkpoints

CLASSES = 5
KINDS = {'hrnet': TinyHRNet, 'segnext': TinySegNeXt}
PUBLISHED = {
    'hrnet': hrnet_oracle.published_shapes(TinyHRNet.widths, CLASSES),
    'segnext': segnext_oracle.published_shapes((8, 16, 24, 32), (1, 2, 1, 1), 64, CLASSES)}
WRAPPERS = {
    'bare': lambda weights: weights,
    'state_dict': lambda weights: {
        'meta': {'CLASSES': ('road', 'sky'), 'PALETTE': [[1, 2, 3]], 'epoch': 3},
        'state_dict': weights},
    'model': lambda weights: {'model': weights, 'optimizer': {'param_groups': []}},
    'module': lambda weights: {
        'state_dict': {f'module.{name}': tensor for name, tensor in weights.items()}},
    'auxiliary_head': lambda weights: {'state_dict': {
        **weights, 'auxiliary_head.conv_seg.weight': torch.zeros(CLASSES, 8, 1, 1),
        'auxiliary_head.convs.0.bn.num_batches_tracked': torch.tensor(1)}},
    'averaged, as MMEngine has it': lambda weights: {
        'state_dict': weights, 'ema_state_dict': {
            'steps': torch.tensor(8),
            **{f'module.{name}': 0 * tensor for name, tensor in weights.items()}}},
    'averaged model alone': lambda weights: {
        'steps': torch.tensor(8),
        **{f'module.{name}': tensor for name, tensor in weights.items()}},
}


@pytest.fixture(name='kind', params=KINDS)
def each_kind(request):
    return request.param


@pytest.fixture(name='weights')
def drawn_weights(kind):
    return draw(PUBLISHED[kind])


@pytest.mark.parametrize('wrapper', WRAPPERS)
def test_files_load_and_are_saved_with_the_same_names(tmp_path, kind, weights, wrapper):
    torch.save(WRAPPERS[wrapper](weights), tmp_path / 'released.pth')
    network = KINDS[kind](CLASSES).double()
    checkpoints.load(network, tmp_path / 'released.pth')
    checkpoints.save(network, tmp_path / 'again.safetensors')
    again = load_file(tmp_path / 'again.safetensors')
    assert again.keys() == weights.keys()
    assert all(torch.equal(again[name], weights[name]) for name in weights)
    other = KINDS[kind](CLASSES).double()
    checkpoints.load(other, tmp_path / 'again.safetensors')
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), other.parameters()))


def test_segnext_of_its_authors_loads_too(tmp_path):
    weights = draw(PUBLISHED['segnext'])
    names = {name: name.replace('.dwconv.', '.dwconv.dwconv.') for name in weights}
    assert names['backbone.block1.0.mlp.dwconv.bias'] == 'backbone.block1.0.mlp.dwconv.dwconv.bias'
    save_file({names[name]: weights[name] for name in weights}, tmp_path / 'authors.safetensors')
    network = TinySegNeXt(CLASSES).double()
    checkpoints.load(network, tmp_path / 'authors.safetensors')
    assert torch.equal(network.backbone.stages[2].blocks[0].mlp.dwconv.weight,
                       weights['backbone.block3.0.mlp.dwconv.weight'])


def test_another_count_of_classes_is_refused_with_the_cure(tmp_path, kind, weights):
    torch.save({'state_dict': weights}, tmp_path / 'released.pth')
    with pytest.raises(ValueError, match=(
            r"'decode_head.conv_seg.(weight|bias)' must be \(19.*; were the weights trained for "
            'other classes[?] they seem to be for 5, the network is for 19; build it with '
            'num_classes=5')):
        checkpoints.load(KINDS[kind](19).double(), tmp_path / 'released.pth')


@pytest.mark.parametrize(('change', 'text'), [
    (lambda t: t.pop('decode_head.conv_seg.bias'),
     "tensor 'decode_head.conv_seg.bias' is missing; did you mean|is missing; known: "),
    (lambda t: t.update({'decode_head.conv_sge.bias': t.pop('decode_head.conv_seg.bias')}),
     "unexpected tensor 'decode_head.conv_sge.bias'; did you mean 'decode_head.conv_seg.bias'?"),
    (lambda t: t.update({'decode_head.conv_seg.weight': torch.zeros(CLASSES, 720, 1, 1)}),
     r"'decode_head.conv_seg.weight' must be \(5, \d+, 1, 1\), got \(5, 720, 1, 1\); were the"),
], ids=['missing', 'unexpected', 'shape'])
def test_weights_that_do_not_fit_are_named(tmp_path, kind, weights, change, text):
    change(weights)
    torch.save(weights, tmp_path / 'wrong.pth')
    with pytest.raises(ValueError, match=text):
        checkpoints.load(KINDS[kind](CLASSES).double(), tmp_path / 'wrong.pth')


class Code:
    """Runs something when it is unpickled by a careless reader."""

    ran = False

    def __reduce__(self):
        return setattr, (Code, 'ran', True)


def test_a_file_with_code_in_it_is_refused_and_the_code_does_not_run(tmp_path, kind, weights):
    torch.save({'state_dict': weights, 'meta': Code()}, tmp_path / 'released.pth')
    with pytest.raises(ValueError, match='released.pth: not a file of plain tensors .*; save the '
                                         'state_dict alone'):
        checkpoints.load(KINDS[kind](CLASSES).double(), tmp_path / 'released.pth')
    assert not Code.ran


def test_logs_of_a_training_are_passed_over_without_running_their_code(
        tmp_path, monkeypatch, kind, weights):
    logging = ModuleType('mmengine.logging.history_buffer')

    class HistoryBuffer:
        """The shape of MMEngine's: arrays, and its own functions by name."""

        __module__, __qualname__ = logging.__name__, 'HistoryBuffer'

        def __init__(self):
            self.history = np.arange(3.0)
            self.statistics_methods = {'mean': HistoryBuffer.mean}

        def mean(self):
            return self.history.mean()

        def __setstate__(self, state):
            raise AssertionError('this is code of the file')

    HistoryBuffer.mean.__module__ = logging.__name__
    HistoryBuffer.mean.__qualname__ = 'HistoryBuffer.mean'
    logging.HistoryBuffer = HistoryBuffer
    for name in ('mmengine', 'mmengine.logging'):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, logging.__name__, logging)
    hub = {'log_scalars': {'loss': HistoryBuffer()}, 'runtime_info': {'iter': np.float64(3)}}
    torch.save({'state_dict': weights, 'message_hub': hub}, tmp_path / 'iter_3.pth')
    network = KINDS[kind](CLASSES).double()
    checkpoints.load(network, tmp_path / 'iter_3.pth')
    assert torch.equal(network.decode_head.conv_seg.bias, weights['decode_head.conv_seg.bias'])
