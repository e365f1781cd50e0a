# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Does an engine agree with its network? On stored images, against stored logits of torch.

A bad build, a changed driver and a precision that is too low all show here, before the first
frame. The images are rendered streets, made together with the engine.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from sparse_seg_ros.engines.contract import MAP, Outputs, Shape, as_tuple
from sparse_seg_ros.normalisation import Normalisation

SEED = 5
MOST_PIXELS = 1 << 16  # of the logits that are stored: a regular grid of them
LEAST_AGREEMENT = {'fp32': 0.999, 'fp16': 0.99, 'bf16': 0.98}  # fraction of equal labels
MOST_DIFFERENCE = {'fp32': 0.01, 'fp16': 0.03, 'bf16': 0.1}  # mean, of the logits' deviation


class SelfCheckError(ValueError):
    """An engine does not say what the network says."""


@dataclass(frozen=True)
class Reference:
    """
    What a network says of images (B, 3, h, w), normalised: float32 all of it.

    logits: (B, C, h'/step, w'/step). maps: of a network that returns some.
    """

    images: Tensor
    logits: Tensor
    step: int
    maps: tuple[Tensor, ...] = ()

    def save(self, path: Path) -> None:
        """Write it to a safetensors file."""
        save_file({'images': self.images, 'logits': self.logits.contiguous(),
                   'step': torch.tensor(self.step),
                   **{MAP.format(index): values.contiguous()
                      for index, values in enumerate(self.maps)}}, path)


@dataclass(frozen=True)
class Agreement:
    """
    How near an engine's logits are to torch's; differences are parts of their deviation.

    widest_tie: by how much torch prefers its label to the next, at most, where the engine gives
    another. As small as the differences, it tells that classes tie, not that the engine errs.
    """

    labels: float
    mean_difference: float
    largest_difference: float
    widest_tie: float

    def __str__(self) -> str:
        ties = f' (others it preferred by up to {self.widest_tie:.1e})' if self.labels < 1 else ''
        return (f'{self.labels:.2%} of the labels equal torch{ties}, logits differ by '
                f'{self.mean_difference:.1e} on average and {self.largest_difference:.1e} at most')


def make_images(shape: Shape, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """(B, 3, h, w) -> that many rendered streets, normalised."""
    from sparse_seg_ros.data.street import SMALLEST_PIXELS, street_frames  # for a new engine alone

    batch, _, height, width = shape
    drawn_hw = max(height, SMALLEST_PIXELS), max(width, SMALLEST_PIXELS)
    images = np.stack([image[:height, :width] for image, _ in
                       street_frames(SEED, batch, drawn_hw)])
    return Normalisation(mean, std)(images).contiguous()


@torch.inference_mode()
def make_reference(network: nn.Module, images: Tensor) -> Reference:
    """Run the network in float32 on its device -> the output that its engines must have."""
    device = next(network.parameters()).device
    logits, *maps = (part.float().cpu() for part in as_tuple(network(images.to(device))))
    step = 1
    while logits[:, 0, ::step, ::step].numel() > MOST_PIXELS:
        step += 1
    return Reference(images, logits[..., ::step, ::step].clone(), step, tuple(maps))


def load_reference(path: Path) -> Reference:
    """Safetensors file -> Reference; ValueError if it is damaged."""
    try:
        tensors = load_file(path)
        maps = tuple(tensors[MAP.format(index)] for index in range(len(tensors) - 3))
        return Reference(tensors['images'], tensors['logits'], int(tensors['step']), maps)
    except (SafetensorError, KeyError) as error:
        raise ValueError(f'{path} holds no reference logits ({error}); build the engine again '
                         'with `sparse_seg export engine`') from None


def compare(logits: Tensor, expected: Tensor) -> Agreement:
    """(B, C, h, w) of an engine and of torch -> how near they are."""
    if logits.shape != expected.shape:
        raise SelfCheckError(f'logits have shape {tuple(logits.shape)}, torch says '
                             f'{tuple(expected.shape)}; is the engine of another network?')
    deviation = expected.std().clamp(min=1e-12)
    difference = (logits - expected).abs() / deviation
    is_other = logits.argmax(1) != expected.argmax(1)
    best = expected.topk(min(2, expected.shape[1]), dim=1).values  # (B, 2, h, w)
    ties = (best[:, 0] - best[:, -1])[is_other] / deviation
    return Agreement(1 - is_other.float().mean().item(), difference.mean().item(),
                     difference.max().item(), ties.max().item() if len(ties) else 0.0)


def check(engine: Callable[[Tensor], Outputs], reference: Reference, device: str,
          precision: str) -> Agreement:
    """Run an engine on the stored images; SelfCheckError unless it agrees with the logits."""
    with torch.inference_mode():
        logits, *maps = (part.float().cpu()
                         for part in as_tuple(engine(reference.images.to(device))))
    agreement = compare(logits[..., ::reference.step, ::reference.step], reference.logits)
    if not (agreement.labels >= LEAST_AGREEMENT[precision] and
            agreement.mean_difference <= MOST_DIFFERENCE[precision]):  # also if not a number
        raise SelfCheckError(
            f'self-check failed: {agreement}; needed in {precision}: labels '
            f'{LEAST_AGREEMENT[precision]:.1%}, mean difference {MOST_DIFFERENCE[precision]}; '
            'build it in a higher precision')
    check_maps(maps, reference.maps, MOST_DIFFERENCE[precision])
    return agreement


def check_maps(maps: Sequence[Tensor], expected: Sequence[Tensor], most: float) -> None:
    """Raise SelfCheckError unless maps are those of torch, but for a part of their deviation."""
    if [part.shape for part in maps] != [part.shape for part in expected]:
        raise SelfCheckError(f'self-check failed: maps of {[tuple(part.shape) for part in maps]}, '
                             f'torch says {[tuple(part.shape) for part in expected]}; is the '
                             'engine of another network?')
    for index, (part, wanted) in enumerate(zip(maps, expected)):
        difference = float((part - wanted).abs().mean() / wanted.std().clamp(min=1e-12))
        if not difference <= most:
            raise SelfCheckError(f'self-check failed: {MAP.format(index)} differs from torch by '
                                 f'{difference:.1e} of its deviation on average, needed: {most}; '
                                 'build it in a higher precision')
