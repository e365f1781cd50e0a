# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the page of the demo says, without running one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ros_fakes import LABELS

from sparse_seg_ros.commands.demo import default_folder
from sparse_seg_ros.demo import page
from sparse_seg_ros.demo.recording import Shown
from sparse_seg_ros.evaluation.resolutions import Compared

NUMBERS = {'sent': 100, 'in_bag': 221, 'topic': '/camera/image_raw', 'rate_hz': 25.0,
           'published': 90, 'superseded': 10, 'not_received': 0, 'stale': 0, 'invalid': 0,
           'failed': 0, 'abandoned': 0, 'refined': 0.2, 'received': 100, 'engine': {},
           'latency_milliseconds': {'p50': 400.0, 'p95': 500.0}, 'resolutions_milliseconds': {},
           'milliseconds': {'segment': {'p50': 400.0, 'p95': 500.0},
                            'dense': {'p50': 300.0, 'p95': 400.0}},
           'bag': 'drive', 'model': 'demo', 'recording': 'out/segmented_bag', 'labels': None}


def test_it_says_how_many_of_the_frames_were_played():
    assert page.headline(NUMBERS).startswith('100 of 221 frames of /camera/image_raw')
    assert page.headline(NUMBERS | {'in_bag': 100}).startswith('all 100 frames')


def test_of_a_bag_whose_index_is_lost_it_says_only_how_many_were_played():
    assert page.headline(NUMBERS | {'in_bag': 0}).startswith('100 frames of /camera')


def test_one_frame_has_no_rate():
    assert ' Hz' not in page.headline(NUMBERS | {'rate_hz': 0.0})
    assert page.pace(NUMBERS | {'rate_hz': 0.0}) == ''


def times(**milliseconds):
    return {'milliseconds': {stage: {'p50': spent, 'p95': 2 * spent}
                             for stage, spent in milliseconds.items()}}


def test_it_says_that_the_node_keeps_up_with_the_camera():
    numbers = NUMBERS | times(decode=1.0, segment=70.0, publish=9.0) | {
        'published': 98, 'superseded': 2, 'rate_hz': 10.0}
    assert page.pace(numbers) == ('The node keeps up with the camera: a frame takes 80 ms, '
                                       '12.5 frames a second, and the camera sends 10.0.')


def test_it_says_why_the_node_does_not_keep_up_and_what_helps():
    said = page.pace(NUMBERS | times(wait=500.0, extract=300.0, segment=400.0) | {
        'published': 40, 'superseded': 60})
    assert ('does not keep up with the camera: a frame takes 400 ms, 2.5 frames a second, and the '
            'camera sends 25.0; the longest stage is extract, 300 ms. Of 100 frames 60 gave way '
            'to newer ones. A frame that arrives') in said
    assert 'budget' in said and 'auto' in said
    said = page.pace(NUMBERS | {'superseded': 60, 'refined': 0.0})
    assert 'smaller network' in said and 'budget' not in said


def test_frames_superseded_by_a_few_slow_ones_are_explained_by_these():
    said = page.pace(NUMBERS | times(segment=20.0) | {'published': 40, 'superseded': 60})
    assert 'does not keep up' in said and 'some take longer, p95 is 40 ms' in said


def test_a_node_slower_than_the_camera_does_not_keep_up_whatever_was_published():
    said = page.pace(NUMBERS | times(segment=300.0) | {
        'published': 100, 'superseded': 0, 'rate_hz': 10.0})
    assert said.startswith('The node does not keep up') and 'Of 100 frames' not in said


@pytest.mark.parametrize(('name', 'words', 'help'), [
    ('not_received', '60 did not reach the node', 'doc/node.md'),
    ('stale', '60 were too old', 'node.log'), ('failed', '60 failed', 'node.log'),
    ('abandoned', '60 were abandoned', 'node.log'), ('invalid', '60 were no images', 'node.log')])
def test_frames_that_are_lost_in_another_way_are_counted_with_the_cure(name, words, help):
    said = page.pace(NUMBERS | times(segment=20.0) | {
        'published': 40, 'superseded': 0, name: 60})
    assert f'Of 100 frames {words}.' in said and help in said and 'GPU' not in said


def write(folder, numbers, compared):
    """Write the page of two frames, a second apart -> its HTML, and that on one line."""
    picture, plain = np.zeros((4, 6, 3), np.uint8), np.zeros((4, 6), np.float32)
    pictures = {'image': picture, 'overlay': picture, 'uncertainty': plain, 'refined': plain}
    shown = [Shown(stamp, pictures, {'segment': 12.3}, 0.125) for stamp in (7, 10 ** 9 + 7)]
    (folder / 'pictures').mkdir()
    return ' '.join(page.write_page(folder, folder / 'pictures', numbers, shown, LABELS,
                                    compared).read_text().split())


def test_the_page_shows_each_frame_at_every_resolution_with_its_time(tmp_path):
    picture = np.zeros((4, 6, 3), np.uint8)
    row = {'unrefined': Compared('half <b>', picture, 10.4, 0.0),
           'refined': Compared('refined', picture, 20.6, 0.125)}
    found = write(tmp_path, NUMBERS | {'resolutions_milliseconds': {
        'half <b>': 10.4, 'refined': 20.6}}, {7: row, 10 ** 9 + 7: row})
    assert 'Medians: half &lt;b&gt; 10 ms, refined 21 ms.' in found
    assert found.count('--columns: 2') == 2 and '<h3>+1.00 s</h3>' in found
    assert 'href="pictures/7_resolution_refined.png"' in found
    assert 'alt="half &lt;b&gt;"' in found and '<b> ' not in found
    assert '<b>21 ms</b> · 12.5% refined' in found and '<b>10 ms</b></figcaption>' in found


def test_the_page_has_all_numbers_and_escapes_what_others_have_named(tmp_path):
    found = write(tmp_path, NUMBERS | {
        'topic': '/<i>', 'engine': {'model': 'models/<i>.yaml', 'weights_hash': 'ab'}}, {})
    assert '<i>' not in found and 'of /&lt;i&gt; at 25.0 Hz' in found
    assert 'model <b>&lt;i&gt;.yaml</b> · weights hash <b>ab</b></p>' in found
    assert '<div class="tile"><b>90 of 100</b><span>frames segmented</span></div>' in found
    assert found.count('<b>400 ms</b>') == 2  # to segment one, and camera to mask
    assert '<p class="counts">100 received · 10 superseded · 0 stale · ' in found
    assert '<h3>+1.00 s <small>6×4 · 12 ms · 12.5% refined</small></h3>' in found
    assert found.count('alt="classes"') == 2 and 'each resolution' not in found
    assert '<i style="background:rgb(10, 20, 30)"></i>dark</li>' in found
    assert 'seg.launch.py image:=/&lt;i&gt; rviz:=true</pre>' in found


@pytest.mark.parametrize('on_path', [True, False])
def test_the_next_commands_exist_in_an_installed_package(on_path, tmp_path, monkeypatch):
    monkeypatch.setattr(page, 'share', lambda: tmp_path)
    monkeypatch.setattr(page.shutil, 'which', lambda _: 'sparse_seg' if on_path else None)
    monkeypatch.setenv('ROS_DISTRO', 'jazzy')
    commands = '\n'.join(command for _, command in page.next_steps(NUMBERS))
    program = 'sparse_seg' if on_path else 'ros2 run sparse_seg_ros sparse_seg'
    assert f'{program} demo --bag path/to/bag' in commands and 'make' not in commands
    assert f'rviz2 -d {tmp_path}/rviz/seg.rviz' in commands


def test_the_next_commands_keep_the_model():
    commands = '\n'.join(command for _, command in
                         page.next_steps(NUMBERS | {'model': 'demo_full'}))
    assert '--model demo_full' in commands and ' model:=demo_full rviz' in commands


def test_the_next_commands_exist_in_a_checkout():
    commands = '\n'.join(command for _, command in page.next_steps(NUMBERS))
    assert 'make demo BAG=path/to/bag' in commands and 'rviz2 -d rviz/seg.rviz' in commands


def test_every_bag_has_a_folder_of_its_own(tmp_path):
    (tmp_path / 'drive.mcap').touch()
    assert default_folder(None) == Path('out/demo')
    assert default_folder(tmp_path / 'drive.mcap') == Path('out/drive')
    assert default_folder(tmp_path / 'night.2024') == Path('out/night.2024')
