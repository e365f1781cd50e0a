# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Tokens to merge, and loops over windows and pairs that say what merging must give."""

from __future__ import annotations

import math
import random
from functools import partial
from statistics import mean

import torch

from sparse_seg_ros.methods.algm.choices import at_least
from sparse_seg_ros.networks.vit.tokens import Tokens

WINDOWS = [(2, 2), (2, 1), (1, 3), (2, 4), (3, 3)]


def draw_tokens(seed):
    """Draw tokens that resemble few directions, their grid and a window that divides it."""
    chance, generator = random.Random(seed), torch.Generator().manual_seed(seed)
    window = chance.choice(WINDOWS)
    rows, columns = (side * chance.randint(1, 4) for side in window)
    batch, width = chance.randint(1, 3), chance.randint(2, 12)
    directions = torch.randn(3, width, generator=generator, dtype=torch.float64)
    kind = torch.randint(3, (batch, 1 + rows * columns), generator=generator)
    noise = torch.randn(*kind.shape, width, generator=generator, dtype=torch.float64)
    values = directions[kind] + chance.uniform(0.05, 1) * noise
    return Tokens(values, (rows, columns)), window, chance.uniform(-0.2, 1)


def above(threshold):
    return partial(at_least, threshold=threshold)


def cosine(a, b):
    dot, a_length, b_length = (sum(x * y for x, y in zip(*pair)) for pair in
                               ((a, b), (a, a), (b, b)))
    return dot / math.sqrt(a_length * b_length)


def average(rows, weights):
    return [sum(w * x for w, x in zip(weights, column)) / sum(weights) for column in zip(*rows)]


def windows_of(grid_hw, window):
    """Return the tokens of each window; that of a patch is 1 + its place in raster order."""
    (rows, columns), (height, width) = grid_hw, window
    return [[1 + (top + y) * columns + left + x for y in range(height) for x in range(width)]
            for top in range(0, rows, height) for left in range(0, columns, width)]


def local_groups(values, grid_hw, window, threshold):
    """Return windows to merge, the most similar first."""
    found = []
    for members in windows_of(grid_hw, window):
        similarity = mean(cosine(values[i], values[j]) for i in members for j in members if i != j)
        if similarity >= threshold:
            found.append((-similarity, members))
    return [members for _, members in sorted(found)]


def global_pairs(values, threshold):
    """Return (even token, odd token) to merge, the most similar first."""
    best = {}
    for even in range(2, len(values), 2):
        best[even] = max((cosine(values[even], values[odd]), odd)
                         for odd in range(1, len(values), 2))
    least = threshold([similarity for similarity, _ in best.values()])
    found = [(-similarity, even, odd) for even, (similarity, odd) in best.items()
             if similarity >= least]
    return [(even, odd) for _, even, odd in sorted(found)]


def reference_local(batch, grid_hw, window, threshold):
    """Return for each image its merged tokens: groups of tokens, values and sizes in order."""
    chosen = [local_groups(values, grid_hw, window, threshold) for values in batch]
    fewest, result = min(map(len, chosen)), []
    for values, groups in zip(batch, chosen):
        merged = groups[:fewest]
        gone = {member for members in merged for member in members}
        groups = [[0], *merged, *([i] for i in range(1, len(values)) if i not in gone)]
        result.append((groups, [average([values[i] for i in members], [1] * len(members))
                                for members in groups], [len(members) for members in groups]))
    return result


def reference_global(batch, sizes, threshold):
    chosen = [global_pairs(values, threshold) for values in batch]
    fewest, result = min(map(len, chosen)), []
    for values, size, pairs in zip(batch, sizes, chosen):
        match = dict(pairs[:fewest])
        groups = [[even] for even in range(0, len(values), 2) if even not in match]
        groups += [[odd, *(even for even in match if match[even] == odd)]
                   for odd in range(1, len(values), 2)]
        result.append((groups, [average([values[i] for i in members], [size[i] for i in members])
                                for members in groups],
                       [sum(size[i] for i in members) for members in groups]))
    return result


def assert_equal(tokens, reference, before):
    """Compare with the reference; before: groups of the tokens that it merged."""
    for image, (groups, values, sizes) in enumerate(reference):
        place = {member: index for index, members in enumerate(groups) for member in members}
        assert tokens.groups[image].tolist() == [place[i] for i in before[image].tolist()]
        assert tokens.sizes[image].tolist() == sizes
        torch.testing.assert_close(tokens.values[image], torch.tensor(values, dtype=torch.float64),
                                   atol=1e-12, rtol=0)
