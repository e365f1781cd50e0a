# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
What Hugging Face's `transformers` builds for us: the only file that imports it, when it is needed.

Nothing is fetched here but by `download`; configurations are written out in full.
"""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

OLDEST = (5, 20)  # has the names that released.py translates; 5.23 is the version tested
ARCHITECTURES = {'segformer': 'SegformerForSemanticSegmentation',
                 'mask2former': 'Mask2FormerForUniversalSegmentation'}
FILES = ('*.json', '*.safetensors', 'pytorch_model*.bin')  # of a repository: no code


def import_transformers() -> ModuleType:
    """Return `transformers`; ImportError with the cure where it is missing or too old."""
    cure = "pip install 'transformers>=5.20' scipy"
    try:
        import scipy  # noqa: F401 (Mask2Former asks for it)
        import transformers
    except ImportError as error:
        raise ImportError(f'SegFormer and Mask2Former need {error.name}: {cure}') from None
    if tuple(map(int, transformers.__version__.split('.')[:2])) < OLDEST:
        raise ImportError('SegFormer and Mask2Former need a newer transformers than '
                          f'{transformers.__version__}: {cure}')
    return transformers


def segformer_encoder(widths: tuple[int, ...], depths: tuple[int, ...]) -> nn.Module:
    """Channels and blocks of four stages -> SegFormer's encoder, with random weights."""
    transformers = import_transformers()
    return transformers.SegformerModel(transformers.SegformerConfig(
        hidden_sizes=list(widths), depths=list(depths), num_attention_heads=[1, 2, 5, 8],
        sr_ratios=[8, 4, 2, 1], drop_path_rate=0.1))


def mask2former(width: int, depths: tuple[int, ...], heads: tuple[int, ...], window: int,
                pretraining_size: int, num_classes: int) -> nn.Module:
    """Sizes of a Swin transformer -> Mask2Former on it, with 100 queries and random weights."""
    transformers = import_transformers()
    swin = transformers.SwinConfig(
        embed_dim=width, depths=list(depths), num_heads=list(heads), window_size=window,
        image_size=pretraining_size, drop_path_rate=0.3,
        out_features=['stage1', 'stage2', 'stage3', 'stage4'])
    return transformers.Mask2FormerForUniversalSegmentation(transformers.Mask2FormerConfig(
        backbone_config=swin, num_queries=100, num_labels=num_classes))


def mask_loss(config: Any, class_weights: Tensor) -> nn.Module:
    """Mask2FormerConfig, (C,) -> Mask2Former's loss, with weights of the classes of queries."""
    import_transformers()
    from transformers.models.mask2former.modeling_mask2former import Mask2FormerLoss
    loss = Mask2FormerLoss(config, {'loss_cross_entropy': config.class_weight,
                                    'loss_mask': config.mask_weight,
                                    'loss_dice': config.dice_weight}).to(class_weights.device)
    loss.empty_weight[:-1] = class_weights
    return loss


def build(config: dict) -> nn.Module:
    """Content of a config.json -> the model that it describes, with random weights."""
    kind = model_class(config, 'this configuration')
    return kind(kind.config_class.from_dict(config))


def read_folder(folder: Path) -> nn.Module:
    """
    Hugging Face folder -> its model in float32, every tensor of it read from the folder.

    Code and pickled objects in the folder are never run. Raises ValueError for other
    architectures and for weights that are not there.
    """
    if not (folder / 'config.json').is_file():
        raise FileNotFoundError(f'{folder}: no config.json; a Hugging Face folder is written by '
                                'save_pretrained')
    kind = model_class(json.loads((folder / 'config.json').read_text()), folder)
    from huggingface_hub.errors import StrictDataclassError
    try:
        model, report = kind.from_pretrained(
            folder, dtype=torch.float32, weights_only=True, local_files_only=True,
            output_loading_info=True)
    except (pickle.UnpicklingError, RuntimeError, SafetensorError) as error:
        reason = str(error).partition('\n')[0]
        raise ValueError(f'{folder}: weights that cannot be read ({reason}); save them again as '
                         'safetensors, with save_pretrained') from None
    except StrictDataclassError as error:
        raise ValueError(str(error)) from None
    if report['missing_keys']:
        raise ValueError(f"{folder}: tensor {min(report['missing_keys'])!r} is missing; save a "
                         f'whole {kind.__name__}')
    return model


def model_class(config: dict, source: str | Path) -> type[nn.Module]:
    """Content of a config.json -> class in `transformers`."""
    found = config.get('model_type')
    if found not in ARCHITECTURES:
        raise ValueError(f'{source}: model_type must be {" or ".join(ARCHITECTURES)}, got '
                         f'{found!r}; convert the model or choose another')
    return getattr(import_transformers(), ARCHITECTURES[found])


def download(name: str) -> Path:
    """
    'owner/model' on huggingface.co -> folder with its files, fetched once and kept.

    Not yet tried against the real hub.
    """
    import_transformers()  # brings huggingface_hub
    from huggingface_hub import snapshot_download
    return Path(snapshot_download(name, allow_patterns=FILES))
