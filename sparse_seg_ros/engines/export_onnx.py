# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Network -> ONNX file for images of one shape, by torch's exporter, and its check.

The graph is typed: in fp16 or bf16 all weights and layers are, between two casts, so that a
strongly typed TensorRT network of any version computes in just that precision. Images and logits
stay float32. ONNX has no average pooling onto grids that do not divide the map, so it becomes two
products with the matrices that average rows and columns. Sigmoids are spelt out.
"""

from __future__ import annotations

import copy
import logging
import tempfile
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sparse_seg_ros.device import PRECISIONS
from sparse_seg_ros.engines import with_onnxruntime
from sparse_seg_ros.engines.contract import (
    LOGITS,
    MAP,
    Outputs,
    Shape,
    as_outputs,
    as_tuple,
)
from sparse_seg_ros.engines.operators import check_operators
from sparse_seg_ros.engines.self_check import Agreement, Reference, SelfCheckError, compare

INSTALL = "pip install -e '.[engines]'"
OPSETS = {'fp32': 18, 'fp16': 18, 'bf16': 22}  # convolutions in bf16 came with 22
LEAST_AGREEMENT = 0.999  # of the labels of an accepted file with torch's
SILENCING = threading.Lock()  # levels and warnings are those of the whole process


class Typed(nn.Module):
    """A network that computes in one precision, between float32 images and float32 logits."""

    def __init__(self, network: nn.Module, dtype: torch.dtype):
        super().__init__()
        self.network, self.dtype = copy.deepcopy(network).cpu().to(dtype).eval(), dtype
        for module in self.network.modules():
            if hasattr(module, 'set_attn_implementation'):  # of transformers
                module.set_attn_implementation('eager')  # the fused one cannot be traced in Swin

    def forward(self, images: Tensor) -> Outputs:
        return as_outputs(as_tuple(self.network(images.to(self.dtype))))


def export(network: nn.Module, path: Path, shape: Shape, precision: str,
           reference: Reference) -> dict[str, Any]:
    """
    Write a checked ONNX file -> what was found, for its sidecar.

    Raises ValueError if the network cannot be exported or TensorRT would not take it, and
    SelfCheckError if ONNX Runtime does not say what torch says; no file is left then.
    """
    with_onnxruntime.version()  # it is missing? say so before the long work
    try:
        write(network, path, shape, precision)
        agreement = verify(network, path, shape, precision, reference)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return {'onnx_labels_equal': agreement.labels,
            'onnx_mean_difference': agreement.mean_difference,
            'onnx_largest_difference': agreement.largest_difference,
            'onnx_widest_tie': agreement.widest_tie}


def write(network: nn.Module, path: Path, shape: Shape, precision: str) -> None:
    """Trace a network for one shape -> ONNX file with nodes that TensorRT takes."""
    if any(getattr(module, 'looks_at_image', False) for module in network.modules()):
        raise ValueError('a network whose steps depend on the image has no engine, and this one '
                         'merges or leaves out a part of it; export it with method dense')
    names = [LOGITS, *(MAP.format(index) for index in range(getattr(network, 'map_count', 0)))]
    typed = Typed(network, PRECISIONS[precision])
    model = trace(typed, shape, OPSETS[precision], names).model_proto
    check_operators(model.graph.node)
    if precision == 'bf16':
        match_weights(model)
    path.write_bytes(model.SerializeToString())


def match_weights(model: Any) -> None:
    """Turn to bf16 the weights that fusing norms into convolutions left in float32."""
    from onnx import TensorProto, numpy_helper
    used = {name for node in model.graph.node if node.op_type == 'Conv' for name in node.input}
    for weight in model.graph.initializer:
        if weight.name in used and weight.data_type == TensorProto.FLOAT:
            numbers = torch.from_numpy(numpy_helper.to_array(weight).copy()).bfloat16()
            weight.raw_data = numbers.view(torch.int16).numpy().tobytes()
            weight.data_type = TensorProto.BFLOAT16


def trace(network: nn.Module, shape: Shape, opset: int, names: Sequence[str]) -> Any:
    """Network, (B, 3, h, w) -> torch.onnx.ONNXProgram, constants folded."""
    onnxscript_opset()
    try:
        with only_errors('torch.onnx', 'onnxscript'):
            return torch.onnx.export(
                network, (torch.zeros(shape),), dynamo=True, verbose=False, optimize=True,
                opset_version=opset, input_names=['images'], output_names=names,
                custom_translation_table={
                    torch.ops.aten._adaptive_avg_pool2d.default: average_onto_grid,
                    torch.ops.aten.sigmoid.default: exact_sigmoid})
    except torch.onnx.errors.OnnxExporterError as error:
        reason = str(error.__cause__ or error).strip().partition('\n')[0]
        raise ValueError(f'torch could not export the network ({reason}); engines are for '
                         'networks whose steps do not depend on the image') from None


@contextmanager
def only_errors(*names: str) -> Iterator[None]:
    """
    Silence warnings of Python and of loggers: of packages and foldings that are not needed here.

    One thread at a time, or the second would take what the first has set for what was there.
    """
    logs = [logging.getLogger(name) for name in names]
    with SILENCING, warnings.catch_warnings():
        warnings.simplefilter('ignore')
        levels = [log.level for log in logs]
        try:
            for log in logs:
                log.setLevel(logging.ERROR)
            yield
        finally:
            for log, level in zip(logs, levels):
                log.setLevel(level)


def onnxscript_opset() -> Any:
    """Return the operators to write a translation in; ImportError, with the cure, without them."""
    try:
        import onnx  # noqa: F401
        from onnxscript import opset18
    except ImportError as error:
        raise ImportError(f'export to ONNX needs onnx and onnxscript ({error}); {INSTALL}'
                          ) from None
    return opset18


def average_onto_grid(x: Any, output_size: Any) -> Any:
    """(B, C, H, W), (h, w) -> (B, C, h, w), each cell the mean of the pixels that it covers."""
    op = onnxscript_opset()
    (height, width), (rows, columns) = x.shape[-2:], map(int, output_size)
    if height % rows == 0 and width % columns == 0:
        window = [height // rows, width // columns]
        return op.AveragePool(x, kernel_shape=window, strides=window)
    matrices = (averaging(height, rows), averaging(width, columns).T)
    over_rows, over_columns = (op.CastLike(op.Constant(value=to_onnx(matrix)), x)
                               for matrix in matrices)
    return op.MatMul(op.MatMul(over_rows, x), over_columns)


def exact_sigmoid(x: Any) -> Any:
    """
    1 / (1 + exp(-x)), true in the tail: ONNX Runtime's own on a CPU is 0 from -18 down.

    Mask2Former takes the logarithm of such numbers.
    """
    op = onnxscript_opset()
    return op.Reciprocal(op.Add(op.Exp(op.Neg(x)), op.CastLike(op.Constant(value_float=1.0), x)))


def averaging(length: int, cells: int) -> np.ndarray:
    """(cells, length) float32: row i averages the pixels that cell i of an even grid covers."""
    matrix = np.zeros((cells, length), np.float32)
    for cell in range(cells):
        start, end = cell * length // cells, -(-(cell + 1) * length // cells)
        matrix[cell, start:end] = 1 / (end - start)
    return matrix


def to_onnx(array: np.ndarray) -> Any:
    """Array -> ONNX tensor."""
    from onnx import numpy_helper
    return numpy_helper.from_array(np.ascontiguousarray(array))


def verify(network: nn.Module, path: Path, shape: Shape, precision: str,
           reference: Reference) -> Agreement:
    """
    Run an ONNX file on the CPU -> how near it is to torch; SelfCheckError if not near enough.

    ONNX Runtime has no bf16 on the CPU: of such a file the graph in fp32 is run instead.
    """
    if precision in with_onnxruntime.PRECISIONS:
        engine = with_onnxruntime.load(path, 'cpu', shape, precision)
    else:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / 'fp32.onnx'
            write(network, path, shape, 'fp32')
            engine = with_onnxruntime.load(path, 'cpu', shape, 'fp32')
    logits = as_tuple(engine(reference.images))[0][..., ::reference.step, ::reference.step]
    agreement = compare(logits, reference.logits)
    if not agreement.labels >= LEAST_AGREEMENT:
        raise SelfCheckError(f'the exported ONNX file was removed: {agreement}, needed: '
                             f'{LEAST_AGREEMENT:.1%} of the labels; use a higher precision')
    return agreement
