# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which way imports point, and how large things may grow: doc/architecture.md."""

from __future__ import annotations

import ast
import functools
import subprocess
import sys
from collections.abc import Container, Iterator
from pathlib import Path

import pytest

from sparse_seg_ros.commands import COMMANDS, bench, export

CHECKOUT = Path(__file__).resolve().parents[1]
PACKAGE = CHECKOUT / 'sparse_seg_ros'
FILES = sorted(PACKAGE.rglob('*.py'))
HEADER = ('# Copyright 2026 The sparse_seg_ros authors\n'
          '# SPDX-License-Identifier: Apache-2.0\n')

# Imports point from a later row to the same or an earlier one.
ROWS = (
    ('files', 'quiet', 'texts', 'yaml_files', 'config', 'kernels', 'normalisation', 'labels',
     'label_remap', 'pictures', 'prediction', 'with_supervision', 'with_pyav', 'timing', 'memory',
     'processes', 'threads', 'device', 'machine', 'environment', 'new_paths', 'model_card'),
    ('data', 'networks', 'sparse', 'engines', 'messages'),
    ('methods',),
    ('segmenter', 'cuda_graphs', 'loading', 'node_config', 'launching'),
    ('evaluation', 'doctor', 'stream'),
    ('report',),
    ('training', 'bags', 'fleet'),
    ('__init__',),
    ('ros', 'demo', 'bench'),
    ('commands', '__main__'),
)
ROW_OF = {unit: row for row, units in enumerate(ROWS) for unit in units}
ROS_PACKAGES = {'rclpy', 'rcl_interfaces', 'sensor_msgs', 'std_msgs', 'std_srvs',
                'diagnostic_msgs', 'lifecycle_msgs', 'builtin_interfaces', 'vision_msgs',
                'cv_bridge', 'ament_index_python'}
ADAPTERS = {
    'spconv': {'bench/with_spconv.py'},
    'triton': {'sparse/with_triton.py', *(f'kernels/{name}.py' for name in (
        'softmax', 'image', 'scores', 'tables', 'ensemble', 'result'))},
    'torchsparse': {'sparse/with_torchsparse.py'},
    'tensorrt': {'engines/with_tensorrt.py'},
    'onnxruntime': {'engines/with_onnxruntime.py'},
    'transformers': {'networks/with_transformers.py', 'networks/lrformer/query_decoder.py'},
    'scipy': {'networks/with_transformers.py', 'data/mat_files.py'},
    'huggingface_hub': {'networks/with_transformers.py'},
    'onnx': {'engines/export_onnx.py'},
    'onnxscript': {'engines/export_onnx.py'},
    'cv_bridge': {'messages/with_cv_bridge.py'},
    'vision_msgs': {'ros/label_info.py'},
    'supervision': {'with_supervision.py'},
    'av': {'with_pyav.py'},
    'mlflow': {'report/with_mlflow.py'},
    'tensorboard': {'report/with_tensorboard.py'},
    'ray': {'fleet/with_ray.py'},
}
ROS_ELSEWHERE = {'launching.py', 'messages/with_cv_bridge.py'}
DEPENDENCIES = {'torch', 'numpy', 'cv2', 'yaml', 'safetensors', 'rosbags', 'tqdm', 'apsw',
                'jinja2', *ROS_PACKAGES, *ADAPTERS}
MOST_LINES, MOST_LINES_OF_A_FUNCTION = 300, 45
VERBS = [*COMMANDS, *(f'bench {name}' for name in bench.BENCHES),
         *(f'export {name}' for name in export.EXPORTS)]


def name_of(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


def imports_of(path: Path) -> Iterator[str]:
    """Yield the dotted name of every module that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f'{name_of(path)}: write imports out from sparse_seg_ros on'
            yield from (f'{node.module}.{alias.name}' for alias in node.names)


def unit_of(path: Path) -> str:
    """File -> the folder or module at the top of the package that it belongs to."""
    return path.relative_to(PACKAGE).with_suffix('').parts[0]


def imported_units(path: Path) -> set[str]:
    """Return the units of the package that a file imports, without its own."""
    inside = [name.split('.') for name in imports_of(path) if name.startswith('sparse_seg_ros.')]
    return {parts[1] if parts[1] in ROW_OF else '__init__' for parts in inside} - {unit_of(path)}


@pytest.mark.parametrize('path', FILES, ids=name_of)
def test_imports_point_one_way(path):
    unit = unit_of(path)
    assert unit in ROW_OF, f'give {unit!r} a place in ROWS'
    for other in imported_units(path):
        assert ROW_OF[other] <= ROW_OF[unit], f'{unit} must not import {other}'


def test_units_do_not_import_each_other_in_a_circle():
    graph = {}
    for path in FILES:
        graph.setdefault(unit_of(path), set()).update(imported_units(path))
    assert not circle(graph)


def test_files_do_not_import_each_other_in_a_circle():
    modules = {module_of(path): path for path in FILES}
    assert not circle({module: imported_modules(path, modules) - {module}
                       for module, path in modules.items()})


def module_of(path: Path) -> str:
    return '.'.join(path.relative_to(CHECKOUT).with_suffix('').parts).removesuffix('.__init__')


def imported_modules(path: Path, modules: Container[str]) -> set[str]:
    """Return the files of the package that a file imports, be it for type checking alone."""
    return {name if name in modules else name.rpartition('.')[0] for name in imports_of(path)
            if name.startswith('sparse_seg_ros.')}


def circle(graph: dict[str, set[str]]) -> list[str]:
    """Return what imports itself through others; empty where nothing does."""
    while free := {unit for unit, others in graph.items() if not others & graph.keys()}:
        graph = {unit: others for unit, others in graph.items() if unit not in free}
    return sorted(graph)


@pytest.mark.parametrize('path', FILES, ids=name_of)
def test_ros_is_imported_by_every_file_of_ros_and_by_no_other(path):
    uses_ros = bool({name.split('.')[0] for name in imports_of(path)} & ROS_PACKAGES)
    if path.name != '__init__.py' and name_of(path) not in ROS_ELSEWHERE:
        assert uses_ros == (unit_of(path) == 'ros')


def test_adapters_of_the_table_exist():
    named = {name for names in ADAPTERS.values() for name in names} | ROS_ELSEWHERE
    assert [name for name in sorted(named) if not (PACKAGE / name).is_file()] == []


@pytest.mark.parametrize('package', ADAPTERS)
def test_an_optional_package_is_imported_in_its_adapter_only(package):
    users = {name_of(path) for path in FILES
             if package in {name.split('.')[0] for name in imports_of(path)}}
    assert users <= ADAPTERS[package]


@pytest.mark.parametrize('path', FILES, ids=name_of)
def test_files_and_functions_stay_small(path):
    assert len(path.read_text().splitlines()) <= MOST_LINES
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno - node.lineno < MOST_LINES_OF_A_FUNCTION, node.name


@pytest.mark.parametrize('path', FILES, ids=name_of)
def test_no_module_is_named_like_the_standard_library_or_a_dependency(path):
    if not path.stem.startswith('__'):
        assert path.stem not in sys.stdlib_module_names | DEPENDENCIES


def test_every_source_file_has_the_licence_header():
    sources = [*FILES, CHECKOUT / 'setup.py', *(CHECKOUT / 'launch').glob('*.py'),
               *(CHECKOUT / 'test').rglob('*.py')]
    assert [str(path) for path in sources if not path.read_text().startswith(HEADER)] == []


@functools.cache
def help_of(words):
    """Return the help of a verb, and what Python imports for it."""
    done = subprocess.run(
        [sys.executable, '-X', 'importtime', '-m', 'sparse_seg_ros', *words.split(), '--help'],
        capture_output=True, text=True, timeout=60, cwd=CHECKOUT)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout, {line.rpartition('|')[2].strip() for line in done.stderr.splitlines()}


@pytest.mark.parametrize('verb', ['', *VERBS])
def test_help_does_not_pay_for_torch_or_ros(verb):
    assert not help_of(verb)[1] & {'torch', 'rclpy', 'cv2', 'rosbags'}


@pytest.mark.parametrize('verb', VERBS)
def test_help_of_every_verb_has_an_example(verb):
    assert f'sparse_seg {verb} ' in help_of(verb)[0].partition('example')[2]


def test_the_node_does_not_load_the_renderer_of_streets():
    pytest.importorskip('rclpy')
    program = ('import sys, sparse_seg_ros.ros.node as node; node.load_model(node.NodeConfig('
               "device='cpu')); print([name for name in sys.modules if '.data.street' in name])")
    done = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True,
                          timeout=120, cwd=CHECKOUT)
    assert done.stdout.strip() == '[]', done.stdout + done.stderr
