# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Similarities within and between classes (ALGM, Figure 2), against loops over all pairs."""

from __future__ import annotations

import json
import math
from statistics import fmean

import cv2
import numpy as np
import pytest
import torch
from operators import Operators
from tiny import tiny_merging_segmenter, tiny_model

import sparse_seg_ros as ss
from sparse_seg_ros.commands import main
from sparse_seg_ros.evaluation.class_similarity import (
    PairSums,
    classes_of_patches,
    measure_class_similarity,
)
from sparse_seg_ros.labels import VOID
from sparse_seg_ros.loading.assemble import assemble
from sparse_seg_ros.loading.checkpoints import save_model
from sparse_seg_ros.loading.method_config import own_config


def pairs_by_loops(values, classes):
    """Return the similarities of the pairs of one class, and of two; VOID takes no part."""
    found = ([], [])
    for i, a in enumerate(values):
        for j, b in enumerate(values):
            if i != j and VOID not in (classes[i], classes[j]):
                found[classes[i] != classes[j]].append(
                    sum(x * y for x, y in zip(a, b)) / math.hypot(*a) / math.hypot(*b))
    return found


def test_sums_over_groups_equal_those_of_all_pairs():
    generator, sums, found = torch.Generator().manual_seed(0), PairSums(), ([], [])
    for groups, count in ((3, 7), (1, 12)):
        values = torch.randn(groups, count, 5, generator=generator, dtype=torch.float64) + 0.4
        classes = torch.randint(3, (groups, count), generator=generator)
        classes[:, ::5] = VOID
        sums.add(values, classes, 3)
        for group, ids in zip(values.tolist(), classes.tolist()):
            for mine, more in zip(found, pairs_by_loops(group, ids)):
                mine += more
    assert sums.pairs.tolist() == [len(found[0]), len(found[1])]
    assert sums.means() == pytest.approx([fmean(part) for part in found], abs=1e-12)


def test_without_a_pair_there_is_no_mean():
    sums = PairSums()
    sums.add(torch.ones(1, 2, 3), torch.tensor([[0, 0]]), 2)
    same, other = sums.means()
    assert same == pytest.approx(1) and math.isnan(other)


def test_a_patch_has_the_class_of_most_of_its_labelled_pixels():
    label = np.full((5, 8), VOID, np.uint8)
    label[:2, :2], label[2:4, :4], label[:4, 4:] = 3, 1, 2
    classes = classes_of_patches(label, (5, 8), (2, 3), 4)
    assert classes.tolist() == [[1, 2, VOID], [VOID, VOID, VOID]]
    assert classes_of_patches(label, (10, 16), (3, 4), 4)[0].tolist() == [3, VOID, 2, 2]


def test_votes_of_a_large_image_take_little_memory():
    label = torch.arange(256, dtype=torch.uint8).repeat(128, 1)
    with Operators() as ran:
        classes_of_patches(label.numpy(), (128, 256), (8, 16), 16)
    largest = max(math.prod(shape) for _, *shapes in ran.shapes for shape in shapes)
    assert largest <= 2 * label.numel()  # of 256 for each patch of 16 x 16


@torch.inference_mode()
def test_every_layer_and_window_is_measured_without_merging():
    segment, frames = tiny_merging_segmenter(), list(ss.street_frames(7, 2, (64, 96)))
    found = measure_class_similarity(segment, frames)
    assert list(found.layers) == [1, 2] and list(found.windows) == [2, 4]
    encoder = segment.method.network.encoder
    layers, windows = {1: ([], []), 2: ([], [])}, {2: ([], []), 4: ([], [])}
    for image, label in frames:
        x = encoder.embed(segment.normalise(image)).values
        classes = classes_of_patches(label, (64, 96), (4, 6), 16)
        for layer, block in enumerate(encoder.blocks, start=1):
            x = x + block.attn(block.norm1(x))
            tokens, ids = x[0, 1:].double().tolist(), classes.flatten().tolist()
            for mine, more in zip(layers[layer], pairs_by_loops(tokens, ids)):
                mine += more
            for side in (2, 4) if layer == 1 else ():
                for top in range(0, 4, side):
                    for left in range(0, 6 - side + 1, side):
                        own = [6 * (top + y) + left + z for y in range(side) for z in range(side)]
                        pairs = pairs_by_loops([tokens[i] for i in own], [ids[i] for i in own])
                        for mine, more in zip(windows[side], pairs):
                            mine += more
            x = x + block.mlp(block.norm2(x))
    for got, want in ((found.layers, layers), (found.windows, windows)):
        for key, parts in want.items():
            assert got[key] == pytest.approx([fmean(part) for part in parts], abs=1e-5)
    assert list(encoder.merges) == [1, 2]  # as before


def test_a_method_that_does_not_merge_is_refused():
    model = tiny_model(refines=False)
    segment = assemble(model, own_config(model), 'cpu', 'fp32', {})
    with pytest.raises(ValueError, match='need a segmenter whose tokens merge, got one of a Dens'):
        measure_class_similarity(segment, [])


def test_the_command_prints_and_writes_them(tmp_path, capsys):
    card = {'network': 'segmenter_t', 'mean': (127.5,) * 3, 'std': (127.5,) * 3}
    save_model(tiny_model(refines=False, **card), tmp_path / 'vit.safetensors')
    (tmp_path / 'algm.yaml').write_text('method: algm\nweights: vit.safetensors\nscale: 1.0\n')
    image, label = next(iter(ss.street_frames(7, 1, (64, 96))))
    cv2.imwrite(str(tmp_path / 'image.png'), image[..., ::-1])
    cv2.imwrite(str(tmp_path / 'label.png'), label)
    (tmp_path / 'val.txt').write_text('image.png label.png')
    figures = tmp_path / 'my.json'
    assert main(['calibrate', '--model', str(tmp_path / 'algm.yaml'), '--frames',
                 str(tmp_path / 'val'), '--device', 'cpu', '--precision', 'fp32',
                 '--similarities', '--json', str(figures)]) == 0
    printed, found = capsys.readouterr().out, json.loads(figures.read_text())['similarities']
    assert '| tokens within | of one class | of two classes |\n' in printed
    assert len(found['layers']) == 12 and list(found['windows']) == ['2', '4']
    assert f"| the image, layer 12 | {found['layers']['12'][0]:.3f} |" in printed
