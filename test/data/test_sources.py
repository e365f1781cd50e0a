# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures, folders, patterns, videos and cameras become frames, or one clear sentence."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from sparse_seg_ros.data.sources import PictureFrames, expand, open_sources
from sparse_seg_ros.data.video import VideoFrames


def write_pictures(folder, *names) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        cv2.imwrite(str(folder / name), np.full((8, 12, 3), number, np.uint8))


def write_video(path, count: int = 5, size_hw: tuple[int, int] = (48, 64), code='MJPG') -> None:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*code), 10.0, size_hw[::-1])
    for number in range(count):
        writer.write(np.full((*size_hw, 3), min(40 * number, 255), np.uint8))
    writer.release()


def test_pictures_of_all_words_are_one_source_and_every_video_is_another(tmp_path):
    write_pictures(tmp_path / 'a b', '2.png', '1.JPG')
    (tmp_path / 'a b' / 'notes.txt').write_text('no picture')
    write_pictures(tmp_path, 'x1.png', 'x2.png')
    write_video(tmp_path / 'v.avi')
    pictures, video = open_sources([str(tmp_path / 'v.avi'), str(tmp_path / 'a b'),
                                    str(tmp_path / 'x*.png')])
    assert isinstance(pictures, PictureFrames) and isinstance(video, VideoFrames)
    assert [path.name for path in pictures.paths] == ['1.JPG', '2.png', 'x1.png', 'x2.png']
    assert [frame.image().shape for frame in pictures] == [(8, 12, 3)] * 4
    assert all(frame.label() is None for frame in pictures)


def test_a_number_is_a_camera_unless_a_file_has_it_as_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert expand('0') == [0]
    write_pictures(tmp_path / '0', 'a.png')
    assert [path.name for path in expand('0')] == ['a.png']


@pytest.mark.parametrize(('word', 'error', 'words'), [
    ('gone.jpg', FileNotFoundError, 'no file gone.jpg; expected a picture, a folder'),
    ('gone/*.jpg', FileNotFoundError, 'no file matches gone/*.jpg; expected a picture'),
    ('empty', ValueError, 'empty holds no pictures (.jpg, .jpeg'),
    ('notes.txt', ValueError, 'notes.txt is neither a picture nor a video; expected a picture'),
    ('drive.mcap', ValueError, 'a bag is for sparse_seg replay'),
    ('text.mp4', ValueError, 'text.mp4: not a readable video; is the file complete?'),
    ('99', ValueError, 'camera 99: not a readable video; is the camera there, and free?')])
def test_what_is_no_source_is_named_with_what_is_expected(tmp_path, monkeypatch, capfd, word,
                                                          error, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'empty').mkdir()
    for name in ('notes.txt', 'drive.mcap', 'text.mp4'):
        (tmp_path / name).write_text('text')
    with pytest.raises(error) as caught:
        open_sources([word])
    assert words in str(caught.value)
    assert not capfd.readouterr().err


def test_a_video_gives_its_frames_in_order_with_their_times_on_every_pass(tmp_path):
    write_video(tmp_path / 'v.avi')
    video = VideoFrames(tmp_path / 'v.avi')
    assert (len(video), video.frames_per_second) == (5, 10.0)
    for _ in range(2):
        frames = list(video)
        assert [frame.stamp for frame in frames] == [k * 100_000_000 for k in range(5)]
        assert [round(frame.image().mean() / 40) for frame in frames] == [0, 1, 2, 3, 4]
        assert video.damage is None


def test_a_video_that_breaks_off_says_how_many_frames_it_lacks(tmp_path):
    write_video(tmp_path / 'v.avi', 40)
    data = (tmp_path / 'v.avi').read_bytes()
    (tmp_path / 'v.avi').write_bytes(data[:len(data) // 2])
    video = VideoFrames(tmp_path / 'v.avi')
    count = len(list(video))
    assert 0 < count < 40
    assert not len(video) or video.damage == \
        f'{tmp_path}/v.avi: {count} of 40 frames could be read; copy it again'
