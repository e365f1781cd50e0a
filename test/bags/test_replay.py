# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Replay: every image of a bag, at its stamp, and numbers."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from ros_bags import (
    TYPES,
    data_file,
    header,
    image,
    jpeg,
    labels,
    read_bag,
    replay,
    write_bag,
    write_raw,
)
from ros_fakes import make_image, make_segmenter
from tiny import tiny_model

from sparse_seg_ros.bags.bag import Bag
from sparse_seg_ros.bags.bag_messages import IMAGE
from sparse_seg_ros.bags.bag_sink import bag_image, base_topic
from sparse_seg_ros.bags.replay import Replay, ReplayJob
from sparse_seg_ros.commands import main
from sparse_seg_ros.files import file_hash
from sparse_seg_ros.loading.checkpoints import save_model
from sparse_seg_ros.machine import machine
from sparse_seg_ros.messages.pixels import to_labels


@pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])
def test_every_image_has_a_mask_with_its_stamp_and_the_input_is_kept(tmp_path, storage):
    path = write_bag(tmp_path / 'bag', {'/front/image_raw': image}, frames=5)
    report = replay(path, tmp_path / 'out', storage=storage)
    assert (report['frames'], report['invalid'], report['topic']) == (5, 0, '/front/image_raw')
    found = read_bag(tmp_path / 'out')
    assert set(found) == {'/front/image_raw', '/front/segmentation/mask',
                          '/front/segmentation/uncertainty', '/front/segmentation/timing',
                          '/front/segmentation/label_info'}
    (_, info), = found['/front/segmentation/label_info']
    assert [each.class_name for each in info.class_map] == ['dark', 'bright']
    for number, (time, sent) in enumerate(found['/front/image_raw']):
        assert (sent.data == image(number).data).all()
        for name in ('mask', 'uncertainty', 'timing'):
            made_time, made = found[f'/front/segmentation/{name}'][number]
            assert (made_time, made.header) == (time, sent.header)
        mask = found['/front/segmentation/mask'][number][1]
        truth = make_image(seed=number)[:, :, 1] > 127
        np.testing.assert_array_equal(to_labels(mask), truth)


def test_a_bad_image_is_counted_and_named_and_the_rest_is_segmented(tmp_path, capsys):
    path = write_bag(tmp_path / 'bag', {
        '/image/compressed': lambda number: jpeg(number, end=-50 if number == 1 else None)})
    report = replay(path, tmp_path / 'out')
    assert (report['frames'], report['invalid']) == (2, 1)
    assert '/image/compressed, message at 1700000000223461789 ns: comp' in capsys.readouterr().err
    assert len(read_bag(tmp_path / 'out')['/segmentation/mask']) == 2


def unusable() -> dict:
    """Return images that no camera should send."""
    raw = bytes(TYPES.serialize_cdr(image(1), IMAGE))
    not_utf8 = bytearray(raw)
    not_utf8[16] = 0xff
    small = bag_image(header(1), np.zeros((0, 9, 3), np.uint8), 'rgb8')
    return {'empty': b'', 'short': raw[:-1000], 'no stamp': raw[:9], 'not UTF-8': bytes(not_utf8),
            'no pixels': small, 'zstd': b'\x28\xb5\x2f\xfd' + bytes(40)}


@pytest.mark.parametrize('kind', unusable())
def test_an_unusable_image_is_copied_and_counted_and_the_replay_goes_on(tmp_path, kind, capsys):
    write_raw(tmp_path / 'bag', [('/image', IMAGE, each) for each in
                                 (image(0), unusable()[kind], image(2))])
    report = replay(tmp_path / 'bag', tmp_path / 'out')
    assert (report['frames'], report['invalid'], report['damage']) == (2, 1, None)
    assert '/image, message at ' in capsys.readouterr().err
    with Bag(tmp_path / 'out') as bag:
        assert [connection.topic for connection, _, _ in bag.messages()].count('/image') == 3


def test_an_image_that_the_model_refuses_is_counted(tmp_path):
    path = write_bag(tmp_path / 'bag', {'/image': image})
    segmenter, number = make_segmenter(), iter(range(9))

    def refuse_one(picture, **wanted):
        if next(number) == 1:
            raise ValueError('too small')
        return segmenter(picture, **wanted)
    refuse_one.labels, refuse_one.description = segmenter.labels, {}
    report = Replay(ReplayJob(path, tmp_path / 'out'), refuse_one).run()
    assert (report['frames'], report['invalid']) == (2, 1)


def test_of_many_unusable_messages_ten_are_named(tmp_path, capsys):
    write_raw(tmp_path / 'bag', [('/image', IMAGE, b'')] * 30)
    assert replay(tmp_path / 'bag', tmp_path / 'out')['invalid'] == 30
    said = capsys.readouterr().err
    assert said.count('/image, message at') == 10 and '20 more messages were invalid' in said


def test_a_bag_without_any_image_that_can_be_used_ends_with_1_and_says_so(tmp_path, capsys):
    write_raw(tmp_path / 'bag', [('/image', IMAGE, b'')] * 3)
    assert main(['replay', '--bag', str(tmp_path / 'bag'), '-o', str(tmp_path / 'out'),
                 '--device', 'cpu']) == 1
    assert '0 frames of /image' in (said := capsys.readouterr().out) and '; 3 invalid' in said


def test_topics_of_other_nodes_under_segmentation_are_kept(tmp_path, capsys):
    topics = {'/front/image': image, '/front/segmentation/lanes': labels,
              '/front/segmentation/overlay': image, '/front/segmentation/mask': labels}
    report = replay(write_bag(tmp_path / 'bag', topics), tmp_path / 'out')
    assert report['topic'] == '/front/image'
    counts = {topic: len(found) for topic, found in read_bag(tmp_path / 'out').items()}
    assert counts['/front/segmentation/lanes'] == counts['/front/segmentation/overlay'] == 3
    assert counts['/front/segmentation/mask'] == 3  # the new ones
    assert 'outputs of an earlier run were replaced: /front/segmentation/mask (3)' \
        in capsys.readouterr().err


def test_what_was_read_of_a_damaged_bag_is_kept(tmp_path):
    path = write_bag(tmp_path / 'bag', {'/image': image}, frames=200)  # two chunks of 1 MiB
    file = data_file(path)
    data = bytearray(file.read_bytes())
    second_chunk = data.rindex(b'\x28\xb5\x2f\xfd')  # zstd
    data[second_chunk:second_chunk + 4] = bytes(4)
    file.write_bytes(data)
    report = replay(path, tmp_path / 'out')
    assert 'bag.mcap is damaged at byte' in report['damage']
    assert report['damage'].endswith('were read')
    assert 100 < len(read_bag(tmp_path / 'out')['/segmentation/mask']) < 200


def test_a_bag_that_was_cut_short_is_replayed_up_to_there_with_exit_code_1(
        tmp_path, monkeypatch, capsys):
    monkeypatch.setattr('sparse_seg_ros.loading.zoo.load', lambda *arguments: make_segmenter())
    path = write_bag(tmp_path / 'bag', {'/image': image}, frames=200)
    file = data_file(path)
    file.write_bytes(file.read_bytes()[:-4000])
    assert main(['replay', '--bag', str(path), '-o', str(tmp_path / 'out')]) == 1
    printed = capsys.readouterr()
    frames = len(read_bag(tmp_path / 'out')['/segmentation/mask'])
    assert 100 < frames < 200 and f'{frames} frames of /image' in printed.out
    assert f'bag.mcap has no end; {frames} messages were read' in printed.err


def test_a_second_replay_replaces_the_outputs_of_the_first(tmp_path):
    path = write_bag(tmp_path / 'bag', {'/front/image': image})
    replay(path, tmp_path / 'one')
    replay(tmp_path / 'one', tmp_path / 'two')
    one, two = ({topic: len(found) for topic, found in read_bag(tmp_path / name).items()}
                for name in ('one', 'two'))
    assert one == two and set(one.values()) == {1, 3}  # 1 message of class names


def test_uncertainty_can_be_mono8(tmp_path):
    path = write_bag(tmp_path / 'bag', {'/image': image})
    replay(path, tmp_path / 'out', uncertainty_encoding='mono8')
    message = read_bag(tmp_path / 'out')['/segmentation/uncertainty'][0][1]
    assert (message.encoding, message.step) == ('mono8', 60)


def test_a_setting_out_of_its_range_is_refused_before_any_work(tmp_path):
    with pytest.raises(ValueError, match="'max_pixels' must be at least 1, got -1"):
        ReplayJob(tmp_path / 'bag', tmp_path / 'out', max_pixels=-1).check()


def test_the_preview_has_stills_a_sheet_and_a_film(tmp_path):
    path = write_bag(tmp_path / 'bag', {'/image': image}, frames=12)
    replay(path, tmp_path / 'out', preview=tmp_path / 'pictures')
    names = sorted(each.name for each in (tmp_path / 'pictures').iterdir())
    assert [name.partition('_')[0] for name in names] == [
        'contact', 'merged', 'merged', 'overlay.webm', 'overlay', 'overlay', 'uncertainty',
        'uncertainty']
    sheet = cv2.imread(str(tmp_path / 'pictures' / 'contact_sheet.jpg'))
    assert sheet.shape == (2 * 427 + 22, 3 * 640, 3)  # and the legend


@pytest.mark.parametrize('option', ['-o', '--preview', '--json'])
@pytest.mark.parametrize('place', ['file', 'link', 'in the bag', 'no folder'])
def test_nothing_is_overwritten_and_no_place_is_found_bad_too_late(tmp_path, monkeypatch, capsys,
                                                                  option, place):
    monkeypatch.setattr('sparse_seg_ros.loading.zoo.load',
                        lambda *arguments: pytest.fail('too late'))
    bag = write_bag(tmp_path / 'bag', {'/image': image})
    (tmp_path / 'file').write_text('precious')
    (tmp_path / 'link').symlink_to('gone')
    places = {'file': (tmp_path / 'file', 'exists already; remove it or choose another name'),
              'link': (tmp_path / 'link', 'is a link to gone, which does not exist'),
              'in the bag': (bag / 'new', 'would lie in the bag'),
              'no folder': (tmp_path / 'file' / 'new', 'choose a folder that you may write to')}
    path, words = places[place]
    outputs = {'-o': str(tmp_path / 'out'), option: str(path)}
    for source in (bag, data_file(bag)):
        assert main(['replay', '--bag', str(source),
                     *(word for pair in outputs.items() for word in pair)]) == 1
        assert words in capsys.readouterr().err
    assert (tmp_path / 'file').read_text() == 'precious' and not (tmp_path / 'out').exists()


def test_a_preview_may_lie_in_the_new_bag_and_in_an_empty_folder(tmp_path):
    path = write_bag(tmp_path / 'bag', {'/image': image}, frames=1)
    replay(path, tmp_path / 'out', preview=tmp_path / 'out' / 'pictures')
    (tmp_path / 'empty').mkdir()
    replay(data_file(path), tmp_path / 'two', preview=tmp_path / 'empty')
    assert (tmp_path / 'empty' / 'contact_sheet.jpg').exists()
    assert (tmp_path / 'out' / 'pictures' / 'overlay.webm').exists()


def test_a_full_disk_ends_the_replay_with_one_sentence(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr('sparse_seg_ros.loading.zoo.load', lambda *arguments: make_segmenter())
    path = write_bag(tmp_path / 'bag', {'/image': image})
    (tmp_path / 'pictures').mkdir()
    monkeypatch.setattr('sparse_seg_ros.bags.replay.check_is_new', lambda *words, **facts: None)
    stamp = 1_700_000_000_123_456_789
    (tmp_path / 'pictures' / f'overlay_{stamp}.png').symlink_to('/dev/full')
    assert main(['replay', '--bag', str(path), '-o', str(tmp_path / 'out'), '--preview',
                 str(tmp_path / 'pictures')]) == 1
    assert f'overlay_{stamp}.png: No space left on device; free' in capfd.readouterr().err
    assert len(read_bag(tmp_path / 'out')['/segmentation/mask']) == 1


def test_the_topic_of_outputs_is_the_namespace_of_the_camera():
    assert base_topic('/camera/image_raw/compressed') == '/camera'
    assert base_topic('/image') == ''


def test_the_command_prints_and_writes_the_numbers(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr('sparse_seg_ros.loading.zoo.load', lambda *arguments: make_segmenter())
    path = write_bag(tmp_path / 'bag', {'/front/image': image, '/front/label': labels})
    figures = tmp_path / 'figures.json'
    words = ['replay', '--bag', str(path), '-o', str(tmp_path / 'out'), '--labels', '/front/label']
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
    rival = tmp_path / 'rival.safetensors'
    save_model(tiny_model(**method), rival)
    path = write_bag(tmp_path / 'bag', {'/front/image_raw': image}, frames=1)
    assert main(['replay', '--bag', str(path), '-o', str(tmp_path / 'out'), '--device', 'cpu',
                 '--model', str(rival), '--json', str(tmp_path / 'n.json')]) == 0
    numbers = json.loads((tmp_path / 'n.json').read_text())
    assert numbers['frames'] == 1 and {'dense', 'select', 'extract'} <= set(
        numbers['milliseconds'])
    assert numbers['weights'] == {
        str(rival): {'file': 'rival.safetensors', 'sha256': file_hash(rival)}}
    assert numbers.keys() >= machine().keys()
