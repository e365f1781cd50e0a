# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
SegFormer's encoder, computed by `transformers`, with MMSegmentation's tensors.

Xie et al., "SegFormer: Simple and Efficient Design for Semantic Segmentation with Transformers",
section 3.1. Whatever the installed `transformers` calls them, the tensors of `state_dict` have
the published names and shapes, so that model files outlive its versions. Different from
`transformers`: layer norms add 1e-6, not 1e-5, as MMSegmentation has it.
"""

from __future__ import annotations

from torch import Tensor, nn

from sparse_seg_ros.networks.segformer.released import from_released, to_released
from sparse_seg_ros.networks.with_transformers import segformer_encoder

OWN = 'transformer.'  # what every name of a tensor begins with in the module itself


class Encoder(nn.Module):
    """(B, 3, H, W) -> [F1, F2, F3, F4], maps at 1/4, 1/8, 1/16 and 1/32."""

    def __init__(self, widths: tuple[int, ...], depths: tuple[int, ...]):
        super().__init__()
        self.transformer = segformer_encoder(widths, depths)
        for module in self.transformer.modules():
            if isinstance(module, nn.LayerNorm):
                module.eps = 1e-6
        self.register_state_dict_post_hook(publish)
        self.register_load_state_dict_pre_hook(adopt)

    def forward(self, images: Tensor) -> list[Tensor]:
        return list(self.transformer(images, output_hidden_states=True).hidden_states)


def publish(encoder: Encoder, tensors: dict[str, Tensor], prefix: str, *_) -> None:
    """Give the encoder's tensors in a state_dict their published names and shapes, in place."""
    keys = [key for key in tensors if key.startswith(prefix + OWN)]
    own = {key.removeprefix(prefix + OWN): tensors.pop(key) for key in keys}
    tensors.update({prefix + name: tensor for name, tensor in to_released(own).items()})


def adopt(encoder: Encoder, tensors: dict[str, Tensor], prefix: str, *_) -> None:
    """Undo `publish` in a state_dict that is about to be loaded, in place."""
    keys = [key for key in tensors if key.startswith(f'{prefix}layers.')]
    released = {key.removeprefix(prefix): tensors.pop(key) for key in keys}
    own = from_released(list(encoder.transformer.state_dict()), released)
    tensors.update({prefix + OWN + key: tensor for key, tensor in own.items()})
