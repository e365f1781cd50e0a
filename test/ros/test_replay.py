# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Replay: every image of a bag, at its stamp, and numbers."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from ros_bags import image, jpeg, labels, read_bag, write_bag
from ros_fakes import make_image, make_segmenter
from tiny import tiny_model

from sparse_seg_ros.checkpoints import save_model
from sparse_seg_ros.commands import main
from sparse_seg_ros.config import NodeConfig
from sparse_seg_ros.ros.pixels import to_labels
from sparse_seg_ros.ros.replay import Replay, ReplayJob, base_topic


def replay(bag, output, **settings) -> dict:
    return Replay(ReplayJob(bag, output, **settings), make_segmenter()).run(
        lambda messages, total: messages)


@pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])
def test_every_image_has_a_mask_with_its_stamp_and_the_input_is_kept(tmp_path, storage):
    path = write_bag(tmp_path / 'bag', {'/front/image_raw': image}, frames=5)
    report = replay(path, tmp_path / 'out', storage=storage)
    assert (report['frames'], report['invalid'], report['topic']) == (5, 0, '/front/image_raw')
    found = read_bag(tmp_path / 'out')
    assert set(found) == {'/front/image_raw', '/front/segmentation/mask',
                          '/front/segmentation/uncertainty', '/front/segmentation/timing'}
    for number, (time, sent) in enumerate(found['/front/image_raw']):
        assert (sent.data == image(number).data).all()
        for name in ('mask', 'uncertainty', 'timing'):
            made_time, made = found[f'/front/segmentation/{name}'][number]
            assert (made_time, made.header) == (time, sent.header)
        mask = found['/front/segmentation/mask'][number][1]
        truth = make_image(seed=number)[:, :, 1] > 127
        np.testing.assert_array_equal(to_labels(mask), truth)


def test_labels_give_miou_whether_they_come_before_or_after_the_image(tmp_path):
    for name, order in (('before', ('label', 'image')), ('after', ('image', 'label'))):
        topics = {f'/front/{each}': labels if each == 'label' else image for each in order}
        path = write_bag(tmp_path / name, topics)
        report = replay(path, tmp_path / f'{name}_out', labels='/front/label')
        assert (report['scored'], report['miou']) == (3, 1.0)
        assert report['iou'] == {'dark': 1.0, 'bright': 1.0}


def test_a_bad_image_is_counted_and_named_and_the_rest_is_segmented(tmp_path, capsys):
    path = write_bag(tmp_path / 'bag', {
        '/image/compressed': lambda number: jpeg(number, end=-50 if number == 1 else None)})
    report = replay(path, tmp_path / 'out')
    assert (report['frames'], report['invalid']) == (2, 1)
    assert 'image at stamp 1700000000223456789: compressed image' in capsys.readouterr().err
    assert len(read_bag(tmp_path / 'out')['/segmentation/mask']) == 2


def test_what_was_read_of_a_damaged_bag_is_kept(tmp_path):
    path = write_bag(tmp_path / 'bag', {'/image': image}, frames=200)  # two chunks of 1 MiB
    file, = path.glob('*.mcap')
    data = bytearray(file.read_bytes())
    second_chunk = data.rindex(b'\x28\xb5\x2f\xfd')  # zstd
    data[second_chunk:second_chunk + 4] = bytes(4)
    file.write_bytes(data)
    report = replay(path, tmp_path / 'out')
    assert 'is damaged after 1' in report['damage'] and report['damage'].endswith('was used')
    assert 100 < len(read_bag(tmp_path / 'out')['/segmentation/mask']) < 200


def test_a_bag_that_was_cut_short_is_replayed_up_to_there_with_exit_code_1(
        tmp_path, monkeypatch, capsys):
    monkeypatch.setattr('sparse_seg_ros.zoo.load', lambda *arguments: make_segmenter())
    path = write_bag(tmp_path / 'bag', {'/image': image}, frames=200)
    file, = path.glob('*.mcap')
    file.write_bytes(file.read_bytes()[:-4000])
    assert main(['replay', str(path), '-o', str(tmp_path / 'out')]) == 1
    printed = capsys.readouterr()
    frames = len(read_bag(tmp_path / 'out')['/segmentation/mask'])
    assert 100 < frames < 200 and f'{frames} frames of /image' in printed.out
    assert f'was cut short: bag.mcap has no end after {frames} messages' in printed.err


def test_a_second_replay_replaces_the_outputs_of_the_first(tmp_path):
    path = write_bag(tmp_path / 'bag', {'/front/image': image})
    replay(path, tmp_path / 'one')
    replay(tmp_path / 'one', tmp_path / 'two', topic='/front/image')
    assert {topic: len(found) for topic, found in read_bag(tmp_path / 'two').items()} == {
        topic: 3 for topic in read_bag(tmp_path / 'one')}


def test_uncertainty_can_be_mono8(tmp_path):
    path = write_bag(tmp_path / 'bag', {'/image': image})
    replay(path, tmp_path / 'out', config=NodeConfig(uncertainty_encoding='mono8'))
    message = read_bag(tmp_path / 'out')['/segmentation/uncertainty'][0][1]
    assert (message.encoding, message.step) == ('mono8', 60)


def test_the_preview_has_stills_a_sheet_and_a_film(tmp_path):
    path = write_bag(tmp_path / 'bag', {'/image': image}, frames=12)
    replay(path, tmp_path / 'out', preview=tmp_path / 'pictures')
    names = sorted(each.name for each in (tmp_path / 'pictures').iterdir())
    assert [name.partition('_')[0] for name in names] == [
        'contact', 'merged', 'merged', 'overlay.mp4', 'overlay', 'overlay', 'uncertainty',
        'uncertainty']
    sheet = cv2.imread(str(tmp_path / 'pictures' / 'contact_sheet.jpg'))
    assert sheet.shape == (2 * 427, 3 * 640, 3)


def test_the_topic_of_outputs_is_the_namespace_of_the_camera():
    assert base_topic('/camera/image_raw/compressed') == '/camera'
    assert base_topic('/image') == ''


def test_the_command_prints_and_writes_the_numbers(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr('sparse_seg_ros.zoo.load', lambda *arguments: make_segmenter())
    path = write_bag(tmp_path / 'bag', {'/front/image': image, '/front/label': labels})
    figures = tmp_path / 'figures.json'
    words = ['replay', str(path), '-o', str(tmp_path / 'out'), '--labels', '/front/label']
    assert main([*words, '--json', str(figures)]) == 0
    printed = capsys.readouterr().out
    assert '3 frames of /front/image in' in printed and 'mIoU 100.0% over 3' in printed
    assert json.loads(figures.read_text())['frames'] == 3
    assert main(words) == 1
    assert 'exists already' in capsys.readouterr().err


@pytest.mark.parametrize('method', [{'refined_by': 'point_rend', 'planes': (8, 8)},
                                    {'refined_by': 'patch_refine', 'patch': 16}],
                         ids=lambda method: method['refined_by'])
def test_rivals_of_the_refiner_are_replayed_like_it(tmp_path, method):
    save_model(tiny_model(**method), tmp_path / 'rival.safetensors')
    path = write_bag(tmp_path / 'bag', {'/front/image_raw': image}, frames=1)
    assert main(['replay', str(path), '-o', str(tmp_path / 'out'), '--device', 'cpu', '--model',
                 str(tmp_path / 'rival.safetensors'), '--json', str(tmp_path / 'n.json')]) == 0
    numbers = json.loads((tmp_path / 'n.json').read_text())
    assert numbers['frames'] == 1 and {'dense', 'select', 'extract'} <= set(
        numbers['milliseconds'])
