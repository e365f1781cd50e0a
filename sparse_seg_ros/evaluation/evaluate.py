# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Score a segmenter on labelled frames."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace

from sparse_seg_ros.data.frame import AnyFrame, Frame, as_frames
from sparse_seg_ros.data.frames import check_classes
from sparse_seg_ros.evaluation.loop import OnInvalid, Sink, raise_it, segment_frames
from sparse_seg_ros.evaluation.scores import Report, Scores
from sparse_seg_ros.label_remap import LabelRemap, load_remap
from sparse_seg_ros.segmenter import Segmenter


def evaluate(segment: Segmenter, frames: Iterable[AnyFrame], sinks: Sequence[Sink] = ()
             ) -> Report:
    """
    Segment every Frame, or (image, label) pair -> Report; sinks get each with its prediction.

    Frames that say they have the classes of the model before its remap are remapped, too. Raises
    ValueError for frames that say they have other classes; warns where the predictions do.
    """
    scores = Scores(segment.labels.names)
    score(segment, frames, [scores, *sinks])
    if scores.frames and not scores.labelled:
        raise ValueError('the frames have no labels to score against; give labelled frames')
    scores.warn_of_other_order()
    return scores.report()


def score(segment: Segmenter, frames: Iterable[AnyFrame], sinks: Sequence[Sink],
          on_invalid: OnInvalid = raise_it, wants: Collection[str] = ()) -> None:
    """
    Segment every frame into the sinks, with labels of the classes of the model.

    on_invalid, wants: as of segment_frames. Raises ValueError as `evaluate` does.
    """
    if segment.remap is not None and getattr(frames, 'classes', ()) == segment.remap.source:
        frames = remapped(frames, segment.remap)
    check_classes(frames, segment.labels.names, 'the model')
    segment_frames(segment, frames, sinks, wants=wants, on_invalid=on_invalid)


def adjusted(segment: Segmenter, alpha: float | None = None, remap: str | None = None
             ) -> Segmenter:
    """Return a model with another threshold, if it has one, and in the classes of a remap."""
    if alpha is not None and segment.alpha is not None:
        segment = segment.with_limits(alpha=alpha)
    return segment.with_remap(load_remap(remap)) if remap else segment


def remapped(frames: Iterable[AnyFrame], remap: LabelRemap) -> Iterator[Frame]:
    """Yield the frames with labels of the new classes."""
    for frame in as_frames(frames):
        read = frame.read_label
        yield frame if read is None else replace(
            frame, read_label=lambda read=read: remap(read()))
