# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How tokens merge: the paper's settings, its ablations (Tables 5 and 6), and its rivals."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from sparse_seg_ros.config import Settings, nearest, setting
from sparse_seg_ros.texts import cut

ALGM_RULES = ('adaptive', 'fixed', 'share')
CLUSTERING_RULES = ('elvit', 'ailurus', 'pooling')
CONFIDENT_RULES = ('dtop', 'dovit')
EXIT_RULES = (*CONFIDENT_RULES, 'paumer')
RULES = (*ALGM_RULES, 'every', *CLUSTERING_RULES, *EXIT_RULES, 'cts')
BATCH_RULES = ('single', 'shared')
KINDS = ('local', 'global')
VALUES = ('average', 'random')


class Step(NamedTuple):
    """One merging of ALGM: after the attention of which layer, 'local' or 'global', its share."""

    layer: int
    kind: str
    share: float


@dataclass(frozen=True)
class Merging:
    """
    Where and how much tokens merge.

    layers: of the first and the second merging, from 1, 0 for none; the paper takes (1, 7) for
    ViT-L. kinds: what merges in each, windows ('local', CLAP) or pairs ('global', GBM).
    threshold: cosine similarity from which a window merges; with rule 'fixed' pairs as well.
    rule: 'adaptive' merges pairs above a threshold taken from each image, as released; 'share'
    the most similar `shares` of windows or pairs, one for each layer. Rivals: 'every' leaves the
    layers aside and merges tokens_per_layer tokens in every layer, as ToMe does; 'elvit',
    'ailurus' and 'pooling' cluster the tokens and keep the fraction `keep` of them, the first two
    once, in the second layer, and 'pooling' in both; by 'dtop' and 'dovit' tokens stop at the
    exits of a network, wherever these are, from a `confidence` on, a probability; 'dtop' keeps
    `context` of each class; by 'paumer' `shares` of the tokens stop at the exits, one for each; by
    'cts' the first of the `shares` of windows of 2 x 2 patches share a token from the start.
    window: rows and columns of patches. values: the merged token is the 'average' of its tokens,
    or a 'random' one of them; reduces: False gives it to each of them instead of merging (Table
    6). batch_rule: 'shared' trains as the paper does: all images of a batch keep as many tokens
    as the one that keeps most.
    """

    layers: tuple[int, int] = (1, 5)
    threshold: float = 0.88
    rule: str = 'adaptive'
    window: tuple[int, int] = (2, 2)
    shares: tuple[float, float] = (0.5, 0.44)
    tokens_per_layer: int = 44
    batch_rule: str = 'single'
    kinds: tuple[str, str] = ('local', 'global')
    keep: float = 0.5
    values: str = 'average'
    reduces: bool = True
    confidence: float = 0.95
    context: int = 5

    def __post_init__(self):
        check_choice('rule', self.rule, RULES)
        check_choice('batch_rule', self.batch_rule, BATCH_RULES)
        check_choice('values', self.values, VALUES)
        if not -1 <= self.threshold <= 1:
            raise ValueError('threshold must be a cosine similarity in [-1, 1], got '
                             f'{self.threshold}; the paper takes 0.88 for ViT-S on ADE20K')
        if not (is_pair(self.layers, int) and min(self.layers) >= 0):
            raise ValueError('layers must be (first, second), from 1, or 0 for none, got '
                             f'{cut(repr(self.layers))}; the paper takes (1, 5)')
        if not (is_pair(self.window, int) and min(self.window) >= 1
                and math.prod(self.window) >= 2):
            raise ValueError('window must be (rows, columns) of two patches or more, got '
                             f'{cut(repr(self.window))}; the paper takes (2, 2)')
        if not (is_pair(self.shares, float) and all(0 <= share <= 1 for share in self.shares)):
            raise ValueError('shares must be fractions of windows or pairs, two in [0, 1], got '
                             f'{cut(repr(self.shares))}; the paper takes about (0.5, 0.44)')
        if self.tokens_per_layer < 0:
            raise ValueError('tokens_per_layer must be at least 0, got '
                             f'{self.tokens_per_layer}; 44 leave half of 1025 after 12 layers')
        if not 0 < self.keep <= 1:
            raise ValueError('keep must be a fraction of the tokens in (0, 1], got '
                             f'{self.keep}; ELViT keeps about 0.5')
        if not (0 <= self.confidence <= 1 and self.context >= 0):
            raise ValueError('confidence must be a probability in [0, 1] and context a number of '
                             f'tokens, got {self.confidence} and {self.context}; DToP takes 0.95 '
                             'and 5')
        self.check_kinds()

    def check_kinds(self) -> None:
        """Raise ValueError for kinds of merging that do not go together, or with the rule."""
        if not (isinstance(self.kinds, tuple) and len(self.kinds) == 2
                and set(self.kinds) <= set(KINDS)):
            raise ValueError("kinds must be two of 'local' and 'global', got "
                             f'{cut(repr(self.kinds))}; the paper takes (local, global)')
        if [step.kind for step in self.steps] == ['global', 'local']:
            raise ValueError('kinds must not be (global, local): windows of the image are there '
                             'only before tokens merge anywhere; change their order')
        if self.rule not in ALGM_RULES and (self.values, self.reduces) != ('average', True):
            raise ValueError("values 'random' and reduces False are for the rules "
                             f"{', '.join(ALGM_RULES)}, got rule {self.rule!r}")

    @property
    def steps(self) -> list[Step]:
        """What merges by ALGM, in order; nothing by the rule of a rival."""
        steps = map(Step, self.layers, self.kinds, self.shares)
        return [step for step in steps if step.layer and self.rule in ALGM_RULES]

    @property
    def clustered_layers(self) -> list[int]:
        """Layers in which the rule of a rival clusters the tokens."""
        if self.rule not in CLUSTERING_RULES:
            return []
        return [layer for layer in self.layers[self.rule != 'pooling':] if layer]

    @property
    def has_threshold(self) -> bool:
        """Whether the rule compares similarities with the threshold."""
        return self.rule in ('adaptive', 'fixed')

    @property
    def counts_are_fixed(self) -> bool:
        """Whether as many tokens merge in any image of a size."""
        return not (self.has_threshold or self.rule in CONFIDENT_RULES)

    def check_depth(self, depth: int) -> None:
        """Raise ValueError unless a network of this depth has the layers."""
        layers = [step.layer for step in self.steps] or self.clustered_layers
        if max(layers, default=0) > depth or layers != sorted(set(layers)):
            raise ValueError(f'layers must be (first, second) with 1 <= first < second <= {depth}'
                             ', the blocks of this network, or 0 for none, got '
                             f'{self.layers}; the paper takes (1, 5)')


@dataclass(frozen=True)
class MergeSettings(Settings):
    """Settings of merging that use and training have in common, beside layers and rule."""

    merge_kinds: tuple[str, str] = setting(
        ('local', 'global'), 'what merges in each: windows (local) or pairs anywhere (global)',
        choices=KINDS)
    merge_threshold: float = setting(
        0.88, 'tokens merge from this cosine similarity on', at_least=-1.0, at_most=1.0)
    merge_window: tuple[int, int] = setting(
        (2, 2), 'rows and columns of the patches that merge locally', at_least=1)
    merge_shares: tuple[float, float] = setting(
        (0.5, 0.44), 'rule share: fractions of the windows or pairs that merge in each layer; '
        'rule paumer: of the tokens that stop at each exit; '
        'rule cts: the first, of windows of 2 x 2 patches that share a token',
        at_least=0.0, at_most=1.0)
    merge_tokens: int = setting(
        44, 'rule every: number of tokens that merge in each layer', at_least=0)
    merge_keep: float = setting(
        0.5, 'rules elvit and ailurus, in the second layer, and pooling, in both: fraction of the '
        'tokens that is kept', at_least=0.01, at_most=1.0)
    merge_values: str = setting(
        'average', 'a merged token is the average of its tokens, or a random one of them',
        choices=VALUES)
    merge_reduces: bool = setting(
        True, 'false: tokens that would merge get the value of the merged one instead')
    merge_confidence: float = setting(
        0.95, 'rules dtop and dovit: probability above which a token stops at an exit',
        at_least=0.0, at_most=1.0)
    merge_context: int = setting(
        5, 'rule dtop: number of the most confident tokens of each class that go on',
        at_least=0)

    def merging_of(self, layers: tuple[int, int], rule: str, batch_rule: str = 'single'
                   ) -> Merging:
        """Return how tokens merge in these layers by this rule."""
        return Merging(layers, self.merge_threshold, rule, self.merge_window, self.merge_shares,
                       self.merge_tokens, batch_rule, self.merge_kinds, self.merge_keep,
                       self.merge_values, self.merge_reduces, self.merge_confidence,
                       self.merge_context)


def is_pair(value: object, kind: type) -> bool:
    """Tell whether a value is two numbers of a kind; a whole number is a float, too."""
    kinds = (int, float) if kind is float else (int,)
    return isinstance(value, tuple) and len(value) == 2 and all(type(x) in kinds for x in value)


def check_choice(name: str, value: str, known: tuple[str, ...]) -> None:
    """Raise ValueError, naming the nearest, unless the value is known."""
    if value not in known:
        raise ValueError(f'unknown {name} {value!r}; {nearest(value, known)}')
