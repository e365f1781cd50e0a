# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Segments pictures and videos from start to end, into files."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from sparse_seg_ros import pictures
from sparse_seg_ros.config import nearest
from sparse_seg_ros.data.frame import Frame
from sparse_seg_ros.data.sources import PICTURES, PictureFrames, open_sources
from sparse_seg_ros.data.video import VideoFrames
from sparse_seg_ros.evaluation.loop import segment_frames
from sparse_seg_ros.evaluation.scores import Scores
from sparse_seg_ros.new_paths import check_can_hold, check_is_new, write
from sparse_seg_ros.prediction import Prediction
from sparse_seg_ros.report.contact_sheet import ContactSheet
from sparse_seg_ros.report.film import CODES
from sparse_seg_ros.report.predictions import KINDS, PictureFiles, VideoFiles, free_name
from sparse_seg_ros.segmenter import Segmenter

FILM_KINDS = ('overlay',)  # of a video, unless others are asked for


class PredictJob:
    """
    What to segment, and where the files go. Errors in either come before a model is needed.

    out: a new folder; or, of one picture, a file .png or .jpg; of one video a film.
    """

    def __init__(self, words: list[str], out: Path, kinds: Collection[str] | None = None,
                 limit: int | None = None):
        for kind in kinds or ():
            if kind not in KINDS:
                raise ValueError(f'unknown kind of file {kind!r}; {nearest(kind, KINDS)}')
        self.failed, self.notes, self.interrupted = 0, [], False
        self.sources = open_sources(words, self.note_failure)
        self.out, self.kinds, self.limit = out, kinds, limit
        self.is_file = out.suffix.lower() in (*PICTURES, *CODES)
        if self.is_file:
            self.check_one_file()
        check_is_new(out, 'output', may_be_empty=not self.is_file)
        check_can_hold(out.parent, f'output {out}')
        self.names_used: set[str] = set()

    def check_one_file(self) -> None:
        """Raise ValueError unless there is one picture for a picture, one video for a film."""
        is_film = self.out.suffix.lower() in CODES
        source, kinds = self.sources[0], self.kinds or FILM_KINDS
        is_one = len(self.sources) == 1 and (is_film if isinstance(source, VideoFrames) else
                                             not is_film and len(source) == 1)
        if 'ids' in kinds and self.out.suffix.lower() != '.png':
            raise ValueError(f'{self.out}: ids are written as .png, because other files change '
                             'them; give it that ending')
        if not is_one or len(kinds) != 1 or (is_film and 'ids' in kinds):
            raise ValueError(f'{self.out} can hold one kind of file of one '
                             f'{"video" if is_film else "picture"}; give a folder as output')

    def run(self, segment: Segmenter) -> None:
        """Segment every frame; Ctrl-C ends it with what there is so far."""
        self.scores, self.counts = Scores(segment.labels.names, counts_small=False), \
            np.zeros(256, np.int64)
        self.names, left = segment.labels.names, self.limit
        for source in self.sources:
            if self.interrupted:
                break
            before = self.scores.frames
            if isinstance(source, VideoFrames):
                self.segment_video(segment, source, left)
            else:
                self.segment_pictures(segment, source, left)
            if left is not None:
                left -= self.scores.frames - before
                if left <= 0:
                    break

    def segment_pictures(self, segment: Segmenter, source: PictureFrames,
                         limit: int | None) -> None:
        """Segment pictures into files, or one into the file that was named."""
        if self.is_file:
            kind = (self.kinds or FILM_KINDS)[0]
            self.loop(segment, source, lambda frame, image, seen: write(self.out, pictures.encode(
                seen.picture() if kind == 'overlay' else KINDS[kind](seen), self.out.suffix)),
                limit)
            return
        files = PictureFiles(self.out, segment.labels, self.kinds or tuple(KINDS),
                             self.names_used)
        self.loop(segment, source, files, limit)
        self.write_sheet(files.sheet, 'contact_sheet.jpg')

    def segment_video(self, segment: Segmenter, source: VideoFrames, limit: int | None) -> None:
        """Segment a video into a film of its rate."""
        name = free_name(source.stem, self.names_used)
        files = VideoFiles(self.out.parent if self.is_file else self.out, name, segment.labels,
                           self.kinds or FILM_KINDS, source.frames_per_second,
                           self.out if self.is_file else None)
        try:
            self.loop(segment, source, files, limit)
        finally:
            self.notes += files.close()
        if source.damage:
            self.note_failure(source.damage)
        if not self.is_file:
            self.write_sheet(files.sheet, f'{name}_contact_sheet.jpg')

    def loop(self, segment: Segmenter, frames: PictureFrames | VideoFrames, files: Any,
             limit: int | None) -> None:
        """Segment frames into files and figures."""
        try:
            segment_frames(segment, Limited(frames, limit), [files, self.scores, self.count],
                           'predicting', on_invalid=self.count_failed)
        except KeyboardInterrupt:
            self.interrupted = True
            self.notes.append(f'interrupted after {self.scores.frames} frames')

    def count(self, frame: Frame, image: np.ndarray, seen: Prediction) -> None:
        """Count the pixels of every class."""
        self.counts += np.bincount(seen.labels.ravel(), minlength=256)

    def count_failed(self, frame: Frame, part: str, error: Exception) -> None:
        """Count and name a frame that cannot be used."""
        self.failed += 1
        tqdm.write(f'{frame.source}: {error}', file=sys.stderr)

    def note_failure(self, error: object) -> None:
        """Count a source that cannot be used, or not to its end; it is named in the notes."""
        self.failed += 1
        self.notes.append(str(error))

    def write_sheet(self, sheet: ContactSheet, name: str) -> None:
        """Write the contact sheet of several frames."""
        if sheet.number > 1:
            write(self.out / name, pictures.encode(sheet.picture(), '.jpg'))

    def figures(self) -> dict[str, Any]:
        """Return the number of frames and failures, the time, and the share of every class."""
        total = max(1, self.counts.sum())
        return {'frames': self.scores.frames, 'failed': self.failed,
                'refined': round(self.scores.density, 5),
                'milliseconds': self.scores.percentiles(50, 95),
                'shares': {name: round(float(count / total), 5)
                           for name, count in zip(self.names, self.counts) if count}}


class Limited:
    """The first frames of a source; all of them where the limit is None."""

    def __init__(self, frames: PictureFrames | VideoFrames, limit: int | None):
        self.frames, self.limit = frames, limit

    def __len__(self) -> int:
        return min(len(self.frames), self.limit or len(self.frames))

    def __iter__(self) -> Iterator[Frame]:
        frames: Iterable[Frame] = self.frames
        return islice(iter(frames), self.limit)
