# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
r"""
Turn weights that others have published into a model file of this package.

The file keeps the weights in float32. Its card says which network, classes, normalisation and
scale they are for, where they come from, and under which terms.

examples:
  sparse_seg import ../shared/weights/deeplab_edgetpu_slim_cityscapes.safetensors \
      --network deeplab_edgetpu --labels cityscapes --scale 0.5 -o models/cityscapes.safetensors
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
    parser.add_argument('weights', help='published file, by torch or safetensors')
    parser.add_argument('--network', required=True, help='network of the weights, such as '
                        'deeplab_edgetpu')
    parser.add_argument('--labels', required=True, help='classes of the weights: a name in '
                        'config/labels, or a YAML')
    parser.add_argument('--scale', type=float, default=1.0, help='network input size / image '
                        'size (default: 1.0); under a refiner less, such as 0.5')
    options.add_out(parser, 'model file to write', metavar='FILE', required=True)


def run(args: argparse.Namespace) -> int:
    """Import the weights, and describe the file that was written."""
    from sparse_seg_ros.files import file_hash
    from sparse_seg_ros.loading.checkpoints import save_model
    model = read_published(args.weights, args.network, args.labels, args.scale)
    save_model(model, args.out)
    about = model.card.training['imported']
    print(f'{args.out}: {args.network} for {len(model.card.classes)} classes, '
          f'{args.out.stat().st_size / 1e6:.1f} MB, sha256 {file_hash(args.out)}\n'
          f'licence of the weights: {about["licence"]}')
    return 0


def read_published(weights: str | Path, network: str, labels: str, scale: float) -> Model:
    """Published file, names of its network and label set, scale -> Model with a card."""
    from dataclasses import replace

    from sparse_seg_ros.config import nearest
    from sparse_seg_ros.files import file_hash
    from sparse_seg_ros.labels import load_labels
    from sparse_seg_ros.loading.checkpoints import build_model, load
    from sparse_seg_ros.model_card import ModelCard
    from sparse_seg_ros.networks import NETWORKS
    known = {name: kind for name, kind in NETWORKS.items() if hasattr(kind, 'released_name')}
    if network not in known:
        raise ValueError(f'network {network!r} does not know the names of published weights; '
                         f'{nearest(network, known)}')
    kind, label_set = known[network], load_labels(labels)
    card = ModelCard(network, label_set.names, label_set.name, kind.mean, kind.std, scale=scale,
                     colors=label_set.colors)
    model = build_model(card)
    load(model.network, weights)
    return replace(model, card=replace(card, training={'imported': {
        'file': Path(weights).name, 'sha256': file_hash(weights),
        'licence': getattr(kind, 'weights_licence', 'unknown; ask those who published them')}}))
