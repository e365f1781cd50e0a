# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Headers of compressed images: how large they are before they are decoded, where they end."""

from __future__ import annotations

import struct
import zlib
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from ros_fakes import make_image
from small_png import png_chunk

from sparse_seg_ros.data.picture_bytes import PNG_START, Header, read_header
from sparse_seg_ros.messages.pixels import to_labels, to_rgb

IMAGE = make_image(40, 60)


def encoded(suffix: str, *options: int) -> bytes:
    return cv2.imencode(suffix, IMAGE, options)[1].tobytes()


def black_png(side: int) -> bytes:
    """Return a black PNG of side x side pixels in some hundred kilobytes."""
    rows = zlib.compress(bytes((1 + (side + 7) // 8) * side), 9)
    header = struct.pack('>IIBBBBB', side, side, 1, 0, 0, 0, 0)
    return PNG_START + png_chunk(b'IHDR', header) + png_chunk(b'IDAT', rows) + \
        png_chunk(b'IEND', b'')


def with_thumbnail(jpeg: bytes) -> bytes:
    """A JPEG whose first segment holds another one, end marker and all."""
    inner = b'Exif\0\0' + cv2.imencode('.jpg', IMAGE[:8, :8])[1].tobytes()
    return jpeg[:2] + b'\xff\xe1' + struct.pack('>H', len(inner) + 2) + inner + jpeg[2:]


FILES = {'png': encoded('.png'), 'jpeg': encoded('.jpg'),
         'progressive jpeg': encoded('.jpg', cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
         'jpeg with restart markers': encoded('.jpg', cv2.IMWRITE_JPEG_RST_INTERVAL, 2),
         'jpeg with a thumbnail': with_thumbnail(encoded('.jpg')),
         'webp': encoded('.webp', cv2.IMWRITE_WEBP_QUALITY, 80),
         'lossless webp': encoded('.webp', cv2.IMWRITE_WEBP_QUALITY, 101)}
TAILS = {'zeros': bytes(500), 'fill': b'\xff' * 16, 'line end of a stream': b'\r\n',
         'trailer': b'dhav\x59\x19\x01\x00', 'rest of a buffer': bytes(range(1, 145))}


@pytest.mark.parametrize('name', FILES)
def test_size_and_end_are_read_without_decoding(name):
    for tail in (b'', b'tail'):
        assert read_header(FILES[name] + tail) == Header((40, 60), len(FILES[name]))


@pytest.mark.parametrize('tail', TAILS)
@pytest.mark.parametrize('name', FILES)
def test_what_follows_the_end_changes_nothing(name, tail):
    whole, longer = (SimpleNamespace(format=name, data=data)
                     for data in (FILES[name], FILES[name] + TAILS[tail]))
    np.testing.assert_array_equal(to_rgb(longer), to_rgb(whole))


@pytest.mark.parametrize('share', [0.3, 0.5, 0.9, 0.99])
@pytest.mark.parametrize('name', FILES)
def test_a_cut_image_is_refused(name, share):
    data = FILES[name][:int(share * len(FILES[name]))]
    with pytest.raises(ValueError, match='is truncated: .* check the link'):
        to_rgb(SimpleNamespace(format=name, data=data))


@pytest.mark.parametrize('length', [len(PNG_START), 20, 33, 60])
def test_cut_labels_are_refused_however_short(length):
    data = FILES['png'][:length]
    with pytest.raises(ValueError, match='is truncated: .* check the link'):
        to_labels(SimpleNamespace(format='png', data=data))


@pytest.mark.parametrize('read', [to_rgb, to_labels])
def test_an_image_that_would_fill_the_memory_is_refused_before_it_is_decoded(read):
    bomb = black_png(30_000)
    assert len(bomb) < 120_000
    with pytest.raises(ValueError, match='30000x30000 has more than 8000000 pixels; raise '
                                         'max_pixels'):
        read(SimpleNamespace(format='png', data=bomb), max_pixels=8_000_000)


def test_a_raw_image_has_the_same_limit():
    message = SimpleNamespace(height=40, width=60, encoding='rgb8', step=180, is_bigendian=0,
                              data=IMAGE.tobytes())
    assert to_rgb(message, max_pixels=2400).shape == (40, 60, 3)
    with pytest.raises(ValueError, match='60x40 has more than 2399 pixels'):
        to_rgb(message, max_pixels=2399)


def test_every_cut_and_many_flips_of_a_jpeg_are_a_picture_or_a_clear_error():
    whole = FILES['jpeg with a thumbnail']
    random = np.random.default_rng(0)
    for data in [whole[:end] for end in range(0, len(whole), 7)] + \
            [flipped(whole, random) for _ in range(200)]:
        try:
            assert to_rgb(SimpleNamespace(format='jpeg', data=data), 10 ** 6).ndim == 3
        except ValueError as error:
            assert 'compressed image' in str(error) or 'max_pixels' in str(error)


def flipped(data: bytes, random: np.random.Generator) -> bytes:
    array = np.frombuffer(data, np.uint8).copy()
    array[random.integers(2, len(array), 5)] = random.integers(0, 256, 5)
    return array.tobytes()


def test_the_size_of_a_webp_with_transparency_is_read():
    data = cv2.imencode('.webp', np.dstack([IMAGE, IMAGE[:, :, 0]]))[1].tobytes()
    extended = b'VP8X' + struct.pack('<I', 10) + bytes(4) + (59).to_bytes(3, 'little') \
        + (39).to_bytes(3, 'little')
    longer = data[:4] + struct.pack('<I', len(data) - 8 + len(extended)) + b'WEBP' + extended \
        + data[12:]
    assert read_header(longer) == Header((40, 60), len(longer))
