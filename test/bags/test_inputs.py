# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures and videos are replayed like a camera's images; labelled bags are frames to score."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from ros_bags import image, labels, read_bag, replay, write_bag
from ros_fakes import LABELS, make_image, make_segmenter

from sparse_seg_ros.bags.inputs import PICTURE_TOPIC, START_NANOSECONDS, LabelledBag
from sparse_seg_ros.bags.replay import ReplayJob
from sparse_seg_ros.evaluation.evaluate import evaluate


def write_video(path, count: int) -> None:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'MJPG'), 10.0, (64, 48))
    for number in range(count):
        writer.write(make_image(48, 64, number)[..., ::-1])
    writer.release()


def test_pictures_and_videos_become_a_bag_with_their_masks(tmp_path):
    picture = make_image(40, 60)
    cv2.imwrite(str(tmp_path / 'a.png'), picture[..., ::-1])
    write_video(tmp_path / 'v.avi', 3)
    report = replay(None, tmp_path / 'out',
                    pictures=(str(tmp_path / 'v.avi'), str(tmp_path / 'a.png')))
    assert (report['frames'], report['invalid'], report['damage']) == (4, 0, None)
    bag = read_bag(tmp_path / 'out')
    images, masks = bag[PICTURE_TOPIC], bag['/camera/segmentation/mask']
    seconds = [round((stamp - START_NANOSECONDS) / 1e9, 1) for stamp, _ in images]
    assert seconds == [0.0, 1.0, 1.1, 1.2]  # the picture first
    assert [stamp for stamp, _ in masks] == [stamp for stamp, _ in images]
    for (_, message), (_, mask) in zip(images, masks):
        shown = cv2.imdecode(message.data, cv2.IMREAD_COLOR)[..., ::-1]
        expected = make_segmenter()(np.ascontiguousarray(shown)).labels
        assert (mask.data.reshape(mask.height, mask.width) == expected).all()
        assert mask.header.stamp == message.header.stamp
    assert np.abs(cv2.imdecode(images[0][1].data, cv2.IMREAD_COLOR)[..., ::-1].astype(int)
                  - picture).mean() < 10  # JPEG


def test_a_picture_that_cannot_be_read_is_invalid_and_the_others_are_replayed(tmp_path, capfd):
    cv2.imwrite(str(tmp_path / 'b.png'), make_image())
    (tmp_path / 'a.jpg').write_bytes(b'no jpeg')
    report = replay(None, tmp_path / 'out', pictures=(str(tmp_path),))
    assert (report['frames'], report['invalid']) == (1, 1)
    assert 'a.jpg: not a readable picture' in capfd.readouterr().err


def test_pictures_have_no_topics(tmp_path):
    with pytest.raises(ValueError, match='topics are of a bag; pictures and videos have none'):
        ReplayJob(None, tmp_path / 'out', topic='/a', pictures=('a.png',)).check()


def test_the_labelled_frames_of_a_bag_are_scored_on_every_pass(tmp_path):
    write_bag(tmp_path / 'bag', {'/camera/image_raw': image, '/camera/label': labels})
    frames = LabelledBag(tmp_path / 'bag', '/camera/label')
    assert len(frames) == 3
    for _ in range(2):
        report = evaluate(make_segmenter(), frames)
        assert report.frames == 3 and report.iou == dict.fromkeys(LABELS.names, 1.0)
    with pytest.raises(ValueError, match='has no image topic /gone; it has /camera'):
        LabelledBag(tmp_path / 'bag', '/gone')


def test_pictures_that_are_not_there_are_missed_before_a_model_is_needed(tmp_path):
    with pytest.raises(FileNotFoundError, match='no file .*gone.jpg'):
        ReplayJob(None, tmp_path / 'out', pictures=(str(tmp_path / 'gone.jpg'),)).check()
