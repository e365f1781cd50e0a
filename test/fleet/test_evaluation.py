# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A fleet gives what one process gives, whoever dies on the way, and keeps what is done."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import threading
import time
from functools import partial
from pathlib import Path

import pytest
from ros_bags import image, labels, write_bag
from tiny import tiny_model

from sparse_seg_ros.commands import main
from sparse_seg_ros.evaluation.scores import Scores
from sparse_seg_ros.fleet.evaluation import Fleet, here
from sparse_seg_ros.fleet.in_processes import in_processes
from sparse_seg_ros.fleet.segments import Settings, find_bags
from sparse_seg_ros.fleet.with_ray import needs, on_ray
from sparse_seg_ros.loading.checkpoints import save_model

BAGS = 8
KILL_SECONDS = 30.0
MEASURED = ('latency', 'milliseconds')


@pytest.fixture(name='drives', scope='module')
def bags_and_model(tmp_path_factory):
    """Eight bags in two folders, of two frames each, and a model."""
    drives = tmp_path_factory.mktemp('drives')
    save_model(tiny_model(), drives / 'model.safetensors')
    for number in range(BAGS):
        write_bag(drives / f'day{number % 2}' / f'{number}', {
            '/camera/image_raw': partial(shifted, image, 2 * number),
            '/camera/label': partial(shifted, labels, 2 * number)}, frames=2)
    return drives


def shifted(make, first, number):
    return make(first + number)


@pytest.fixture(name='alone', scope='module')
def in_one_process(drives, tmp_path_factory):
    """Summary of all bags, evaluated in this process."""
    folder = tmp_path_factory.mktemp('alone')
    assert make_fleet(drives, folder).run(here)[1] == {}
    return summary_of(folder)


def make_fleet(drives, folder, **settings) -> Fleet:
    return Fleet(folder, find_bags([f'{drives}/**/*.mcap']),
                 {'tiny': str(drives / 'model.safetensors')},
                 Settings('/camera/label', '/camera/image_raw', device='cpu', precision='fp32',
                          **settings))


def summary_of(folder) -> dict:
    """Return summary.json but for what is measured."""
    content = json.loads((folder / 'summary.json').read_text())
    return {name: value for name, value in content.items() if name not in MEASURED}


def killing_one(way, pids):
    """Return the way, but one of its processes is killed while it works on a later segment."""
    killers = []

    def kill():
        end = time.monotonic() + KILL_SECONDS
        while not (found := pids()) and time.monotonic() < end:
            pass  # a task of Ray has a process of its own only while it runs
        os.kill(found[0], signal.SIGKILL)

    def run(segments):
        outcomes = way(segments)
        yield next(outcomes)
        if not killers:
            killers.append(threading.Thread(target=kill))
            killers[0].start()
        for segment, error in outcomes:
            errors.append(error)
            yield segment, error
    errors = []
    return run, errors


def children() -> list[int]:
    return [process.pid for process in multiprocessing.active_children()]


def test_a_fleet_in_processes_equals_one_process_though_one_is_killed(drives, alone, tmp_path):
    run, errors = killing_one(partial(in_processes, workers=2), children)
    assert make_fleet(drives, tmp_path).run(run)[1] == {}
    assert summary_of(tmp_path) == alone
    assert [error for error in errors if error] == ['its process ended with exit code -9']
    assert alone['segments'] == {'done': BAGS, 'failed': {}} and alone['frames'] == 2 * BAGS


def test_ray_equals_one_process_though_a_worker_is_killed(drives, alone, tmp_path):
    pytest.importorskip('ray')
    run, errors = killing_one(partial(on_ray, address='local', workers=2), ray_workers)
    assert make_fleet(drives, tmp_path).run(run)[1] == {}
    assert summary_of(tmp_path) == alone
    assert len([error for error in errors if error]) == 1


def ray_workers() -> list[int]:
    """Return the processes that run a task of Ray, below this one."""
    return [int(path.name) for path in Path('/proc').glob('[0-9]*')
            if read(path / 'cmdline').startswith('ray::attempt') and is_ours(path.name)]


def read(path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ''


def is_ours(pid: str) -> bool:
    while pid not in ('', '0', '1', str(os.getpid())):
        pid = read(Path('/proc') / pid / 'stat').rpartition(')')[2].split()[1]
    return pid == str(os.getpid())


def test_what_is_done_is_kept_until_bag_or_settings_change(drives, alone, tmp_path):
    fleet = make_fleet(drives, tmp_path / 'out')
    fleet.run(here)
    times = {path: path.stat().st_mtime_ns for path in tmp_path.rglob('done.json')}
    (tmp_path / 'out' / 'segments' / 'day0').rename(tmp_path / 'gone')
    make_fleet(drives, tmp_path / 'out').run(here)
    assert summary_of(tmp_path / 'out') == alone
    again = {path: path.stat().st_mtime_ns for path in (tmp_path / 'out').rglob('done.json')}
    assert sum(times[path] != time for path, time in again.items()) == BAGS // 2
    make_fleet(drives, tmp_path / 'out', alpha=0.1).run(here)
    assert all(path.stat().st_mtime_ns != time for path, time in again.items())


def test_a_bag_that_fails_is_listed_and_the_others_count(drives, tmp_path, capsys):
    for number in range(2):
        (tmp_path / f'{number}').symlink_to(drives / 'day0' / f'{2 * number}')
    (tmp_path / 'broken.mcap').write_bytes(b'nothing')
    words = ['evaluate', '--model', f'{drives}/model.safetensors', '--device', 'cpu', '--bags',
             f'{tmp_path}/*', '--labels', '/camera/label', '--topic', '/camera/image_raw',
             '--workers', '1', '--out', f'{tmp_path}/out']
    assert main(words) == 1
    assert 'broken.mcap: ' in capsys.readouterr().err
    summary = summary_of(tmp_path / 'out')
    assert summary['segments']['done'] == 2 and list(summary['segments']['failed']) == [
        'broken.mcap']
    scores = Scores.from_bytes((tmp_path / 'out' / 'scores.npz').read_bytes())
    assert scores.summary()['miou'] == summary['miou']
    (tmp_path / 'out' / 'segments' / '0' / 'scores.npz').write_bytes(b'damaged')
    assert main(words) == 1
    assert f'remove {tmp_path}/out/segments/0 and give the command again' in \
        capsys.readouterr().err


def test_a_frame_that_cannot_be_used_is_named_with_its_bag(drives, tmp_path, capsys):
    def broken(number):
        message = image(number)
        message.encoding = 'rgb8' if number else 'unknown'
        return message
    write_bag(tmp_path / 'bags' / 'one', {'/camera/image_raw': broken, '/camera/label': labels})
    assert main(['evaluate', '--model', f'{drives}/model.safetensors', '--bags',
                 f'{tmp_path}/bags/*', '--labels', '/camera/label', '--out', f'{tmp_path}/out',
                 '--device', 'cpu', '--workers', '1']) == 0
    assert ('1 frames could not be used; the first: one: /camera/image_raw, message at'
            in capsys.readouterr().err)


def test_a_bag_without_any_frame_that_can_be_used_fails_and_is_named(drives, tmp_path, capsys):
    def broken(number):
        message = image(number)
        message.encoding = 'unknown'
        return message
    for name, make in (('one', broken), ('two', image)):
        write_bag(tmp_path / 'bags' / name, {'/camera/image_raw': make, '/camera/label': labels})
    assert main(['evaluate', '--model', f'{drives}/model.safetensors', '--bags',
                 f'{tmp_path}/bags/*', '--labels', '/camera/label', '--out', f'{tmp_path}/out',
                 '--topic', '/camera/image_raw', '--device', 'cpu', '--workers', '1']) == 1
    said = capsys.readouterr().err
    assert ('one: ValueError: none of the frames could be used; 3 frames could not be used; '
            'the first: /camera/image_raw, message at') in said
    assert summary_of(tmp_path / 'out')['segments']['done'] == 1


def test_two_models_have_a_folder_each_and_one_report(drives, tmp_path):
    model = f'{drives}/model.safetensors'
    assert main(['evaluate', '--model', f'a={model}', f'b={model}', '--device', 'cpu', '--bags',
                 f'{drives}/day0/[02]', '--labels', '/camera/label', '--topic',
                 '/camera/image_raw', '--workers', '1', '--out', f'{tmp_path}/out', '--report',
                 f'{tmp_path}/report.html']) == 0
    one, other = summary_of(tmp_path / 'out' / 'a'), summary_of(tmp_path / 'out' / 'b')
    assert one['miou'] == other['miou'] and one['segments'] == {'done': 2, 'failed': {}}
    assert '4 frames, 4 with labels' in (tmp_path / 'report.html').read_text()


@pytest.mark.parametrize(('nodes', 'device', 'expected'), [
    ([{'CPU': 16.0, 'GPU': 1.0}, {'CPU': 2.0}], 'auto', {'num_cpus': 4, 'num_gpus': 1}),
    ([{'CPU': 16.0, 'GPU': 1.0}], 'cpu', {'num_cpus': 4, 'num_gpus': 0}),
    ([{'CPU': 2.0}, {}], 'auto', {'num_cpus': 2, 'num_gpus': 0})])
def test_a_task_of_ray_takes_no_more_than_a_machine_has(nodes, device, expected):
    nodes = [{'Alive': True, 'Resources': each} for each in nodes]
    assert needs(nodes, 4, device) == expected


def test_files_of_a_folder_that_is_a_bag_do_not_count_again(drives):
    by_files = find_bags([f'{drives}/day0/**/*.mcap'])
    assert list(find_bags([f'{drives}/day0/**'])) == ['0', '2', '4', '6']
    assert [Path(name).parts[0] for name in by_files] == ['0', '2', '4', '6']
    assert list(find_bags([f'{drives}/day1/*', f'{drives}/day0/4'])) == [
        'day0/4', 'day1/1', 'day1/3', 'day1/5', 'day1/7']


def test_a_folder_without_metadata_is_one_bag_unless_its_files_match(tmp_path):
    (tmp_path / 'day').mkdir()
    for name in ('a.mcap', 'b.mcap', 'notes.txt'):
        (tmp_path / 'day' / name).touch()
    assert list(find_bags([f'{tmp_path}/*'])) == ['day']
    assert list(find_bags([f'{tmp_path}/**'])) == ['day/a.mcap', 'day/b.mcap']
    (tmp_path / 'day' / 'metadata.yaml').touch()
    assert list(find_bags([f'{tmp_path}/**'])) == ['day']
    assert list(find_bags([f'{tmp_path}/day/**'])) == ['day']


@pytest.mark.parametrize(('words', 'message'), [
    ('--bags gone/* --labels /a --out o', 'no bag matches'),
    ('--bags a --labels /a', '--bags needs a folder for the result of each bag'),
    ('--bags a --labels b --out o', '--bags needs a topic with the true labels'),
    ('--street 1 --workers 2', '--ray and --workers go with --bags'),
    ('--bags {drives}/day0/* --labels /a --out {drives}', 'exists already')])
def test_options_that_do_not_go_together_are_refused(drives, words, message, capsys):
    assert main(['evaluate', *words.format(drives=drives).split()]) == 1
    assert message in capsys.readouterr().err
