# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The ONNX operators that TensorRT's parser takes, of those that a dense network may export to.

From the support matrix of NVIDIA's parser for TensorRT 10.1 (operator sets 9 to 20), older than
the 10.3 of JetPack 6; later ones take them, too. What it restricts (pooling in two or three
dimensions, Resize without antialiasing) the networks here keep to.
"""

from __future__ import annotations

from collections.abc import Iterable

TENSORRT_OPERATORS = frozenset("""
    Abs Add And ArgMax AveragePool BatchNormalization Cast Ceil Clip Concat Constant
    ConstantOfShape Conv ConvTranspose Cos CumSum DepthToSpace Div Dropout Einsum Elu Equal Erf
    Exp Expand Flatten Floor Gather GatherElements GatherND Gelu Gemm GlobalAveragePool
    GlobalMaxPool Greater GreaterOrEqual GridSample GroupNormalization HardSigmoid HardSwish
    Identity InstanceNormalization LayerNormalization LeakyRelu Less LessOrEqual Log LogSoftmax
    LpNormalization MatMul Max MaxPool Mean Min Mod Mul Neg Not Pad Pow PRelu Range Reciprocal
    ReduceL2 ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare Relu Reshape
    Resize Round Shape Sigmoid Sin Size Slice Softmax Softplus Split Sqrt Squeeze Sub Sum Tanh
    Tile TopK Transpose Unsqueeze Where
""".split())


def check_operators(nodes: Iterable) -> None:
    """Raise ValueError, naming the first of them, for ONNX nodes that TensorRT would not take."""
    for node in nodes:
        if node.domain not in ('', 'ai.onnx') or node.op_type not in TENSORRT_OPERATORS:
            raise ValueError(
                f'node {node.name!r} became the ONNX operator {node.domain}:{node.op_type}, which '
                'is not in the table of those that TensorRT takes (engines/operators.py); write '
                'that part of the network with other operations')
