# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Labels of one set become those of another: read from YAML, checked, at one place of a frame."""

from __future__ import annotations

import numpy as np
import pytest
from ros_fakes import make_image, make_segmenter

from sparse_seg_ros.data.frame import Frame
from sparse_seg_ros.evaluation.evaluate import evaluate
from sparse_seg_ros.files import share
from sparse_seg_ros.label_remap import LabelRemap, load_remap
from sparse_seg_ros.labels import LabelSet, load_labels

REMAPS = sorted(path.stem for path in (share() / 'config/remaps').glob('*.yaml'))
TWO = 'classes: {a: [1, 1, 1], b: [2, 2, 2], c: [3, 3, 3]}\n'
SWAPPED = LabelRemap('swapped', ('dark', 'bright'),
                     LabelSet('day', ('day', 'night'), ((9, 9, 9), (1, 1, 1))), (1, 0))


@pytest.mark.parametrize('name', REMAPS)
def test_a_remap_that_ships_has_a_new_class_for_every_former_one(name):
    remap = load_remap(name)
    assert remap.source == load_labels(name.split('_to_')[0]).names
    ids = remap(np.arange(256, dtype=np.uint8)[None])[0]
    assert ids.dtype == np.uint8 and (ids[len(remap.source):] == 255).all()
    assert {*ids[:len(remap.source)].tolist()} == {*range(len(remap.labels))}


def test_cityscapes_become_camvid_and_what_nav2_asks_for():
    city, camvid = load_labels('cityscapes').names, load_labels('camvid').names
    remap = load_remap('cityscapes_to_camvid')
    assert remap.labels.names == camvid
    assert [camvid[remap.ids[city.index(name)]] for name in ('road', 'rider', 'bus', 'wall')] == [
        'road', 'bicyclist', 'car', 'building']
    nav = load_remap('cityscapes_to_nav2')
    assert nav.labels.names == ('drivable', 'obstacle', 'other')
    assert [nav.ids[city.index(name)] for name in ('road', 'car', 'sky')] == [0, 1, 2]


def own(folder, text):
    (folder / 'own.yaml').write_text(TWO)
    (folder / 'remap.yaml').write_text(text.replace('OWN', str(folder / 'own.yaml')))
    return folder / 'remap.yaml'


def test_a_remap_of_ones_own_may_make_a_class_void(tmp_path):
    remap = load_remap(own(tmp_path, 'from: OWN\nto: {x: [5, 5, 5], y: [6, 6, 6]}\n'
                                     'classes: {a: y, b: void, c: x}\n'))
    assert remap.ids == (1, 255, 0) and remap.labels.colors == ((5, 5, 5), (6, 6, 6))


@pytest.mark.parametrize(('text', 'words'), [
    ('', "expected 'from:' a label set, 'to:' another, and 'classes:'"),
    ('from: OWN\nto: OWN', "expected 'from:' a label set"),
    ('from: OWN\nto: OWN\nclasses: {a: a, b: b}', "but 'c' has no new class"),
    ('from: OWN\nto: OWN\nclasses: {a: a, b: b, c: c, d: a}', "'d' has a new class, and is no"),
    ('from: OWN\nto: OWN\nclasses: {a: a, b: b, c: cc}',
     "a new class must be one of 'own', or void, got 'cc'; did you mean 'c'?"),
    ('from: OWN\nto: {x: red}\nclasses: {a: x, b: x, c: x}', 'a colour is [r, g, b] in 0..255'),
])
def test_a_remap_that_does_not_say_all_is_refused(text, words, tmp_path):
    with pytest.raises(ValueError) as caught:
        load_remap(own(tmp_path, text))
    assert words in str(caught.value)


def test_an_unknown_remap_is_answered_with_those_there_are():
    with pytest.raises(FileNotFoundError, match="no remap 'x' at .*known remaps: camvid_to_nav2"):
        load_remap('x')


def test_a_segmenter_gives_labels_of_the_new_classes_and_all_else_as_before():
    segment, image = make_segmenter(), make_image()
    other = segment.with_remap(SWAPPED)
    before, after = segment(image), other(image)
    assert np.array_equal(after.labels, 1 - before.labels)
    assert np.array_equal(after.uncertainty, before.uncertainty)
    assert other.labels is SWAPPED.labels and segment.labels.names == ('dark', 'bright')
    assert other.description['labels_remap'] == 'swapped'
    assert np.array_equal(other.with_limits(alpha=0.1)(image).labels, after.labels)


def test_a_remap_for_other_classes_is_refused_with_both():
    with pytest.raises(ValueError, match=r"remap 'cam.*' is for the classes sky, .* has dark, b"):
        make_segmenter().with_remap(load_remap('camvid_to_nav2'))


class Labelled(list):
    """Frames that know their classes."""

    classes = ()


@pytest.mark.parametrize(('classes', 'swaps'), [
    (('dark', 'bright'), False), (('day', 'night'), True), ((), True)])
def test_frames_of_the_former_classes_are_remapped_and_others_are_not(classes, swaps):
    segment, image = make_segmenter(), make_image()
    truth = segment(image).labels
    frames = Labelled([Frame('one', lambda: image, lambda: 1 - truth if swaps else truth)])
    frames.classes = classes
    report = evaluate(segment.with_remap(SWAPPED), frames)
    assert report.mean_iou == 1 and set(report.iou) == {'day', 'night'}


def test_a_label_that_becomes_void_counts_as_wrong():
    segment, image = make_segmenter(), make_image()
    truth = segment(image).labels
    lost = LabelRemap('lost', SWAPPED.source, LABELS_OF_TWO, (0, 255))
    report = evaluate(segment.with_remap(lost), [(image, truth)])
    assert report.iou == {'dark': 1.0, 'bright': 0.0}
    assert report.accuracy == pytest.approx((truth == 0).mean())


LABELS_OF_TWO = LabelSet('two', ('dark', 'bright'), ((0, 0, 0), (9, 9, 9)))


def test_labels_that_are_remapped_are_not_remapped_again():
    from ros_fakes import LABELS, make_segmenter

    from sparse_seg_ros.label_remap import LabelRemap
    remap = LabelRemap('same', LABELS.names, LABELS, (1, 0))
    with pytest.raises(ValueError, match="remap 'same' holds already; remap the labels of the mo"):
        make_segmenter().with_remap(remap).with_remap(remap)
