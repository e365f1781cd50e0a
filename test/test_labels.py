# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Label sets: from YAML, complete, and with a palette for every id."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from sparse_seg_ros.data.street import CLASSES
from sparse_seg_ros.labels import LabelSet, load_labels


def test_camvid_has_the_classes_of_the_street_scenes_in_their_order():
    assert load_labels('camvid').names == CLASSES


def test_cityscapes_has_the_classes_of_training_in_the_order_of_their_ids():
    names, ids = load_labels('cityscapes').names, (0, 1, 2, 8, 10, 11, 13, 18)
    assert len(names) == 19 and [names[place] for place in ids] == [
        'road', 'sidewalk', 'building', 'vegetation', 'sky', 'person', 'car', 'bicycle']


def test_the_palette_colours_every_id_and_void_black():
    labels = LabelSet('two', ('a', 'b'), ((1, 2, 3), (4, 5, 6)))
    assert labels.palette.shape == (256, 3) and labels.palette.dtype == np.uint8
    assert labels.palette[1].tolist() == [4, 5, 6] and not labels.palette[2:].any()


def test_a_label_set_can_be_a_file_of_ones_own(tmp_path):
    path = tmp_path / 'farm.yaml'
    path.write_text('classes:\n  crop: [0, 255, 0]\n  weed: [255, 0, 0]\n')
    labels = load_labels(path)
    assert (labels.name, labels.names, len(labels)) == ('farm', ('crop', 'weed'), 2)
    assert labels.colors == ((0, 255, 0), (255, 0, 0))


def test_an_unknown_set_is_answered_with_those_there_are():
    with pytest.raises(FileNotFoundError, match="no label set 'camvd' at .*known sets:.* camvid"):
        load_labels('camvd')


@pytest.mark.parametrize('text', ['', 'names: [a, b]', 'classes: [a, b]', 'classes: {}'])
def test_a_file_without_classes_is_refused_with_the_format(tmp_path, text):
    path = tmp_path / 'bad.yaml'
    path.write_text(text)
    with pytest.raises(ValueError, match=r"bad.yaml: expected 'classes:' with 'name: \[r"):
        load_labels(path)


@pytest.mark.parametrize(('text', 'words'), [
    ('classes: {no: [0, 0, 0]}', 'the name of a class must be text, got False; put it in quotes'),
    ('classes: {1: [0, 0, 0]}', 'the name of a class must be text, got 1; put it in quotes'),
    ('classes: {a: red}', 'a colour is [r, g, b] in 0..255, got red'),
    ('classes: {a: [0.5, 0, 0]}', 'a colour is [r, g, b] in 0..255, got [0.5, 0, 0]'),
    ('classes: {a: }', 'a colour is [r, g, b] in 0..255, got None'),
    ('classes: {a: [0, 0, 0], a: [1, 1, 1]}', 'a stands there twice'),
])
def test_what_yaml_makes_of_names_and_colours_is_looked_at(tmp_path, text, words):
    (tmp_path / 'bad.yaml').write_text(text)
    with pytest.raises(ValueError) as caught:
        load_labels(tmp_path / 'bad.yaml')
    assert words in str(caught.value)


def test_an_unknown_file_is_answered_with_the_sets_that_ship(tmp_path):
    (tmp_path / 'other.yaml').write_text('')
    with pytest.raises(FileNotFoundError, match='sets: a2d2, .*, voc; or give the path of a'):
        load_labels(tmp_path / 'my.yaml')


@pytest.mark.parametrize(('names', 'colors', 'words'), [
    ((), (), "label set 'x' must have 1 to 255 classes, got 0"),
    (('a', 'b'), ((0, 0, 0),), 'has 2 names but 1 colours'),
    (('a',), ((0, 0, 256),), 'a colour is [r, g, b] in 0..255, got [0, 0, 256]'),
    (('a',), ((0, 0),), 'a colour is [r, g, b] in 0..255, got [0, 0]'),
])
def test_names_and_colours_must_fit(names, colors, words):
    with pytest.raises(ValueError) as caught:
        LabelSet('x', names, colors)
    assert words in str(caught.value)


@pytest.mark.parametrize('grey', [15, 120, 230])
def test_classes_laid_over_any_image_can_be_told_apart(grey):
    labels = load_labels('camvid')
    laid_over = np.float32(labels.colors) / 510 + grey / 510
    shades = cv2.cvtColor(laid_over[None], cv2.COLOR_RGB2LAB)[0]
    apart = np.linalg.norm(shades[:, None] - shades[None], axis=2) + 100 * np.eye(len(shades))
    assert apart.min() > 15


def test_the_classes_of_mapillary_are_numbered_as_it_publishes_them():
    names = load_labels('mapillary').names
    assert [names.index(f'object--traffic-light--{kind}') for kind in (
        'general-single', 'pedestrians', 'general-upright', 'general-horizontal', 'cyclists',
        'other')] == [90, 91, 92, 93, 94, 95]
