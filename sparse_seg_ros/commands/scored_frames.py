# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The frames that `evaluate` scores: of a data set, bag, pictures, videos or rendered streets."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from pathlib import Path

from sparse_seg_ros.commands import options
from sparse_seg_ros.data.frame import AnyFrame, Frame


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that name the frames."""
    options.add_source(parser, 'frames', 'bag', 'bags', 'pictures', 'street')
    parser.add_argument('--labels', metavar='TOPIC|FOLDER', help='true labels of a bag, pictures '
                        'or videos: a topic of the bag (mono8), or a folder of PNGs that have the '
                        'names of their frames; of a bag, the stamps')
    parser.add_argument('--topic', help='image topic of a bag (default: the only topic with '
                        'colour images)')
    parser.add_argument('--all-frames', action='store_true', help='segment the frames without '
                        'labels, too: for flicker and latency')
    options.add_size(parser)


def check(args: argparse.Namespace) -> None:
    """Raise ValueError for options that do not go together."""
    if (args.labels or args.all_frames) and not (
            args.bag or args.bags or args.pictures):
        raise ValueError('--labels and --all-frames go with --bag, --bags or --pictures; the '
                         'frames of --frames and --street have labels of their own')
    if args.topic and not args.bag and not args.bags:
        raise ValueError('--topic goes with --bag and --bags')
    if (args.bag or args.bags) and not args.labels:
        raise ValueError('a bag is scored against true labels; name their topic or folder, such '
                         'as --labels /camera/label')
    if args.pictures and not args.labels:
        raise ValueError('pictures and videos are scored against true labels; name their folder '
                         'with --labels, or segment them with sparse_seg predict')


def frames_of(args: argparse.Namespace) -> Iterable[AnyFrame]:
    """Return the frames for one pass."""
    if args.bag:
        from sparse_seg_ros.bags.inputs import LabelledBag
        return LabelledBag(Path(args.bag), args.labels, args.topic, args.all_frames)
    if args.pictures:
        from sparse_seg_ros.data.label_folder import LabelFolder, LabelledFrames
        return LabelledFrames(AllSources(args.pictures), LabelFolder(args.labels),
                              args.all_frames)
    return options.labelled_frames(args.frames, args.street, args.size)


def name_of(args: argparse.Namespace) -> str:
    """Return what the frames are called in figures."""
    if args.bag:
        return args.bag.name
    words = args.bags or args.pictures
    return ' '.join(words) if words else options.source_name(args)


class AllSources:
    """The frames of pictures and videos, one source after the other."""

    def __init__(self, words: list[str]):
        from sparse_seg_ros.data.sources import open_sources
        self.sources = open_sources(words)
        if any(isinstance(getattr(source, 'source', None), int) for source in self.sources):
            raise ValueError('a camera has no labels; record it, and label the record')

    def __len__(self) -> int:
        return sum(map(len, self.sources))

    def __iter__(self) -> Iterator[Frame]:
        for source in self.sources:
            yield from source

    @property
    def damage(self) -> str | None:
        """What the videos lack, once all were read; None if nothing."""
        damages = [getattr(source, 'damage', None) for source in self.sources]
        return '; '.join(filter(None, damages)) or None
