# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The choice of `method: auto`: refinement, or the same network at full resolution."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from sparse_seg_ros.methods.kind import MethodConfig
from sparse_seg_ros.model_card import ModelCard, is_number
from sparse_seg_ros.segmenter import Segmenter
from sparse_seg_ros.timing import interleaved

TRIALS = 3  # of each size of image
LEAST_POINTS, LEAST_RATIO = 0.05, 1.05  # less is no difference, of mIoU and of time
SIZE_HW = (720, 1280)  # where the settings name no size
Scores = Mapping[str, Mapping]  # of a model card: frames -> what was measured on them


def choose(rivals: Mapping[str, Segmenter], scores: Mapping[str, Scores],
           sizes_hw: Sequence[tuple[int, int]] = (), limits: Mapping[str, float] | None = None
           ) -> tuple[str, str]:
    """
    Segmenters 'refined' and 'full', scores of their cards -> the name taken, and why.

    Both are timed now, on frames of these sizes. limits: 'alpha' and 'budget' for the refined
    one.
    """
    sizes_hw = tuple(sizes_hw) or (SIZE_HW,)
    refined = rivals['refined'].with_limits(**(limits or {}))
    milliseconds = time_both({**rivals, 'refined': refined}, sizes_hw)
    name, why = decide(milliseconds, scores)
    sizes = ' and '.join(f'{height}x{width}' for height, width in sizes_hw)
    return name, f'{why}, on a street of {sizes}'


def decide(milliseconds: Mapping[str, float], scores: Mapping[str, Scores]) -> tuple[str, str]:
    """Milliseconds and scores of both -> 'full' where it is faster and no less accurate; why."""
    is_worse, accuracy = compare_scores(scores)
    is_faster = milliseconds['refined'] > LEAST_RATIO * milliseconds['full']
    name, words = ('full', 'full resolution') if is_faster and not is_worse else \
        ('refined', 'refinement')
    return name, (f'{words}: {accuracy}; refining takes {milliseconds["refined"]:.0f} ms and full '
                  f'resolution {milliseconds["full"]:.0f} ms')


def time_both(rivals: Mapping[str, Segmenter], sizes_hw: Sequence[tuple[int, int]]
              ) -> dict[str, float]:
    """Median milliseconds of each for a frame of every size; the two take turns."""
    from sparse_seg_ros.data.street import Street  # for method auto alone

    images = [Street(7, size_hw).frame(0).image for size_hw in sizes_hw]

    def segment_all(segment: Segmenter) -> None:
        for image in images:
            segment(image)
    seconds = interleaved({name: partial(segment_all, segment)
                           for name, segment in rivals.items()}, TRIALS)
    return {name: 1e3 * spent for name, spent in seconds.items()}


def compare_scores(scores: Mapping[str, Scores]) -> tuple[bool, str]:
    """Scores of both cards -> whether full resolution is worse on any frames, and how they are."""
    pairs = common_scores(scores['refined'], scores['full'])
    if not pairs:
        return False, ('the model files have no accuracy of both on the same frames with these '
                       'settings, so time alone decides')
    words = ', '.join(f'{100 * one:.1f} and {100 * other:.1f} % on {frames}'
                      for frames, (one, other) in pairs.items())
    return (any(100 * (one - other) > LEAST_POINTS for one, other in pairs.values()),
            f'mIoU refined and at full resolution is {words}')


def common_scores(refined: Scores, full: Scores) -> dict[str, tuple[float, float]]:
    """Scores of two cards -> frames that both were measured on: mIoU of each."""
    one, other = mean_ious(refined), mean_ious(full)
    return {frames: (one[frames], other[frames]) for frames in one if frames in other}


def mean_ious(scores: Scores) -> dict[str, float]:
    """Scores of a card, which may lack it -> frames: mIoU."""
    return {frames: values['mean_iou'] for frames, values in scores.items()
            if isinstance(values, Mapping) and is_number(values.get('mean_iou'))}


def scores_of(card: ModelCard, config: MethodConfig, limits: Mapping[str, float]) -> Scores:
    """Return the scores of a card; none where settings are not those that it was measured with."""
    measured = {'alpha': card.alpha, 'budget': 1.0, 'temperature': card.temperature,
                'scale': card.scale, 'selector': card.selector, 'ensembler': card.ensembler}
    wanted = {name: getattr(config, name, None) for name in measured} | dict(limits)
    is_same = all(wanted[name] in (None, value) for name, value in measured.items())
    return card.scores if is_same else {}
