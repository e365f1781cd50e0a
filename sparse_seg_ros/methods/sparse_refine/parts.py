# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The parts of a refiner, by their names in SparseRefine's Table 5."""

from __future__ import annotations

from dataclasses import dataclass

from sparse_seg_ros.config import nearest
from sparse_seg_ros.methods.sparse_refine.ensembler import Ensembler, SigmoidEnsembler
from sparse_seg_ros.methods.sparse_refine.extractor import Extractor
from sparse_seg_ros.methods.sparse_refine.plain_ensemblers import Direct, LowerEntropy, Oracle
from sparse_seg_ros.methods.sparse_refine.pointnet import PointNet
from sparse_seg_ros.methods.sparse_refine.selector import (
    EntropySelector,
    LearnableSelector,
    MagnitudeSelector,
    OracleSelector,
    RandomSelector,
    Selector,
)
from sparse_seg_ros.methods.sparse_refine.sparse_network import SIDE, SparseNetwork

SELECTORS = {'entropy': EntropySelector, 'random': RandomSelector, 'magnitude': MagnitudeSelector,
             'learnable': LearnableSelector, 'oracle': OracleSelector}
EXTRACTORS = {'unet': Extractor, 'blocks': Extractor, 'pointnet': PointNet,
              'network': SparseNetwork}
OF_BLOCKS = ('blocks', 'network')  # extractors whose sites are low-resolution pixels
AnyEnsembler = Ensembler | Direct | LowerEntropy | Oracle
ENSEMBLERS: dict[str, type[AnyEnsembler]] = {
    'gated': Ensembler, 'sigmoid': SigmoidEnsembler, 'direct': Direct, 'entropy': LowerEntropy,
    'oracle': Oracle}
LEARNING_ENSEMBLERS = tuple(name for name, kind in ENSEMBLERS.items()
                            if issubclass(kind, Ensembler))
TABLES = {'selector': SELECTORS, 'extractor': EXTRACTORS, 'ensembler': ENSEMBLERS}
INPUTS = (('rgb',), ('rgb', 'logits'), ('rgb', 'features'), ('rgb', 'logits', 'features'))


@dataclass(frozen=True)
class Parts:
    """
    Names of a refiner's parts; an unknown one raises ValueError.

    feature_channels: of the network's last features, needed where they are an input. side: of the
    blocks that an extractor sees, size of its image / size of the dense stage.
    """

    selector: str = 'entropy'
    extractor: str = 'unet'
    ensembler: str = 'gated'
    feature_channels: int = 0
    side: int = 1

    def __post_init__(self):
        for kind, table in TABLES.items():
            name = getattr(self, kind)
            if name not in table:
                raise ValueError(f"{kind} must be one of {', '.join(table)}; got {name!r}; "
                                 f'{nearest(name, table)}')
        if self.side < 1 or self.side > 1 and not self.has_blocks:
            raise ValueError('side must be at least 1, and 1 for extractors other than '
                             f"{' and '.join(OF_BLOCKS)}, got {self.side}")

    @property
    def has_blocks(self) -> bool:
        """True if the extractor sees a block of pixels for each low-resolution one."""
        return self.extractor in OF_BLOCKS

    @property
    def convolves(self) -> bool:
        """True if the extractor is made of sparse convolutions."""
        return self.extractor != 'pointnet'

    def build_selector(self, num_classes: int) -> Selector:
        """Build the selector, untrained."""
        return SELECTORS[self.selector](num_classes)

    def build_ensembler(self, num_classes: int, trusts_refined: bool) -> AnyEnsembler:
        """Build the ensembler, untrained; trusts_refined: see Ensembler."""
        kind = ENSEMBLERS[self.ensembler]
        return kind(num_classes, trusts_refined) if issubclass(kind, Ensembler) else kind()


def block_side(network: str, extractor: str, scale: float) -> int:
    """Name of the dense network and of an extractor -> side of its blocks; ValueError if none."""
    if extractor == 'network' and network != 'mobilenet_edgetpu':
        raise ValueError("extractor 'network' needs the network mobilenet_edgetpu, got "
                         f'{network!r}; take the extractor blocks')
    if extractor != 'blocks':
        return SIDE if extractor == 'network' else 1
    side = round(1 / scale)
    if abs(side * scale - 1) > 0.01:
        raise ValueError("extractor 'blocks' needs a scale of 1/2, 1/3, 1/4 and so on, got "
                         f'{scale}; change scale, or take the extractor unet')
    return side


def check_inputs(inputs: tuple[str, ...]) -> tuple[str, ...]:
    """Return the inputs; ValueError unless they are one of INPUTS."""
    if tuple(inputs) not in INPUTS:
        raise ValueError(f"inputs must be one of {', '.join(map(str, INPUTS))}; got "
                         f'{tuple(inputs)}')
    return tuple(inputs)
