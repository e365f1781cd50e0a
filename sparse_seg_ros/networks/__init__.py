# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Dense networks: (B, 3, H, W) normalised images -> (B, C, H / stride, W / stride) logits.

A network declares `stride`, the `multiple` that H and W must be of, and the `mean` and `std` that
its images are normalised with, of RGB in 0..255. It may name its `classifier`, see features.py.
Where weights of others load into it, it may also declare `released_name` and `network_tensors`,
which translate their files, and `fit_sizes`, which gives its own tensors the sizes of a file's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from sparse_seg_ros.config import Settings, from_mapping, nearest
from sparse_seg_ros.networks.compact import Compact
from sparse_seg_ros.networks.deeplab_edgetpu import DeepLabEdgeTPU
from sparse_seg_ros.networks.efficientnet_lite import EfficientNetLite0
from sparse_seg_ros.networks.hrnet.network import HRNetW48
from sparse_seg_ros.networks.images import check_images
from sparse_seg_ros.networks.lrformer.classifier import (
    LRFormerClassifierB,
    LRFormerClassifierL,
    LRFormerClassifierS,
    LRFormerClassifierT,
    LRFormerClassifierXL,
)
from sparse_seg_ros.networks.lrformer.network import (
    LRFormerB,
    LRFormerL,
    LRFormerS,
    LRFormerT,
    LRFormerXL,
)
from sparse_seg_ros.networks.lrformer.plus import (
    LRFormerPlusB,
    LRFormerPlusL,
    LRFormerPlusS,
    LRFormerPlusT,
    LRFormerPlusXL,
)
from sparse_seg_ros.networks.mask2former import (
    Mask2FormerSwinB,
    Mask2FormerSwinL,
    Mask2FormerSwinS,
    Mask2FormerSwinT,
)
from sparse_seg_ros.networks.mobilenet_edgetpu import MobileNetEdgeTPU
from sparse_seg_ros.networks.segformer.network import (
    SegFormerB0,
    SegFormerB1,
    SegFormerB2,
    SegFormerB3,
    SegFormerB4,
    SegFormerB5,
)
from sparse_seg_ros.networks.segnext.network import SegNeXtB, SegNeXtL, SegNeXtS, SegNeXtT
from sparse_seg_ros.networks.vit.segmenter_vit import (
    SegmenterBase,
    SegmenterLarge,
    SegmenterLinearBase,
    SegmenterLinearLarge,
    SegmenterLinearSmall,
    SegmenterLinearTiny,
    SegmenterSmall,
    SegmenterTiny,
)
from sparse_seg_ros.networks.vit.segvit_vit import SegViTBase, SegViTLarge, SegViTSmall
from sparse_seg_ros.networks.vit.setr_vit import (
    SetrAggregating,
    SetrAggregatingBase,
    SetrNaive,
    SetrNaiveBase,
    SetrProgressive,
    SetrProgressiveBase,
)

NETWORKS = {
    'compact': Compact,
    'efficientnet_lite0': EfficientNetLite0,
    'mobilenet_edgetpu': MobileNetEdgeTPU,
    'deeplab_edgetpu': DeepLabEdgeTPU,
    'hrnet_w48': HRNetW48,
    'lrformer_t': LRFormerT,
    'lrformer_s': LRFormerS,
    'lrformer_b': LRFormerB,
    'lrformer_l': LRFormerL,
    'lrformer_xl': LRFormerXL,
    'lrformer_plus_t': LRFormerPlusT,
    'lrformer_plus_s': LRFormerPlusS,
    'lrformer_plus_b': LRFormerPlusB,
    'lrformer_plus_l': LRFormerPlusL,
    'lrformer_plus_xl': LRFormerPlusXL,
    'segmenter_t': SegmenterTiny,
    'segmenter_s': SegmenterSmall,
    'segmenter_b': SegmenterBase,
    'segmenter_l': SegmenterLarge,
    'segmenter_linear_t': SegmenterLinearTiny,
    'segmenter_linear_s': SegmenterLinearSmall,
    'segmenter_linear_b': SegmenterLinearBase,
    'segmenter_linear_l': SegmenterLinearLarge,
    'setr_naive_b': SetrNaiveBase,
    'setr_pup_b': SetrProgressiveBase,
    'setr_mla_b': SetrAggregatingBase,
    'setr_naive_l': SetrNaive,
    'setr_pup_l': SetrProgressive,
    'setr_mla_l': SetrAggregating,
    'segvit_s': SegViTSmall,
    'segvit_b': SegViTBase,
    'segvit_l': SegViTLarge,
    'segnext_t': SegNeXtT,
    'segnext_s': SegNeXtS,
    'segnext_b': SegNeXtB,
    'segnext_l': SegNeXtL,
    'segformer_b0': SegFormerB0,  # these and the next need `transformers`
    'segformer_b1': SegFormerB1,
    'segformer_b2': SegFormerB2,
    'segformer_b3': SegFormerB3,
    'segformer_b4': SegFormerB4,
    'segformer_b5': SegFormerB5,
    'mask2former_swin_t': Mask2FormerSwinT,
    'mask2former_swin_s': Mask2FormerSwinS,
    'mask2former_swin_b': Mask2FormerSwinB,
    'mask2former_swin_l': Mask2FormerSwinL,
}

# What a picture shows: (B, 3, H, W) normalised -> (B, C) logits. Their `backbone` is the start of
# a segmentation network of the same size.
CLASSIFIERS = {
    'lrformer_t_classifier': LRFormerClassifierT,
    'lrformer_s_classifier': LRFormerClassifierS,
    'lrformer_b_classifier': LRFormerClassifierB,
    'lrformer_l_classifier': LRFormerClassifierL,
    'lrformer_xl_classifier': LRFormerClassifierXL,
}


def build_network(name: str, num_classes: int, options: Sequence[str] = ()) -> nn.Module:
    """Name in NETWORKS or CLASSIFIERS, 'name=value' options -> a network with random weights."""
    kinds = NETWORKS | CLASSIFIERS
    if name not in kinds:
        raise ValueError(f'unknown network {name!r}; {nearest(name, kinds)}')
    if num_classes < 2:
        raise ValueError(f'num_classes must be at least 2, got {num_classes}; '
                         'the background counts as one')
    kind = kinds[name]
    if not options:
        return kind(num_classes)
    settings = read_options(kind, options, name)
    if not hasattr(kind, 'add_options'):
        return kind(num_classes, settings)
    network = kind(num_classes)
    network.add_options(settings)
    return network


def read_options(kind: type, options: Sequence[str], name: str) -> Settings:
    """'name=value' options of a kind of network -> its settings; ValueError where it has none."""
    if not hasattr(kind, 'options_kind'):
        raise ValueError(f"network {name!r} has no options; remove 'network_options'")
    pairs = [option.partition('=') for option in options]
    if wrong := [option for option, (_, sign, _) in zip(options, pairs) if not sign]:
        raise ValueError(f"'network_options' must be such as 'head=ppm', got {wrong[0]!r}")
    names = [name for name, _, _ in pairs]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"'network_options' name {twice[0]!r} twice; remove one of them")
    return from_mapping(kind.options_kind, {key: int(value) if value.isdecimal() else value
                                            for key, _, value in pairs},
                        f"'network_options' of {name}")


def for_inference(network: nn.Module) -> nn.Module:
    """Return a copy that computes the same faster, where a network can make one, or itself."""
    return network.for_inference() if hasattr(network, 'for_inference') else network


def run_padded(network: nn.Module, images: Tensor,
               call: Callable[[Tensor], Tensor] | None = None) -> Tensor:
    """
    (B, 3, h, w) of any size -> (B, C, h, w): padded to the multiple, enlarged and cropped.

    call: what to run in the network's place: padded images -> its logits.
    """
    check_images(images)
    height, width = images.shape[-2:]
    padded_height, padded_width = padded_size(network, (height, width))
    down, right = padded_height - height, padded_width - width
    if down or right:
        images = F.pad(images, (0, right, 0, down), mode='replicate')
    logits = (call or network)(images)
    if network.stride > 1:
        logits = F.interpolate(logits, size=images.shape[-2:], mode='bilinear',
                               align_corners=False)
    return logits[..., :height, :width]


def padded_size(network: nn.Module, size_hw: tuple[int, int]) -> tuple[int, int]:
    """Size of an image -> the next that is of the network's multiple."""
    height, width = (side + -side % network.multiple for side in size_hw)
    return height, width
