# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Documents name files that are there, and commands that the command line takes."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from test_architecture import PACKAGE, ROWS, VERBS, help_of

from sparse_seg_ros import commands

CHECKOUT = Path(__file__).resolve().parents[1]
DOCUMENTS = [CHECKOUT / 'README.md', *sorted((CHECKOUT / 'doc').glob('*.md'))]
RECIPES = sorted((CHECKOUT / 'config').rglob('*.yaml'))
LINK = re.compile(r'\]\(([^)\s]+)\)')
SOURCE = re.compile(r'[\w./]*\w/\w+\.py\b')
COMMAND = re.compile(rf"sparse_seg(?:_ros)? ((?:{'|'.join(commands.COMMANDS)}) [^`;#|\n]*)")


class ParsedError(Exception):
    """Raised where a command line was understood, before anything is run."""


@pytest.fixture
def parse(monkeypatch):
    """Return a function that parses a command line, and runs nothing."""
    def stop():
        raise ParsedError

    def parse(line):
        with pytest.raises(ParsedError):
            commands.main(shlex.split(line))

    monkeypatch.setattr(commands, 'keep_freed_memory', stop)
    return parse


def commands_in(text):
    """Yield the command lines of a text, from the verb on, that leave nothing to the shell."""
    for match in COMMAND.finditer(re.sub(r' \\\n[# ]*', ' ', text)):
        line = match[1].strip().partition('  ')[0]  # a remark follows two blanks
        if ' ' in line and '$' not in line and '...' not in line:
            yield line


def recipe_in(path):
    """Return the indented comments of a YAML: the commands that it is for."""
    return '\n'.join(re.findall('^#  .*', path.read_text(), re.MULTILINE))


def headings(path):
    """Return the anchors of a document."""
    return {re.sub(r'[^\w\- ]', '', title.lower()).replace(' ', '-')
            for title in re.findall(r'^#+ (.*)$', path.read_text(), re.MULTILINE)}


@pytest.mark.parametrize('document', DOCUMENTS, ids=lambda path: path.name)
def test_links_of_a_document_lead_to_files_and_headings(document):
    for link in LINK.findall(document.read_text()):
        path, _, anchor = link.replace('\\', '').partition('#')
        target = document.parent / path if path else document
        if not path.startswith('http'):
            assert target.exists(), link
            assert not anchor or anchor in headings(target), link


@pytest.mark.parametrize('document', DOCUMENTS, ids=lambda path: path.name)
def test_source_files_that_a_document_names_are_there(document):
    for name in SOURCE.findall(document.read_text().replace('\\', '')):
        places = document.parent / name, CHECKOUT / name, PACKAGE / name
        assert any(place.is_file() for place in places), name


@pytest.mark.parametrize('document', DOCUMENTS, ids=lambda path: path.name)
def test_commands_of_a_document_parse(document, parse):
    for line in commands_in(document.read_text()):
        parse(line)


@pytest.mark.parametrize('document', DOCUMENTS, ids=lambda path: path.name)
def test_text_after_a_table_is_no_row_of_it(document):
    torn = re.findall(r'^\|.*\n([^|<\n].*)', document.read_text(), re.MULTILINE)
    assert not torn


def test_commands_above_a_recipe_parse(parse):
    lines = [line for path in RECIPES for line in commands_in(recipe_in(path))]
    assert len(lines) >= 5
    for line in lines:
        parse(line)


def test_commands_of_tables_without_a_plan_parse(parse):
    for command in commands.ablate.ELSEWHERE.values():
        parse(command.removeprefix('sparse_seg '))


@pytest.mark.parametrize('verb', VERBS)
def test_examples_in_help_parse(verb, parse):
    for line in commands_in(help_of(verb)[0].partition('example')[2].partition('options:')[0]):
        if '--help' not in line:
            parse(line)


def test_the_rooms_of_the_picture_are_those_of_the_package_from_the_bottom_up():
    rows = re.findall(r'^\| `(\w+)/` \|', (CHECKOUT / 'doc/architecture.md').read_text(), re.M)
    assert sorted(rows) == sorted(path.parent.name for path in PACKAGE.glob('*/__init__.py'))
    places = [next(place for place, units in enumerate(ROWS) if room in units) for room in rows]
    assert places == sorted(places)


def test_the_tests_of_the_conventions_are_there():
    text = (CHECKOUT / 'doc/conventions.md').read_text()
    rules = [line for line in text.splitlines() if line.startswith('| ')][1:]
    for rule in rules:
        for path, names in re.findall(r'`([\w/]+\.py)` ([\w, ]+)', rule):
            source = (CHECKOUT / path).read_text()
            for name in names.split(', '):
                assert f'def {name.strip()}(' in source, f'{path}: no {name}'
        assert '.py` test_' in rule
