# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Token merging put into a Segmenter, and taken out again.

ALGM, section 3.3: between attention and perceptron, locally in one layer and globally in a later
one. No parameters: weights stay as they are; attention is not weighted by size. In evaluation
no result depends on the other images of a batch: by a threshold, each image is processed by
itself. In training as well, unless batch_rule is 'shared', see Merging.
Its rivals in the same place: rule 'every', Bolya et al., "Token Merging: Your ViT But Faster",
section 3, from its description: in every layer the same number of tokens, by the similarity of
their keys averaged over heads. Different from there: no attention weighted by size. And 'elvit',
'ailurus' and 'pooling', each in its own file; the first two give every patch a token again before
the decoder. And 'dtop', 'dovit' and 'paumer', by which tokens stop after a block, and 'cts', by
which patches share a token before the first.
"""

from __future__ import annotations

import math
from copy import copy
from functools import partial

from torch import Tensor, nn

from sparse_seg_ros.methods.algm.ailurus import merge_to_peaks
from sparse_seg_ros.methods.algm.choices import Choice, above_mean, at_least, share_of, up_to
from sparse_seg_ros.methods.algm.cts import SUPERPATCH, SharedEmbedding
from sparse_seg_ros.methods.algm.early_exit import EarlyExit, least_entropy, order_to_stop
from sparse_seg_ros.methods.algm.elvit import merge_to_clusters
from sparse_seg_ros.methods.algm.merging import merge_global, merge_local, spread
from sparse_seg_ros.methods.algm.settings import EXIT_RULES, Merging, Step
from sparse_seg_ros.methods.algm.token_pooling import merge_to_medoids
from sparse_seg_ros.networks.vit.decoders import LinearDecoder, MaskTransformer
from sparse_seg_ros.networks.vit.encoder import Merge
from sparse_seg_ros.networks.vit.segmenter_vit import SegmenterViT
from sparse_seg_ros.networks.vit.tokens import Tokens


def apply(net: nn.Module, merging: Merging | None = None) -> None:
    """
    Let a network merge tokens from now on; what was applied before is replaced.

    `net.multiple` grows so that the window divides every image.
    """
    segmenter, merging = expect_segmenter(net), merging or Merging()
    merging.check_depth(len(segmenter.encoder.blocks))
    segmenter.encoder.merges = plan(merging, len(segmenter.encoder.blocks))
    segmenter.encoder.exits = exits_of(segmenter, merging)
    segmenter.encoder.embedding = embedding_of(segmenter, merging)
    segmenter.exits_decide = merging.rule == 'dtop'
    segmenter.encoder.restores = merging.rule in ('elvit', 'ailurus', 'dovit', 'paumer') or \
        merging.rule == 'dtop' and not takes_any_tokens(segmenter)
    segmenter.counts_are_shared = merging.batch_rule == 'shared'
    segmenter.counts_are_fixed = merging.counts_are_fixed
    is_local = any(step.kind == 'local' for step in merging.steps)
    sides = merging.window if is_local else SUPERPATCH if merging.rule == 'cts' else (1, 1)
    segmenter.multiple = segmenter.encoder.patch_size * math.lcm(*sides)


def remove(net: nn.Module) -> None:
    """Undo apply: every result is again bit by bit what it was."""
    segmenter = expect_segmenter(net)
    segmenter.encoder.merges, segmenter.encoder.exits = {}, {}
    segmenter.encoder.embedding = None
    segmenter.encoder.restores = segmenter.exits_decide = False
    segmenter.counts_are_shared = segmenter.counts_are_fixed = False
    segmenter.multiple = segmenter.encoder.patch_size


def merging_copy(net: nn.Module, merging: Merging | None) -> SegmenterViT:
    """
    Return a network that merges tokens so, or not; net itself stays as it is.

    For inference: it shares the weights, and the hooks.
    """
    segmenter = copy(expect_segmenter(net))
    segmenter._modules = {**segmenter._modules, 'encoder': copy(segmenter.encoder)}
    if merging is None:
        remove(segmenter)
    else:
        apply(segmenter, merging)
    return segmenter


def token_counts(net: nn.Module) -> list[list[int]]:
    """For each image of the last batch, the tokens that entered each block's perceptron."""
    counts = expect_segmenter(net).token_counts
    if not counts:
        raise ValueError('token counts are known after a forward pass; run the network first')
    return counts


def expect_segmenter(net: nn.Module) -> SegmenterViT:
    """Return the network if it has blocks in which tokens can merge."""
    if not isinstance(net, SegmenterViT):
        raise ValueError(f'token merging needs the blocks of a SegmenterViT, got '
                         f'{type(net).__name__}; build a network such as segmenter_s')
    return net


def plan(merging: Merging, depth: int) -> dict[int, Merge]:
    """Layer, from 1, -> what merges there."""
    if merging.rule == 'every':
        by_keys = partial(merge_by_keys, choose=partial(up_to, most=merging.tokens_per_layer))
        return dict.fromkeys(range(1, depth + 1), by_keys)
    if merging.rule in CLUSTERINGS:
        cluster = partial(CLUSTERINGS[merging.rule], keep=merging.keep)
        return dict.fromkeys(merging.clustered_layers, cluster)
    merges = {step.layer: merge_of(merging, step) for step in merging.steps}
    if merging.reduces:
        return merges
    return {layer: partial(merge_and_spread, merge=merge) for layer, merge in merges.items()}


def exits_of(segmenter: SegmenterViT, merging: Merging) -> dict[int, EarlyExit]:
    """Layer, from 1, -> what lets tokens stop after it, by a rule that does."""
    if merging.rule not in EXIT_RULES:
        return {}
    if not segmenter.exit_heads:
        raise ValueError(f'rule {merging.rule!r} needs a network with exits; train one with '
                         "'network_options: [first_exit=6, second_exit=8]'")
    chooses = [partial(least_entropy, share=share) for share in merging.shares] \
        if merging.rule == 'paumer' else \
        [partial(order_to_stop, confidence=merging.confidence,
                 context=merging.context if merging.rule == 'dtop' else 0)] * 2
    return {int(layer): EarlyExit(nn.Sequential(segmenter.encoder.norm, head), choose)
            for (layer, head), choose in zip(segmenter.exit_heads.items(), chooses)}


def embedding_of(segmenter: SegmenterViT, merging: Merging) -> SharedEmbedding | None:
    """Return what makes tokens in place of the encoder, by the rule that does."""
    if merging.rule != 'cts':
        return None
    if segmenter.policy is None:
        raise ValueError("rule 'cts' needs a network with a policy; train one with "
                         "'network_options: [policy=efficientnet_lite0]'")
    return SharedEmbedding(segmenter.policy, merging.shares[0])


def takes_any_tokens(segmenter: SegmenterViT) -> bool:
    """Tell whether a decoder needs no token of those that stopped."""
    return isinstance(segmenter.decoder, (LinearDecoder, MaskTransformer))


def merge_of(merging: Merging, step: Step) -> Merge:
    """Return what merges in one layer of ALGM."""
    choose, picks = choice_of(merging, step), merging.values == 'random'
    if step.kind == 'local':
        return lambda tokens, _: merge_local(tokens, merging.window, choose, picks)
    return lambda tokens, _: merge_global(tokens, choose, picks=picks)


def choice_of(merging: Merging, step: Step) -> Choice:
    """Return how many windows or pairs merge in one layer of ALGM."""
    if merging.rule == 'share':
        return partial(share_of, share=step.share)
    if merging.rule == 'adaptive' and step.kind == 'global':
        return partial(above_mean, layer=step.layer)
    return partial(at_least, threshold=merging.threshold)


def merge_by_keys(tokens: Tokens, queries_keys: Tensor, choose: Choice) -> Tokens:
    """Merge globally by keys (B, heads, T, d / heads), averaged over heads."""
    return merge_global(tokens, choose, features=queries_keys[1].mean(1))


def merge_and_spread(tokens: Tokens, queries_keys: Tensor, merge: Merge) -> Tokens:
    """Give tokens the value that they would merge into, and leave their number."""
    return spread(tokens, merge(tokens, queries_keys))


CLUSTERINGS = {
    'elvit': lambda tokens, _, keep: merge_to_clusters(tokens, keep),
    'ailurus': lambda tokens, _, keep: merge_to_peaks(tokens, keep),
    'pooling': merge_to_medoids,
}
