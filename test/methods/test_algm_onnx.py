# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""With fixed shares no shape depends on the image: the network exports to ONNX, merging inside."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sparse_seg_ros.methods import algm
from sparse_seg_ros.networks.vit.segmenter_vit import SegmenterViT

pytest.importorskip('onnx')
pytest.importorskip('onnxscript')
onnxruntime = pytest.importorskip('onnxruntime')


@pytest.mark.parametrize('decoder', ['mask', 'atm'])
def test_merging_by_share_runs_in_onnxruntime_as_in_torch(decoder, tmp_path):
    torch.manual_seed(0)
    network = SegmenterViT(64, 16, 64, 6, 1, 5, decoder).eval()
    algm.apply(network, algm.Merging((1, 3), rule='share'))
    images = torch.randn(3, 1, 3, 64, 96)
    path = tmp_path / 'network.onnx'
    torch.onnx.export(network, (images[0],), path, dynamo=True, verbose=False)
    session = onnxruntime.InferenceSession(path, providers=['CPUExecutionProvider'])
    for image in images:
        got, = session.run(None, {session.get_inputs()[0].name: image.numpy()})
        with torch.inference_mode():
            np.testing.assert_allclose(got, network(image).numpy(), atol=1e-4)
    assert algm.token_counts(network) == [[16, 16, 13, 13, 13, 13]]
