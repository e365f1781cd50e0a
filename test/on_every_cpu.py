# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Run the numeric tests as other processors compute: `make test-cpus`, before each release.

torch and oneDNN are held to the instructions of older processors by environment variables, which
take only what this machine has; every value of each, and one to three threads, are in some row.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time

NUMERIC = ['test/sparse', 'test/methods', 'test/networks', 'test/engines', 'test/evaluation',
           'test/training', 'test/test_segmenter.py', 'test/test_exposure.py', 'test/test_zoo.py',
           'test/test_dense_stage.py']
ROWS = [  # ATEN_CPU_CAPABILITY, ONEDNN_MAX_CPU_ISA, threads
    ('default', 'SSE41', 1), ('avx2', 'AVX2', 2), ('avx2', 'AVX2_VNNI', 3),
    ('avx512', 'AVX512_CORE', 3), ('avx512', 'AVX512_CORE_BF16', 1), ('avx512', 'ALL', 2)]


def run(capability: str, isa: str, threads: int) -> tuple[int, str]:
    """Run the numeric tests in one row -> exit code, pytest's last line; failures are printed."""
    environment = {**os.environ, 'ATEN_CPU_CAPABILITY': capability, 'ONEDNN_MAX_CPU_ISA': isa,
                   'OMP_NUM_THREADS': str(threads)}
    ended = subprocess.run([sys.executable, '-m', 'pytest', '-q', '-m', 'not gpu', *NUMERIC],
                           env=environment, capture_output=True, text=True)
    for line in ended.stdout.splitlines():
        if re.match('FAILED|ERROR', line):
            print(f'    {line}')
    return ended.returncode, ended.stdout.strip().rpartition('\n')[2]


def main() -> int:
    """Run every row -> 1 if any failed."""
    failed = False
    for row in ROWS:
        start = time.monotonic()
        code, last = run(*row)
        failed = failed or code != 0
        print('torch {:8} oneDNN {:17} threads {}  '.format(*row) + f'{last} '
              f'[{time.monotonic() - start:.0f} s]', flush=True)
    return int(failed)


if __name__ == '__main__':
    sys.exit(main())
