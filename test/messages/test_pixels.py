# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Image messages of every encoding, good and bad, without ROS."""

from __future__ import annotations

from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from ros_fakes import make_image
from small_png import png

from sparse_seg_ros.messages.pixels import ENCODINGS, to_labels, to_rgb

IMAGE = make_image(40, 60)


def raw(array: np.ndarray, encoding: str, padding: int = 0, is_bigendian: int = 0, **changed):
    """(rows, W, ...) array -> something with the fields of sensor_msgs/Image."""
    rows = np.ascontiguousarray(array).view(np.uint8).reshape(len(array), -1)
    step = rows.shape[1] + padding
    padded = np.full((len(rows), step), 99, np.uint8)
    padded[:, :rows.shape[1]] = rows
    fields = {'height': 40, 'width': 60, 'encoding': encoding, 'step': step,
              'is_bigendian': is_bigendian, 'data': padded.tobytes()}
    return SimpleNamespace(**{**fields, **changed})


def compressed(suffix: str, image: np.ndarray = IMAGE, end: int | None = None):
    """Return something with the fields of sensor_msgs/CompressedImage."""
    data = cv2.imencode(suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1].tobytes()
    return SimpleNamespace(format=f'bgr8; {suffix[1:]} compressed bgr8', data=data[:end])


GREY = IMAGE[:, :, 1]
ALPHA = np.dstack([IMAGE, np.full((40, 60), 7, np.uint8)])
EXACT = {
    'rgb8': (IMAGE, IMAGE), 'bgr8': (IMAGE[:, :, ::-1], IMAGE),
    'rgba8': (ALPHA, IMAGE), 'bgra8': (ALPHA[:, :, [2, 1, 0, 3]], IMAGE),
    'mono8': (GREY, np.dstack([GREY] * 3)),
    'mono16': (GREY.astype('<u2') * 257, np.dstack([GREY] * 3)),
    'rgb16': (IMAGE.astype('<u2') * 257, IMAGE),
    'bgr16': (IMAGE[:, :, ::-1].astype('<u2') * 257, IMAGE),
    'rgba16': (ALPHA.astype('<u2') * 257, IMAGE),
    'bgra16': (ALPHA[:, :, [2, 1, 0, 3]].astype('<u2') * 257, IMAGE),
}
BAYER = [f'bayer_{pattern}' for pattern in ('rggb', 'bggr', 'gbrg', 'grbg')]


@pytest.mark.parametrize('padding', [0, 5])
@pytest.mark.parametrize('encoding', EXACT)
def test_an_image_comes_through_exactly_with_and_without_padded_rows(encoding, padding):
    sent, expected = EXACT[encoding]
    np.testing.assert_array_equal(to_rgb(raw(sent, encoding, padding)), expected)


@pytest.mark.parametrize('encoding', ['mono16', 'rgb16', 'bayer_rggb16'])
def test_16_bit_levels_honour_big_endian(encoding):
    sent = IMAGE if encoding == 'rgb16' else GREY
    little, big = (to_rgb(raw(sent.astype(order) * 257, encoding, is_bigendian=order == '>u2'))
                   for order in ('<u2', '>u2'))
    np.testing.assert_array_equal(big, little)
    assert little.std() > 10


def mosaic_of(pattern: str) -> np.ndarray:
    """Bayer pattern -> (40, 60) uint8 mosaic of one colour, (200, 120, 40)."""
    color = {'r': 200, 'g': 120, 'b': 40}
    tile = np.array([color[letter] for letter in pattern], np.uint8).reshape(2, 2)
    return np.tile(tile, (20, 30))


@pytest.mark.parametrize('depth', [1, 2])
@pytest.mark.parametrize('pattern', BAYER)
def test_bayer_patterns_keep_the_colour(pattern, depth):
    mosaic = mosaic_of(pattern.removeprefix('bayer_'))
    mosaic = mosaic if depth == 1 else mosaic.astype('<u2') * 257
    seen = to_rgb(raw(mosaic, f'{pattern}{8 * depth}', padding=4))
    np.testing.assert_array_equal(seen[4:-4, 4:-4], np.broadcast_to((200, 120, 40), (32, 52, 3)))


@pytest.mark.parametrize('suffix', ['.png', '.jpg'])
@pytest.mark.parametrize('pattern', BAYER)
def test_a_compressed_mosaic_is_a_colour_picture_when_its_format_says_so(pattern, suffix):
    data = cv2.imencode(suffix, mosaic_of(pattern.removeprefix('bayer_')),
                        [cv2.IMWRITE_JPEG_QUALITY, 100])[1].tobytes()
    message = SimpleNamespace(format=f'{pattern}8; {suffix[1:]} compressed ', data=data)
    seen = to_rgb(message)[4:-4, 4:-4].astype(int)
    assert np.abs(seen - (200, 120, 40)).max() <= 8


def test_a_deep_colour_image_under_the_name_of_a_mosaic_has_8_bits():
    deep = make_image().astype(np.uint16) * 257
    data = cv2.imencode('.png', deep[:, :, ::-1])[1].tobytes()
    message = SimpleNamespace(format='bayer_rggb16; png compressed', data=data)
    np.testing.assert_array_equal(to_rgb(message), make_image())


def test_a_bayer_image_that_was_sent_in_colour_is_left_as_it_is():
    message = compressed('.png')
    message.format = 'bayer_rggb8; png compressed bgr8'
    np.testing.assert_array_equal(to_rgb(message), IMAGE)


def test_nv24_keeps_the_colour_of_every_pixel():
    left, right = (180, 60, 90), (40, 160, 200)
    planes = np.array([[yuv_planes(left), yuv_planes(right)]], np.uint8)
    image = np.tile(planes, (40, 30, 1))  # (40, 60, 3), the colour changes from pixel to pixel
    data = np.vstack([image[:, :, 0], image[:, :, 1:].reshape(80, 60)])
    seen = to_rgb(raw(data, 'nv24')).astype(int)
    assert np.abs(seen - np.tile([[left, right]], (40, 30, 1))).max() <= 3


def yuv_planes(rgb: tuple[int, int, int]) -> tuple[int, int, int]:
    """One colour -> its video-range Y, U, V (BT.601), rounded."""
    red, green, blue = rgb
    return (round(16 + (65.738 * red + 129.057 * green + 25.064 * blue) / 256),
            round(128 + (-37.945 * red - 74.494 * green + 112.439 * blue) / 256),
            round(128 + (112.439 * red - 94.154 * green - 18.285 * blue) / 256))


@pytest.mark.parametrize('encoding', ['uyvy', 'yuv422', 'yuyv', 'yuv422_yuy2', 'nv12', 'nv21'])
def test_yuv_encodings_keep_the_colour(encoding):
    color = (180, 60, 90)
    luma, blue, red = yuv_planes(color)
    pair = {'uyvy': (blue, luma, red, luma), 'yuv422': (blue, luma, red, luma),
            'yuyv': (luma, blue, luma, red), 'yuv422_yuy2': (luma, blue, luma, red)}
    if encoding in pair:
        data = np.tile(np.array(pair[encoding], np.uint8), (40, 30))
    else:
        chroma = (blue, red) if encoding == 'nv12' else (red, blue)
        data = np.vstack([np.full((40, 60), luma, np.uint8),
                          np.tile(np.array(chroma, np.uint8), (20, 30))])
    seen = to_rgb(raw(data, encoding, padding=8)).astype(int)
    assert np.abs(seen - color).max() <= 3


def test_every_encoding_is_tested():
    tested = {*EXACT, 'uyvy', 'yuv422', 'yuyv', 'yuv422_yuy2', 'nv12', 'nv21', 'nv24',
              *(f'{pattern}{bits}' for pattern in BAYER for bits in (8, 16))}
    assert tested == set(ENCODINGS)


def test_png_comes_through_exactly_and_jpeg_nearly():
    np.testing.assert_array_equal(to_rgb(compressed('.png')), IMAGE)
    smooth = cv2.GaussianBlur(IMAGE, (15, 15), 5)
    seen = to_rgb(compressed('.jpg', smooth)).astype(int)
    assert np.abs(seen - smooth).mean() < 4


BAD = {
    'unknown encoding': (raw(IMAGE, '8UC3'), "encoding '8UC3' is not known; publish one of rgb8"),
    'short data': (raw(IMAGE, 'rgb8', data=b'123'),
                   'must have 7200 bytes, got 3; the message was cut short'),
    'small step': (raw(IMAGE, 'rgb8', step=179), 'at least 180 bytes, got 179; correct'),
    'no height': (raw(IMAGE, 'rgb8', height=0), 'must have pixels, got width 60 and height 0'),
    'no width': (raw(IMAGE, 'rgb8', width=0), 'must have pixels, got width 0 and height 40'),
    'odd width': (raw(IMAGE, 'uyvy', width=59), 'must have even size, got 59x40'),
    'odd height': (raw(IMAGE, 'nv12', height=39), 'must have even size, got 60x39'),
    'bayer without neighbours': (raw(GREY, 'bayer_rggb8', width=2),
                                 'at least 3 rows and columns, got 2x40'),
    'a very long encoding': (raw(IMAGE, 'x' * 100_000), 'characters in all ... xxx'),
    'a very long format': (SimpleNamespace(format='y' * 100_000, data=b'abc'),
                           'characters in all ... yyy'),
    'truncated jpeg': (compressed('.jpg', end=-100), 'is truncated'),
    'truncated png': (compressed('.png', end=-100), 'is truncated'),
    'empty': (compressed('.jpg', end=0), 'is empty'),
    'not an image': (SimpleNamespace(format='h264', data=b'abcdefghijkl'),
                     "('h264') is no JPEG, PNG or WebP; publish one of them"),
}


@pytest.mark.parametrize('name', BAD)
def test_a_bad_image_is_an_error_with_its_cure(name):
    message, text = BAD[name]
    with pytest.raises(ValueError) as caught:
        to_rgb(message)
    assert text in str(caught.value) and len(str(caught.value)) < 500


def test_a_jpeg_with_a_damaged_middle_is_an_error_or_a_picture_of_the_same_size():
    message = compressed('.jpg')
    message.data = message.data[:300] + bytes(50) + message.data[350:]
    try:
        assert to_rgb(message).shape == IMAGE.shape
    except ValueError as error:
        assert 'compressed image' in str(error)


def test_labels_come_through_exactly_raw_and_as_png():
    np.testing.assert_array_equal(to_labels(raw(GREY, 'mono8', padding=4)), GREY)
    data = cv2.imencode('.png', GREY)[1].tobytes()
    message = SimpleNamespace(format='mono8; png compressed', data=data)
    np.testing.assert_array_equal(to_labels(message), GREY)


@pytest.mark.parametrize('is_palette', [True, False], ids=['palette', 'grey'])
@pytest.mark.parametrize('bits', [1, 4, 8])
def test_label_pngs_hold_ids_whatever_their_bits(bits, is_palette):
    ids = (GREY // 8) & np.uint8(2 ** bits - 1)
    message = SimpleNamespace(format='png', data=png(ids, bits, is_palette))
    np.testing.assert_array_equal(to_labels(message), ids)


def test_labels_in_a_jpeg_or_in_colour_are_an_error():
    with pytest.raises(ValueError, match='JPEG changes label ids'):
        to_labels(compressed('.jpg'))
    with pytest.raises(ValueError, match="must be mono8, got 'rgb8'"):
        to_labels(raw(IMAGE, 'rgb8'))


@pytest.mark.parametrize('encoding', ['8UC1', '8UC3', '16UC1', '16SC1', '32FC1', 'yuv422_uyvy',
                                      'RGB8', ''])
def test_an_encoding_without_a_meaning_in_colours_is_refused_with_those_that_have_one(encoding):
    with pytest.raises(ValueError, match=f"'{encoding}' is not known; publish one of rgb8, "):
        to_rgb(raw(IMAGE, encoding))
