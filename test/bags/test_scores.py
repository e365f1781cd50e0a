# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Predictions of a replay are scored against the labels of their stamps."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from ros_bags import TYPES, header, image, labels, replay, write_bag, write_raw
from ros_fakes import make_segmenter

from sparse_seg_ros.bags.bag_messages import COMPRESSED, IMAGE
from sparse_seg_ros.bags.bag_sink import bag_image
from sparse_seg_ros.commands import main


def test_labels_give_miou_whether_they_come_before_or_after_the_image(tmp_path):
    for name, order in (('before', ('label', 'image')), ('after', ('image', 'label'))):
        topics = {f'/front/{each}': labels if each == 'label' else image for each in order}
        path = write_bag(tmp_path / name, topics)
        report = replay(path, tmp_path / f'{name}_out', labels='/front/label')
        assert (report['scored'], report['miou']) == (3, 1.0)
        assert report['iou'] == {'dark': 1.0, 'bright': 1.0}


def small_labels(number: int):
    """Return labels of another size than the image."""
    return bag_image(header(number), np.zeros((9, 9), np.uint8), 'mono8')


@pytest.mark.parametrize('first', ['/label', '/image'])
def test_unusable_labels_are_counted_and_the_replay_goes_on(tmp_path, first):
    bad = {'size': small_labels, 'colour': image, 'id': lambda number: bag_image(
        header(number), np.full((40, 60), 9, np.uint8), 'mono8')}
    items = []
    for number, make in enumerate((labels, *bad.values(), labels)):
        pair = [('/image', IMAGE, image(number)), ('/label', IMAGE, make(number))]
        items += pair if first == '/image' else pair[::-1]
    write_raw(tmp_path / 'bag', items)
    report = replay(tmp_path / 'bag', tmp_path / 'out', topic='/image', labels='/label')
    assert (report['frames'], report['invalid']) == (5, 3)
    assert (report['scored'], report['unscored'], report['miou']) == (2, 3, 1.0)


def test_one_bad_label_costs_its_own_frame_alone(tmp_path):
    items = []
    for number in range(80):  # more than wait in memory
        make = image if number == 5 else labels
        items += [('/image', IMAGE, image(number)), ('/label', IMAGE, make(number))]
    write_raw(tmp_path / 'bag', items)
    report = replay(tmp_path / 'bag', tmp_path / 'out', topic='/image', labels='/label')
    assert (report['frames'], report['invalid'], report['scored']) == (80, 1, 79)


def restamped(make, stamp):
    """Return a maker of the same messages with other stamps."""
    def remake(number: int):
        message = make(number)
        message.header.stamp.sec, message.header.stamp.nanosec = stamp(number), 0
        return message
    return remake


@pytest.mark.parametrize(('stamp', 'reason'), [
    (lambda number: 0, '4 of 4 labels were not scored: 4 have stamp 0'),
    (lambda number: 7, '4 of 4 labels were not scored: 4 share their stamp'),
    (lambda number: number // 2 + 7 if number < 2 else number + 7, '2 of 4 labels were not'),
    ])
def test_labels_whose_stamps_tell_nothing_are_not_scored(tmp_path, capsys, stamp, reason):
    path = write_bag(tmp_path / 'bag', {'/image': restamped(image, stamp),
                                        '/label': restamped(labels, stamp)}, frames=4)
    report = replay(path, tmp_path / 'out', labels='/label')
    assert report['scored'] == 4 - report['unscored'] and reason in capsys.readouterr().err
    assert report['miou'] == (1.0 if report['scored'] else None)


def test_labels_in_a_png_are_scored(tmp_path):
    def png(number: int):
        message = labels(number)
        array = np.array(message.data).reshape(message.height, message.width)
        return TYPES.types[COMPRESSED](header=message.header, format='png',
                                       data=cv2.imencode('.png', array)[1].ravel())
    path = write_bag(tmp_path / 'bag', {'/image': image, '/label/compressed': png})
    report = replay(path, tmp_path / 'out', labels='/label/compressed')
    assert (report['scored'], report['unscored'], report['miou']) == (3, 0, 1.0)


def test_labels_without_an_image_are_reported(tmp_path, capsys):
    path = write_bag(tmp_path / 'bag', {'/image': image, '/label': restamped(labels,
                                                                            lambda number: 5)})
    assert replay(path, tmp_path / 'out', labels='/label')['miou'] is None
    assert '3 of 3 labels were not scored: 3 have no image of their' in capsys.readouterr().err


def test_a_replay_that_scores_nothing_fails_with_valid_json(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr('sparse_seg_ros.loading.zoo.load', lambda *arguments: make_segmenter())
    path = write_bag(tmp_path / 'bag', {'/image': image, '/label': restamped(labels,
                                                                            lambda number: 0)})
    assert main(['replay', '--bag', str(path), '-o', str(tmp_path / 'out'), '--labels', '/label',
                 '--json', str(tmp_path / 'n.json')]) == 1
    assert 'mIoU n/a over 0 labelled frames' in capsys.readouterr().out
    assert json.loads((tmp_path / 'n.json').read_text(), parse_constant=pytest.fail)
