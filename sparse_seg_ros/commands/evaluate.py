# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
r"""
Score models side by side: mIoU and IoU per class, refined fraction, milliseconds per frame.

The frames are those of a data set, of a bag, of pictures and videos, or rendered streets. With
--thresholds the exit code is 1 where a model does not keep one.

examples:
  sparse_seg evaluate --model demo --frames my_robot/test --report report.html
  sparse_seg evaluate --model demo --bag drive.mcap --labels /camera/label --out evaluated
  sparse_seg evaluate --model half=runs/dense_half/model.safetensors demo --street 100
  sparse_seg evaluate --pictures drive.mp4 --labels drive_labels --thresholds must.yaml
  sparse_seg evaluate --model city.safetensors --frames camvid:data/camvid/test \
      --remap cityscapes_to_camvid
  sparse_seg evaluate --bags 'drives/**/*.mcap' --labels /camera/label --out evaluated
  sparse_seg evaluate --frames my_robot/test --corrupt fog,dark:1-3
  sparse_seg evaluate --predictions drive_segmented --bag drive --labels /camera/label
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from sparse_seg_ros.commands import bag_fleet, options, scored_frames

if TYPE_CHECKING:
    from sparse_seg_ros.data.frame import AnyFrame
    from sparse_seg_ros.evaluation.corruptions import CorruptionRow
    from sparse_seg_ros.report.evaluation_job import EvaluationJob, ModelResult
    from sparse_seg_ros.segmenter import Segmenter


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this verb."""
    options.add_models(parser)
    scored_frames.add_arguments(parser)
    scored_frames.add_predictions(parser)
    options.add_device(parser)
    options.add_precision(parser)
    parser.add_argument('--alpha', type=float, help='entropy threshold in nats, for all models')
    options.add_remap(parser, 'score the models')
    parser.add_argument('--corrupt', metavar='NAMES', help='score on frames made worse, too, such '
                        'as fog,motion_blur:3,dark:1-5; kinds: fog, motion_blur, defocus, jpeg, '
                        'dark, noise, contrast')
    parser.add_argument('--thresholds', type=Path, metavar='YAML', help="what each model must "
                        "keep, in lines such as miou: '>= 0.62'")
    parser.add_argument('--report', type=Path, metavar='HTML', help='page with all figures, '
                        'curves and pictures, in one file')
    options.add_out(parser, 'new folder for a summary, a line for each frame, and all counts',
                    metavar='FOLDER')
    parser.add_argument('--save-predictions', type=Path, metavar='FOLDER', help='new folder for '
                        'the labels of every frame, as PNG')
    parser.add_argument('--form', metavar='FORM', help='write those labels in a form that the '
                        "label set names under 'files', such as labelIds of Cityscapes")
    bag_fleet.add_arguments(parser)
    parser.add_argument('--log', metavar='KIND[:FOLDER]', help='write the figures for MLflow '
                        '(mlflow, into mlruns) or TensorBoard (tensorboard, into runs), too')
    options.add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Evaluate every model on the same frames -> 1 where a threshold is not kept, else 0."""
    from sparse_seg_ros.report import tables
    scored_frames.check(args)
    bag_fleet.check(args)
    job = make_job(args)
    log = make_log(args)
    results, worse, failed = evaluate_all(args, job)
    print_results(results)
    for name, rows in worse.items():
        print(f'\n{name}\n{tables.corruptions(rows)}')
    if args.report:
        from sparse_seg_ros.report.evaluation_page import write_report
        write_report(args.report, results, scored_frames.name_of(args), worse)
        print(f'wrote {args.report}')
    write_json(args, results, worse)
    log(results)
    failed += job.failures(results)
    for words in failed:
        print(words, file=sys.stderr)
    return 1 if failed or any(result.damage for result in results) or lacks(args, results) else 0


def lacks(args: argparse.Namespace, results: list[ModelResult]) -> bool:
    """Tell whether predictions are not there for all frames, so that the figures are of some."""
    return bool(args.predictions) and any(result.recorder.invalid for result in results)


def make_job(args: argparse.Namespace) -> EvaluationJob:
    """Return what the options ask for; ValueError before a model is loaded."""
    from sparse_seg_ros.evaluation.thresholds import read_thresholds
    from sparse_seg_ros.new_paths import check_can_hold, check_is_new
    from sparse_seg_ros.report.evaluation_job import EvaluationJob, check_folders
    check_folders(options.named_models(args.model))
    if args.form and not args.save_predictions:
        raise ValueError('--form goes with --save-predictions')
    for path, what in ((args.report, 'report'), (args.json, 'file')):
        if path is not None:
            check_can_hold(path.parent, f'{what} {path}')
    if args.report:
        check_is_new(args.report, 'report')
    job = EvaluationJob(None if args.bags else args.out, args.save_predictions,
                        read_thresholds(args.thresholds) if args.thresholds else (),
                        args.form or '', keeps_strips=bool(args.report),
                        is_strict=not (args.bag or args.predictions))
    job.check()
    if args.bags:
        bag_fleet.check_thresholds(job.thresholds)
    return job


def evaluate_all(args: argparse.Namespace, job: EvaluationJob
                 ) -> tuple[list[ModelResult], dict[str, list[CorruptionRow]], list[str]]:
    """Evaluate what the options name -> results, those on frames made worse, and failures."""
    from sparse_seg_ros.evaluation.comparison import check_same_classes
    from sparse_seg_ros.evaluation.corruptions import corruption_rows, read_corruptions
    from sparse_seg_ros.evaluation.evaluate import adjusted
    if args.bags:
        results, failed = bag_fleet.run(args)
        return results, {}, failed
    if args.predictions:
        return [score_predictions(args, job)], {}, []
    chosen = read_corruptions(args.corrupt) if args.corrupt else []
    results, worse = [], {}
    for name, segment in options.load_models(args):
        segment = adjusted(segment, args.alpha, args.remap)
        if results:
            check_same_classes(results[0].recorder.labels.names, segment.labels.names)
        results.append(job.run(name, segment, frames_for(args, segment), len(args.model) == 1))
        if chosen:
            worse[name] = corruption_rows(segment, partial(frames_for, args, segment), chosen,
                                          job.is_strict)
    return results, worse, []


def make_log(args: argparse.Namespace) -> Callable[[list[ModelResult]], None]:
    """Return what --log asks for; ImportError where that is not installed."""
    if not args.log:
        return lambda results: None
    from sparse_seg_ros.report.evaluation_log import open_log, write_log
    return partial(write_log, open_log(args.log), source=scored_frames.name_of(args))


def score_predictions(args: argparse.Namespace, job: EvaluationJob) -> ModelResult:
    """Score what was predicted before; no model is loaded."""
    from sparse_seg_ros.evaluation.recorded import score_recorded
    for name in ('remap', 'alpha', 'corrupt', 'save_predictions', 'bags'):
        if getattr(args, name) is not None:
            raise ValueError(f"--{name.replace('_', '-')} is of a model, and these are "
                             'predictions; leave it out')
    if args.model != [options.DEMO]:
        raise ValueError('--predictions stand in the place of a model; leave out --model')
    recorded, labels = scored_frames.predictions_of(args)
    frames = scored_frames.frames_of(args)
    about = {'name': Path(args.predictions).name, 'file': args.predictions, 'sha256': None,
             'settings': {}, 'classes': list(labels.names)}
    return job.record(about, labels, frames, partial(score_recorded, recorded, labels, frames),
                      has_uncertainty=False)


def frames_for(args: argparse.Namespace, segment: Segmenter) -> Iterable[AnyFrame]:
    """Return the frames of the options for one pass, with labels that the model can have."""
    from sparse_seg_ros.data.street import CLASSES
    from sparse_seg_ros.evaluation.evaluate import remapped
    frames = scored_frames.frames_of(args)
    if args.street and segment.remap is not None and segment.remap.source == CLASSES:
        return remapped(frames, segment.remap)
    return frames


def print_results(results: list[ModelResult]) -> None:
    """Print the table, and what a user should know of the frames."""
    from sparse_seg_ros.evaluation.comparison import compare, same_frames
    from sparse_seg_ros.report import tables
    first = results[0]
    print(tables.markdown({result.name: result.recorder.scores.report() for result in results}))
    print('\n' + tables.intervals({result.name: result.recorder.summary() for result in results}))
    for other in results[1:]:
        if not same_frames(first.recorder, other.recorder):
            print(f'{other.name} is not compared with {first.name}: one of them refused frames '
                  'that the other took', file=sys.stderr)
            continue
        print('\n' + tables.differences(first.name, other.name,
                                        compare(first.recorder, other.recorder)))
    notes = dict.fromkeys([*first.notes, first.damage,
                           *(result.recorder.unusable() for result in results)])
    for note in filter(None, notes):
        print(note, file=sys.stderr)


def write_json(args: argparse.Namespace, results: list[ModelResult],
               worse: dict[str, list[CorruptionRow]]) -> None:
    """Write the figures of all models into the file of --json."""
    options.write_json(args, {
        'frames': scored_frames.name_of(args),
        'weights': {result.name: {name: result.about[name] for name in ('file', 'sha256')}
                    for result in results},
        **({'corrupted': {name: list(map(asdict, rows)) for name, rows in worse.items()}}
           if worse else {}),
        **({'remap': results[0].about['settings']['labels_remap']} if args.remap else {}),
        'rows': {result.name: asdict(result.recorder.scores.report()) for result in results}})
