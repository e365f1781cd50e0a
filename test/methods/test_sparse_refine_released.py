# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Weights in the released key layout, against a dense computation that reads those keys itself."""

from __future__ import annotations

import os
from pathlib import Path

import dense_oracle as oracle
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional as F

from sparse_seg_ros.loading import checkpoints
from sparse_seg_ros.methods.sparse_refine.refiner import SparseRefiner

DATA = Path(os.environ.get('SPARSE_SEG_DATA', Path(__file__).parents[3] / 'shared/data'))
KEYS = DATA.parent / 'facts/sparserefine_state_dict.tsv'
CLASSES, PLANES = 5, (8, 16, 32)


def block_shapes(prefix, a, b):
    shapes = {f'{prefix}1.{index}.{name}': (width,) for index, width in ((0, a), (3, b))
              for name in ('weight', 'bias', 'running_mean', 'running_var')}
    shapes |= {f'{prefix}1.{index}.num_batches_tracked': () for index in (0, 3)}
    shapes |= {f'{prefix}1.2.kernel': (9, a, b), f'{prefix}1.5.kernel': (9, b, b)}
    return shapes | ({f'{prefix}0.kernel': (a, b)} if a != b else {})


def norm_shapes(prefix, width):
    return {f'{prefix}.{name}': (width,) for name in
            ('weight', 'bias', 'running_mean', 'running_var')} | {
                f'{prefix}.num_batches_tracked': ()}


def stage_shapes(prefix, planes):
    width = planes[0]
    shapes = block_shapes(f'{prefix}0.', width, width) | block_shapes(f'{prefix}2.', width, width)
    if len(planes) == 1:
        return shapes
    shapes |= norm_shapes(f'{prefix}4.1.0', width) | norm_shapes(f'{prefix}4.1.4', planes[1])
    shapes |= {f'{prefix}4.1.2.kernel': (9, width, planes[1]),
               f'{prefix}4.1.6.kernel': (9, planes[1], width)}
    shapes |= stage_shapes(f'{prefix}4.1.3.', planes[1:])
    return shapes | block_shapes(f'{prefix}6.', 2 * width, width) | \
        block_shapes(f'{prefix}8.', width, width)


def released_shapes():
    gate, fuse = (64, 2 * (CLASSES + 1)), (64, CLASSES)
    return {'backbone.net.0.kernel': (9, 3, PLANES[0]), **stage_shapes('backbone.net.1.', PLANES),
            **norm_shapes('backbone.net.2', PLANES[0]), 'classifier.weight': (CLASSES, PLANES[0]),
            'classifier.bias': (CLASSES,), 'ensembler.attn.0.weight': gate,
            'ensembler.attn.0.bias': (64,), 'ensembler.attn.2.weight': (2, 64),
            'ensembler.attn.2.bias': (2,), 'ensembler.fuser.0.weight': fuse,
            'ensembler.fuser.0.bias': (64,), 'ensembler.fuser.2.weight': fuse[::-1],
            'ensembler.fuser.2.bias': (CLASSES,)}


@pytest.fixture(name='released', scope='module')
def released_tensors():
    generator = torch.Generator().manual_seed(0)

    def draw(key, shape):
        if key.endswith('num_batches_tracked'):
            return torch.tensor(7)
        values = torch.randn(shape, generator=generator, dtype=torch.float64)
        return values.abs() + 0.5 if key.endswith('running_var') else values * 0.3
    return {key: draw(key, shape) for key, shape in released_shapes().items()}


def norm_relu(x, mask, t, prefix):
    x = F.batch_norm(x, *(t[f'{prefix}.{name}'] for name in
                          ('running_mean', 'running_var', 'weight', 'bias')), eps=1e-5)
    return x.relu() * mask


def block(x, mask, t, prefix):
    y = oracle.submanifold(norm_relu(x, mask, t, f'{prefix}1.0'), mask, t[f'{prefix}1.2.kernel'])
    y = oracle.submanifold(norm_relu(y, mask, t, f'{prefix}1.3'), mask, t[f'{prefix}1.5.kernel'])
    kernel = t.get(f'{prefix}0.kernel')
    return y + (x if kernel is None else torch.einsum('bchw,cd->bdhw', x, kernel))


def stage(x, mask, t, prefix, depth):
    x = block(block(x, mask, t, f'{prefix}0.'), mask, t, f'{prefix}2.')
    if depth == 1:
        return x
    y = oracle.strided(norm_relu(x, mask, t, f'{prefix}4.1.0'), mask, t[f'{prefix}4.1.2.kernel'])
    small = oracle.coarser(mask)
    y = stage(y, small, t, f'{prefix}4.1.3.', depth - 1)
    y = norm_relu(y, small, t, f'{prefix}4.1.4')
    x = torch.cat((x, oracle.transposed(y, mask, t[f'{prefix}4.1.6.kernel'])), 1)
    return block(block(x, mask, t, f'{prefix}6.'), mask, t, f'{prefix}8.')


def linear(x, t, prefix):
    return F.linear(x, t[f'{prefix}.weight'], t[f'{prefix}.bias'])


def expected(image, logits, alpha, t):
    """Return mask, refined, ensembled and full logits, computed densely from released tensors."""
    full = F.interpolate(logits, image.shape[2:], mode='nearest')
    entropy = -(full.softmax(1) * full.softmax(1).clamp_min(1e-5).log()).sum(1)
    chosen = entropy > alpha
    mask = chosen[:, None].double()
    x = oracle.submanifold(image, mask, t['backbone.net.0.kernel'])
    x = norm_relu(stage(x, mask, t, 'backbone.net.1.', len(PLANES)), mask, t, 'backbone.net.2')
    refined = linear(x.movedim(1, -1)[chosen], t, 'classifier')
    coarse = full.movedim(1, -1)[chosen]
    described = []
    for y in (coarse, refined):
        p = y.softmax(1)
        described += [p, -(p * p.clamp_min(1e-5).log()).sum(1, keepdim=True)]
    hidden = linear(torch.cat(described, 1), t, 'ensembler.attn.0').relu()
    weights = linear(hidden, t, 'ensembler.attn.2').softmax(1)
    mixed = weights[:, :1] * coarse + weights[:, 1:] * refined
    ensembled = linear(linear(mixed, t, 'ensembler.fuser.0').relu(), t, 'ensembler.fuser.2')
    full = full.movedim(1, -1).clone()
    full[chosen] = ensembled
    return chosen, refined, ensembled, full.movedim(-1, 1)


@pytest.mark.parametrize('alpha', [0.9, 0.0], ids=['some', 'everything'])
@pytest.mark.parametrize('size', [(32, 44), (37, 51)], ids=str)
@pytest.mark.parametrize('suffix', ['.safetensors', '.pth'])
def test_released_weights_give_what_a_dense_computation_gives(tmp_path, released, size, alpha,
                                                              suffix):
    path = tmp_path / f'released{suffix}'
    if suffix == '.pth':
        wrapped = {f'module.{key}': tensor for key, tensor in released.items()}
        torch.save({'state_dict': wrapped, 'epoch': 3}, path)
    else:
        save_file(released, path)
    refiner = SparseRefiner(CLASSES, PLANES, alpha).double().eval()
    checkpoints.load(refiner, path)
    generator = torch.Generator().manual_seed(1)
    image = torch.randn(2, 3, *size, generator=generator, dtype=torch.float64)
    logits = 2 * torch.randn(2, CLASSES, 16, 22, generator=generator, dtype=torch.float64)
    seen = refiner(image, logits)
    chosen, *wanted = expected(image, logits, alpha, released)
    assert torch.equal(seen.selected, chosen) and chosen.any()
    for got, want in zip((seen.refined, seen.ensembled, seen.full()), wanted):
        torch.testing.assert_close(got, want, atol=1e-9, rtol=0)


def test_saving_gives_the_released_tensors_again(tmp_path, released):
    save_file(released, tmp_path / 'released.safetensors')
    refiner = SparseRefiner(CLASSES, PLANES).double()
    checkpoints.load(refiner, tmp_path / 'released.safetensors')
    checkpoints.save(refiner, tmp_path / 'again.safetensors')
    again = load_file(tmp_path / 'again.safetensors')
    assert again.keys() == released.keys()
    assert all(torch.equal(again[key], released[key]) for key in released)


def test_its_own_layout_loads_as_well(tmp_path):
    refiner, other = SparseRefiner(CLASSES, PLANES), SparseRefiner(CLASSES, PLANES)
    torch.save({'model': refiner.state_dict()}, tmp_path / 'own.pt')
    checkpoints.load(other, tmp_path / 'own.pt')
    assert all(torch.equal(a, b) for a, b in zip(refiner.parameters(), other.parameters()))


@pytest.mark.skipif(not KEYS.is_file(), reason='the list of published keys is not there')
def test_six_stages_have_the_published_keys_and_shapes():
    lines = [line.split('\t') for line in KEYS.read_text().splitlines()]
    published = {key: shape for key, shape in lines}
    tensors = SparseRefiner().state_dict()
    own = checkpoints.released_keys(SparseRefiner())
    assert len(own) == 345 and own.keys() == published.keys()
    for released, key in own.items():
        shape = 'x'.join(map(str, tensors[key].shape)) or 'scalar'
        assert shape == published[released], released


@pytest.mark.parametrize(('change', 'text'), [
    (lambda t: t.pop('classifier.bias'), "tensor 'classifier.bias' is missing"),
    (lambda t: t.update({'classifier.bais': t.pop('classifier.bias')}),
     "unexpected tensor 'classifier.bais'; did you mean 'classifier.bias'?"),
    (lambda t: t.update({'classifier.bias': torch.zeros(19)}),
     r"'classifier.bias' must be \(5,\), got \(19,\); were the weights trained for other classes"),
])
def test_what_does_not_fit_is_named_as_the_file_names_it(tmp_path, released, change, text):
    tensors = dict(released)
    change(tensors)
    torch.save(tensors, tmp_path / 'wrong.pth')
    with pytest.raises(ValueError, match=text):
        checkpoints.load(SparseRefiner(CLASSES, PLANES).double(), tmp_path / 'wrong.pth')


def test_a_file_of_something_else_is_refused(tmp_path):
    torch.save([1, 2], tmp_path / 'list.pth')
    (tmp_path / 'text.pth').write_text('not a pickle')
    for name, text in (('list.pth', 'holds no tensors by name'),
                       ('text.pth', 'not a file of plain tensors')):
        with pytest.raises(ValueError, match=text):
            checkpoints.load(SparseRefiner(CLASSES, PLANES), tmp_path / name)
    with pytest.raises(FileNotFoundError, match='no weights file'):
        checkpoints.load(SparseRefiner(CLASSES, PLANES), tmp_path / 'absent.pth')
