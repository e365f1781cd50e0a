# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Random and mutated messages through the thread that segments: a picture, or a counted loss.

A few hundred in each run of the tests; `pytest test/stream/test_fuzz.py --hypothesis-profile long`
takes 20,000.
"""

from __future__ import annotations

import struct
import time
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ros_fakes import LABELS, Brightness, make_image
from small_png import png_chunk

from sparse_seg_ros.data.frame import Frame
from sparse_seg_ros.data.picture_bytes import PNG_START
from sparse_seg_ros.messages.pixels import ENCODINGS, to_rgb
from sparse_seg_ros.segmenter import Segmenter
from sparse_seg_ros.stream.slots import LatestFrameSlots
from sparse_seg_ros.stream.worker import Host, Worker, WorkerSettings
from sparse_seg_ros.texts import LONG

MAX_PIXELS = 20_000
PATIENCE_SECONDS = 30.0
IMAGE = make_image(24, 36)
DEEP = IMAGE.astype(np.uint16) * 257
PICTURES = [cv2.imencode(suffix, picture, options)[1].tobytes() for suffix, picture, options in (
    ('.jpg', IMAGE, ()), ('.jpg', IMAGE, (cv2.IMWRITE_JPEG_PROGRESSIVE, 1)),
    ('.jpg', IMAGE[..., 0], ()), ('.png', IMAGE, ()), ('.png', IMAGE[..., 0], ()),
    ('.png', DEEP, ()), ('.png', DEEP[..., 0], ()),
    ('.png', np.dstack([IMAGE, IMAGE[..., :1]]), ()),
    ('.webp', IMAGE, (cv2.IMWRITE_WEBP_QUALITY, 80)),
    ('.webp', IMAGE, (cv2.IMWRITE_WEBP_QUALITY, 101)))]
FORMATS = ('jpeg', 'png', 'webp', 'rgb8; jpeg compressed bgr8', 'bayer_rggb8; png compressed',
           'bayer_grbg16; png compressed', 'mono8; jpeg compressed', '')
SIDES = st.one_of(st.integers(0, 40), st.integers(0, 2 ** 32 - 1))


@st.composite
def raw_images(draw):
    """An Image whose fields may be wrong, each by itself."""
    encoding = draw(st.one_of(st.sampled_from(sorted(ENCODINGS)), st.text(max_size=20)))
    height, width, step = draw(SIDES), draw(SIDES), draw(st.none() | SIDES)
    if step is None:
        layout = ENCODINGS.get(encoding, ENCODINGS['rgb8'])
        step = width * layout.channels * layout.depth + draw(st.integers(0, 3))
    right = min(height * step * 3, 30_000)
    length = draw(st.sampled_from([right, right // 2, right // 3, 0]) | st.integers(0, 30_000))
    return SimpleNamespace(height=height, width=width, step=step, encoding=encoding,
                           is_bigendian=draw(st.integers(0, 255)),
                           data=np.resize(IMAGE, length).tobytes())


@st.composite
def compressed_images(draw):
    """A CompressedImage with flipped, lost, doubled or foreign bytes."""
    data = bytearray(draw(st.sampled_from(PICTURES)))
    places = st.integers(0, len(data) - 1)
    for place, value in draw(st.lists(st.tuples(places, st.integers(0, 255)), max_size=8)):
        data[place] = value
    start, end = sorted((draw(places), draw(places)))
    how = draw(st.sampled_from(('whole', 'cut', 'without', 'twice', 'with')))
    if how == 'cut':
        del data[end:]
    elif how == 'without':
        del data[start:end]
    elif how == 'twice':
        data[end:end] = data[start:end]
    elif how == 'with':
        data[start:start] = draw(st.binary(max_size=50))
    name = draw(st.sampled_from(FORMATS) | st.text(max_size=20))
    return SimpleNamespace(format=name, data=bytes(data))


@st.composite
def bombs(draw):
    """A PNG or JPEG that says it is of any size, and is right in all else."""
    width, height = draw(SIDES), draw(SIDES)
    if draw(st.booleans()):
        head = struct.pack('>IIBBBBB', width, height, draw(st.sampled_from((1, 2, 4, 8, 16))),
                           draw(st.sampled_from((0, 2, 3, 4, 6))), 0, 0, 0)
        rest = PICTURES[3][len(PNG_START) + 25:]
        return SimpleNamespace(format='png', data=PNG_START + png_chunk(b'IHDR', head) + rest)
    data = bytearray(PICTURES[0])
    place = data.index(b'\xff\xc0') + 5
    data[place:place + 4] = struct.pack('>HH', height % 2 ** 16, width % 2 ** 16)
    return SimpleNamespace(format='jpeg', data=bytes(data))


MESSAGES = st.one_of(raw_images(), compressed_images(), bombs())


class Placid(Brightness):
    """Takes white pixels for what they are."""

    def __call__(self, images, request, clock):
        return super().__call__(images.clamp(max=0.99), request, clock)


class Stream:
    """Slots and the thread that segments, and what it says and publishes."""

    def __init__(self):
        self.lines, self.shapes = [], []
        self.slots = LatestFrameSlots(['camera'])
        self.slots.open()
        host = Host(WorkerSettings, lambda: (10 ** 18, False),
                    lambda severity, text: self.lines.append(text), lambda times: None,
                    lambda frame, times, facts: None)
        self.worker = Worker(Segmenter(Placid(), LABELS, (127.5,) * 3, (127.5,) * 3), self.slots,
                             {'camera': self}, host)

    def optional_outputs(self):
        return ()

    def __call__(self, frame, image, prediction):
        self.shapes = [image.shape, prediction.labels.shape]

    def send(self, message):
        """Send a message and wait for its outcome -> counters."""
        self.slots.put(Frame('camera', lambda: to_rgb(message, MAX_PIXELS),
                             arrived_seconds=time.monotonic()))
        with self.slots.changed:
            assert self.slots.changed.wait_for(
                lambda: not self.slots.counts['camera'].waiting, PATIENCE_SECONDS)
        return self.slots.counters('camera')


@pytest.fixture(scope='module')
def stream():
    made = Stream()
    yield made
    made.slots.close(PATIENCE_SECONDS)
    assert made.worker.stop(PATIENCE_SECONDS)


@given(message=MESSAGES)
def test_whatever_comes_is_segmented_or_counted_as_invalid(stream, message):
    before, stream.worker.logged = stream.slots.counters('camera'), {}
    stream.lines.clear()
    after = stream.send(message)
    assert not stream.worker.deaths
    assert after.received == before.received + 1 == after.published + after.invalid
    if after.published > before.published:
        image, labels = stream.shapes
        assert image == (*labels, 3) and 0 < labels[0] * labels[1] <= MAX_PIXELS
    else:
        (line,) = stream.lines
        assert line.startswith('camera: image dropped: ') and '\n' not in line
        assert len(line) <= LONG + 50


@given(message=MESSAGES)
def test_a_message_is_a_picture_or_an_error_in_one_sentence(message):
    try:
        image = to_rgb(message, MAX_PIXELS)
    except ValueError as error:
        assert str(error) and '\n' not in str(error)
    else:
        assert image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3
        assert image.flags.writeable
