# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The commands speak one language: an option means the same wherever it is."""

from __future__ import annotations

import argparse
import importlib

import pytest

from sparse_seg_ros.commands import (
    COMMANDS,
    MODULES,
    ablate,
    bench,
    calibrate,
    demo,
    main,
    options,
    replay,
)


def parsers_of(parser):
    """Yield a parser and those of its sub-verbs."""
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for each in action.choices.values():
                yield from parsers_of(each)


def visible_options():
    """Return the options that the help of all verbs shows, by name."""
    shown = {}
    for verb in COMMANDS:
        parser = argparse.ArgumentParser(verb)
        module = importlib.import_module(f'sparse_seg_ros.commands.{MODULES.get(verb, verb)}')
        module.add_arguments(parser)
        for each in parsers_of(parser):
            for action in each._actions:
                if action.help != argparse.SUPPRESS:
                    for name in action.option_strings or [action.dest]:
                        shown.setdefault(name, []).append(action)
    return shown


@pytest.mark.parametrize(('name', 'fact', 'value'), [
    ('--device', 'default', 'auto'), ('--precision', 'choices', options.PRECISIONS),
    ('--precision', 'default', 'auto'), ('--model', 'dest', 'model'),
    ('--out', 'option_strings', ['-o', '--out']), ('--frames', 'metavar', '[KIND:]ROOT/SPLIT'),
    ('--street', 'metavar', 'N'), ('--size', 'metavar', 'HxW'), ('--json', 'metavar', 'FILE')])
def test_an_option_is_the_same_in_every_verb_that_has_it(name, fact, value):
    actions = visible_options()[name]
    assert len(actions) > 1 and [getattr(action, fact) for action in actions] == \
        [value] * len(actions)


def parse(verb, *words):
    parser = argparse.ArgumentParser()
    verb.add_arguments(parser)
    return parser.parse_args(words)


@pytest.mark.parametrize('verb', ['evaluate', 'calibrate', 'demo'])
def test_two_sources_are_refused(verb, capsys):
    first = '--bag' if verb == 'demo' else '--frames'
    with pytest.raises(SystemExit) as ended:
        main([verb, first, 'here', '--street', '2'])
    assert ended.value.code == 2 and 'not allowed with' in capsys.readouterr().err


@pytest.mark.parametrize(('words', 'sources'), [
    ('evaluate', '--frames --bag --bags --pictures --street'), ('calibrate', '--frames --street'),
    ('replay -o new', '--bag --pictures')])
def test_a_verb_without_its_source_says_which_it_takes(words, sources, capsys):
    with pytest.raises(SystemExit) as ended:
        main(words.split())
    assert ended.value.code == 2 and sources in capsys.readouterr().err


def test_the_former_words_of_replay_demo_and_ablate_still_work():
    new, old = parse(replay, '--bag', 'a.mcap', '-o', 'b'), parse(
        replay, 'a.mcap', '--output', 'b')
    assert str(new.bag) == str(old.bag) == 'a.mcap' and str(new.out) == str(old.out) == 'b'
    assert parse(demo, '--frames', '5') == parse(demo, '--limit', '5')
    for former, word in (('--data', '--frames'), ('--streets', '--street')):
        assert parse(ablate, 'plan.yaml', former, '5') == parse(ablate, 'plan.yaml', word, '5')


@pytest.mark.parametrize(('words', 'count'), [
    ((), demo.STREET_FRAMES), (('--bag', 'drive'), demo.BAG_FRAMES), (('--street', '7'), 7),
    (('--bag', 'drive', '--limit', '9'), 9)])
def test_a_demo_plays_as_many_frames_as_its_source_or_limit_says(words, count):
    assert demo.count_frames(parse(demo, *words)) == count


@pytest.mark.parametrize('verb', ['evaluate', 'calibrate'])
def test_no_scenes_are_no_source(verb, capsys):
    assert main([verb, '--street', '0', '--device', 'cpu']) == 1
    assert '--street must be at least 1, got 0' in capsys.readouterr().err


def test_other_scenes_to_check_have_the_size_of_the_first():
    args = parse(calibrate, '--street', '1', '--size', '64x96', '--check')
    (image, _), = calibrate.kept_frames(args, None, options.CALIBRATION_STREETS)
    (other, _), = calibrate.other_frames(args)
    assert image.shape == other.shape == (64, 96, 3) and (image != other).any()


@pytest.mark.parametrize('words', [
    ('bench', 'node', '--repeats', '3'), ('bench', 'engines', '--device', 'cpu'),
    ('bench', 'sparse', '--precision', 'fp32'), ('bench',), ('export',),
    ('export', 'weights', '--model', 'run', '-o', 'x', '--batch', '2'),
    ('export', 'weights', '--model', 'run'), ('export', 'engine', '--size', '64x96'),
    ('export', 'engine', '--engine', 'onnxruntime', '--scores', 'x.json')])
def test_an_option_that_a_sub_verb_lacks_or_misses_is_refused(words, capsys):
    with pytest.raises(SystemExit) as ended:
        main([*words])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert 'unrecognized arguments' in said or 'arguments are required' in said


def test_every_benchmark_counts_its_rounds_from_one(capsys):
    for name in bench.BENCHES:
        if name not in ('node', 'floors', 'counts'):  # which have no rounds
            assert main(['bench', name, '--repeats', '0']) == 1
            assert '--repeats must be at least 1, got 0' in capsys.readouterr().err
