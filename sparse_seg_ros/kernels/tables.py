# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The tables of sparse convolutions, one launch each; sparse/padded_level.py defines what is right.

An index map has a border of one pixel around each image, and three more lines after the last.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.nn import functional as F

from sparse_seg_ros.kernels.softmax import ERRORS, check_equal

__all__ = ['ERRORS', 'Placed', 'check', 'place', 'tables_of_inputs', 'table_of_outputs']
BLOCK = 256  # entries of one program
LINES, COLUMNS = 8, 128  # of the index map in one program
SHARES = (4, 2, 2, 1)  # of the nine kernels, by the parity of an input's row and column
ALIGNED = 4  # rows: a table that begins at a multiple of 16 bytes suits the same compiled kernel
NAMES = ('batch', 'height', 'width', 'rows', 'inputs', 'outputs', 'most', 'room', 'padding',
         'lines', 'steps', 'active')  # which come in many sizes, or places


class Placed(NamedTuple):
    """Where the N rows of a level stand; see `place`."""

    flat: Tensor
    sites: Tensor
    index_map: Tensor
    parities: Tensor


def place(mask: Tensor, ranks: Tensor, rows: int, padding: int) -> Placed:
    """
    (B, H, W) bool, (B * H * W,) int32 active pixels up to each, N -> where the N rows stand.

    flat (N,) int64 in the mask, its size for a row that stands for no pixel; sites (N, 3) int64 as
    (b, y, x), zeros for such; index_map as of a PaddedLevel, int32; parities (4, N) bool: whether
    2 * ((y + padding) % 2) + (x + padding) % 2 is 0, 1, 2 and 3.
    """
    batch, height, width = mask.shape
    lines, pitch = batch * (height + 2) + 3, width + 2
    flat, sites, index_map, parities = (
        torch.empty(shape, dtype=dtype, device=mask.device) for shape, dtype in (
            (rows, torch.int64), ((rows, 3), torch.int64), (lines * pitch, torch.int32),
            ((4, rows), torch.bool)))
    with torch.cuda.device_of(mask):
        _place[(triton.cdiv(lines, LINES), triton.cdiv(pitch, COLUMNS))](
            mask.contiguous().view(torch.uint8), ranks, flat, sites, index_map,
            parities.view(torch.uint8), batch, height, width, rows, padding, lines,
            LINES=LINES, COLUMNS=COLUMNS)
    return Placed(flat, sites, index_map, parities)


def table_of_outputs(index_map: Tensor, size_hw: tuple[int, int], inputs: int, sites: Tensor,
                     active: Tensor, stride: int, padding: int) -> Tensor:
    """
    (N, 3) sites of the outputs, (1,) how many stand for a pixel -> (N, 9) int32 rows of inputs.

    index_map, size_hw, inputs: of the inputs' level; its number of rows stands for none.
    """
    table = torch.empty((len(sites), 9), dtype=torch.int32, device=sites.device)
    if len(table):
        with torch.cuda.device_of(sites):
            _read_window[(triton.cdiv(table.numel(), BLOCK),)](
                index_map, sites, active, table, *size_hw, inputs, len(table), padding,
                STRIDE=stride, BLOCK=BLOCK)
    return table


def tables_of_inputs(index_map: Tensor, size_hw: tuple[int, int], sites: Tensor, ranks: Tensor,
                     most: int, padding: int) -> tuple[Tensor, list[Tensor]]:
    """
    Tables of the adjoint of a strided convolution, by the parity of rows and columns.

    index_map, size_hw: of the outputs' level; sites (N, 3) of the inputs; ranks (4, N) int32
    inputs of a parity up to each; most: M, no fewer than of any parity. Returns rows (4, M) int64,
    inputs of each parity, then the last one repeated, and (M, K) int32 rows of outputs each.
    """
    room = triton.cdiv(most, ALIGNED) * ALIGNED
    rows = torch.empty((4, room), dtype=torch.int64, device=sites.device)
    tables = torch.empty(9 * room, dtype=torch.int32, device=sites.device)
    if most:
        with torch.cuda.device_of(sites):
            _find_members[(triton.cdiv(most, BLOCK), 4)](
                index_map, sites, ranks, rows, tables, *size_hw, len(sites), most, room, padding,
                len(sites).bit_length(), BLOCK=BLOCK)
    parts = tables.split([share * room for share in SHARES])
    return rows[:, :most], [part.view(room, share)[:most] for part, share in zip(parts, SHARES)]


def check(device: str) -> None:
    """Make the tables of a small level; RuntimeError where torch has another result."""
    mask = torch.tensor([[[1, 0, 1, 1], [0, 1, 1, 0], [1, 1, 0, 0]]], device=device) > 0
    ranks, rows, size_hw = mask.flatten().cumsum(0, dtype=torch.int32), 9, (3, 4)
    placed = place(mask, ranks, rows, padding=1)
    active, positions = mask.flatten().nonzero()[:, 0], F.pad(mask.nonzero(), (0, 0, 0, 2))
    check_equal(placed.flat, torch.cat((active, active.new_full((2,), 12))))
    check_equal(placed.sites, positions)
    images = (ranks - 1).view_as(mask).masked_fill(~mask, rows)
    wide = F.pad(images, (1, 1, 1, 1), value=rows)
    check_equal(placed.index_map, F.pad(wide.flatten(), (0, 18), value=rows))
    table = table_of_outputs(placed.index_map, size_hw, rows, placed.sites, ranks[-1:], 1, 1)
    windows = F.unfold(wide[None].float(), 3).unflatten(1, (3, 3)).transpose(1, 2).flatten(1, 2)
    want = torch.cat((windows[0][:, active].t(), windows.new_full((2, 9), rows)))
    check_equal(table, want)
    parity = (positions[:, 1] + 1) % 2 * 2 + (positions[:, 2] + 1) % 2
    members = (parity == torch.arange(4, device=device)[:, None]) & (placed.flat < 12)
    check_equal(placed.parities, members)
    found, tables = tables_of_inputs(placed.index_map, size_hw, placed.sites,
                                     members.cumsum(1, dtype=torch.int32), 4, 1)
    for one, (numbers, is_member) in enumerate(zip(found, members)):
        want = is_member.nonzero()[:, 0]
        check_equal(numbers, F.pad(want, (0, 4 - len(want)), value=rows - 1))
        y, x = ((positions[numbers, axis] + 1) // 2 + 1 for axis in (1, 2))
        high = 2 - one // 2
        check_equal(tables[one], torch.stack([wide[0, y - kernel % high, x - kernel // high]
                                              for kernel in range(SHARES[one])], 1))


@triton.jit(do_not_specialize=NAMES)
def _place(mask, ranks, flat, sites, index_map, parities, batch, height, width, rows, padding,
           lines, LINES: tl.constexpr, COLUMNS: tl.constexpr):  # noqa: N803
    """Some lines and columns of the index map, and the rows that stand there or for no pixel."""
    line = (tl.program_id(0).to(tl.int64) * LINES + tl.arange(0, LINES))[:, None]
    column = (tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS))[None, :]
    is_there, spot = (line < lines) & (column < width + 2), line * (width + 2) + column
    image, y, x = line // (height + 2), line % (height + 2) - 1, column - 1
    is_pixel = (image < batch) & (y >= 0) & (y < height) & (x >= 0) & (x < width)
    pixel, pixels = (image * height + y) * width + x, batch.to(tl.int64) * height * width
    is_active = tl.load(mask + pixel, is_pixel, 0) != 0
    row = tl.load(ranks + pixel, is_active, 0) - 1
    tl.store(index_map + spot, tl.where(is_active, row, rows), is_there)
    _put(flat, sites, parities, row, is_active & (row < rows), rows, pixel, image, y, x,
         (y + padding) % 2 * 2 + (x + padding) % 2)
    active = tl.load(ranks + pixels - 1, pixels > 0, 0)
    none = tl.full((LINES, COLUMNS), -1, tl.int32)
    _put(flat, sites, parities, spot, is_there & (spot >= active) & (spot < rows), rows, pixels,
         0, 0, 0, none)


@triton.jit
def _put(flat, sites, parities, row, is_row, rows, position, image, y, x, parity):
    """Write what is known of some rows."""
    tl.store(flat + row, position, is_row)
    tl.store(sites + 3 * row, image, is_row)
    tl.store(sites + 3 * row + 1, y, is_row)
    tl.store(sites + 3 * row + 2, x, is_row)
    for one in tl.static_range(4):
        tl.store(parities + one * rows + row, (parity == one).to(tl.uint8), is_row)


@triton.jit
def _corner(sites, row, is_row, height, width, padding, STRIDE: tl.constexpr,  # noqa: N803
            BACK: tl.constexpr):  # noqa: N803
    """Position in an index map where the window of a site begins, or, of an input, ends."""
    image = tl.load(sites + 3 * row, is_row, 0)
    y, x = tl.load(sites + 3 * row + 1, is_row, 0), tl.load(sites + 3 * row + 2, is_row, 0)
    if BACK:
        y, x = (y + padding) // STRIDE, (x + padding) // STRIDE
    else:
        y, x = y * STRIDE - padding, x * STRIDE - padding
    return (image * (height + 2) + y + 1) * (width + 2) + x + 1


@triton.jit(do_not_specialize=NAMES)
def _read_window(index_map, sites, active, table, height, width, inputs, outputs, padding,
                 STRIDE: tl.constexpr, BLOCK: tl.constexpr):  # noqa: N803
    """One block of a table, entry after entry."""
    entry = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    row, kernel = entry // 9, entry % 9
    is_row = row < tl.minimum(tl.load(active), outputs)
    corner = _corner(sites, row, is_row, height, width, padding, STRIDE, False)
    found = tl.load(index_map + corner + kernel // 3 + kernel % 3 * (width + 2), is_row, inputs)
    tl.store(table + entry, found, row < outputs)


@triton.jit(do_not_specialize=NAMES)
def _find_members(index_map, sites, ranks, members, tables, height, width, rows, most, room,
                  padding, steps, BLOCK: tl.constexpr):  # noqa: N803
    """One block of the inputs of one parity: which row each is, then the outputs it goes to."""
    parity = tl.program_id(1)
    place = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    is_there, row, end = place < most, place * 0, place * 0 + rows
    for _ in range(steps):  # halves what is from the row to the end
        middle = (row + end) // 2
        is_open = is_there & (row < end)
        is_past = tl.load(ranks + parity * rows + middle, is_open, 0) > place
        end = tl.where(is_open & is_past, middle, end)
        row = tl.where(is_open & ~is_past, middle + 1, row)
    row = tl.minimum(row, rows - 1)
    tl.store(members + parity * room + place, row, is_there)
    high, wide = 2 - parity // 2, 2 - parity % 2  # of the window of outputs
    last = _corner(sites, row, is_there, height, width, padding, 2, True)
    table = tables + tl.where(parity == 0, 0, 2 * parity + 2).to(tl.int64) * room
    for kernel in tl.static_range(4):
        if kernel < high * wide:
            step = kernel // high + kernel % high * (width + 2)
            found = tl.load(index_map + last - step, is_there, 0)
            tl.store(table + place * (high * wide) + kernel, found, is_there)
