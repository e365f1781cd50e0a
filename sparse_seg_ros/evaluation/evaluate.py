# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Score a segmenter on labelled frames."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sparse_seg_ros.data.frame import AnyFrame
from sparse_seg_ros.data.frames import check_classes
from sparse_seg_ros.evaluation.loop import Sink, segment_frames
from sparse_seg_ros.evaluation.scores import Report, Scores
from sparse_seg_ros.segmenter import Segmenter


def evaluate(segment: Segmenter, frames: Iterable[AnyFrame], sinks: Sequence[Sink] = ()
             ) -> Report:
    """
    Segment every Frame, or (image, label) pair -> Report; sinks get each with its prediction.

    Raises ValueError for frames that say they have other classes; warns where the predictions do.
    """
    check_classes(frames, segment.labels.names, 'the model')
    scores = Scores(segment.labels.names)
    segment_frames(segment, frames, [scores, *sinks])
    if scores.frames and not scores.labelled:
        raise ValueError('the frames have no labels to score against; give labelled frames')
    scores.warn_of_other_order()
    return scores.report()
