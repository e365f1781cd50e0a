# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Topics whose messages are packets of one video stream: Foxglove's, and ffmpeg_image_transport's.

Every packet is decoded, in the order of the bag, because pictures are made from those before them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from types import ModuleType
from typing import Any

import numpy as np

from sparse_seg_ros.data.frame import Frame
from sparse_seg_ros.messages.compressed import check_pixels
from sparse_seg_ros.texts import cut

# Part of a format or of an encoder's name (h265, hevc_nvenc, libx264) -> decoder.
DECODERS = {'264': 'h264', '265': 'hevc', 'hevc': 'hevc', 'av1': 'libdav1d', 'vp9': 'vp9'}
MOST_WAITING = 32  # packets; no stream reorders more


class VideoTopic:
    """
    Gives the frames of a topic their pictures; raises ImportError without PyAV.

    A picture may be ready some packets later than its own, or never: such a frame is refused.
    """

    def __init__(self, topic: str, max_pixels: int):
        self.adapter, self.max_pixels = load_pyav(topic), max_pixels
        self.codec, self.decoder = '', None
        self.waiting: dict[int, Frame] = {}  # by the number of their packet
        self.count, self.first = 0, math.inf  # packets so far, the first with a picture

    def add(self, frame: Frame, message: Any) -> Iterator[Frame]:
        """Decode the packet of a frame; yield the frames that are ready now."""
        codec = codec_of(message)
        if codec != self.codec:
            yield from self.end()
            self.codec, self.decoder = codec, None
        self.count += 1
        self.waiting[self.count] = frame
        try:
            ready = self.decode(message)
        except ValueError as error:
            yield self.refuse(self.count, error)
            return
        yield from self.pair(ready)
        if len(self.waiting) > MOST_WAITING:
            yield self.refuse(next(iter(self.waiting)))

    def decode(self, message: Any) -> Iterable[tuple[int, Any]]:
        """Return the pictures that are ready after a packet; ValueError if it gives none."""
        check_pixels((getattr(message, 'height', 1), getattr(message, 'width', 1)),
                     self.max_pixels)
        if not len(message.data):
            raise ValueError('the packet is empty; check the encoder')
        if self.decoder is None:
            self.decoder = self.adapter.PacketDecoder(self.codec)
        try:
            return self.decoder.decode(self.count, bytes(message.data))
        except ValueError as error:
            raise ValueError(f'{self.why_none(self.count)} ({error})') from None

    def end(self) -> Iterator[Frame]:
        """Yield the last frames of the stream."""
        if self.decoder:
            yield from self.pair(self.decoder.end())
        for number in [*self.waiting]:
            yield self.refuse(number)
        self.first = math.inf

    def pair(self, ready: Iterable[tuple[int, Any]]) -> Iterator[Frame]:
        """Yield the frames of pictures."""
        for number, picture in ready:
            self.first = min(self.first, number)
            if number in self.waiting:
                yield replace(self.waiting.pop(number),
                              read_image=partial(self.to_rgb, picture))

    def to_rgb(self, picture: Any) -> np.ndarray:
        """Return (H, W, 3) uint8 RGB; ValueError for a picture that is too large."""
        check_pixels((picture.height, picture.width), self.max_pixels)
        return self.adapter.frame_to_rgb(picture)

    def refuse(self, number: int, error: ValueError | None = None) -> Frame:
        """Return a frame that has no picture."""
        return replace(self.waiting.pop(number),
                       read_image=partial(refuse, error or ValueError(self.why_none(number))))

    def why_none(self, number: int) -> str:
        """Say why a packet gives no picture."""
        if number > self.first:
            return 'the packet, or one before it, is damaged or missing; the stream goes on at ' \
                   'its next key frame'
        return 'the stream has no key frame before this packet; record it from its start'


def load_pyav(topic: str) -> ModuleType:
    """Return the adapter of PyAV; ImportError with the cure where it is not installed."""
    try:
        from sparse_seg_ros import with_pyav
    except ImportError as error:
        raise ImportError(f'{topic} is a video, which needs PyAV ({error}); pip install av'
                          ) from None
    return with_pyav


def codec_of(message: Any) -> str:
    """Message -> name of the decoder; the name that the message has, if none is known for it."""
    name = getattr(message, 'format', None) or getattr(message, 'encoding', '')
    name = name.partition(';')[0].strip().lower()
    return next((decoder for part, decoder in DECODERS.items() if part in name), cut(name))


def refuse(error: Exception) -> np.ndarray:
    """Raise the error of an unreadable message when its image is read."""
    raise error
