# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Which files a bag has, and how each is opened: by its content, not by its name.

metadata.yaml only says the order of the files and the number of messages. A bag is read even if
its metadata.yaml is absent, damaged or wrong.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from sparse_seg_ros.bags import mcap_file, ros1_file, sqlite_file
from sparse_seg_ros.bags.bag_messages import DAMAGE, ZSTD_MAGIC, BagError, zstd
from sparse_seg_ros.texts import one_line

SUFFIXES = ('.mcap', '.db3', '.mcap.zstd', '.db3.zstd')
ROS_1_SUFFIXES = ('.bag', '.bag.active')
PART = '.part'  # added to the name of a bag while it is written
PICTURES = ('.jpg', '.jpeg', '.png', '.bmp', '.tif', '.tiff', '.webp')
VIDEOS = ('.mp4', '.avi', '.mkv', '.mov', '.webm', '.m4v')
METADATA_BYTES = 16 * 2 ** 20
BLOCK_BYTES = 2 ** 20
BagFile = mcap_file.McapFile | sqlite_file.SqliteFile | ros1_file.Ros1File


@dataclass(frozen=True)
class Listing:
    """The data files of a bag in their order, and what metadata.yaml says beside."""

    files: tuple[Path, ...]
    message_count: int = 0
    missing: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def list_files(path: Path) -> Listing:
    """Return the data files of a folder, or of a file itself."""
    if path.is_file():
        return Listing((path,))
    if path.suffix == PART and (path / path.stem).is_dir():
        return replace(list_files(path / path.stem), notes=(
            f'{path} is the beginning of a bag; the process that wrote it was killed',))
    found = files_that_end(path, SUFFIXES) or files_that_end(path, ROS_1_SUFFIXES)
    listing = read_metadata(path)
    if not found:
        raise BagError(f'{path} {why_no_bag(path, listing.missing)}')
    return reconcile(listing, tuple(found))


def files_that_end(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """Return the files of a folder with one of the endings, in the order of their numbers."""
    return sorted((file for file in folder.iterdir() if file.name.endswith(suffixes)),
                  key=natural_order)


def reconcile(listing: Listing, paths: tuple[Path, ...]) -> Listing:
    """Compare what metadata.yaml names with the files that are there -> those to read."""
    others = [file for file in paths if file not in listing.files]
    names = ', '.join(file.name for file in others)
    if not listing.files and not listing.missing:
        return replace(listing, files=paths)
    if others and len(others) == len(listing.missing):
        return replace(listing, files=paths, missing=(), notes=(
            f'metadata.yaml names {", ".join(listing.missing)}, which is not there; {names} is '
            'read instead',))
    if others:
        return replace(listing, notes=(f'metadata.yaml does not name {names}, which is left out; '
                                       'give such a file by itself',))
    return listing


def natural_order(path: Path) -> list[tuple[bool, int | str]]:
    """Return a key that sorts drive_2 before drive_10."""
    return [(not part.isdigit(), int(part) if part.isdigit() else part)
            for part in re.split(r'(\d+)', path.name) if part]


def read_metadata(folder: Path) -> Listing:
    """Return what the metadata.yaml of a folder tells; nothing where it cannot be read."""
    try:
        names, count = parse_metadata(folder / 'metadata.yaml')
    except FileNotFoundError:
        return Listing(())
    except (*DAMAGE, yaml.YAMLError, RecursionError) as error:
        return Listing((), notes=(f'metadata.yaml of {folder} cannot be read '
                                  f'({one_line(error)}); the bag is read without it',))
    return Listing(tuple(folder / name for name in names if (folder / name).exists()), count,
                   tuple(name for name in names if not (folder / name).exists()))


def parse_metadata(path: Path) -> tuple[list[str], int]:
    """Return the names of the data files and the number of messages."""
    if path.stat().st_size > METADATA_BYTES:
        raise ValueError(f'it is larger than {METADATA_BYTES} bytes')
    loader = getattr(yaml, 'CSafeLoader', yaml.SafeLoader)
    content = yaml.load(path.read_text(), loader)['rosbag2_bagfile_information']
    names, count = content.get('relative_file_paths') or [], content.get('message_count', 0)
    return [Path(name).name for name in names], count if isinstance(count, int) else 0


def why_no_bag(folder: Path, missing: Sequence[str]) -> str:
    """Say what a folder without data files is."""
    if missing:
        return (f'has a metadata.yaml that names {", ".join(missing)}, and no data file; copy '
                'the whole folder')
    inside = [path.suffix.lower() for path in folder.iterdir()]
    if any(suffix in PICTURES for suffix in inside):
        return ('is a folder of pictures, not a bag; score them with `sparse_seg evaluate '
                '--frames`, or segment them in Python: sparse_seg_ros.load()')
    return 'holds no .mcap, .db3 or .bag file; give the folder of a rosbag2 recording'


def open_file(path: Path, folder: Path) -> BagFile:
    """Open a data file; folder is for the copies of files that cannot be read in place."""
    try:
        return open_content(path, folder)
    except BagError:
        raise
    except OSError as error:
        cure = '; set TMPDIR to a folder with room for a copy' if error.errno == errno.ENOSPC \
            else ''
        raise BagError(f'cannot read bag {path}: {one_line(error)}{cure}') from None
    except (*DAMAGE, sqlite_file.sqlite3.Error) as error:
        cure = f'try `sqlite3 {path.name} .recover`' if path.suffix == '.db3' else 'copy it again'
        raise BagError(f'cannot read bag {path}: {one_line(error)}; it is damaged or was cut '
                       f'short: {cure}') from None


def open_content(path: Path, folder: Path) -> BagFile:
    """Open a file by its first bytes."""
    damage, source = [], path
    with path.open('rb') as file:
        start = file.read(16)
    if start.startswith(ZSTD_MAGIC):
        source, damage = unpack(path, folder)
        with source.open('rb') as file:
            start = file.read(16)
    if start.startswith(mcap_file.MAGIC):
        opened = mcap_file.McapFile(source)
    elif start == sqlite_file.MAGIC:
        opened = sqlite_file.SqliteFile(source, folder)
    elif start.startswith(ros1_file.MAGIC):
        opened = ros1_file.Ros1File(source)
    else:
        raise BagError(f'{path} {damage[0] if damage else what_it_is(path, start)}')
    opened.damage[:] = damage or opened.damage
    return opened


def unpack(path: Path, folder: Path) -> tuple[Path, list[str]]:
    """Decompress a file of `--compression-mode file` -> (copy, what is wrong with it)."""
    copy, unpacker = folder / path.name.removesuffix('.zstd'), zstd.ZstdDecompressor()
    with path.open('rb') as source, copy.open('wb') as target:
        try:
            while not unpacker.eof:
                block = source.read(BLOCK_BYTES) if unpacker.needs_input else b''
                if unpacker.needs_input and not block:
                    break
                target.write(unpacker.decompress(block, BLOCK_BYTES))
        except zstd.ZstdError as error:
            return copy, [f'is damaged ({one_line(error)})']
    return copy, [] if unpacker.eof else ['was cut short']


def what_it_is(path: Path, start: bytes) -> str:
    """Say what a file is that is no bag, and what to do."""
    suffix = path.suffix.lower()
    if start.startswith(ros1_file.NAME):
        return 'is a ROS 1 bag of another version than 2.0; migrate it in ROS 1 with `rosbag fix`'
    if not start.strip(b'\0'):
        return 'is empty: its recorder was killed before it wrote anything'
    if start.startswith(b'version https://'):
        return 'is a Git LFS pointer, not the file itself; run `git lfs pull`'
    if suffix in VIDEOS or start[4:8] == b'ftyp':
        return ('is a video, not a bag; record it as a bag first, as with image_publisher and '
                '`ros2 bag record`')
    if suffix in PICTURES:
        return 'is a picture, not a bag; segment it in Python: sparse_seg_ros.load()'
    return ('is no MCAP, SQLite or ROS 1 bag file; give a rosbag2 folder, or its .mcap or .db3 '
            'file, or a .bag file')


def check_is_of_ros_2(path: Path, files: list[Any]) -> None:
    """Raise BagError where no message at all is of ROS 2."""
    foreign = sorted({encoding for file in files for _, encoding in file.foreign.values()})
    if foreign and not any(file.connections for file in files):
        cure = 'give the .bag that it came from instead' if foreign == ['ros1'] \
            else 'record it with `ros2 bag record`'
        raise BagError(f'bag {path} holds no messages of ROS 2 (CDR) but '
                       f'{", ".join(foreign)}; {cure}')
