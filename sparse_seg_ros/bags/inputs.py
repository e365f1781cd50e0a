# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where a replay takes its frames from: the images of a bag, or pictures and videos."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from sparse_seg_ros.bags.bag import Bag
from sparse_seg_ros.bags.bag_messages import COMPRESSED, TYPES, VIDEO_TYPES
from sparse_seg_ros.bags.bag_sink import BagSink
from sparse_seg_ros.bags.bag_writer import BagWriter
from sparse_seg_ros.bags.frames import BagFrames, BagHeader, BagLabels, Stamps
from sparse_seg_ros.bags.image_topics import choose_images
from sparse_seg_ros.bags.video_topic import load_pyav
from sparse_seg_ros.data.frame import Frame
from sparse_seg_ros.data.label_folder import LabelFolder, LabelledFrames
from sparse_seg_ros.data.sources import PictureFrames
from sparse_seg_ros.data.video import VideoFrames
from sparse_seg_ros.evaluation.loop import UNUSABLE
from sparse_seg_ros.messages.pixels import to_rgb
from sparse_seg_ros.node_config import NodeConfig
from sparse_seg_ros.pictures import encode

PICTURE_TOPIC = '/camera/image_raw/compressed'
FRAME_ID = 'camera_optical'
START_NANOSECONDS = 1_767_225_600 * 10 ** 9  # 2026-01-01: the same input gives the same bag
SECOND = 10 ** 9


class BagInput:
    """
    The images of a bag, with the true labels of another topic: `with BagInput(bag) as source`.

    topic, message_type: of the images. labels: None without. Raises ValueError where there are no
    such topics.
    """

    def __init__(self, path: Path, topic: str | None = None, label_topic: str | None = None,
                 max_pixels: int = NodeConfig.max_pixels):
        self.path, self.wanted, self.label_topic = path, topic, label_topic
        self.max_pixels, self.labels = max_pixels, None

    def __enter__(self) -> BagInput:
        with ExitStack() as stack:
            self.bag = stack.enter_context(Bag(self.path))
            self.images = choose_images(self.bag, self.wanted, self.label_topic)
            if self.images.msgtype in VIDEO_TYPES:
                load_pyav(self.images.topic)  # what lacks comes up before any work
            if self.label_topic:
                choose_images(self.bag, self.label_topic)
                self.labels = BagLabels(stack.enter_context(Bag(self.path)), self.images.topic,
                                        self.label_topic)
            self.stack = stack.pop_all()
        self.topic, self.message_type = self.images.topic, self.images.msgtype
        return self

    def __exit__(self, *error: object) -> None:
        self.stack.close()

    @property
    def notes(self) -> list[str]:
        """What a user should know of the bag."""
        return self.bag.notes

    def frames(self, sink: BagSink | None = None) -> BagFrames:
        """Return the frames; every topic and message of the bag is copied to the sink."""
        if sink:
            sink.copy_topics(self.bag.connections)
        return BagFrames(self.bag, self.images, self.max_pixels,
                         sink.copy if sink else lambda *_: None, self.labels)


class LabelledBag:
    """
    The frames of a bag that have a label, on every pass; with keeps_all, the others, too.

    labels: topic of the bag, which begins with /, or folder of PNGs named by stamps. notes: of the
    last pass, what a user should know. damage: None, or what the bag lacks, once it was read.
    """

    def __init__(self, path: Path, labels: str, topic: str | None = None,
                 keeps_all: bool = False):
        is_topic = labels.startswith('/') and not Path(labels).is_dir()
        self.source = partial(BagInput, path, topic, labels if is_topic else None)
        self.folder = None if is_topic else LabelFolder(labels)
        self.keeps_all, self.notes, self.damage = keeps_all, [], None
        with self.source() as source:
            found = source.labels.stamps.labels.total() if source.labels else len(self.folder)
            self.count = source.images.msgcount if keeps_all else found

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the ids, where the folder of labels tells them."""
        return self.folder.classes if self.folder else ()

    def __len__(self) -> int:
        """Return the number of frames that are expected."""
        return self.count

    def __iter__(self) -> Iterator[Frame]:
        with self.source() as source:
            frames, scored = source.frames(), 0
            chosen = LabelledFrames(frames, self.folder, self.keeps_all) if self.folder else \
                self.of_topic(frames, source.labels.stamps)
            for frame in chosen:
                yield frame
                scored += frame.read_label is not None
            self.notes, self.damage = [*source.notes, *getattr(chosen, 'notes', ())], frames.damage
            if source.labels and (words := source.labels.stamps.describe(scored)):
                self.notes.append(words)

    def of_topic(self, frames: BagFrames, stamps: Stamps) -> Iterator[Frame]:
        """Yield the frames that share their stamp with a label, or all."""
        for frame in frames:
            if stamps.make_pair(frame.stamp):
                yield frame
            elif self.keeps_all:
                yield replace(frame, read_label=None)


class PictureInput:
    """Pictures and videos as the images of a camera; the bag to write holds them as JPEG."""

    topic, message_type, labels, notes = PICTURE_TOPIC, COMPRESSED, None, ()

    def __init__(self, sources: list[PictureFrames | VideoFrames],
                 max_pixels: int = NodeConfig.max_pixels):
        self.sources, self.max_pixels = sources, max_pixels

    def __enter__(self) -> PictureInput:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def frames(self, sink: BagSink) -> PictureMessages:
        """Return the frames; each is written as a message on the way."""
        return PictureMessages(self.sources, self.max_pixels, sink.out)


class PictureMessages:
    """
    Frames as they are after JPEG, each with the header of its message in the bag.

    Frames of a video have its times, pictures are a second apart. damage: None, or what the
    videos lack, once all were read.
    """

    def __init__(self, sources: list[PictureFrames | VideoFrames], max_pixels: int,
                 out: BagWriter):
        self.sources, self.max_pixels, self.out = sources, max_pixels, out
        self.damage = None

    def __len__(self) -> int:
        return sum(map(len, self.sources))

    def __iter__(self) -> Iterator[Frame]:
        start = stamp = START_NANOSECONDS
        for source in self.sources:
            for number, frame in enumerate(source):
                past = frame.stamp if isinstance(source, VideoFrames) else number * SECOND
                stamp = start + past
                yield self.make_frame(frame, stamp)
            start = stamp + SECOND
        damages = [source.damage for source in self.sources if isinstance(source, VideoFrames)]
        self.damage = '; '.join(filter(None, damages)) or None

    def make_frame(self, frame: Frame, stamp: int) -> Frame:
        """Write the image of a frame -> the frame of its message; one without image as it is."""
        try:
            data = encode(frame.image(), '.jpg')
        except UNUSABLE:
            return Frame(frame.source, frame.read_image, header=BagHeader(stamp))
        header = make_header(stamp)
        message = TYPES.types[COMPRESSED](header=header, format='jpeg',
                                         data=np.frombuffer(data, np.uint8))
        self.out.write(PICTURE_TOPIC, COMPRESSED, stamp, message)
        return Frame(frame.source, partial(to_rgb, message, self.max_pixels), stamp=stamp,
                     header=BagHeader(stamp, header))


def make_header(stamp: int) -> Any:
    """Nanoseconds -> header of the camera."""
    time = TYPES.types['builtin_interfaces/msg/Time'](*divmod(stamp, SECOND))
    return TYPES.types['std_msgs/msg/Header'](stamp=time, frame_id=FRAME_ID)
