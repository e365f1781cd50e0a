# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The report of an evaluation: one HTML file with figures, curves and pictures in it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from sparse_seg_ros.evaluation import comparison
from sparse_seg_ros.evaluation.corruptions import CorruptionRow
from sparse_seg_ros.evaluation.recorder import FrameStrip
from sparse_seg_ros.new_paths import write
from sparse_seg_ros.report.charts import Axis, Series, histogram, line_chart
from sparse_seg_ros.report.evaluation_job import ModelResult
from sparse_seg_ros.report.page import Figure, Strip, embed, legend, render, stage_rows
from sparse_seg_ros.report.tables import CORRUPTION_HEAD, corruption_cells, signed

MOST_CONFUSED = 40  # classes of a matrix; more cannot be read
COLUMNS = {'IoU': 'iou', 'accuracy': 'accuracy', 'boundary F1': 'boundary_f1',
           'boundary IoU': 'boundary_iou', 'small': 'small_iou', 'medium': 'medium_iou',
           'large': 'large_iou', 'flicker': 'flicker', 'pixels': 'pixels'}
FIGURES = {'mIoU': 'miou', 'pixel accuracy': 'accuracy', 'mean accuracy': 'mean_accuracy',
           'frequency-weighted IoU': 'frequency_weighted_iou', 'boundary F1': 'boundary_f1',
           'boundary IoU': 'boundary_iou', 'small objects': 'small_miou',
           'medium objects': 'medium_miou', 'large objects': 'large_miou',
           'calibration error (ECE)': 'ece', 'Brier score': 'brier',
           'negative log-likelihood': 'nll', 'AUROC of uncertainty': 'auroc',
           'AUPR of uncertainty': 'aupr', 'area under risk-coverage': 'aurc',
           'refined': 'density', 'flicker': 'flicker',
           'temporal consistency': 'temporal_consistency'}
PLAIN = ('ece', 'brier', 'nll', 'auroc', 'aupr', 'aurc')  # no percentages
PICTURES = {'image': 'image', 'truth': 'truth', 'prediction': 'prediction', 'errors': 'errors',
            'uncertainty': 'uncertainty', 'refined': 'refined pixels'}


def write_report(path: Path, results: Sequence[ModelResult], source: str,
                 worse: Mapping[str, Sequence[CorruptionRow]] | None = None) -> None:
    """Write the page of models on the frames of a source; worse: rows of frames made worse."""
    rows = worse or {}
    models = [{**describe(result), 'worse': list(map(corruption_cells, rows.get(result.name, ())))}
              for result in results]
    first = results[0].recorder
    names = ' and '.join(result.name for result in results) if len(results) < 3 else \
        f'{len(results)} models'
    lead = (f'{first.scores.frames} frames, {first.scores.labelled} with labels'
            + (f', {first.invalid} that could not be used' if first.invalid else ''))
    text = render('report/evaluation.html', {
        'title': f'{names} on {source}', 'source': source, 'lead': lead, 'models': models,
        'worse_head': CORRUPTION_HEAD,
        'comparison': None if len(results) < 2 else compare(results)})
    write(Path(path), text.encode())


def compare(results: Sequence[ModelResult]) -> dict[str, Any]:
    """Return the models side by side."""
    summaries = [result.recorder.summary() for result in results]
    rows = [[name, *(figure(summary[key], key) for summary in summaries)]
            for name, key in FIGURES.items()]
    rows.append(['milliseconds, median', *(figure(summary['latency']['p50_ms'], 'ms')
                                           for summary in summaries)])
    return {'head': ['', *(result.name for result in results)],
            'differences': [difference(results[0], other) for other in results[1:]
                            if comparison.same_frames(results[0].recorder, other.recorder)],
            'rows': [row for row in rows if set(row[1:]) != {'-'}]}


def difference(first: ModelResult, second: ModelResult) -> dict[str, Any]:
    """Return how the second model differs from the first."""
    found = comparison.compare(first.recorder, second.recorder)
    frames = comparison.most_different(first.recorder, second.recorder)
    return {'title': f'{second.name} less {first.name}',
            'about': 'Points of difference with their 95 % intervals, paired over frames. A * '
                     'marks those that are more than chance.',
            'tables': [
                (f'{second.name} less {first.name}: figures',
                 ['', first.name, second.name, 'difference', 'from', 'to', ''],
                 [[plain(each.figure), percent(each.first), percent(each.second),
                   signed(each.value), *map(signed, each.interval or (None, None)),
                   '*' if each.is_clear else ''] for each in found]),
                (f'{second.name} less {first.name}: the frames that differ most',
                 ['frame', first.name, second.name, 'difference'],
                 [[short(name), percent(one), percent(other), signed(other - one)]
                  for name, one, other in frames])]}


def describe(result: ModelResult) -> dict[str, Any]:
    """Return what the template shows of a model."""
    recorder, summary = result.recorder, result.recorder.summary()
    curves, names = recorder.scores.curves(), recorder.labels.names
    shown = {title: key for title, key in COLUMNS.items()
             if any(row.get(key) is not None for row in summary['class'].values())}
    return {
        'name': result.name, 'names': [plain(name) for name in names], 'tiles': tiles(summary),
        'counts': ' · '.join(f'{name} {figure(summary[key], key)}' for name, key in
                             FIGURES.items() if summary[key] is not None),
        'class_head': list(shown), 'classes': [class_row(name, row, shown.values())
                                               for name, row in summary['class'].items()],
        'charts': [*curve_charts(curves), *timelines(recorder.records)],
        'confusion': confusion(names, curves['confusion']),
        'stages': stages(recorder.scores.percentiles(50, 95)),
        'strips': [(f'The {kind} frames', [strip_of(each) for each in strips])
                   for kind, strips in recorder.strips.items() if strips],
        'legend': legend(recorder.labels), 'about': about(result, summary)}


def tiles(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the figures to see first, and what they are."""
    interval, latency = summary['interval'] or {}, summary['latency']
    shown = [(share(summary['miou']), 'mIoU' + between(interval.get('miou'))),
             (share(summary['accuracy']), 'of the pixels right'
              + between(interval.get('accuracy'))),
             (figure(summary['ece'], 'ece'), 'calibration error (ECE)'),
             (figure(summary['auroc'], 'auroc'), 'AUROC of the uncertainty'),
             (f"{figure(latency['p50_ms'], 'ms')} ms" if latency['p50_ms'] is not None else '-',
              f"a frame (median); p99 {figure(latency['p99_ms'], 'ms')} ms"),
             (share(summary['density']), 'of the pixels refined')]
    return [(value, text) for value, text in shown if value != '-']


def between(interval: Sequence[float] | None) -> str:
    """Return an interval in words."""
    return f', {percent(interval[0])} to {percent(interval[1])} %' if interval else ''


def class_row(name: str, row: Mapping[str, Any], keys: Iterable[str]) -> dict[str, Any]:
    """Return the figures of a class, and its bar."""
    interval = row.get('interval')
    return {'name': plain(name), 'width': f"{100 * (row['iou'] or 0):.1f}",
            'interval': None if not interval else (
                f'{100 * interval[0]:.1f}', f'{100 * (interval[1] - interval[0]):.1f}'),
            'cells': [f'{row[key]:,}' if key == 'pixels' else percent(row.get(key))
                      for key in keys]}


def curve_charts(curves: Mapping[str, Any]) -> list[tuple[Markup, str]]:
    """Return reliability, what a threshold selects, and risk over coverage."""
    charts = []
    if rows := [row for row in curves['reliability'] if row[-1]]:
        charts.append((line_chart('Accuracy over confidence', axis('confidence (%)'),
                                  axis('accuracy (%)'), [in_percent(rows)], has_diagonal=True),
                       'Reliability: on the dashed line confidence is true, below it too high.'))
    if points := curves['density_recall']:
        charts.append((line_chart('Recall of errors over density', axis('pixels selected (%)'),
                                  axis('errors among them (%)'),
                                  [in_percent(points)]),
                       'What a threshold of the final uncertainty selects, and how many of the '
                       'errors it finds.'))
    if points := curves['risk_coverage']:
        highest = max(100 * risk for _, risk in points) or 1
        charts.append((line_chart('Risk over coverage', axis('pixels kept, the surest first (%)'),
                                  Axis('errors among them (%)', 0, highest),
                                  [in_percent(points)]),
                       'Errors among the pixels that are kept, if the least sure are left out.'))
    return charts


def axis(label: str) -> Axis:
    """Return an axis from 0 to 100 per cent."""
    return Axis(label, 0, 100)


def in_percent(points: Iterable[Sequence[float]]) -> Series:
    """Pairs of fractions -> a line through them, in per cent."""
    across, up, *_ = zip(*points)
    return Series('', [100 * value for value in across], [100 * value for value in up])


def timelines(records: Sequence[Mapping[str, Any]]) -> list[tuple[Markup, str]]:
    """Return latency and mIoU over the frames."""
    used = [(number, record) for number, record in enumerate(records)
            if 'milliseconds' in record]
    if len(used) < 2:
        return []
    along = Axis('frame', 0, used[-1][0])
    return [*(latency_charts(used, along) if 'total' in used[0][1]['milliseconds'] else ()),
            *score_charts(used, along)]


def latency_charts(used: Sequence[tuple[int, Mapping[str, Any]]], along: Axis
                   ) -> list[tuple[Markup, str]]:
    """Return how many frames took how long, and which."""
    numbers = [number for number, _ in used]
    totals = [record['milliseconds']['total'] for _, record in used]
    stages = [stage for stage in used[0][1]['milliseconds'] if stage != 'total']
    busiest = sorted(stages, key=lambda stage: -sum(
        record['milliseconds'].get(stage, 0) for _, record in used))[:5]
    lines = [Series('total', numbers, totals), *(
        Series(stage, numbers, [record['milliseconds'].get(stage) for _, record in used])
        for stage in busiest)]
    return [(histogram('Frames over latency', 'milliseconds', totals),
             'Latency: how many frames took how long.'),
            (line_chart('Milliseconds over frames', along,
                        Axis('milliseconds', 0, 1.35 * max(totals)), lines),
             'Latency along the frames, with the longest stages.')]


def score_charts(used: Sequence[tuple[int, Mapping[str, Any]]], along: Axis
                 ) -> list[tuple[Markup, str]]:
    """Return the mIoU of each frame with labels."""
    scored = [(number, record) for number, record in used if record['miou'] is not None]
    return [] if not scored else [(line_chart('mIoU over frames', along, axis('mIoU (%)'), [
        Series('', [number for number, _ in scored],
               [100 * record['miou'] for _, record in scored], is_dotted=True)]),
        'mIoU of each frame with labels.')]


def confusion(names: Sequence[str], counts: Sequence[Sequence[int]]
              ) -> list[tuple[str, list[tuple[float, str]]]]:
    """Return name and cells of each row, a cell with its share in per cent and its text."""
    if len(names) > MOST_CONFUSED:
        return []
    rows = []
    for name, row in zip(names, counts):
        shares = [100 * count / (sum(row) or 1) for count in row]
        rows.append((plain(name), [(round(share, 1), f'{share:.0f}' if share >= 0.5 else '')
                                   for share in shares]))
    return rows


def stages(milliseconds: Mapping[str, Mapping[str, float]]) -> list[Any]:
    """Return the rows of the table of stages; none where there are no stages."""
    return stage_rows(milliseconds) if len(milliseconds) > 1 else []


def strip_of(strip: FrameStrip) -> Strip:
    """Return the pictures of a frame for the page."""
    drawn = {title: getattr(strip, name) for name, title in PICTURES.items()}
    return Strip(f'{short(strip.title)}: mIoU {percent(strip.miou)} %',
                 [Figure('', embed(picture), title) for title, picture in drawn.items()
                  if picture is not None])


def about(result: ModelResult, summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what is known of a model and its frames, hashes among them."""
    known = {key: value for key, value in result.about.items()
             if key not in ('name', 'settings', 'classes')}
    lines = {**known, **result.about['settings'], 'frames_sha256': summary['data_sha256']}
    notes = [('note', note) for note in [*result.notes, result.damage] if note]
    return [(plain(key), str(value)) for key, value in lines.items() if value] + notes


def figure(value: float | None, key: str) -> str:
    """Return a figure as text, in per cent where it is a share."""
    if value is None or math.isnan(value):
        return '-'
    if key == 'ms':
        return f'{value:.0f}' if value >= 10 else f'{value:.1f}'
    return f'{value:.3f}' if key in PLAIN else percent(value)


def percent(value: float | None) -> str:
    """0.123 -> '12.3'."""
    return '-' if value is None else f'{100 * value:.1f}'


def share(value: float | None) -> str:
    """0.123 -> '12.3 %'."""
    return '-' if value is None else f'{percent(value)} %'


def short(source: str) -> str:
    """/data/drive/images/a.png -> images/a.png."""
    return '/'.join(source.split('/')[-2:])


def plain(name: str) -> str:
    """traffic_light -> traffic light."""
    return name.replace('_', ' ')
