# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Networks from Hugging Face folders: SegFormer with Hugging Face's decoder, and Mask2Former.

Sizes, classes and weights are those of the folder; so is the normalisation, where the folder has
a preprocessor_config.json. The size in it is not used: a network sees its images at their own
size times the method's scale. The licence is in the folder's README: NVIDIA's SegFormer weights
are for non-commercial use, those of Mask2Former's authors CC BY-NC 4.0.
"""

from __future__ import annotations

import json
from pathlib import Path

from torch import Tensor, nn

from sparse_seg_ros.files import refuse_pointer
from sparse_seg_ros.networks.mask2former import Mask2Former
from sparse_seg_ros.networks.segformer.nvidia import network_tensors
from sparse_seg_ros.networks.with_transformers import FILES, build, download, read_folder
from sparse_seg_ros.texts import one_line

# What transformers raises for a config.json that describes no model.
UNREADABLE = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
HUB = 'hf:'  # begins the name of a model on huggingface.co


class HuggingFaceSegFormer(nn.Module):
    """
    (B, 3, H, W) normalised -> (B, C, H/4, W/4) logits; H and W must be multiples of 32.

    model: a SegformerForSemanticSegmentation of `transformers`.
    """

    stride, multiple = 4, 32
    mean, std = Mask2Former.mean, Mask2Former.std
    network_tensors = staticmethod(network_tensors)  # of NVIDIA's files, for checkpoints.load

    def __init__(self, model: nn.Module):
        super().__init__()
        self.num_classes = model.config.num_labels
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        return self.model(images).logits


KINDS = {'segformer': HuggingFaceSegFormer, 'mask2former': Mask2Former}


def from_pretrained(name: str | Path) -> nn.Module:
    """
    Hugging Face folder, or 'hf:owner/model' on huggingface.co -> its network.

    Raises ValueError for a folder that does not hold together.
    """
    folder = find_folder(name)
    for path in (path for pattern in FILES for path in folder.glob(pattern)):
        refuse_pointer(path)
    try:
        model = read_folder(folder)
    except UNREADABLE as error:
        if isinstance(error, ValueError) and str(folder) in str(error):
            raise
        raise ValueError(f'{folder}: its config.json does not describe a model '
                         f'({type(error).__name__}: {one_line(error)}); copy the folder '
                         'again') from None
    network = KINDS[model.config.model_type](model)
    network.mean, network.std = read_normalisation(folder, network)
    return network.eval()


def find_folder(name: str | Path) -> Path:
    """Folder, or 'hf:owner/model', which is downloaded once -> folder."""
    name = str(name)
    return download(name.removeprefix(HUB)) if name.startswith(HUB) else Path(name)


def from_config(config: dict) -> nn.Module:
    """Content of a folder's config.json -> its network with random weights."""
    model = build(config)
    return KINDS[model.config.model_type](model)


def classes_of(network: nn.Module) -> tuple[str, ...]:
    """Network of a folder -> names of its classes, by id."""
    names = network.model.config.id2label
    return tuple(str(names.get(label, label)) for label in range(network.num_classes))


def config_of(network: nn.Module) -> dict:
    """Network of a folder -> what `from_config` builds it from again."""
    return json.loads(network.model.config.to_json_string())


def read_normalisation(folder: Path, network: nn.Module) -> tuple[tuple, tuple]:
    """Folder -> mean and standard deviation of RGB in 0..255; the network's own without a file."""
    path = folder / 'preprocessor_config.json'
    if not path.is_file():
        return network.mean, network.std
    try:
        values = json.loads(path.read_text())
        white = 1 / (values.get('rescale_factor') or 1 / 255) \
            if values.get('do_rescale', True) else 1.0
        if not values.get('do_normalize', True):
            return (0.0,) * 3, (white,) * 3
        mean, std = (tuple(round(white * part, 4) for part in values[name])
                     if values.get(name) is not None else own  # as transformers has it
                     for name, own in (('image_mean', network.mean), ('image_std', network.std)))
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(f'{path}: image_mean and image_std must be three numbers each, '
                         f'rescale_factor one ({one_line(error)}); copy it again') from None
    return mean, std
