# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The demo end to end in miniature: bag, camera process, node process, recording, page."""

from __future__ import annotations

import importlib.util
import os
import re
from dataclasses import replace

import cv2
import numpy as np
import pytest
from tiny import tiny_model

from sparse_seg_ros.bags.bag import Bag
from sparse_seg_ros.bags.bag_messages import COMPRESSED, IMAGE, TYPES, parse
from sparse_seg_ros.bags.bag_sink import bag_image
from sparse_seg_ros.bags.bag_writer import BagWriter
from sparse_seg_ros.bags.image_topics import choose_images
from sparse_seg_ros.bags.street_bag import IMAGE_TOPIC, LABEL_TOPIC, make_header, write_street_bag
from sparse_seg_ros.commands import main
from sparse_seg_ros.data.street import Street
from sparse_seg_ros.demo import run
from sparse_seg_ros.demo.child_process import ChildProcess
from sparse_seg_ros.demo.recording import ANSWERS, Recording
from sparse_seg_ros.loading.checkpoints import save_model
from sparse_seg_ros.messages.fields import stamp_nanoseconds

SIZE_HW, FRAMES = (96, 160), 6
OUTCOMES = ('published', 'superseded', 'stale', 'invalid', 'failed')
needs_ros = pytest.mark.skipif(importlib.util.find_spec('rclpy') is None, reason='no rclpy')


@pytest.fixture(name='model', scope='module')
def save_tiny(tmp_path_factory):
    path = tmp_path_factory.mktemp('model') / 'tiny.safetensors'
    save_model(tiny_model(alpha=2.2), path)
    return str(path)


def write_compressed_bag(path):
    """Write JPEG images, as many cameras publish them."""
    kind = TYPES.types[COMPRESSED]
    with BagWriter(path) as bag:
        for index in range(FRAMES):
            image = Street(3, SIZE_HW).frame(index).image
            data = cv2.imencode('.jpg', image)[1].ravel()
            stamp = index * 10 ** 8
            bag.write('/front/image/compressed', COMPRESSED, stamp,
                      kind(header=make_header(stamp), format='jpeg', data=data))
    return path


@needs_ros
def test_a_street_goes_through_the_node_and_onto_the_page(tmp_path, model):
    numbers = run.run_demo(run.DemoJob(tmp_path, frames=FRAMES, size_hw=SIZE_HW, model=model,
                                         rate=0.3))
    assert numbers['sent'] == numbers['received'] == FRAMES
    assert numbers['received'] == sum(numbers[name] for name in OUTCOMES)
    assert numbers['published'] == numbers['recorded'] > 0
    assert {'dense', 'extract', 'segment', 'total'} <= numbers['milliseconds'].keys()
    assert [*numbers['resolutions_milliseconds']] == ['half resolution', 'refined']
    page = (tmp_path / 'index.html').read_text()
    assert not re.search(r'src="(?!data:)|https?://|url\(', page)  # nothing from elsewhere
    assert page.count('_resolution_refined.png') == min(3, numbers['published'])
    assert 'pedestrian' in page and f'of {FRAMES}</b>' in page
    for name in re.findall(r'href="([^"]+)"', page):
        assert cv2.imread(str(tmp_path / name)).shape == (*SIZE_HW, 3)


@needs_ros
def test_a_bag_of_compressed_images_is_played_as_it_is(tmp_path, model, capsys):
    bag = write_compressed_bag(tmp_path / 'drive')
    assert main(['demo', '--bag', str(bag), '--limit', '3', '--model', model, '--json',
                 str(tmp_path / 'numbers.json'), '--out', str(tmp_path / 'out')]) == 0
    said = capsys.readouterr().out
    assert 'on the same frames, after the run: half resolution ' in said
    assert 'of 3 frames segmented' in said and 'index.html' in said and 'ros2 bag play' in said
    recording = Recording(tmp_path / 'out/segmented_bag', '/front/image/compressed')
    shown = recording.read(recording.complete)[-1]
    assert set(shown.pictures) == {'image', *ANSWERS}
    assert {picture.shape[:2] for picture in shown.pictures.values()} == {SIZE_HW}
    assert 0 <= shown.pictures['uncertainty'].min() <= shown.pictures['uncertainty'].max() <= 1
    assert shown.refined == pytest.approx((shown.pictures['refined'] > 0).mean(), abs=1e-4)


def test_the_rendered_bag_holds_the_street_and_its_labels_at_its_stamps(tmp_path):
    street = Street(7, SIZE_HW)
    write_street_bag(tmp_path / 'bag', street, 2)
    with Bag(tmp_path / 'bag') as bag:
        found = [(connection.topic, nanoseconds, parse(raw, connection.msgtype))
                 for connection, nanoseconds, raw in bag.messages()]
    images = [each for each in found if each[0] == IMAGE_TOPIC]
    labels = [each for each in found if each[0] == LABEL_TOPIC]
    assert len(images) == len(labels) == 2
    assert images[1][1] - images[0][1] == 10 ** 8
    assert stamp_nanoseconds(images[1][2].header) == images[1][1]
    assert np.array_equal(labels[1][2].data, street.frame(1).label.ravel())


@needs_ros
def test_of_a_bag_that_was_cut_short_the_beginning_is_played(tmp_path, capsys):
    from sparse_seg_ros.demo.player import read_frames

    write_street_bag(tmp_path / 'bag', Street(7, (200, 300)), 8)
    whole = (tmp_path / 'bag/bag.mcap').read_bytes()
    (tmp_path / 'cut.mcap').write_bytes(whole[:len(whole) * 3 // 4])
    with Bag(tmp_path / 'cut.mcap') as bag:
        images = choose_images(bag)
        assert images.topic == IMAGE_TOPIC  # not the labels
        assert 0 < len(list(read_frames(bag, images, 8))) < 8
        assert 'has no end' in capsys.readouterr().err
        assert len(list(read_frames(bag, images, 1))) == 1
        assert capsys.readouterr().err == ''


@needs_ros
def test_images_whose_bytes_are_damaged_are_not_played(tmp_path, capsys):
    from sparse_seg_ros.demo.player import read_frames

    good = TYPES.serialize_cdr(bag_image(make_header(5), np.zeros((4, 4, 3), np.uint8), 'rgb8'),
                               IMAGE)
    with BagWriter(tmp_path / 'bag') as out:
        for place, raw in enumerate((good, b'', good[:-9], good)):
            out.write_raw('/image', IMAGE, place, raw)
    with Bag(tmp_path / 'bag') as bag:
        played = list(read_frames(bag, choose_images(bag), 9))
    assert [time for time, _ in played] == [0, 3]
    assert capsys.readouterr().err.count('not played: ') == 2


def test_a_missing_bag_and_one_without_images_are_named(tmp_path, model, capsys):
    assert main(['demo', '--bag', 'absent.mcap', '--model', model, '--out', str(tmp_path)]) == 1
    assert 'no bag absent.mcap; give a rosbag2 folder' in capsys.readouterr().err
    kind = TYPES.types['std_msgs/msg/Header']
    with BagWriter(tmp_path / 'bag') as bag:
        bag.write('/chatter', 'std_msgs/msg/Header', 0, kind(make_header(0).stamp, 'x'))
    assert main(['demo', '--bag', str(tmp_path / 'bag'), '--model', model,
                 '--out', str(tmp_path)]) == 1
    assert 'has no image topic; its topics: /chatter' in capsys.readouterr().err


def test_a_missing_model_is_named_before_anything_starts(tmp_path, capsys):
    assert main(['demo', '--model', 'absent.safetensors', '--out', str(tmp_path)]) == 1
    assert 'no weights file absent.safetensors' in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_to_is_named(model, capsys):
    assert main(['demo', '--model', model, '--out', '/proc/demo']) == 1
    assert 'cannot write to /proc/demo: ' in capsys.readouterr().err


@needs_ros
def test_images_that_the_node_refuses_are_explained_by_its_log(tmp_path, model, capsys):
    header = make_header(10 ** 9)
    with BagWriter(tmp_path / 'bag') as bag:
        image = bag_image(header, np.zeros(SIZE_HW, np.uint8), 'mono8')
        bag.write('/image', IMAGE, 10 ** 9, replace(image, encoding='8UC7'))
    assert main(['demo', '--bag', str(tmp_path / 'bag'), '--model', model,
                 '--out', str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert 'no frame came back: 1 received' in said and '1 invalid' in said
    assert "encoding '8UC7' is not known" in said


@pytest.mark.parametrize(('option', 'words'), [
    (['--limit', '0'], '--limit must be at least 1, got 0'),
    (['--rate', '0'], '--rate must be above 0, got 0.0'),
    (['--size', 'large'], "--size must be HxW, like 1024x2048, got 'large'"),
])
def test_options_out_of_range_are_refused(option, words, capsys):
    assert main(['demo', *option]) == 1
    assert words in capsys.readouterr().err


def test_without_ros_it_says_what_to_install(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(run.importlib.util, 'find_spec', lambda name: None)
    assert main(['demo', '--out', str(tmp_path)]) == 1
    assert 'needs ROS 2, and Python finds no rclpy: run `make demo`' in capsys.readouterr().err


def test_its_own_recording_is_never_replaced_while_it_is_played(tmp_path):
    job = run.DemoJob(tmp_path, bag=tmp_path / 'segmented_bag/segmented_bag.mcap')
    (tmp_path / 'segmented_bag').mkdir()
    with pytest.raises(ValueError, match='is what an earlier demo recorded, and would be'):
        run.clear(job)
    assert (tmp_path / 'segmented_bag').is_dir()


def test_a_process_that_dies_is_told_with_its_last_words(tmp_path):
    with ChildProcess('node', 'json.tool', ['absent'], os.environ, tmp_path / 'log') as process:
        assert process.wait(30)
        with pytest.raises(ChildProcessError, match=r'the node ended by itself with exit code \d; '
                                                    r'its last words in .*(\n.*)*absent'):
            process.check_alive()


def test_a_process_is_ended_when_it_is_left_alone(tmp_path):
    with ChildProcess('server', 'http.server', ['0', '--bind', '127.0.0.1'], os.environ,
                      tmp_path / 'log') as process:
        process.check_alive()
        assert not process.wait(0.05)
    assert process.process.returncode is not None
