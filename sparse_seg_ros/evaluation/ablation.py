# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Variants of a method, measured on the same frames: this draws SparseRefine's tables again.

A plan is a YAML, see config/ablate. A variant that fails does not stop the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from sparse_seg_ros.config import Settings, from_mapping, hints, nearest, renamed, setting
from sparse_seg_ros.data.frame import Frame, FrameSequence
from sparse_seg_ros.evaluation.evaluate import evaluate
from sparse_seg_ros.evaluation.scores import Report
from sparse_seg_ros.evaluation.small_objects import SmallObjects, large_components
from sparse_seg_ros.files import file_hash
from sparse_seg_ros.labels import VOID
from sparse_seg_ros.loading.assemble import assemble
from sparse_seg_ros.loading.method_config import as_method, names_of, read_method, settings_of
from sparse_seg_ros.loading.zoo import find_model
from sparse_seg_ros.methods import METHODS
from sparse_seg_ros.methods.algm.method import Work
from sparse_seg_ros.methods.kind import ThresholdConfig
from sparse_seg_ros.methods.reading import enlarge
from sparse_seg_ros.prediction import Prediction
from sparse_seg_ros.segmenter import Segmenter
from sparse_seg_ros.texts import cut
from sparse_seg_ros.yaml_files import read_yaml

OWN_SETTINGS = ('model', 'train', 'training', 'seeds', 'paper')


@dataclass(frozen=True)
class Variant:
    """
    One row: a model as it is, or one that is trained first, and settings of its method.

    model: zoo name, weights file, method YAML or the name of a variant that is trained before;
    train: a training YAML, training: what is different from it; method: what is different from
    the model's own settings; group: name in the plan, of variants that differ by their seed only;
    seed: which of them it is; paper: what the paper measured, in words, for the table.
    """

    name: str
    model: str = ''
    train: str = ''
    training: Mapping[str, Any] = field(default_factory=dict)
    method: Mapping[str, Any] = field(default_factory=dict)
    group: str = ''
    seed: int | None = None
    paper: str = ''


@dataclass(frozen=True)
class Data(Settings):
    """What a plan is measured on."""

    about: str = setting('', 'what the table shows')
    data: str | None = setting(None, "labelled frames, 'folder/split'; null: rendered streets")
    streets: int = setting(8, 'rendered scenes', at_least=1)
    size_hw: tuple[int, int] = setting((512, 1024), 'height and width of those scenes',
                                       at_least=1, example='[512, 1024]')
    seed: int = setting(1001, 'of those scenes; training renders others', at_least=0)
    baseline: str | None = setting(
        None, 'variant that gains are counted from; null: the first')


@dataclass(frozen=True)
class Plan:
    """Data and the variants by name, in order."""

    data: Data
    variants: dict[str, Variant]

    @property
    def baseline(self) -> str:
        """Name of the variant that gains are counted from, or of a group of them."""
        first = next(iter(self.variants.values()))
        return self.data.baseline or first.group or first.name

    def baseline_of(self, name: str) -> str:
        """Return the variant that gains of another are counted from: that of its seed, if any."""
        own = seeded(self.baseline, self.variants[name].seed)
        return own if own in self.variants else self.baseline


@dataclass(frozen=True)
class Outcome:
    """
    What was measured of a variant.

    recall: fraction of the dense stage's errors that were refined, None without refinement;
    macs: multiply-accumulates per stage, mean over the frames; large_iou: of the objects that are
    not small; tokens: of a network that merges them, how many enter each block's perceptron, mean
    over the frames and their windows; weights: file name and sha256.
    """

    report: Report
    recall: float | None
    macs: dict[str, float]
    large_iou: dict[str, float]
    tokens: tuple[float, ...] = ()
    weights: Mapping[str, str | None] = field(default_factory=dict)


def read_plan(path: str | Path) -> Plan:
    """YAML -> Plan; a setting that is not known is named before anything is trained."""
    content = read_yaml(path)
    if not isinstance(content, Mapping) or not isinstance(content.get('variants'), Mapping) \
            or not content['variants']:
        raise ValueError(f"{path}: has no variants; add 'variants:' and below it lines such as "
                         "'dense: {model: demo, method: dense}'")
    data = from_mapping(Data, {key: value for key, value in content.items()
                               if key not in ('variants', 'training')}, str(path))
    training = content.get('training') or {}
    variants: dict[str, Variant] = {}
    for name, values in content['variants'].items():
        for variant in read_variants(str(name), values, training, variants, path):
            variants[variant.name] = variant
    known = {variant.group or variant.name: variant for variant in variants.values()} | variants
    if data.baseline and data.baseline not in known:
        raise ValueError(f'{path}: baseline {data.baseline!r} is no variant; '
                         f'{nearest(data.baseline, known)}')
    return Plan(data, variants)


def read_variants(name: str, values: Any, training: Mapping[str, Any],
                  before: Mapping[str, Variant], source: str | Path) -> list[Variant]:
    """
    Read one variant, or one for each of its seeds, or of the seeds of the model that it names.

    training: what all of the plan share; before: the variants above it.
    """
    variant = read_variant(name, values, training, source)
    seeds = values.get('seeds', ())
    if not isinstance(seeds, (list, tuple)) or (seeds and not variant.train):
        raise ValueError(f"{source}: variant {name!r}: 'seeds' must be a list such as [0, 1, 2], "
                         "beside 'train'")
    if variant.model:
        return [replace(variant, name=seeded(name, other.seed), model=other.name, group=name,
                        seed=other.seed)
                for other in before.values() if other.group == variant.model] or [variant]
    return [replace(variant, name=seeded(name, seed), group=name, seed=seed,
                    training={**variant.training, 'seed': seed}) for seed in seeds] or [variant]


def seeded(name: str, seed: int | None) -> str:
    """Name of a group, seed -> name of the variant."""
    return f'{name}, seed {seed}'


def read_variant(name: str, values: Any, training: Mapping[str, Any],
                 source: str | Path) -> Variant:
    """Read one variant; training: what all trainings of the plan have in common."""
    where = f'{source}: variant {name!r}'
    if not isinstance(values, Mapping):
        raise ValueError(f'{where} must be settings such as {{model: demo}}, got '
                         f'{cut(repr(values))}')
    if ('model' in values) == ('train' in values):
        raise ValueError(f"{where} needs either 'model', what it runs, or 'train', the YAML of a "
                         'training')
    method = renamed(ThresholdConfig, {key: value for key, value in values.items()
                                       if key not in OWN_SETTINGS}, where)
    check_method(method, where)
    return Variant(name, str(values.get('model', '')), str(values.get('train', '')),
                   {**training, **(values.get('training') or {})}, method,
                   paper=str(values.get('paper', '')))


def check_method(method: Mapping[str, Any], where: str) -> None:
    """Raise ValueError for settings that no method has; the model that is found names its own."""
    known = {name: names_of(settings_of(name)) - {'weights'} for name in METHODS}
    for key in method:
        if not any(key in names for names in known.values()):
            everything = [*OWN_SETTINGS, *sorted({name for kind in known for name in
                                                  hints(settings_of(kind))} - {'weights'})]
            raise ValueError(f'{where}: unknown setting {key!r}; {nearest(key, everything)}')
    fitting = [name for name, names in known.items() if method.keys() <= names]
    if 'method' in method or fitting:
        read_method({'method': fitting[0] if fitting else None, **method}, where)


def measure_all(plan: Plan, frames: FrameSequence, find: Callable[[Variant], str | Path],
                device: str, precision: str) -> Iterator[tuple[str, Outcome | Exception]]:
    """Yield the outcome of each variant, or why it failed; find: variant -> its model."""
    for variant in tqdm(plan.variants.values(), 'variants'):
        try:
            yield variant.name, measure(variant, find(variant), frames, device, precision)
        except (ValueError, OSError, ImportError, RuntimeError) as error:
            yield variant.name, error


def measure(variant: Variant, source: str | Path, frames: FrameSequence, device: str,
            precision: str) -> Outcome:
    """Score one variant on the frames."""
    model, config, weights = find_model(source)
    method = variant.method.get('method', config.method)
    config = read_method({**asdict(as_method(method, config)), **variant.method},
                         f'variant {variant.name!r}')
    segment = assemble(model, config, device, precision, {
        'weights': weights.name, 'weights_hash': file_hash(weights)})
    statistics = FrameStatistics(segment)
    report = evaluate(segment, frames, [statistics])
    return Outcome(report, statistics.recall(), statistics.mean_macs(), statistics.large_iou(),
                   statistics.mean_tokens(), segment.weights)


class FrameStatistics:
    """What a table tells beside the scores: selection, merging, costs, and large objects."""

    def __init__(self, segment: Segmenter):
        self.segment = segment
        self.large = SmallObjects(len(segment.labels), large_components)
        self.macs: list[dict[str, int]] = []
        self.tokens: list[Sequence[int]] = []
        self.errors = self.refined_errors = 0
        self.refines = False

    def __call__(self, frame: Frame, image: np.ndarray, seen: Prediction) -> None:
        """Count one frame."""
        label = frame.require_label()
        height, width = label.shape
        self.large.add(seen.labels, label)
        if isinstance(seen.work, Work):
            self.tokens += [call.counts for call in seen.work.calls]
        refined = None if seen.refined is None else torch.from_numpy(seen.refined)[None]
        self.macs.append(self.segment.method.count_macs((height, width), refined, seen.work))
        if seen.refined is not None:
            coarse = self.segment.coarse_logits(image).argmax(1).to(torch.uint8)
            is_wrong = (enlarge(coarse, label.shape)[0].cpu().numpy() != label) & (label != VOID)
            self.errors += np.count_nonzero(is_wrong)
            self.refined_errors += np.count_nonzero(is_wrong & seen.refined)
            self.refines = True

    def recall(self) -> float | None:
        """Return the fraction of the dense stage's errors that were refined, if any can be."""
        return self.refined_errors / max(self.errors, 1) if self.refines else None

    def mean_macs(self) -> dict[str, float]:
        """Return the multiply-accumulates per stage."""
        return {stage: float(np.mean([macs[stage] for macs in self.macs]))
                for stage in self.macs[0]}

    def mean_tokens(self) -> tuple[float, ...]:
        """Return the tokens that enter each block's perceptron; nothing if none can merge."""
        return tuple(float(count) for count in np.mean(self.tokens, 0)) if self.tokens else ()

    def large_iou(self) -> dict[str, float]:
        """Return the scores of the classes that have large objects."""
        return {name: round(float(score), 4) for name, score in
                zip(self.segment.labels.names, self.large.iou()) if np.isfinite(score)}
