# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures of data sets: whole, in the grid of the sensor, and with the ids that they hold."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from small_png import png, png_chunk

from sparse_seg_ros.data.picture_bytes import PNG_START
from sparse_seg_ros.data.picture_files import is_turned, read_image, read_label

RNG = np.random.default_rng(0)
PHOTO = cv2.resize(RNG.integers(0, 255, (10, 15, 3), np.uint8), (120, 80))
EXIF = b'\xff\xe1\x00\x22Exif\x00\x00II*\x00\x08\x00\x00\x00\x01\x00\x12\x01\x03\x00\x01\x00\x00' \
    b'\x00%c\x00\x00\x00\x00\x00\x00\x00'


def jpeg(picture=PHOTO, *options):
    return cv2.imencode('.jpg', picture, options)[1].tobytes()


def with_exif(orientation, content=b''):
    """Return the photo as JPEG with an EXIF block, and in it what may look like an end."""
    data, tag = jpeg(), EXIF % orientation
    block = tag[:2] + (len(tag) - 2 + len(content)).to_bytes(2, 'big') + tag[4:] + content
    return data[:2] + block + data[2:]


def write(folder, data, name='label.png'):
    (folder / name).write_bytes(data)
    return folder / name


@pytest.mark.parametrize('is_palette', [True, False], ids=['palette', 'grey'])
@pytest.mark.parametrize('bits', [1, 2, 4, 8])
def test_ids_are_what_the_png_stores_whatever_its_bits(tmp_path, bits, is_palette):
    ids = RNG.integers(0, min(2 ** bits, 60), (7, 13), np.uint8)
    assert np.array_equal(read_label(write(tmp_path, png(ids, bits, is_palette))), ids)


def test_gamma_and_transparency_change_no_id(tmp_path):
    ids = RNG.integers(0, 11, (7, 13), np.uint8)
    extra = png_chunk(b'gAMA', (45455).to_bytes(4, 'big')), png_chunk(b'tRNS', bytes(9))
    assert np.array_equal(read_label(write(tmp_path, png(ids, 8, True, *extra))), ids)


def test_sixteen_bits_are_read_where_eight_would_do(tmp_path):
    ids = RNG.integers(0, 255, (7, 13)).astype(np.uint16)
    cv2.imwrite(str(tmp_path / 'label.png'), ids)
    assert np.array_equal(read_label(tmp_path / 'label.png'), ids)
    cv2.imwrite(str(tmp_path / 'label.png'), ids + 250)
    with pytest.raises(ValueError, match='label ids must be below 256, got 5'):
        read_label(tmp_path / 'label.png')


def test_a_damaged_label_is_refused_with_and_without_a_palette(tmp_path):
    data = bytearray(png(RNG.integers(0, 11, (70, 130), np.uint8), 8, False))
    data[-60] ^= 0x55
    with pytest.raises(ValueError, match='not a readable picture'):
        read_label(write(tmp_path, bytes(data)))


def test_a_label_of_jpeg_is_refused(tmp_path):
    with pytest.raises(ValueError, match='JPEG changes label ids; save the label as PNG'):
        read_label(write(tmp_path, jpeg(), 'label.jpg'))


@pytest.mark.parametrize('options', [(), (cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
                                     (cv2.IMWRITE_JPEG_RST_INTERVAL, 2)])
def test_a_photo_that_breaks_off_is_refused_and_a_whole_one_is_not(tmp_path, options):
    data = jpeg(PHOTO, *options)
    assert read_image(write(tmp_path, data, 'a.jpg')).shape == PHOTO.shape
    assert read_image(write(tmp_path, data + b'\0\1tail', 'a.jpg')).shape == PHOTO.shape
    for length in (len(data) // 2, len(data) - 1):
        with pytest.raises(ValueError, match=f'a.jpg: the picture breaks off after {length} byte'):
            read_image(write(tmp_path, data[:length], 'a.jpg'))


def test_the_end_of_a_thumbnail_is_not_the_end_of_the_photo(tmp_path):
    data = with_exif(1, b'\xff\xd8\xff\xd9')
    assert read_image(write(tmp_path, data, 'a.jpg')).shape == PHOTO.shape
    with pytest.raises(ValueError, match='breaks off'):
        read_image(write(tmp_path, data[:len(data) // 2], 'a.jpg'))


def test_a_png_that_breaks_off_is_refused(tmp_path):
    data = cv2.imencode('.png', PHOTO)[1].tobytes()
    with pytest.raises(ValueError, match='breaks off after'):
        read_image(write(tmp_path, data[:len(data) // 2]))


def test_no_exif_tag_turns_a_frame(tmp_path):
    plain = read_image(write(tmp_path, jpeg(), 'a.jpg'))
    for orientation in (3, 6):
        path = write(tmp_path, with_exif(orientation), 'b.jpg')
        assert np.array_equal(read_image(path), plain)
    assert is_turned(path, (120, 80)) and not is_turned(path, (80, 120))


def test_a_pointer_of_git_lfs_is_told_from_a_damaged_picture(tmp_path):
    path = write(tmp_path, b'version https://git-lfs.github.com/spec/v1\n')
    for read in (read_image, read_label):
        with pytest.raises(ValueError, match='a Git LFS pointer stands in its place'):
            read(path)


@pytest.mark.parametrize('data', [b'', b'GIF89a', PNG_START + png_chunk(b'IEND', b'')])
def test_what_is_no_picture_is_named(tmp_path, data):
    for read in (read_image, read_label):
        with pytest.raises(ValueError, match='label.png: not a readable picture'):
            read(write(tmp_path, data))
