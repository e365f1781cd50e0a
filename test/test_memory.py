# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Reuse of freed memory, in a process of its own because it lasts."""

from __future__ import annotations

import subprocess
import sys

import pytest

CODE = """
import resource
from sparse_seg_ros.memory import keep_freed_memory

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

print(keep_freed_memory())
bytearray(b'1') * (128 << 20)
start = faults()
bytearray(b'1') * (128 << 20)
print(faults() - start)
"""


@pytest.mark.skipif(sys.platform != 'linux', reason='glibc only')
def test_a_large_block_is_reused_without_page_faults():
    run = subprocess.run([sys.executable, '-c', CODE], capture_output=True, text=True, check=True)
    is_kept, faults = run.stdout.split()
    if is_kept == 'False':
        pytest.skip('not glibc')
    assert int(faults) < 1000  # 128 MiB are 32768 pages
