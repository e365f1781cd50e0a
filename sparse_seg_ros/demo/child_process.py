# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Processes that need ROS, as children of one that does not: started, watched, ended."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

STOP_SECONDS = 20.0
LAST_LINES = 12
NOTHING = '    (nothing)'


class ChildProcess:
    """
    A Python module as a child: `with ChildProcess('node', 'package.module', ...) as node: ...`.

    What it prints goes to a log file. It is ended, gently first, when the with block is left.
    """

    def __init__(self, name: str, module: str, arguments: Sequence[str],
                 environment: Mapping[str, str], log: Path | None = None):
        self.name, self.log = name, log
        self.command = [sys.executable, '-m', module, *arguments]
        self.environment = dict(environment)

    def __enter__(self) -> ChildProcess:
        output = self.log.open('wb') if self.log else None
        self.process = subprocess.Popen(self.command, env=self.environment, stdout=output,
                                        stderr=subprocess.STDOUT if output else None)
        if output:
            output.close()  # the child has its own
        return self

    def __exit__(self, *error: object) -> None:
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def check_alive(self) -> None:
        """Raise ChildProcessError, with the last lines of the log, if the process has ended."""
        code = self.process.poll()
        if code is not None:
            raise ChildProcessError(f'the {self.name} ended by itself with {describe(code)}; '
                                    f'its last words in {self.log}:\n{self.last_lines()}')

    def wait(self, seconds: float) -> bool:
        """Wait for the end of the process, at most so long; tell whether it has ended."""
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def last_lines(self) -> str:
        """Return the end of the log, indented."""
        return last_lines(self.log) if self.log else NOTHING


def last_lines(log: Path) -> str:
    """Return the end of a log, indented."""
    lines = log.read_text(errors='replace').splitlines()
    return '\n'.join(f'    {line}' for line in lines[-LAST_LINES:]) or NOTHING


def describe(code: int) -> str:
    """Return code of a process, below 0 a signal -> words."""
    if code == -signal.SIGKILL:
        return 'SIGKILL, as when memory runs out'
    return f'exit code {code}' if code >= 0 else signal.Signals(-code).name
