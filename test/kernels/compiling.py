# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Compile every kernel for GPUs that need not be there: `python compiling.py 87 89 90`.

Prints, as JSON by compute capability and name of a case: products on tensor cores and asynchronous
copies in the PTX, bytes of shared memory, and bytes of a thread's stack, to which registers spill.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
import triton
import triton.language as tl
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from sparse_seg_ros.kernels import ensemble, image, result, scores, tables
from sparse_seg_ros.kernels.softmax import tile_of
from sparse_seg_ros.sparse import with_triton
from sparse_seg_ros.sparse.tuning import Shape, default_launch

CUOBJDUMP = Path(triton.__file__).parent / 'backends/nvidia/bin/cuobjdump'
POINTERS = {
    **dict.fromkeys(('features', 'weight', 'shift', 'residual', 'grad', 'logits', 'fine'),
                    '*fp16'),
    **dict.fromkeys(('scale', 'bias', 'sums', 'mean', 'std', 'scores', 'threshold', 'uncertainty',
                     'confidence', 'coarse', 'gate', 'gate_bias', 'weigh', 'weigh_bias', 'fuse',
                     'fuse_bias', 'again', 'again_bias'), '*fp32'),
    **dict.fromkeys(('table', 'active', 'histogram', 'upper', 'rank', 'ranks', 'index_map',
                     'tables'), '*i32'),
    **dict.fromkeys(('rows', 'positions', 'flat', 'sites', 'members'), '*i64'),
    **dict.fromkeys(('images', 'selected', 'labels', 'refined', 'mask', 'parities'), '*u8')}
REALS = ('log_floor', 'y_ratio', 'x_ratio', 'mask_y_ratio', 'mask_x_ratio', 'sharpness', 'per_nat')


def cases():
    """Yield name, kernel, types of pointers that differ, constants and options."""
    half, bfloat = torch.float16, torch.bfloat16
    for width, dtype in ((16, half), (64, bfloat), (1024, half)):
        how = default_launch(Shape(9, width, width, dtype))
        yield f'multiply {width} {dtype}', with_triton._gather_and_multiply, {
            'out': '*fp16'}, dtype, {
            'HAS_ROWS': True, 'HAS_ACTIVE': True, 'HAS_NORM': True, 'HAS_SHIFT': True,
            'HAS_RESIDUAL': True,
            'KERNELS': 9, 'CIN': width, 'COUT': width, 'BLOCK_ROWS': how.rows,
            'BLOCK_COLUMNS': how.columns, 'BLOCK_CHANNELS': how.channels, 'SUM': tl.float32
        }, {'num_warps': how.warps, 'num_stages': how.stages}
    yield 'multiply_weight', with_triton._sum_products, {}, torch.float16, {
        'HAS_ROWS': True, 'KERNELS': 9, 'CIN': 64, 'COUT': 64, 'CHUNK_ROWS': 4096,
        'BLOCK_ROWS': 64, 'BLOCK_CIN': 64, 'BLOCK_COUT': 64, 'SUM': tl.float32
    }, {'num_warps': 4, 'num_stages': 3}
    yield 'normalise', image._normalise, {'out': '*fp16'}, None, {'BLOCK': image.BLOCK}, {}
    yield 'entropy', scores._measure, {'logits': '*fp32'}, None, tile_of(150), {}
    for classes in (19, 150):
        yield f'finish {classes}', result._write, {'logits': '*fp32', 'fine': '*fp32'}, None, {
            'WANTS_CONFIDENCE': True, **tile_of(classes)}, {}
    yield 'ensemble', ensemble._ensemble, {
        'refined': '*fp32', 'out': '*fp32', 'sites': 'i32'}, None, {
        'IS_SOFTMAX': True, 'PIXELS': 4, 'CLASSES': 32, 'CLASS_BLOCK': 32, 'HIDDEN': 64,
        'SITES': ensemble.SITES, 'TYPE': tl.float32}, {}
    whole = {'rows': 'i32'}  # a number of them here
    yield 'place', tables._place, whole, None, {
        'LINES': tables.LINES, 'COLUMNS': tables.COLUMNS}, {}
    yield 'outputs', tables._read_window, {}, None, {'STRIDE': 2, 'BLOCK': tables.BLOCK}, {}
    yield 'inputs', tables._find_members, whole, None, {'BLOCK': tables.BLOCK}, {}
    lower = {'IS_LOWER': True, 'BINS': scores.BINS}
    yield 'count', scores._count, {}, None, {**lower, 'BLOCK': scores.COUNTED}, {}
    yield 'find', scores._find, {}, None, {**lower, 'CHUNK': scores.CHUNK}, {}


def compiled(kernel, pointers, dtype, constants, options, capability):
    """Return what Triton makes of a kernel for a compute capability."""
    pointers = {**POINTERS, **pointers}
    if dtype == torch.bfloat16:
        pointers = {name: kind.replace('*fp16', '*bf16') for name, kind in pointers.items()}
    types = {**pointers, **dict.fromkeys(REALS, 'fp32'), **dict.fromkeys(constants, 'constexpr')}
    place = {name: (i,) for i, name in enumerate(kernel.arg_names)}
    source = ASTSource(
        fn=kernel, signature={name: types.get(name, 'i32') for name in place},
        constexprs={place[name]: value for name, value in constants.items()},
        attrs={place[name]: [['tt.divisibility', 16]] for name, kind in pointers.items()
               if name in place and kind.startswith('*')})
    return triton.compile(source, target=GPUTarget('cuda', capability, 32), options=options)


def spilled(cubin: bytes) -> int | None:
    """Return the bytes of local memory of a thread; None without a tool that reads them."""
    if not CUOBJDUMP.is_file():
        return None
    with TemporaryDirectory() as folder:
        path = Path(folder) / 'kernel.cubin'
        path.write_bytes(cubin)
        ran = subprocess.run([CUOBJDUMP, '--dump-resource-usage', path], capture_output=True,
                             text=True, check=True)
    stack, local = re.findall(r'STACK:(\d+) .*LOCAL:(\d+)', ran.stdout)[0]
    return int(stack) + int(local)


def describe(case: tuple, capability: int) -> dict[str, int | None]:
    """Return what becomes of a case on a GPU."""
    built = compiled(*case, capability)
    ptx = built.asm['ptx']
    return {'products': len(re.findall(r'\b(?:mma\.sync|wgmma\.mma_async)', ptx)),
            'copies': len(re.findall(r'cp\.async\.c', ptx)),
            'shared': built.metadata.shared, 'spilled': spilled(built.asm['cubin'])}


def main(*capabilities: int) -> None:
    """Print what becomes of every case."""
    print(json.dumps({capability: {name: describe(case, capability) for name, *case in cases()}
                      for capability in capabilities}))


if __name__ == '__main__':
    main(*map(int, sys.argv[1:]))
