# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The outcomes of an ablation as markdown and JSON: costs and scores, classes, small and large."""

from __future__ import annotations

from dataclasses import asdict
from statistics import fmean, stdev

from sparse_seg_ros.evaluation.ablation import Outcome, Plan
from sparse_seg_ros.report.tables import grid, markdown, percent

Outcomes = dict[str, Outcome | Exception]
STAGES = ('dense', 'select', 'extract', 'ensemble', 'label', 'total')


def to_markdown(plan: Plan, outcomes: Outcomes) -> str:
    """Draw all tables that the outcomes allow."""
    rows = successes(outcomes)
    parts = [f'{plan.data.about or "Variants"} ({describe_data(plan)})', overview(plan, outcomes)]
    if rows:
        parts.append(markdown({name: row.report for name, row in rows.items()}))
    if groups := by_seed(plan, rows):
        parts.append('Over the seeds, mean and standard deviation\n\n'
                     + seed_table(plan, groups, rows))
    if gains := gains_of(plan, rows):
        parts.append(f'Gains in IoU over {plan.baseline}, points: small objects / large objects '
                     '= factor, where both gain\n\n' + gain_table(gains))
    return '\n\n'.join(parts) + '\n'


def describe_data(plan: Plan) -> str:
    """Say what was measured on."""
    data = plan.data
    if data.data:
        return f'frames of {data.data}'
    return f'{data.streets} streets {data.size_hw[0]}x{data.size_hw[1]}, seed {data.seed}'


def successes(outcomes: Outcomes) -> dict[str, Outcome]:
    """Leave out what failed."""
    return {name: row for name, row in outcomes.items() if isinstance(row, Outcome)}


def overview(plan: Plan, outcomes: Outcomes) -> str:
    """Draw density, recall, costs, scores and the paper's figures of each row, or its failure."""
    stages = [stage for stage in STAGES if any(
        stage in row.report.milliseconds for row in successes(outcomes).values())]
    merges = any(row.tokens for row in successes(outcomes).values())
    papers = {name: [variant.paper or '-'] for name, variant in plan.variants.items()} \
        if any(variant.paper for variant in plan.variants.values()) else {}
    head = ['variant', 'density %', 'recall %', 'GMACs dense', 'GMACs refining',
            *['tokens, first and last block'] * merges, *(f'{stage} ms' for stage in stages),
            'mIoU %', 'small mIoU %', *['paper'] * bool(papers)]
    return grid(head, [[name, *cells(row, stages, merges), *papers.get(name, [])]
                       if isinstance(row, Outcome) else
                       [name, f'failed: {row}', *[''] * (len(head) - 2)]
                       for name, row in outcomes.items()])


def cells(row: Outcome, stages: list[str], merges: bool) -> list[str]:
    """Return what a row of the overview says after its name."""
    dense, total = row.macs['dense'], sum(row.macs.values())
    milliseconds = row.report.milliseconds
    return [percent(row.report.density), '-' if row.recall is None else percent(row.recall),
            f'{dense / 1e9:.2f}', f'{(total - dense) / 1e9:.2f}',
            *[f'{row.tokens[0]:.0f}, {row.tokens[-1]:.0f}' if row.tokens else '-'] * merges,
            *(f'{milliseconds[stage]:.1f}' if stage in milliseconds else '-'
              for stage in stages),
            percent(row.report.mean_iou), percent(row.report.small_mean_iou)]


def by_seed(plan: Plan, rows: dict[str, Outcome]) -> dict[str, dict[str, Outcome]]:
    """Name in the plan -> outcomes of its seeds by their names, where there are several."""
    groups: dict[str, dict[str, Outcome]] = {}
    for name, row in rows.items():
        groups.setdefault(plan.variants[name].group, {})[name] = row
    return {group: found for group, found in groups.items() if group and len(found) > 1}


def seed_table(plan: Plan, groups: dict[str, dict[str, Outcome]],
               rows: dict[str, Outcome]) -> str:
    """Draw how scores, and their gains over the baseline of the same seed, vary with the seed."""
    def spread(values: list[float]) -> str:
        return f'{100 * fmean(values):.2f} ± {100 * stdev(values):.2f}'
    lines = []
    for group, found in groups.items():
        gains = [row.report.mean_iou - rows[plan.baseline_of(name)].report.mean_iou
                 for name, row in found.items() if plan.baseline_of(name) in rows]
        lines.append([group, str(len(found)),
                      f'{fmean(sum(row.macs.values()) for row in found.values()) / 1e9:.2f}',
                      spread([row.report.mean_iou for row in found.values()]),
                      spread([row.report.small_mean_iou for row in found.values()]),
                      spread(gains) if group != plan.baseline and len(gains) > 1 else '-'])
    return grid(['variant', 'seeds', 'GMACs', 'mIoU %', 'small mIoU %',
                 f'mIoU over {plan.baseline}'], lines)


Gains = dict[str, dict[str, float | None]]  # class -> what objects gain


def gains_of(plan: Plan, rows: dict[str, Outcome]) -> dict[str, Gains]:
    """Name of a variant -> its gains over its baseline, where there is one."""
    return {name: gains_by_size(row, rows[baseline]) for name, row in rows.items()
            if (baseline := plan.baseline_of(name)) in rows and baseline != name}


def gain_table(gains: dict[str, Gains]) -> str:
    """Draw how much more small objects gain than large ones, per class."""
    classes = list(next(iter(gains.values())))
    return grid(['variant', *classes], [
        [name, *(describe_gain(by_class.get(kind)) for kind in classes)]
        for name, by_class in gains.items()])


def gains_by_size(row: Outcome, baseline: Outcome) -> Gains:
    """Class, and 'mean' of them -> gain in IoU of small and of large objects, and their ratio."""
    small, large = ((row.report.small_iou, baseline.report.small_iou),
                    (row.large_iou, baseline.large_iou))
    shared = [name for name in row.report.iou
              if all(name in scores for pair in (small, large) for scores in pair)]
    gains = {name: [new[name] - old[name] for new, old in (small, large)] for name in shared}
    if gains:
        gains = {'mean': [fmean(values) for values in zip(*gains.values())], **gains}
    return {name: {'small': a, 'large': b, 'factor': a / b if a > 0 and b > 0 else None}
            for name, (a, b) in gains.items()}


def describe_gain(gain: dict[str, float | None] | None) -> str:
    """{'small': 0.05, 'large': 0.01, 'factor': 5.0} -> '+5.0 / +1.0 = 5.0'."""
    if gain is None:
        return '-'
    factor = '' if gain['factor'] is None else f" = {gain['factor']:.1f}"
    return f"{100 * gain['small']:+.1f} / {100 * gain['large']:+.1f}{factor}"


def to_record(plan: Plan, outcomes: Outcomes) -> dict:
    """Return all figures for a JSON file; a row that failed says why."""
    rows = successes(outcomes)
    gains = gains_of(plan, rows)
    figures = {}
    for name, row in outcomes.items():
        figures[name] = asdict(row) if isinstance(row, Outcome) else {'error': str(row)}
        if name in gains:
            figures[name]['gains'] = gains[name]
    return {**asdict(plan.data), 'baseline': plan.baseline,
            'weights': {name: figures[name].pop('weights') for name in rows},
            'variants': {name: asdict(variant) for name, variant in plan.variants.items()},
            'rows': figures}
