# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Where the files of a data set lie: one description a data set, and one way to pair its files.

A path is written with its varying parts in braces: {split} is the folder of a split; any other
part stands for what is the same in the paths of an image and of its label.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from sparse_seg_ros.texts import cut

PART = re.compile(r'\{(\w+)\}')
SUFFIX = '(?i:jpg|jpeg|png)'  # what {suffix} stands for
SUFFIX_WORDS = {'suffix': '{jpg,jpeg,png}'}  # the same in messages
ANY = '*'


@dataclass(frozen=True)
class Layout:
    """
    One form in which a data set is published.

    image, label: paths from the root of the data set. form: of the label files, a name under
    'files' of the label set; '': its only one. listing: path of a file that names the frames of a
    split, a line each: what {frame} is, or the paths of image and label.
    """

    image: str
    label: str
    form: str = ''
    listing: str = ''

    def images(self, root: Path, parts: Mapping[str, str]) -> dict[Path, Path]:
        """Root and known parts of paths -> image -> its label, as the layout wants them."""
        if self.listing:
            listing = root / fill(self.listing, parts)
            return dict(self.listed(root, listing, parts)) if listing.is_file() else {}
        named = {path: parts_of(path.relative_to(root), self.image)
                 for path in files(root, self.image, parts)}
        return {path: root / fill(self.label, known) for path, known in named.items() if known}

    def image_of(self, label: Path, root: Path) -> Path:
        """Path of a label -> that of its image; what it does not tell stays in braces."""
        known = parts_of(label.relative_to(root), self.label)
        return root / fill(self.image, SUFFIX_WORDS | known)

    def listed(self, root: Path, listing: Path, parts: Mapping[str, str]
               ) -> Iterator[tuple[Path, Path]]:
        """Yield image and label of each line of a listing."""
        for line in map(str.strip, listing.read_text('utf-8-sig', 'replace').splitlines()):
            if line and not self.image:
                yield pair_of(line, root, listing)
            elif line:
                named = {**parts, 'frame': line}
                if not (root / fill(self.image, named)).is_file():
                    named['frame'] = line.split()[0]  # lists of one class have a second word
                yield root / fill(self.image, named), root / fill(self.label, named)

    def labels(self, root: Path, parts: Mapping[str, str]) -> set[Path]:
        """Return the label files of a split; of one that is listed, those of its frames."""
        if self.listing:
            return {path for path in self.images(root, parts).values() if os.path.lexists(path)}
        return set(files(root, self.label, parts))

    def splits(self, root: Path) -> set[str]:
        """Return the names of the splits whose images or list, and labels, are in a folder."""
        path = self.listing or self.image
        names = {parts_of(place.relative_to(root), path).get('split', '')
                 for place in files(root, path, {})} - {''}
        return {name for name in names if self.labels(root, {'split': name})}

    def describe(self, parts: Mapping[str, str]) -> str:
        """Return the layout in words."""
        known = SUFFIX_WORDS | {name: value for name, value in parts.items() if ANY not in value}
        image, label, listing = (fill(path, known)
                                 for path in (self.image, self.label, self.listing))
        named = f'the frames named in {listing}' if listing else ''
        return f'{image} with {label}' + (f', {named}' if named else '') if image else named


@dataclass(frozen=True)
class DataSet:
    """
    A data set: its label set and the forms in which it is published.

    labels: name of its label set; '': the labels.yaml in its root, if there is one. splits: name
    of a split -> the parts of paths that it stands for, if it is no folder named {split}. cure:
    what to do where no form fits.
    """

    labels: str
    layouts: tuple[Layout, ...]
    splits: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    cure: str = ''

    def pairs(self, root: Path, split: str) -> tuple[Layout, list[tuple[Path, Path]]]:
        """
        Root and split -> the form that lies there, and its images with their labels.

        Raises FileNotFoundError where no form does, ValueError for a file without its partner.
        """
        parts = self.parts(split)
        if not root.is_dir():
            raise FileNotFoundError(f'no folder {root}; {self.expect(parts)}')
        for layout in self.fitting(parts):
            images, labels = layout.images(root, parts), layout.labels(root, parts)
            if images and labels:
                check_partners(images)
                check_twins(images)
                lonely = sorted(labels - {*images.values()})
                if lonely:
                    image = layout.image_of(lonely[0], root)
                    raise ValueError(f'{lonely[0]} has no image {image}; {how_to_get(image)}, or '
                                     'remove the label')
                return layout, sorted(images.items())
        raise FileNotFoundError(f'{root} holds {self.what_is_there(root, parts)}; '
                                f'{self.expect(parts)}')

    def parts(self, split: str) -> Mapping[str, str]:
        """Name of a split -> the known parts of its paths; ValueError for one that is unknown."""
        if split in self.splits:
            return self.splits[split]
        if not self.fitting({'split': split}):
            raise ValueError(f'the split must be one of {", ".join(self.splits)}, got '
                             f'{cut(repr(split))}')
        return {'split': split}

    def fitting(self, parts: Mapping[str, str]) -> list[Layout]:
        """Return the forms that have a folder or list for a split, or those that have none."""
        return [layout for layout in self.layouts
                if ('{split}' in layout.image + layout.listing) == ('split' in parts)]

    def what_is_there(self, root: Path, parts: Mapping[str, str]) -> str:
        """Return what of a split is in a folder, in words."""
        images = [*chain.from_iterable(
            layout.images(root, parts) for layout in self.fitting(parts))]
        if any(map(os.path.lexists, images)):
            return 'images of this split without labels'
        if any(layout.labels(root, parts) for layout in self.fitting(parts)):
            return 'labels of this split without images'
        if images:
            return f'a list of this split, but not {images[0]}'
        others = sorted({name for layout in self.layouts for name in layout.splits(root)})
        return 'no frames of this split' + (f', but of {cut(", ".join(others))}' if others else '')

    def expect(self, parts: Mapping[str, str]) -> str:
        """Return the layouts that are read, in words."""
        known = ', or '.join(dict.fromkeys(
            layout.describe(parts) for layout in self.fitting(parts)))
        return f'expected {known}' + (f'; {self.cure}' if self.cure else '')


def check_partners(images: Mapping[Path, Path]) -> None:
    """Raise ValueError unless each image is there, and its label."""
    for image, label in images.items():
        for path in (image, label):
            if path.is_symlink() and not path.exists():
                raise ValueError(f'{path} is a link to {os.readlink(path)}, which is not there; '
                                 'fetch that file')
        if not image.is_file():
            raise ValueError(f'no image {image}, which is listed; {how_to_get(image)}')
        if not label.is_file():
            raise ValueError(f'{image} has no label {label}; {how_to_get(label)}, or remove the '
                             'image')


def how_to_get(path: Path) -> str:
    """Path of a file that is not there -> what to do: rename one in capitals, or copy it."""
    near = (other for other in path.parent.glob('*') if other.name.lower() == path.name.lower())
    found = next(near, path)
    return 'copy it there' if found == path else f'rename {found.name} to that'


def check_twins(images: Mapping[Path, Path]) -> None:
    """Raise ValueError where two images have one label."""
    owners: dict[Path, Path] = {}
    for image, label in images.items():
        if owners.setdefault(label, image) != image:
            raise ValueError(f'{image} and {owners[label]} have one label, {label}; remove one '
                             'of the images')


def pair_of(line: str, root: Path, listing: Path) -> tuple[Path, Path]:
    """Line "image label" -> its two paths, divided where both files exist: names have blanks."""
    pairs = [(root / line[:gap.start()], root / line[gap.end():])
             for gap in re.finditer(r'\s+', line)]
    words = line.split()
    if len(words) < 2:
        raise ValueError(f'{listing}: expected "image label" on every line, got {cut(repr(line))}')
    return next((pair for pair in pairs if pair[0].is_file() and pair[1].is_file()),
                (root / words[0], root / words[-1]))


def fill(path: str, parts: Mapping[str, str]) -> str:
    """Path with parts in braces -> the path; a part that is not known stays as it is."""
    return PART.sub(lambda match: parts.get(match[1], match[0]), path)


def parts_of(path: Path, pattern: str) -> dict[str, str]:
    """Path, and the same with parts in braces -> the parts; empty where it does not fit."""
    match = re.fullmatch(PART.sub(named_group, pattern.replace('.', r'\.')), path.as_posix())
    return match.groupdict() if match else {}


def files(root: Path, path: str, parts: Mapping[str, str]) -> list[Path]:
    """Return the files and links that a path with parts stands for; hidden ones are none."""
    pattern = PART.sub(lambda match: escaped(parts.get(match[1], ANY)), path)
    return [path for path in sorted(root.glob(pattern))
            if not path.is_dir() and not path.name.startswith('.')]


def escaped(part: str) -> str:
    """Known part of a path -> a pattern for it: only * and [!9] are patterns already."""
    return part if ANY in part else glob.escape(part)


def named_group(match: re.Match) -> str:
    """Part in braces -> a group of a regular expression."""
    return f'(?P<{match[1]}>{SUFFIX if match[1] == "suffix" else "[^/]+"})'
