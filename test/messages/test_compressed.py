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


def ihdr(side: int) -> bytes:
    return png_chunk(b'IHDR', struct.pack('>IIBBBBB', side, side, 8, 0, 0, 0, 0))


def test_a_png_with_a_second_header_has_the_size_of_its_first():
    assert read_header(PNG_START + ihdr(30_000) + ihdr(4)).size_hw == (30_000, 30_000)


def test_a_webp_whose_container_tells_a_smaller_size_than_its_picture_is_refused():
    data = FILES['webp']
    lie = b'VP8X' + struct.pack('<I', 10) + bytes(4) + (5).to_bytes(3, 'little') \
        + (3).to_bytes(3, 'little')
    whole = data[:4] + struct.pack('<I', len(data) - 8 + len(lie)) + b'WEBP' + lie + data[12:]
    assert read_header(whole) == Header((4, 6), len(whole))
    with pytest.raises(ValueError, match='is damaged'):
        to_rgb(SimpleNamespace(format='webp', data=whole), max_pixels=24)


def test_a_jpeg_with_a_second_smaller_size_in_front_is_refused():
    small = cv2.imencode('.jpg', IMAGE[:8, :8])[1].tobytes()
    start = small.index(b'\xff\xc0')
    size = small[start:start + 2 + int.from_bytes(small[start + 2:start + 4], 'big')]
    with pytest.raises(ValueError, match='is damaged'):
        to_rgb(SimpleNamespace(format='jpeg', data=FILES['jpeg'][:2] + size + FILES['jpeg'][2:]),
               max_pixels=64)


def test_a_jpeg_of_a_thousand_scans_is_refused_before_it_is_decoded():
    whole = FILES['progressive jpeg']
    last = whole[whole.rindex(b'\xff\xda'):-2]
    bomb = SimpleNamespace(format='jpeg', data=whole[:-2] + 1000 * last + whole[-2:])
    with pytest.raises(ValueError, match='more than 32 scans: 10[01][0-9]; publish plain JPEG'):
        to_rgb(bomb)


FORMS = {'jpeg': '.jpg', 'jpg': '.jpg', 'rgb8; jpeg compressed bgr8': '.jpg', '': '.jpg',
         'bgr8; png compressed ': '.png', 'mono8; jpeg compressed ': '.jpg', 'png': '.png',
         'bgr8; webp compressed bgr8': '.webp', 'mono16; png compressed ': '.png'}


@pytest.mark.parametrize('form', FORMS)
def test_every_form_of_the_format_is_read_by_the_bytes(form):
    grey = form.startswith('mono')
    sent = IMAGE[:, :, 1] if grey else IMAGE
    sent = sent.astype(np.uint16) * 257 if 'mono16' in form else sent
    data = cv2.imencode(FORMS[form], sent if grey else sent[:, :, ::-1])[1].tobytes()
    seen = to_rgb(SimpleNamespace(format=form, data=data)).astype(int)
    expected = np.dstack([IMAGE[:, :, 1]] * 3) if grey else IMAGE
    most = 0 if FORMS[form] == '.png' else 20
    assert np.abs(seen - expected).mean() <= most


def test_a_depth_image_in_a_compressed_message_is_refused():
    data = bytes(12) + cv2.imencode('.png', IMAGE[:, :, 0].astype(np.uint16))[1].tobytes()
    with pytest.raises(ValueError, match='is no JPEG, PNG or WebP'):
        to_rgb(SimpleNamespace(format='16UC1; compressedDepth', data=data))
