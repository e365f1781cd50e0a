# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
r"""
Turn weights that others have published into a model file of this package.

The file keeps the weights in float32. Its card says which network, classes, normalisation and
scale they are for, where they come from, and under which terms.

What a file is shows in the names and shapes of its tensors. Known are MMSegmentation's HRNet,
SegFormer, SegNeXt, Segmenter and SETR, the files of LRFormer, Segmenter, SegViT, SparseRefine,
Google Coral and NVIDIA's SegFormer, and Hugging Face folders of SegFormer and Mask2Former.

examples:
  sparse_seg import hrnet.pth --labels cityscapes -o models/hrnet.safetensors
  sparse_seg import sparse_refine.pth --base models/hrnet.safetensors -o models/refined.safetensors
  sparse_seg import ../shared/weights/deeplab_edgetpu_slim_cityscapes.safetensors \
      --labels cityscapes --scale 0.5 -o models/cityscapes.safetensors
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from sparse_seg_ros.commands import options

if TYPE_CHECKING:
    from sparse_seg_ros.model_card import Model


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this verb."""
    parser.add_argument('weights', help='published file, by torch or safetensors, or Hugging Face '
                        'folder')
    parser.add_argument('--network', default='auto', help='network of the weights, such as '
                        'hrnet_w48 (default: auto, as the file shows)')
    parser.add_argument('--labels', help='classes of the weights: a name in config/labels, or a '
                        'YAML; a Hugging Face folder has its own, a refiner those of its network')
    parser.add_argument('--base', metavar='FILE', help='model file of the dense network that the '
                        'weights refine')
    parser.add_argument('--alpha', type=float, help='uncertainty in nats above which the refiner '
                        'looks again (default: 0.3, until the model is calibrated)')
    parser.add_argument('--scale', type=float, help='network input size / image size (default: '
                        '1.0, and 0.5 under a refiner)')
    parser.add_argument('--licence', metavar='TEXT', help='terms of the weights (default: what is '
                        'known of their publisher)')
    parser.add_argument('--source', metavar='TEXT', help='where the weights come from (default: '
                        'their publisher and the name of the file)')
    options.add_out(parser, 'model file to write', metavar='FILE', required=True)


def run(args: argparse.Namespace) -> int:
    """Import the weights, and describe the file that was written."""
    from sparse_seg_ros.files import file_hash
    from sparse_seg_ros.loading.checkpoints import save_model
    model, seen = read_weights(args)
    save_model(model, args.out)
    print(f'{args.weights}: {seen}\n'
          f'{args.out}: {model.card.network} for {len(model.card.classes)} classes, '
          f'{args.out.stat().st_size / 1e6:.1f} MB, sha256 {file_hash(args.out)}\n'
          f'licence of the weights: {model.card.licence}')
    return 0


def read_weights(args: argparse.Namespace) -> tuple[Model, str]:
    """Options -> Model with a card, and what the file was seen to be."""
    from sparse_seg_ros.loading.importing import (
        Wishes,
        import_folder,
        import_network,
        import_refiner,
    )
    from sparse_seg_ros.networks.pretrained import HUB
    wishes = Wishes(args.network, args.labels, args.scale, args.licence, args.source)
    if args.base:
        return import_refiner(args.weights, args.base, wishes, args.alpha)
    if args.alpha is not None:
        raise ValueError('--alpha is for a refiner; name its dense network with --base, or remove '
                         'it')
    if args.weights.startswith(HUB) or Path(args.weights).is_dir():
        return import_folder(args.weights, wishes)
    return import_network(args.weights, wishes)
