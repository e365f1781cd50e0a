# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Files of weights that claim more than they hold."""

from __future__ import annotations

import json
import struct
import zipfile

import pytest
import torch

from sparse_seg_ros.loading.checkpoints import read_safetensors, read_tensors


def write_safetensors(path, header: dict, length: int | None = None) -> None:
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack('<Q', len(text) if length is None else length) + text)


HEADERS = {
    'a header of terabytes': ({}, 1 << 42),
    'a tensor of terabytes': ({'w': {'dtype': 'F32', 'shape': [1 << 20, 1 << 20],
                                     'data_offsets': [0, 4 << 40]}}, None),
    'a tensor larger than its bytes': ({'w': {'dtype': 'F32', 'shape': [1 << 40],
                                              'data_offsets': [0, 0]}}, None)}


@pytest.mark.parametrize('name', HEADERS)
def test_a_safetensors_file_that_claims_more_than_it_has_is_refused(tmp_path, name):
    write_safetensors(tmp_path / 'x.safetensors', *HEADERS[name])
    with pytest.raises(ValueError, match='not a complete safetensors file'):
        read_safetensors(tmp_path / 'x.safetensors')


def test_a_compressed_torch_file_is_refused_before_it_is_unpacked(tmp_path):
    plain, bomb = tmp_path / 'plain.pth', tmp_path / 'bomb.pth'
    torch.save({'w': torch.zeros(1 << 18)}, plain)
    assert read_tensors(plain)['w'].shape == (1 << 18,)
    with zipfile.ZipFile(plain) as archive, \
            zipfile.ZipFile(bomb, 'w', zipfile.ZIP_DEFLATED) as out:
        for part in archive.infolist():
            out.writestr(part.filename, archive.read(part))
    with pytest.raises(ValueError, match=r'got \d+ bytes that unpack to 1\d{6}; save the'):
        read_tensors(bomb)


def test_a_tensor_that_repeats_a_number_without_end_is_refused(tmp_path):
    torch.save({'w': torch.zeros(1).expand(1 << 20, 1 << 20)}, tmp_path / 'x.pth')
    with pytest.raises(ValueError, match=r"'w' must have its own numbers, got \(1048576, 10"):
        read_tensors(tmp_path / 'x.pth')
