# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Score a segmenter on labelled frames."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from sparse_seg_ros.data.frame import AnyFrame, Frame, as_frames
from sparse_seg_ros.data.frames import check_classes
from sparse_seg_ros.evaluation.loop import Sink, segment_frames
from sparse_seg_ros.evaluation.scores import Report, Scores
from sparse_seg_ros.label_remap import LabelRemap
from sparse_seg_ros.segmenter import Segmenter


def evaluate(segment: Segmenter, frames: Iterable[AnyFrame], sinks: Sequence[Sink] = ()
             ) -> Report:
    """
    Segment every Frame, or (image, label) pair -> Report; sinks get each with its prediction.

    Frames that say they have the classes of the model before its remap are remapped, too. Raises
    ValueError for frames that say they have other classes; warns where the predictions do.
    """
    if segment.remap is not None and getattr(frames, 'classes', ()) == segment.remap.source:
        frames = remapped(frames, segment.remap)
    check_classes(frames, segment.labels.names, 'the model')
    scores = Scores(segment.labels.names)
    segment_frames(segment, frames, [scores, *sinks])
    if scores.frames and not scores.labelled:
        raise ValueError('the frames have no labels to score against; give labelled frames')
    scores.warn_of_other_order()
    return scores.report()


def remapped(frames: Iterable[AnyFrame], remap: LabelRemap) -> Iterator[Frame]:
    """Yield the frames with labels of the new classes."""
    for frame in as_frames(frames):
        read = frame.read_label
        yield frame if read is None else replace(
            frame, read_label=lambda read=read: remap(read()))
