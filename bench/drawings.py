# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How each table of the documents is drawn: figures of bench/results -> Markdown."""

from __future__ import annotations

import math

from sparse_seg_ros.bench import counts as counts_of
from sparse_seg_ros.bench import floors as floors_of
from sparse_seg_ros.bench import paper_networks
from sparse_seg_ros.evaluation.published import PUBLISHED, latency
from sparse_seg_ros.evaluation.verdict import Verdict
from sparse_seg_ros.loading.auto_method import LEAST_RATIO
from sparse_seg_ros.report.tables import grid, percent, percents

ROWS = {'half': 'half resolution', 'budget': 'refined, at most 5 %', 'full': 'full resolution',
        'dense low': 'half resolution, no refinement', 'dense high': 'full resolution'}


def name_of(row: str) -> str:
    """Return what a row is called for a reader."""
    return ROWS.get(row, row)


def points(fraction: float | None) -> str:
    """0.123 -> '12.3'; '-' for what was not measured."""
    return percent(math.nan if fraction is None else fraction)


def density(report: dict) -> str:
    """Return the percentage of refined pixels, '-' where nothing can be refined."""
    return points(report['density'] or None)


def total(report: dict) -> str:
    """Return the milliseconds of a frame."""
    return f"{report['milliseconds']['total']:.0f}"


def summary(titles: tuple[str, ...], *data: dict) -> str:
    """Draw half, refined and full on each set of frames, and what refining adds."""
    head = ['', *(cell for title in titles for cell in (f'{title}: mIoU', 'small objects', 'ms'))]
    table = grid(head, [[name_of(row), *(cell for figures in data
                                         for cell in outcome(figures['rows'][row]))]
                        for row in ('half', 'refined', 'full')])
    gains = '\n'.join(f"- {title}: {gain(figures['rows'])}"
                      for title, figures in zip(titles, data))
    return f'{table}\n\n{gains}'


def outcome(report: dict) -> list[str]:
    """Return mIoU, that of small objects, and milliseconds."""
    return [points(report['mean_iou']), points(report['small_mean_iou']), total(report)]


def scores(figures: dict) -> str:
    """Draw the scores of every class, and what refining brings."""
    rows = figures['rows']
    classes = list(rows['half']['iou'])
    head = ['model', 'mIoU', 'small', *(name.replace('_symbol', '') for name in classes),
            'refined %', 'ms']
    table = grid(head, [[name_of(row), points(report['mean_iou']),
                         points(report['small_mean_iou']), *percents(report['iou'], classes),
                         density(report), total(report)] for row, report in rows.items()])
    return f'{table}\n\nHere {gain(rows)}'


def gain(rows: dict[str, dict]) -> str:
    """Say what refining adds and what it takes, beside full resolution, and whether it pays."""
    half, refined, full = (rows[name] for name in ('half', 'refined', 'full'))
    added, most = (100 * (report['mean_iou'] - half['mean_iou']) for report in (refined, full))
    ratio = full['milliseconds']['total'] / refined['milliseconds']['total']
    return (f'refining {change(added)} points of mIoU, full resolution {change(most)}; refining '
            f'{speed(ratio)} full resolution: '
            f'{Verdict(ratio, 1.0, added - most, 0.0).conclusion()}.')


def change(points_more: float) -> str:
    """Return 'adds 1.0' or 'loses 1.0'."""
    rounded = round(points_more, 1)
    return f'{"loses" if rounded < 0 else "adds"} {abs(rounded):.1f}'


def speed(ratio: float) -> str:
    """Time of a rival / own time -> how long it takes, in words that the rival's name follows."""
    slower = 1 / ratio
    if f'{max(ratio, slower):.1f}' == '1.0':
        return 'takes as long as'
    return f'is {ratio:.1f} times faster than' if ratio > 1 else \
        f'takes {slower:.1f} times as long as'


def short_scores(figures: dict) -> str:
    """Draw mIoU and time, without the classes."""
    return grid(['model', 'mIoU', 'small', 'refined %', 'ms'], [
        [name_of(row), points(report['mean_iou']), points(report['small_mean_iou']),
         density(report), total(report)] for row, report in figures['rows'].items()])


def variants(figures: dict, is_timed: bool = True) -> str:
    """Draw where the variants of an ablation look, what they cost, and their scores."""
    head = ['variant', 'refined %', 'errors found %', 'GMACs dense', 'GMACs refining',
            *['ms'] * is_timed, 'mIoU', 'small']
    rows = []
    for name, row in figures['rows'].items():
        report, macs = row['report'], row['macs']
        rows.append([name_of(name), density(report), points(row['recall']),
                     f"{macs['dense'] / 1e9:.0f}",
                     f"{(sum(macs.values()) - macs['dense']) / 1e9:.0f}",
                     *[total(report)] * is_timed,
                     points(report['mean_iou']), points(report['small_mean_iou'])])
    return grid(head, rows)


def uncertainty(camvid: dict, street: dict) -> str:
    """Draw how well entropy finds errors, and what the shipped threshold selects."""
    head = ['frames', 'AUROC of the entropy against errors', 'AUROC of the published uncertainty',
            'expected calibration error', 'errors found %', 'refined %']
    trusted = {'CamVid val': camvid['calibrated'], 'CamVid test': camvid['checked'],
               'other streets': street['calibrated']}
    return grid(head, [[
        f"{trust['frames']} of {name}", f"{trust['selection_auroc']:.3f}",
        f"{trust['auroc']:.3f}", f"{trust['calibration_error']:.3f}",
        points(trust['selection']['recall']), points(trust['selection']['density'])]
        for name, trust in trusted.items()])


def stages(figures: dict) -> str:
    """Draw the milliseconds of every stage of the demo model."""
    rows = figures['rows']
    names = list(max((row['milliseconds'] for row in rows.values()), key=len))
    head = ['model', *(f'{name} ms' for name in names), 'refined %, at most',
            'refining, p99 / p50', 'faster than full']
    return grid(head, [[
        name_of(row), *(f"{one['milliseconds'][name]:.0f}" if name in one['milliseconds'] else '-'
                        for name in names), points(one['density_most'] or None),
        f"{one['refining_p99_to_p50']:.2f}" if one['density_most'] else '-',
        f"{one['ratio']:.2f}"] for row, one in rows.items()])


def refined(figures: dict) -> str:
    """Draw the paper's five networks."""
    height, width = figures['size_hw']
    return (f"Images of {height}x{width}, batches of {figures['batch']}, {figures['precision']}:"
            f'\n\n{paper_networks.markdown(figures)}{note_of_density(figures["rows"])}')


def refined_summary(figures: dict) -> str:
    """Say how many of the paper's networks are faster refined, and how each is."""
    rows = figures['rows']
    faster = sum(row['ratio'] > LEAST_RATIO for row in rows.values())
    each = ', '.join(f"{name} {speed(row['ratio']).removeprefix('is ').rsplit(maxsplit=1)[0]}"
                     for name, row in rows.items())
    return (f"Of the paper's networks, {faster} of {len(rows)} are faster refined than at full "
            f'resolution here ({each}).{note_of_density(rows)}')


def gpu(figures: dict) -> str:
    """Draw what `make gpu-evidence` has found, in its order, as far as it got."""
    known = {name: step['figures'] for name, step in figures['steps'].items() if step['figures']}
    return '\n\n'.join(draw(known[name]) for name, draw in EVIDENCE.items() if name in known)


def orin() -> str:
    """Draw the paper's Table A3, batches of one."""
    head = ['network', 'fp16 full, refined ms', 'faster', 'fp32 full, refined ms', 'faster']
    return grid(head, [[name, *(cell for precision in ('fp16', 'fp32')
                                for cell in published_pair(name, precision))]
                       for name in PUBLISHED])


def published_pair(network: str, precision: str) -> list[str]:
    """Return both latencies on the Orin, and their ratio."""
    one = latency('AGX Orin', network, 1, precision)
    if one is None or one.full is None or one.ratio is None:
        return ['-', '-']
    return [f'{one.full:.0f}, {one.refined:.0f}', f'{one.ratio:.1f}']


def note_of_density(rows: dict[str, dict]) -> str:
    """Say so where networks did not refine as much as the paper's."""
    others = [name for name, row in rows.items()
              if abs(row['density'] - PUBLISHED[name].density) > 0.01]
    return (f"\n\nMeasured at another density than the paper's: {', '.join(others)}."
            if others else '')


def convolutions(figures: dict) -> str:
    """Draw sparse convolutions against dense ones and spconv."""
    head = ['3x3 convolution', 'ms', 'faster than dense', 'faster than spconv (fp32)']
    return grid(head, [
        [one['name'].removeprefix('conv 3x3').strip(), f"{1e3 * one['seconds']['sparse']:.1f}",
         *(f"{one['ratio'][rival]:.1f}" if rival in one['ratio'] else '-'
           for rival in ('dense', 'spconv fp32'))]
        for one in (*figures['convolutions'], *figures['extractors'])])


def floors(figures: dict) -> str:
    """Draw what every stage moves and computes, and the time floor of each chip."""
    head = ['stage', 'memory, MB', 'link, MB', 'GFLOP', *(
        f'{chip}, ms' for chip in figures['chips'])]
    return grid(head, [[
        name, f'{moved / 1e6:.1f}', f'{linked / 1e6:.1f}', f'{operations / 1e9:.2f}',
        *(f'{spent:.3f}' for spent in times.values())]
        for name, moved, linked, operations, times in floors_of.rows(figures)])


def node(figures: dict) -> str:
    """Draw what the node adds to a frame."""
    head = ['images at 10 Hz', 'QoS', 'lost', 'transport ms: median, p95',
            'callback to publish without inference ms: median, p95']
    return grid(head, [[
        f"{one['height']}x{one['width']}", one['reliability'], str(one['lost_in_transport']),
        *(f"{one[key]['median']:.1f}, {one[key]['p95']:.1f}"
          for key in ('transport_ms', 'overhead_ms'))] for one in figures['cases']])


def networks(figures: dict) -> str:
    """Draw LRFormer against SegFormer."""
    return grid(['network', 'rival', 'precision', 's', 'rival s', 'times faster'], [
        [one['name'], one['rival'], one['precision'], f"{one['seconds']:.1f}",
         f"{one['rival_seconds']:.1f}", f"{one['ratio']:.1f}"] for one in figures['rows']])


def attention(figures: dict) -> str:
    """Draw how time grows with the image."""
    return grid(['network', 'time grows with the number of pixels to the power of'],
                [[name, f'{power:.2f}'] for name, power in figures['exponents'].items()])


def merging(figures: dict) -> str:
    """Draw ways to merge tokens, their cost and speed at each size and batch."""
    rows = figures['rows']
    cases = list(dict.fromkeys((row['size'], row['batch']) for row in rows))
    head = [figures['network'], *(f'{size}, batch {batch}: times faster'
                                  for size, batch in cases)]
    return grid(head, [[name, *(f"{row['ratio']:.2f}" for case in cases for row in rows
                                if (row['merging'], row['size'], row['batch']) == (name, *case))]
                       for name in dict.fromkeys(row['merging'] for row in rows)])


def engines(figures: dict) -> str:
    """Draw agreement and speed of ONNX Runtime over all networks with random weights."""
    rows = [row for row in figures['rows'] if row['network'] != 'demo']
    done = [row for row in rows if 'failed' not in row]
    ratios = sorted(row['ratio'] for row in done)
    head = ['networks', 'files tried', 'refused by the self-check', 'labels equal %, at least',
            'times faster than torch: least, median, most']
    equal = f"{100 * min(row['labels_equal'] for row in done):.2f}" if done else '-'
    spread = f'{ratios[0]:.2f}, {ratios[len(ratios) // 2]:.2f}, {ratios[-1]:.2f}' if done else '-'
    return grid(head, [[str(len({row['network'] for row in rows})), str(len(rows)),
                        str(len(rows) - len(done)), equal, spread]])


def counts(tables: tuple[str, ...], figures: dict) -> str:
    """Draw some tables of parameters and multiply-adds beside the papers'."""
    return counts_of.describe({'rows': [row for row in figures['rows']
                                        if row['table'] in tables]})


def tokens(figures: dict) -> str:
    """Draw how many tokens are left after merging, and what that does."""
    rows = []
    for name, row in figures['rows'].items():
        left = row['tokens'] and f"{row['tokens'][0]:.0f}, {row['tokens'][-1]:.0f}"
        rows.append([name, left or '-', points(row['report']['mean_iou']), total(row['report'])])
    return grid(['Segmenter-T', 'tokens in the first and last block', 'mIoU', 'ms'], rows)


EVIDENCE = {  # step of bench/gpu_evidence.py -> how it is drawn
    'model': stages, 'graph': stages, 'accuracy': short_scores, 'sparse': convolutions,
    **{f'networks {cell}': refined for cell in ('fp16, 1', 'fp16, 2', 'fp16, 4', 'fp16, 8',
                                                'fp32, 1', 'fp32, 4')}}
