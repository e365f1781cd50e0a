# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""All settings of a training run: read from one YAML, and kept beside its results."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sparse_seg_ros.config import from_mapping, renamed, setting
from sparse_seg_ros.data.datasets import kind_of
from sparse_seg_ros.methods.algm.settings import RULES, MergeSettings
from sparse_seg_ros.methods.sparse_refine.parts import (
    ENSEMBLERS,
    EXTRACTORS,
    LEARNING_ENSEMBLERS,
    SELECTORS,
)
from sparse_seg_ros.model_card import LARGEST_SCALE
from sparse_seg_ros.training.objectives import stages
from sparse_seg_ros.yaml_files import read_yaml

PATHS = ('labels', 'start_from', 'teacher', 'backbone', 'splits', 'out_of_fold_networks',
         'validation')


@dataclass(frozen=True)
class TrainConfig(MergeSettings):
    """Settings of one run: it trains a network, a refiner of a frozen network, or a classifier."""

    stage: str = setting('dense', 'what is trained', choices=stages)
    network: str = setting('compact', 'name in NETWORKS, or in CLASSIFIERS for stage '
                            'classifier; a refiner has that of start_from')
    network_options: tuple[str, ...] = setting(
        (), 'options of the network, such as [head=ppm]; LRFormer has those of its ablations, '
        'vision transformers first_exit, second_exit and policy')
    labels: str = setting('camvid', 'label set: a name in config/labels, or a YAML of your own')
    start_from: str | None = setting(
        None, 'model to start from: zoo name, model file, run folder or Hugging Face folder; for '
        'a refiner its frozen network; a classifier gives its backbone, and a network for other '
        'classes all but what belongs to them')
    teacher: str | None = setting(
        None, 'model file whose network, at its own scale, is imitated in half of the loss; for a '
        'dense network or a refiner')
    backbone: str | None = setting(
        None, 'file of released weights that the backbone begins with')
    begin_as: tuple[str, ...] | None = setting(
        None, "for each class, the class of Cityscapes that it begins as, if 'backbone' holds a "
        'classifier')
    scale: float = setting(0.5, 'network input size / image size', at_least=0.05,
                           at_most=LARGEST_SCALE)
    second_scale: float | None = setting(
        None, 'a smaller scale at which a dense network learns, too, in part from its own result '
        'at the first scale; null: none', at_least=0.05, at_most=1.0)
    planes: tuple[int, ...] = setting(
        (16, 32, 64, 128), "channels of the refiner per stage; not of extractor 'network'",
        at_least=1)
    inputs: tuple[str, ...] = setting(
        ('rgb', 'logits'), "what the refiner sees of a pixel; not of extractor 'network'")
    patch: int = setting(256, 'side of the patches of patch_refine, pixels', at_least=1)
    selector: str = setting('entropy', 'the score that is compared with alpha', choices=SELECTORS)
    extractor: str = setting('unet', 'kind of extractor; blocks: one site for each low-resolution '
                             'pixel, if 1 / scale is whole; network: the layers and first weights '
                             'of the dense network, at twice its resolution',
                             choices=EXTRACTORS)
    ensembler: str = setting('gated', 'how the two predictions of a pixel become one',
                             choices=tuple(name for name in ENSEMBLERS if name != 'oracle'))
    learns: str = setting('all', 'what learns; ensembler: of a refiner the ensembler alone, and '
                          'all else stays as it begins', choices=('all', 'ensembler'))
    alpha: float = setting(0.3, 'refine pixels above this entropy in nats, or score of another '
                           'selector', at_least=0.0, former='alpha_nats')
    splits: tuple[str, ...] = setting(
        (), "labelled frames, such as 'folder/train'; a split named twice is seen twice; with a "
        'teacher also folders and lists of pictures without labels; for a classifier one folder '
        'with a folder per class')
    out_of_fold_networks: tuple[str, ...] | None = setting(
        None, 'for a refiner: out-of-fold networks, for each split a model file whose dense '
        'network has not seen its frames; null: the network of start_from',
        former='split_networks')
    scales: tuple[float, float] = setting(
        (0.6, 1.6), 'range of random resizing of those frames')
    short_side: int | None = setting(
        None, 'pixels of the short side that frames are brought to before random resizing, and '
        'for validation; null: as they are', at_least=1)
    long_side: int | None = setting(
        None, 'most pixels of the long side then; null: no limit', at_least=1)
    street_frames: int = setting(0, 'number of rendered street scenes beside them', at_least=0)
    street_seed: int = setting(1, 'seed of those scenes; a refiner learns more from scenes that '
                               'its frozen network has not seen', at_least=0)
    street_size_hw: tuple[int, int] = setting(
        (1024, 2048), 'height and width at which streets are rendered', at_least=1,
        example='[1024, 2048]')
    street_scales: tuple[float, float] = setting(
        (0.4, 1.1), 'range of random resizing of those scenes')
    validation: str | None = setting(
        None, "labelled frames to score, such as 'folder/val'; null: validation_streets")
    validation_streets: int = setting(
        0, 'number of rendered scenes to score; others than the trained', at_least=0)
    crop_hw: tuple[int, int] = setting(
        (360, 480), 'height and width of a training view, pixels', at_least=1,
        example='[360, 480]')
    jitter: float = setting(0.3, 'how much brightness, contrast and saturation vary', at_least=0.0,
                            at_most=0.9)
    hue: float = setting(0.0, 'how far colours turn on the colour wheel at most, degrees',
                         at_least=0.0, at_most=180.0)
    distortion: str = setting(
        'jitter', "how the colours of a view change; jitter: by 'jitter' and 'hue', always; "
        "photometric: as MMSegmentation's recipes change brightness, contrast, saturation and "
        'hue, each in half of the views', choices=('jitter', 'photometric'))
    largest_share: float = setting(1.0, 'largest share of a view that one class may cover, if '
                                   'another view can be found', at_least=0.0, at_most=1.0)
    epochs: int = setting(60, 'passes over all frames', at_least=1)
    batch_size: int = setting(8, 'views per step, over all processes', at_least=1)
    learning_rate: float = setting(1e-3, 'learning rate after the warm-up, the highest',
                                   at_least=0.0)
    optimizer: str = setting('adamw', 'adamw, or sgd with momentum; nesterov: sgd that looks '
                             'ahead along its momentum', choices=('adamw', 'sgd', 'nesterov'))
    momentum: float = setting(0.9, 'momentum of sgd and nesterov', at_least=0.0, at_most=0.999)
    clip_norm: float | None = setting(5.0, 'norm that gradients are clipped at; null: they are '
                                      'not', at_least=1e-9)
    schedule: str = setting('cosine', 'how the learning rate falls to zero; poly: as the share of '
                            'the steps that are left, to the power of poly_power',
                            choices=('cosine', 'poly'))
    poly_power: float = setting(1.0, 'power of schedule poly; 1: a straight line', at_least=0.1,
                                at_most=10.0)
    layer_decay: float = setting(
        1.0, 'learning rate of a block of a vision transformer / that of the next; 1: all learn '
        'alike', at_least=0.1, at_most=1.0)
    warmup_steps: int | None = setting(
        None, 'steps in which the learning rate rises; 1: it is full at once; null: one epoch',
        at_least=1)
    head_rate: float = setting(1.0, 'learning rate of the other layers / learning rate of the '
                               'backbone', at_least=0.0)
    drop_path: float | None = setting(
        None, 'share of the images that the last block of an LRFormer or a vision transformer '
        "leaves out; null: the network's own", at_least=0.0, at_most=0.9)
    merge_rule: str | None = setting(
        None, 'how tokens of a vision transformer merge while it learns, as in method algm; null: '
        'they do not merge', choices=RULES)
    loss: str = setting('pixels', 'what a dense network learns; pixels: the class of each; masks: '
                        'the masks and classes of queries, of mask2former and lrformer_plus',
                        choices=('pixels', 'masks'))
    merge_layers: tuple[int, int] | None = setting(
        None, 'layers of the first and the second merging, from 1; 0: no such merging; null: 1 '
        'and 5, of 24 layers 1 and 7', at_least=0, example='[1, 5]')
    window_sparsity_range: tuple[float, float] | None = setting(
        None, 'lowest and highest fraction of the windows that each stage of a Swin transformer '
        'leaves out while it learns, drawn anew for each batch, for method sparse_vit; null: none '
        'is left out', at_least=0.0, at_most=0.95, example='[0.0, 0.6]')
    weight_decay: float = setting(0.05, 'weight decay; norms and biases have none',
                                  at_least=0.0)
    balance: float = setting(0.5, 'class weight = (median frequency / frequency) ** balance',
                             at_least=0.0, at_most=1.0)
    averaging: float = setting(0.99, 'decay per step of the running average of the weights, which '
                               'is the result; after n steps at most (1 + n) / (10 + n)',
                               at_least=0.0, at_most=0.9999)
    window: tuple[int, int] | None = setting(
        None, 'height and width of the windows in which a dense network is scored; null: the '
        'whole image at once', at_least=1, example='[768, 768]')
    stride: tuple[int, int] | None = setting(
        None, 'pixels from one window to the next, down and across; null: as large as a window',
        at_least=1, example='[512, 512]')
    validate_every: int = setting(5, 'epochs from one validation to the next', at_least=1)
    precision: str = setting('auto', 'autocast type; auto: bf16 where the device multiplies it '
                             'natively, else fp16 on CUDA and fp32 on a CPU',
                             choices=('auto', 'fp32', 'bf16', 'fp16'))
    seed: int = setting(0, 'seed of the first weights, the order and the views', at_least=0)
    cache: str = setting('runs/cache', 'folder for rendered scenes')

    def __post_init__(self):
        super().__post_init__()
        for name in ('scales', 'street_scales'):
            low, high = getattr(self, name)
            if not 0 < low <= high < math.inf:
                raise ValueError(f'setting {name!r} must be the smallest and the largest factor, '
                                 f'such as [0.5, 1.5], got {[low, high]}')
        low, high = self.window_sparsity_range or (0.0, 0.0)
        if low > high:
            raise ValueError("setting 'window_sparsity_range' must be the lowest and the highest "
                             f'fraction, such as [0.0, 0.6], got {[low, high]}')
        if not self.planes:
            raise ValueError("setting 'planes' must be a list of whole numbers, got []")
        if self.loss == 'masks' and (self.stage != 'dense' or self.teacher or self.second_scale):
            raise ValueError("setting 'loss: masks' is for stage 'dense' without 'teacher' and "
                             f"'second_scale', got stage {self.stage!r}; remove what is too much, "
                             "or set 'loss: pixels'")
        if self.optimizer == 'nesterov' and not self.momentum:
            raise ValueError("setting 'optimizer: nesterov' needs a 'momentum' above 0, got 0.0; "
                             "set it, or 'optimizer: sgd'")
        if self.window and self.stage != 'dense':
            raise ValueError("setting 'window' is for stage 'dense', got stage "
                             f'{self.stage!r}; remove it')
        if self.stride and not self.window:
            raise ValueError(f"setting 'stride' {list(self.stride)} needs a 'window'; set both")
        if self.long_side and not self.long_side >= (self.short_side or math.inf):
            raise ValueError("setting 'long_side' must be at least 'short_side', got "
                             f'{self.long_side} and {self.short_side}')
        self.check_scales()
        self.check_ensembler()

    def check_ensembler(self) -> None:
        """Raise ValueError if an ensembler is to learn alone that has nothing to learn."""
        can_learn = self.stage == 'refiner' and self.ensembler in LEARNING_ENSEMBLERS
        if self.learns == 'ensembler' and not can_learn:
            raise ValueError("setting 'learns: ensembler' is for stage 'refiner' with ensembler "
                             f"{' or '.join(LEARNING_ENSEMBLERS)}, got stage {self.stage!r} and "
                             f'ensembler {self.ensembler!r}; remove it')

    def check_scales(self) -> None:
        """Raise ValueError for scales that do not go with the stage."""
        if self.scale > 1 and self.stage != 'dense':
            raise ValueError("setting 'scale' must be at most 1 but for stage 'dense', as a "
                             f'refiner looks closer than its dense stage; got {self.scale}')
        if self.second_scale and (self.stage != 'dense' or self.second_scale >= self.scale):
            raise ValueError("setting 'second_scale' must be below 'scale', of stage 'dense', got "
                             f'{self.second_scale} for {self.scale} and stage {self.stage!r}; '
                             "remove it, or set 'scale' to twice as much")


def read_config(path: str | Path, changes: Mapping[str, Any] | None = None,
                source: str = '') -> TrainConfig:
    """YAML of a run, and changes to it -> its settings; source: name for the errors."""
    content = read_yaml(path)
    if isinstance(content, Mapping):
        where = source or str(path)
        content = {**renamed(TrainConfig, beside(content, Path(path).parent), where),
                   **renamed(TrainConfig, changes or {}, where)}
    return from_mapping(TrainConfig, content, source or str(path))


def beside(content: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Settings, with the paths that are there beside their file; others stay as they are."""
    def find(value: Any) -> Any:
        if isinstance(value, list):
            return [find(part) for part in value]
        kind = kind_of(value) if isinstance(value, str) else None
        if kind is not None:
            root = folder / kind[1]
            return f'{kind[0]}:{root}' if root.parent.is_dir() else value
        path = folder / value if isinstance(value, str) and value else None
        is_there = path is not None and (path.exists() or Path(f'{path}.txt').is_file())
        return str(path) if is_there else value
    return {name: find(value) if name in PATHS and not is_label_set(name, value) else value
            for name, value in content.items()}


def is_label_set(name: str, value: Any) -> bool:
    """Tell whether a setting is the name of a label set that ships, and no path."""
    return name == 'labels' and not str(value).endswith(('.yaml', '.yml'))
