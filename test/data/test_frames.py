# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Labelled frames on disk, rendered scenes in a cache, and errors that name the file."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from sparse_seg_ros.data.frames import Frames, check_classes, check_label, frames
from sparse_seg_ros.data.rendered import RenderedStreet
from sparse_seg_ros.data.street import street_frames

CHECKOUT = Path(__file__).resolve().parents[2]
REAL = Path(os.environ.get('SPARSE_SEG_DATA', CHECKOUT.parent / 'shared/data')) / 'camvid'
IMAGE = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)
LABEL = np.arange(48, dtype=np.uint8).reshape(6, 8)


def write(folder, listing, label=LABEL):
    cv2.imwrite(str(folder / 'image.png'), IMAGE[..., ::-1])
    cv2.imwrite(str(folder / 'label.png'), label)
    (folder / 'test.txt').write_text(listing)
    return folder / 'test'


def test_a_split_gives_its_pairs_as_rgb_and_ids(tmp_path):
    split = frames(write(tmp_path, 'image.png label.png\n\nimage.png label.png\n'))
    assert len(split) == 2 and len(list(split)) == 2
    image, label = split[1]
    assert np.array_equal(image, IMAGE) and np.array_equal(label, LABEL)


def test_a_few_frames_are_chosen_evenly():
    split = Frames([(Path(name), Path('label')) for name in 'abcde'], ('crop', 'weed'))
    assert [image.name for image, _ in split.spread(3).paths] == ['a', 'c', 'e']
    assert (len(split.spread(9)), len(split.spread(1))) == (5, 1)
    assert split.spread(3).classes == ('crop', 'weed')


@pytest.mark.parametrize(('listing', 'words'), [
    ('', "expected \"image label\" on every line, got 'no lines'"),
    ('image.png\n', 'expected "image label" on every line, got \'image.png\''),
])
def test_a_split_without_pairs_is_refused(tmp_path, listing, words):
    with pytest.raises(ValueError) as caught:
        frames(write(tmp_path, listing))
    assert words in str(caught.value)


def test_missing_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match='no split file .*absent.txt; it must list'):
        frames(tmp_path / 'absent')
    with pytest.raises(FileNotFoundError, match='test.txt: no picture .*absent.png'):
        frames(write(tmp_path, 'absent.png label.png'))


def test_a_damaged_picture_is_named(tmp_path):
    split = frames(write(tmp_path, 'image.png label.png'))
    (tmp_path / 'image.png').write_bytes(b'not a picture')
    with pytest.raises(ValueError, match='image.png: not a readable picture'):
        split[0].image()


def test_labels_in_colour_or_of_another_size_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r'must be a one-channel PNG .*got \(6, 8, 3\)'):
        frames(write(tmp_path, 'image.png label.png', IMAGE))[0].label()
    with pytest.raises(ValueError, match='both must have the same size'):
        frames(write(tmp_path, 'image.png label.png', LABEL[:3]))[0].label()


def test_rendered_scenes_are_those_of_the_street_and_are_kept(tmp_path):
    scenes = RenderedStreet(tmp_path / 'cache', 2, (64, 96), seed=5)
    for (image, label), (true_image, true_label) in zip(scenes, street_frames(5, 2, (64, 96))):
        assert np.array_equal(image, true_image) and np.array_equal(label, true_label)
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / 'cache').iterdir()}
    assert len(RenderedStreet(tmp_path / 'cache', 2, (64, 96), seed=5)) == 2 == len(kept)
    assert kept == {path: path.stat().st_mtime_ns for path in (tmp_path / 'cache').iterdir()}


@pytest.mark.skipif(not REAL.is_dir(), reason='no CamVid under SPARSE_SEG_DATA')
def test_camvid_test_has_233_frames_of_eleven_classes():
    split = frames(REAL / 'test')
    image, label = split[0]
    assert len(split) == 233 and image.shape == (360, 480, 3)
    assert set(np.unique(label)) <= {*range(11), 255}


@pytest.mark.parametrize('line', [
    'my image.png\tmy label.png', '"my image.png" "my label.png"', "'my image.png' 'my label.png'",
    'my image.png my label.png', '  my image.png   my label.png  ',
    '"my image.png"\t"my label.png"'])
@pytest.mark.parametrize('encoding', ['utf-8', 'utf-8-sig', 'utf-16'])
def test_lists_of_any_editor_and_names_with_blanks_are_read(tmp_path, line, encoding):
    cv2.imwrite(str(tmp_path / 'my image.png'), IMAGE)
    cv2.imwrite(str(tmp_path / 'my label.png'), LABEL)
    (tmp_path / 'v1.2.txt').write_bytes(f'{line}\r\n{line}\r\n'.encode(encoding))
    for split in ('v1.2', 'v1.2.txt'):
        assert [label.shape for _, label in frames(tmp_path / split)] == [(6, 8)] * 2


def test_a_list_in_another_encoding_is_refused(tmp_path):
    write(tmp_path, '')
    (tmp_path / 'test.txt').write_bytes('Bäume.png l.png'.encode('latin-1'))
    with pytest.raises(ValueError, match='test.txt: expected text in UTF-8, got other bytes'):
        frames(tmp_path / 'test')


def test_frames_know_the_classes_that_lie_beside_them(tmp_path):
    split = write(tmp_path, 'image.png label.png')
    assert frames(split).classes == ()
    (tmp_path / 'labels.yaml').write_text('classes: {crop: [0, 255, 0], weed: [255, 0, 0]}\n')
    pairs = frames(split)
    assert pairs.classes == ('crop', 'weed')
    check_classes(pairs, ('crop', 'weed'), 'the model')
    check_classes([], ('crop',), 'the model')
    with pytest.raises(ValueError, match='the frames have the classes crop, weed, the model ha'):
        check_classes(pairs, ('sky', 'weed'), 'the model')


def test_a_label_with_other_ids_than_its_classes_is_named(tmp_path):
    split = write(tmp_path, 'image.png label.png')
    label = frames(split)[0].label()
    check_label(label, 48, 'label.png')
    with pytest.raises(ValueError, match='label.png: labels must be below 2 or 255 for void, got'):
        check_label(label, 2, 'label.png')
    (tmp_path / 'labels.yaml').write_text('classes: {crop: [0, 255, 0], weed: [255, 0, 0]}\n')
    with pytest.raises(ValueError, match='label.png: labels must be below 2 or 255 for void, got'):
        frames(split)[0].label()


def test_an_image_that_its_exif_tag_turns_is_told_apart_from_a_wrong_size(tmp_path):
    data = cv2.imencode('.jpg', IMAGE)[1].tobytes()
    tag = (b'\xff\xe1\x00\x22Exif\x00\x00II*\x00\x08\x00\x00\x00\x01\x00\x12\x01\x03\x00\x01\x00'
           b'\x00\x00\x06\x00\x00\x00\x00\x00\x00\x00')
    write(tmp_path, 'turned.jpg label.png', LABEL.reshape(8, 6))
    (tmp_path / 'turned.jpg').write_bytes(data[:2] + tag + data[2:])
    with pytest.raises(ValueError, match='same size; an EXIF tag turns the image, which is'):
        frames(tmp_path / 'test')[0].label()


def masks(folder, *labels):
    for number, label in enumerate(labels):
        cv2.imwrite(str(folder / f'{number}.png'), np.array([label, label], np.uint8))
    (folder / 'test.txt').write_text(''.join(f'{number}.png {number}.png\n'
                                             for number in range(len(labels))))
    return folder / 'test'


def test_masks_of_0_and_255_are_refused_where_255_would_be_void(tmp_path):
    split = masks(tmp_path, [0, 255, 0], [255, 0, 0])
    with pytest.raises(ValueError, match='0.png holds 0 and 255 alone, .*save the class as 1'):
        frames(split)[0].label()
    labels = 'classes: {skin: [9, 9, 9], lesion: [200, 0, 0]}\n'
    (tmp_path / 'labels.yaml').write_text(labels)
    with pytest.raises(ValueError, match='0.png holds 0 and 255 alone'):
        frames(split)[0].label()
    (tmp_path / 'labels.yaml').write_text(
        labels + 'files: {masks: {ids: {skin: 0, lesion: 255}, void: []}}\n')
    assert frames(split)[0].label()[0].tolist() == [0, 1, 0]
    (tmp_path / 'labels.yaml').write_text('classes: {skin: [9, 9, 9]}\n')
    assert frames(split)[0].label()[0].tolist() == [0, 255, 0]


def test_a_label_of_0_and_255_is_read_where_others_have_more_classes(tmp_path):
    split = frames(masks(tmp_path, [0, 255, 0], [0, 1, 255]))
    assert split[0].label()[0].tolist() == [0, 255, 0]
