# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Write the tables of the documents from bench/results: `make figures`.

A table stands between `<!-- figures: NAME -->` and `<!-- end -->` in the Markdown. COMMANDS has
what makes each file of figures, TABLES what is drawn from which files. After new weights:

    make figures    draws the tables, and prints which files are missing, or were made with other
                    weights or by another command, with the commands that make them
    make measure    runs those commands first; leave the machine alone while it does

A table whose figures are missing stays as it is.

Other frames for README's table take a line of COMMANDS and one of SUMMARY.

A study needs models or a device that are not here. It is not repeated for new weights; its table
then says that it is of former ones. The commands for CamVid need the frames in ../shared/data.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench import drawings
from sparse_seg_ros.files import file_hash
from sparse_seg_ros.loading.zoo import find_model

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = ('README.md', 'doc/measured.md', 'doc/jetson.md', 'doc/gpu.md', 'doc/lrformer.md',
             'doc/algm.md')
MARKED = re.compile(r'(<!-- figures: (\w+) -->\n).*?(<!-- end -->)', re.DOTALL)
MODELS = 'half=config/dense.yaml refined=demo full=demo_full'
SCORES = f'evaluate --precision fp32 --model {MODELS}'  # the same scores on every processor
COMMANDS = {  # of sparse_seg; --json is added, {alpha} is the threshold of the demo weights
    'camvid_test': f'{SCORES} --frames ../shared/data/camvid/test',
    'camvid960_test': f'{SCORES} --frames ../shared/data/camvid960/test',
    'street_test': f'{SCORES} --street 100',
    'model_cpu': f'bench model --model {MODELS} --repeats 20',
    'model_gpu': f'bench model --model {MODELS} --repeats 30 --device cuda',
    'thresholds': 'ablate config/ablate/table_5b.yaml',
    'calibration_camvid': 'calibrate --frames ../shared/data/camvid/val --alpha {alpha:.4f} '
                          '--check ../shared/data/camvid/test',
    'calibration_street': 'calibrate --street 20 --alpha {alpha:.4f}',
    'rivals': 'ablate config/ablate/table_3b.yaml',
    'selectors': 'ablate config/ablate/parts.yaml --precision fp32',
    'refined_cpu': 'bench refined --repeats 3',
    'sparse_cpu': 'bench sparse',
    'sparse_gpu': 'bench sparse --device cuda',
    'node_cpu': 'bench node',
    'floors': 'bench floors',
    'counts': 'bench counts',
    'networks_cpu': 'bench networks --device cpu --repeats 3',
    'attention_cpu': 'bench attention --device cpu --repeats 3 --plot doc/attention.png',
    'merging_cpu': 'bench merging --repeats 5',
    'engines_cpu': 'bench engines --repeats 2',
    'lrformer_camvid': 'evaluate --frames ../shared/data/camvid/test --model '
                       'half=config/lrformer.yaml refined=config/lrformer_refined.yaml '
                       'full=runs/lrformer_t_full/model.safetensors',
    'algm_camvid': 'ablate config/ablate/algm.yaml',
}


LRFORMER_TABLES = tuple(f'lrformer_table_{number}' for number in (3, 4, 5, 6, 7, 10, 11, 13))
SUMMARY = {'street_test': '100 rendered streets, 1024x2048',
           'camvid960_test': "161 of CamVid's 233 test frames, 960x720",
           'camvid_test': 'CamVid test, 480x360'}


@dataclass(frozen=True)
class Table:
    """
    What is drawn, from the figures of which files.

    is_study: may be of former weights. not_yet: what stands there while nothing was measured.
    """

    draw: Callable[..., str]
    files: tuple[str, ...]
    is_study: bool = False
    not_yet: str = ''


TABLES = {
    'summary': Table(partial(drawings.summary, tuple(SUMMARY.values())), tuple(SUMMARY)),
    'camvid': Table(drawings.scores, ('camvid_test',)),
    'camvid960': Table(drawings.scores, ('camvid960_test',)),
    'street': Table(drawings.scores, ('street_test',)),
    'thresholds': Table(drawings.variants, ('thresholds',)),
    'uncertainty': Table(drawings.uncertainty, ('calibration_camvid', 'calibration_street')),
    'stages': Table(drawings.stages, ('model_cpu',)),
    'stages_gpu': Table(drawings.stages, ('model_gpu',), is_study=True),
    'paper': Table(drawings.refined_summary, ('refined_cpu',)),
    'rivals': Table(drawings.variants, ('rivals',), is_study=True),
    'selectors': Table(partial(drawings.variants, is_timed=False), ('selectors',)),
    'refined': Table(drawings.refined, ('refined_cpu',)),
    'sparse_cpu': Table(drawings.convolutions, ('sparse_cpu',)),
    'sparse_gpu': Table(drawings.convolutions, ('sparse_gpu',)),
    'floors': Table(drawings.floors, ('floors',)),
    'node': Table(drawings.node, ('node_cpu',)),
    'networks': Table(drawings.networks, ('networks_cpu',)),
    'attention': Table(drawings.attention, ('attention_cpu',)),
    'merging': Table(drawings.merging, ('merging_cpu',)),
    'engines': Table(drawings.engines, ('engines_cpu',)),
    'lrformer': Table(drawings.short_scores, ('lrformer_camvid',), is_study=True),
    'algm': Table(drawings.tokens, ('algm_camvid',), is_study=True),
    'lrformer_counts': Table(partial(drawings.counts, LRFORMER_TABLES), ('counts',)),
    'algm_counts': Table(partial(drawings.counts, ('algm_table_1',)), ('counts',)),
    'orin': Table(drawings.orin, ()),
    'gpu': Table(drawings.gpu, ('gpu_evidence',), is_study=True,
                 not_yet='Not measured yet; `make gpu-evidence` measures it.'),
}


def path_of(file: str) -> Path:
    """Return where the figures of a name are."""
    return ROOT / 'bench/results' / f'{file}.json'


def read(file: str) -> dict:
    """Name -> its figures; FileNotFoundError says which command makes them."""
    if not path_of(file).is_file():
        raise FileNotFoundError(f'{path_of(file)} is missing; make it with: {command(file)}')
    return json.loads(path_of(file).read_text())


def command(file: str) -> str:
    """Return the command that makes a file."""
    words = COMMANDS[file]
    if '{alpha' in words:
        words = words.format(alpha=find_model('demo')[0].card.alpha)
    return f'sparse_seg {words} --json {path_of(file).relative_to(ROOT)}'


def former_weights(figures: dict) -> list[str]:
    """Return the files in models/ that have changed since they were measured."""
    used = {(one['file'], one['sha256']) for one in figures.get('weights', {}).values()}
    return sorted({name for name, digest in used if (ROOT / 'models' / name).is_file()
                   and file_hash(ROOT / 'models' / name) != digest})


def problems() -> dict[str, str]:
    """Return what is wrong with the files of figures, by name."""
    wrong = {file: problem(file, table.is_study) for table in TABLES.values()
             for file in table.files if not table.not_yet}
    return {file: words for file, words in wrong.items() if words}


def problem(file: str, is_study: bool) -> str:
    """Return what is wrong with a file of figures, '' if nothing."""
    if not path_of(file).is_file():
        return 'is missing'
    figures = read(file)
    if not is_study and (names := former_weights(figures)):
        return f"was measured with other weights than models/{', models/'.join(names)}"
    if figures.get('command', command(file)) != command(file):
        return f"was made by another command: {figures['command']}"
    return ''


def measure(file: str) -> None:
    """Run the command of a file, and write the command into the file."""
    print(command(file), flush=True)
    done = subprocess.run([sys.executable, '-m', 'sparse_seg_ros',
                           *shlex.split(command(file))[1:]], cwd=ROOT, check=False)
    if done.returncode == 0:
        figures = {'command': command(file), **read(file)}
        path_of(file).write_text(json.dumps(figures, indent=1) + '\n')


def render(name: str, folder: Path) -> str:
    """Name of a table, folder of its document -> Markdown, with the origin of its figures."""
    if name not in TABLES:
        raise ValueError(f"no table {name!r}; expected one of {', '.join(TABLES)}")
    table = TABLES[name]
    if table.not_yet and not all(path_of(file).is_file() for file in table.files):
        return f'{table.not_yet}\n'
    figures = {file: read(file) for file in table.files}
    origins = [origin(file, one, os.path.relpath(path_of(file), folder))
               for file, one in figures.items()]
    if table.is_study and any('weights' not in one or former_weights(one)
                              for one in figures.values()):
        origins.append('The demo weights have changed since.')
    return '\n\n'.join(filter(None, [table.draw(*figures.values()), ' '.join(origins)])) + '\n'


def origin(file: str, figures: dict, link: str) -> str:
    """Say where figures come from: file, machine and commit."""
    board = figures['processor'] if figures['device'] == 'cpu' else figures['device']
    parts = [board, *filter(None, [figures.get('instructions')]), f"{figures['threads']} threads"]
    return f"([{file}]({link}): {', '.join(parts)}, commit {figures['commit']})"


def redrawn(document: Path) -> str:
    """Markdown -> the same with every table drawn anew; one without figures stays as it is."""
    def draw(match: re.Match) -> str:
        try:
            return match[1] + render(match[2], document.parent) + match[3]
        except FileNotFoundError:  # problems() says which file
            return match[0]
    return MARKED.sub(draw, document.read_text())


def documents() -> Iterator[Path]:
    """Yield the files that have tables."""
    yield from (ROOT / name for name in DOCUMENTS)


def main() -> int:
    """Measure if asked to, draw every table, say what is left to measure; 1 if anything is."""
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--measure', action='store_true', help='first measure again what is '
                        'missing, or was made with other weights or by another command')
    if parser.parse_args().measure:
        for file in problems():
            measure(file)
    left = problems()
    for file, words in left.items():
        print(f'{file}.json {words}; make it with:\n  {command(file)}')
    for document in documents():
        text = redrawn(document)
        if text != document.read_text():
            document.write_text(text)
            print(f'{document.relative_to(ROOT)}: tables drawn anew')
    return 1 if left else 0


if __name__ == '__main__':
    sys.exit(main())
