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


def add_predictions(parser: argparse.ArgumentParser) -> None:
    """Add the options that name predictions in the place of a model."""
    parser.add_argument('--predictions', metavar='BAG|FOLDER', help='score these labels, which '
                        'were predicted before: masks of a bag, by stamp, or PNGs with the names '
                        'of their frames')
    parser.add_argument('--mask', metavar='TOPIC', help='their topic in the bag (default: the '
                        'only one that ends in segmentation/mask)')
    parser.add_argument('--label-set', metavar='NAME', help='their classes: a name in '
                        'config/labels, or a YAML of your own (default: what the bag or a '
                        'labels.yaml in the folder says)')


def predictions_of(args: argparse.Namespace):
    """Return the predictions and their label set; ValueError where nothing tells the classes."""
    from sparse_seg_ros.bags.recorded import RecordedBag
    from sparse_seg_ros.evaluation.recorded import RecordedFolder
    from sparse_seg_ros.labels import LabelSet, load_labels
    path = Path(args.predictions)
    is_folder = path.is_dir() and any(path.glob('*.png'))
    if args.mask and is_folder:
        raise ValueError('--mask goes with the predictions of a bag')
    recorded = RecordedFolder(args.predictions) if is_folder else RecordedBag(path, args.mask)
    if args.label_set:
        return recorded, load_labels(args.label_set)
    if is_folder and (path / 'labels.yaml').is_file():
        return recorded, load_labels(path / 'labels.yaml')
    names = () if is_folder else recorded.names
    if not names:
        raise ValueError(f'nothing tells the classes of {path}; name them with --label-set, such '
                         'as camvid')
    return recorded, LabelSet(path.name, names, colors_of(len(names)))


def colors_of(count: int) -> tuple[tuple[int, int, int], ...]:
    """Return so many colours that differ."""
    import colorsys
    return tuple(tuple(round(255 * part) for part in colorsys.hsv_to_rgb(
        number * 0.618 % 1, 0.65, 0.6 + 0.3 * (number % 2))) for number in range(count))


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
