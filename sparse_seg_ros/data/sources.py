# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Images without labels, wherever they lie: pictures, folders, videos, cameras."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from glob import glob, has_magic
from pathlib import Path
from typing import TypeGuard

from sparse_seg_ros.data import video
from sparse_seg_ros.data.frame import Frame
from sparse_seg_ros.data.picture_files import read_image
from sparse_seg_ros.data.video import VideoFrames

PICTURES = ('.jpg', '.jpeg', '.png', '.bmp', '.webp', '.tif', '.tiff')
EXPECTED = ('a picture, a folder of pictures, a pattern such as "drive/*.jpg", a video '
            f'({", ".join(video.SUFFIXES)}) or the number of a camera')


class PictureFrames:
    """Frames of picture files, each turned upright as its EXIF tag says."""

    def __init__(self, paths: list[Path]):
        self.paths = paths

    def __len__(self) -> int:
        return len(self.paths)

    def __iter__(self) -> Iterator[Frame]:
        for path in self.paths:
            yield Frame(str(path), partial(read_image, path, is_upright=True), name=path.stem)


def open_sources(words: list[str], on_invalid: Callable[[ValueError], None] | None = None
                 ) -> list[PictureFrames | VideoFrames]:
    """
    Words of a user -> all pictures as one source, then every video.

    A word is a picture, a folder, a pattern, a video, or the number of a camera. Raises
    FileNotFoundError for what is not there, ValueError for what is none of these. on_invalid:
    gets the error of a video that cannot be opened, as long as there are other sources.
    """
    items = [item for word in words for item in expand(word)]
    pictures = [item for item in items if is_picture(item)]
    sources: list[PictureFrames | VideoFrames] = [PictureFrames(pictures)] if pictures else []
    errors = []
    for item in items:
        if not is_picture(item):
            try:
                sources.append(VideoFrames(item))
            except ValueError as error:
                errors.append(error)
    if errors and (on_invalid is None or not sources):
        raise errors[0]
    for error in errors:
        on_invalid(error)
    return sources


def is_picture(item: Path | int) -> TypeGuard[Path]:
    """Tell pictures from videos and cameras by the ending of the file."""
    return isinstance(item, Path) and item.suffix.lower() in PICTURES


def expand(word: str) -> list[Path | int]:
    """Return the files, or the camera, that a word stands for; never none."""
    path = Path(word)
    if word.isdecimal() and not path.exists():
        return [int(word)]
    if path.is_dir():
        return files_in(path)
    if not path.exists() and has_magic(word):
        matches = sorted(Path(match) for match in glob(word, recursive=True)
                         if Path(match).is_file())
        if not matches:
            raise FileNotFoundError(f'no file matches {word}; expected {EXPECTED}')
        return [check_kind(match) for match in matches]
    if not path.is_file():
        raise FileNotFoundError(f'no file {word}; expected {EXPECTED}')
    return [check_kind(path)]


def files_in(folder: Path) -> list[Path | int]:
    """Folder -> the pictures and videos in it, by name; ValueError without any."""
    paths = sorted(path for path in folder.iterdir()
                   if path.suffix.lower() in (*PICTURES, *video.SUFFIXES) and path.is_file())
    if not paths:
        raise ValueError(f'{folder} holds no pictures ({", ".join(PICTURES)}) and no videos; '
                         f'expected {EXPECTED}')
    return [*paths]


def check_kind(path: Path) -> Path:
    """Return the path of a picture or video; ValueError for another file."""
    if path.suffix.lower() not in (*PICTURES, *video.SUFFIXES):
        cure = '; a bag is for sparse_seg replay' if path.suffix in ('.mcap', '.db3') else ''
        raise ValueError(f'{path} is neither a picture nor a video; expected {EXPECTED}{cure}')
    return path
