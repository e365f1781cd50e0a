# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""DToP and DoViT: whole networks against loops over the patches, and what exits learn and cost."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from sparse_seg_ros.loading.checkpoints import build_model, load_model, save_model
from sparse_seg_ros.methods import algm
from sparse_seg_ros.methods.algm.early_exit import order_to_stop
from sparse_seg_ros.methods.algm.method import Algm, Call
from sparse_seg_ros.methods.dense import DenseObjective
from sparse_seg_ros.methods.request import Request
from sparse_seg_ros.model_card import Model, ModelCard
from sparse_seg_ros.networks import NETWORKS, build_network
from sparse_seg_ros.networks.vit.options import ViTOptions
from sparse_seg_ros.networks.vit.segmenter_vit import SegmenterViT
from sparse_seg_ros.networks.vit.tokens import Tokens
from sparse_seg_ros.timing import Stopwatch

CLASSES, DIM, DEPTH = 5, 64, 4
RULES = [('dtop', 2), ('dtop', 0), ('dovit', 2), ('paumer', 0)]
SHARES = (0.3, 0.5)  # of rule paumer


def draw_network(decoder='mask'):
    """Draw a network whose exits, after its blocks 1 and 3, are sure of some tokens."""
    torch.manual_seed(0)
    network = SegmenterViT(128, 16, DIM, DEPTH, 4, CLASSES, decoder)
    network.add_options(ViTOptions(first_exit=1, second_exit=3))
    with torch.no_grad():
        for head in network.exit_heads.values():
            head.head.weight *= 12
    return network.double().eval()


def parameters(network):
    return sum(parameter.numel() for parameter in network.parameters())


def draw_images(batch=2, height=96, width=64):
    generator = torch.Generator().manual_seed(0)
    coarse = torch.randn(batch, 3, 3, 2, generator=generator, dtype=torch.float64)
    noise = torch.randn(batch, 3, height, width, generator=generator, dtype=torch.float64)
    return 2 * F.interpolate(coarse, (height, width)) + noise


def softmax(logits):
    powers = [math.exp(logit - max(logits)) for logit in logits]
    return [power / sum(powers) for power in powers]


def stopping(logits, confidence, context):
    """Return the places of the rows that stop, one row of logits a token, the surest first."""
    best = [max((p, -c) for c, p in enumerate(softmax(row))) for row in logits]
    ranked = sorted(range(len(best)), key=lambda i: (-best[i][0], i))
    seen, stops = [0] * CLASSES, []
    for i in ranked:
        label = -best[i][1]
        if best[i][0] > confidence and seen[label] >= context:
            stops.append(i)
        seen[label] += 1
    return stops


def least(logits, share):
    """Return the places of a share of the rows, those of the lowest entropy first."""
    entropies = [-sum(p * math.log(p) for p in softmax(row)) for row in logits]
    return sorted(range(len(logits)), key=lambda i: (entropies[i], i))[:round(share * len(logits))]


def by_loops(network, image, rule, confidence, context):
    """One image -> logits of its patches by the place, before they are enlarged, and counts."""
    values = list(network.encoder.embed(image[None]).values[0])  # class token, then patches
    alive, halted, said, counts = list(range(1, len(values))), {}, {}, []
    for layer, block in enumerate(network.encoder.blocks, start=1):
        rows = block(torch.stack([values[i] for i in (0, *alive)])[None])[0]
        counts.append(len(rows))
        for i, row in zip((0, *alive), rows):
            values[i] = row
        if str(layer) in network.exit_heads:
            head = network.exit_heads[str(layer)]
            logits = [head(network.encoder.norm(values[i])) for i in alive]
            rows = [row.tolist() for row in logits]
            stops = least(rows, SHARES[len(counts) > 1]) if rule == 'paumer' else \
                stopping(rows, confidence, context if rule == 'dtop' else 0)
            said |= {alive[place]: logits[place] for place in stops}
            halted |= {alive[place]: values[alive[place]] for place in stops}
            alive = [i for i in alive if i not in said]
    return values, alive, halted, said, counts


@torch.inference_mode()
@pytest.mark.parametrize(('rule', 'context'), RULES)
@pytest.mark.parametrize('decoder', ['linear', 'mask', 'naive'])
def test_a_network_gives_what_loops_over_the_patches_give(rule, context, decoder):
    network, images = draw_network(decoder), draw_images()
    algm.apply(network, algm.Merging(rule=rule, confidence=0.5, context=context, shares=SHARES))
    got, counts = network(images), network.token_counts
    some_stopped = []
    for image, logits, count in zip(images, got, counts):
        values, alive, halted, said, want_counts = by_loops(network, image, rule, 0.5, context)
        assert count == want_counts
        some_stopped.append(count[0] > count[1] > count[3])
        takes_all = rule != 'dtop' or decoder == 'naive'
        places = range(1, len(values)) if takes_all else alive
        tokens = network.encoder.norm(torch.stack([values[i] for i in (0, *places)]))[None]
        results = network.decoder(Tokens(tokens, (1, len(places))))[0, :, 0].mT  # (n, C)
        by_place = dict(zip(places, results))
        if rule == 'dtop':
            by_place |= said
        grid = torch.stack([by_place[i] for i in range(1, len(values))]).mT.view(1, CLASSES, 6, 4)
        want = F.interpolate(grid, (96, 64), mode='bilinear', align_corners=False)[0]
        torch.testing.assert_close(logits, want, atol=1e-9, rtol=0)
    assert all(some_stopped)
    algm.remove(network)
    assert torch.equal(network(images), draw_network(decoder)(images))


@torch.inference_mode()
@pytest.mark.parametrize('decoder', ['pup', 'mla', 'atm'])
@pytest.mark.parametrize('rule', ['dtop', 'dovit', 'paumer'])
def test_any_decoder_will_do_and_a_patch_that_left_has_the_label_of_its_exit(rule, decoder):
    torch.manual_seed(0)
    depth = 4 if decoder == 'mla' else 6
    network, image = SegmenterViT(128, 16, DIM, depth, 4, CLASSES, decoder), draw_images(1)
    network.add_options(ViTOptions(first_exit=2))
    network.double().eval()
    algm.apply(network, algm.Merging(rule=rule, confidence=0.0, context=0, shares=(1.0, 1.0)))
    streams, counts = network.encoder(image, network.layers)
    assert counts[-1] == 1  # all have left but the class token
    logits = network.decode(streams)
    exits = network.exit_heads['2'](network.encoder.norm(streams[-1].stopped.values))
    assert logits.isfinite().all()
    if rule == 'dtop':
        side = logits.shape[2] // 6
        order = streams[-1].groups[0, 1:] - 1
        want = exits[0, order].mT.unflatten(1, (6, 4))[None]
        assert torch.allclose(logits[..., ::side, ::side], want, atol=1e-12)


@pytest.mark.parametrize('context', [0, 1, 3, 100])
def test_the_surest_stop_first_but_for_the_context_of_their_class(context):
    generator = torch.Generator().manual_seed(context)
    logits = 3 * torch.randn(3, 40, CLASSES, generator=generator, dtype=torch.float64)
    logits[0, 7] = logits[0, 3]  # equals go in order
    want = [stopping(rows, 0.6, context) for rows in logits.tolist()]
    fewest = min(map(len, want))
    assert order_to_stop(logits, 0.6, context).tolist() == [places[:fewest] for places in want]
    assert (fewest > 0) == (context < 100)
    for rows, places in zip(logits, want):
        assert order_to_stop(rows[None], 0.6, context).tolist() == [places]


def test_in_training_as_many_of_each_image_stop_and_the_exits_learn_what_they_say():
    network = draw_network().train()
    model = Model(ModelCard('x', tuple('abcde'), '', (0.0,) * 3, (1.0,) * 3), network)
    algm.apply(network, algm.Merging(rule='dtop', confidence=0.5, context=1, batch_rule='shared'))
    objective = DenseObjective(model, torch.ones(CLASSES)).train()
    images = draw_images()
    labels = torch.randint(CLASSES, (2, 96, 64), generator=torch.Generator().manual_seed(1))
    torch.manual_seed(5)
    loss = objective(images, labels.to(torch.uint8), torch.zeros(2))
    one, other = network.token_counts
    assert one == other and one[0] > one[-1]
    torch.manual_seed(5)
    maps = network.with_exits(images)
    assert maps.shape == (2, 3, CLASSES, 96, 64)
    want = sum(F.cross_entropy(maps[:, part].float(), labels) for part in range(3))
    torch.testing.assert_close(loss, want, atol=1e-5, rtol=0)
    loss.backward()
    still = {key for key, value in network.named_parameters() if value.grad is None}
    assert still == {'encoder.head.weight', 'encoder.head.bias'}


def test_without_a_rule_exits_learn_beside_the_network_and_change_nothing_in_it():
    network = draw_network()
    images = draw_images()
    with torch.inference_mode():
        plain, maps = network(images), network.with_exits(images)
    assert torch.equal(maps[:, 0], plain)
    tokens = network.encoder(images, [1])[0][0]
    grid = network.exit_heads['1'](tokens.values[:, 1:]).mT.unflatten(2, (6, 4))
    want = F.interpolate(grid, (96, 64), mode='bilinear', align_corners=False)
    torch.testing.assert_close(maps[:, 1], want, atol=1e-9, rtol=0)
    algm.apply(network, algm.Merging((1, 3), rule='share'))  # exits learn from merged tokens, too
    with torch.inference_mode():
        maps, plain = network.with_exits(images), network(images)
        merged = network.encoder(images, [1])[0][0]
        grid = merged.to_grid(network.exit_heads['1'](merged.values[:, 1:]))
    assert torch.equal(maps[:, 0], plain) and grid.shape == (2, CLASSES, 6, 4)
    want = F.interpolate(grid, (96, 64), mode='bilinear', align_corners=False)
    torch.testing.assert_close(maps[:, 1], want, atol=1e-9, rtol=0)


@pytest.mark.parametrize(('rule', 'decoder'), [('dtop', 'mask'), ('dtop', 'naive'),
                                               ('dovit', 'mask'), ('paumer', 'mask')])
@torch.inference_mode()
def test_multiply_accumulates_are_those_of_the_tokens_that_go_on(rule, decoder):
    merging = algm.Merging(rule=rule, confidence=0.5, context=1, shares=SHARES)
    method = Algm(draw_network(decoder).float(), merging)
    output = method(draw_images(1).float(), Request(wants=frozenset(['merged'])), Stopwatch())
    assert not output.merged.any()  # no two patches share a token
    counts = output.work.calls[0].counts
    assert 25 == counts[0] > counts[1] == counts[2] > counts[3]
    macs = 24 * 3 * 16 ** 2 * DIM
    macs += sum(12 * count * DIM ** 2 + 2 * count ** 2 * DIM for count in counts)
    macs += (24 + counts[2] - 1) * DIM * CLASSES  # the exits
    left = counts[3] - 1 if (rule, decoder) == ('dtop', 'mask') else 24
    if decoder == 'mask':
        both = left + CLASSES
        macs += left * DIM ** 2 + 2 * (12 * both * DIM ** 2 + 2 * both ** 2 * DIM)
        macs += both * DIM ** 2 + left * DIM * CLASSES
    else:
        macs += left * 256 * (DIM + CLASSES)
    assert method.count_macs((96, 64), work=output.work)['dense'] == macs


@pytest.mark.parametrize(('name', 'exits', 'rule', 'shares', 'published'), [
    ('setr_naive_b', (6, 8), 'dtop', (0, 0), 108),
    ('setr_naive_b', (6, 8), 'dtop', (0.31,) * 2, 81),
    ('segmenter_s', (4, 8), 'dovit', (0, 0), 38.6),
    ('segmenter_s', (4, 8), 'dovit', (0.19,) * 2, 38.6 * 0.82)])
def test_the_cost_is_that_of_the_paper_if_such_shares_stop(name, exits, rule, shares, published):
    with torch.device('meta'):
        options = [f'first_exit={exits[0]}', f'second_exit={exits[1]}']
        network, plain = build_network(name, 150, options), build_network(name, 150)
    dim = network.encoder.cls_token.shape[2]
    assert parameters(network) - parameters(plain) == 2 * (2 * dim + 150 * dim + 150)
    first = 1 + round(1024 * (1 - shares[0]))
    second = 1 + round(1024 * (1 - shares[0]) * (1 - shares[1]))
    counts = [1025] * exits[0] + [first] * (exits[1] - exits[0]) + [second] * (12 - exits[1])
    macs = Algm(network.eval(), algm.Merging(rule=rule)).count_call(Call(1, (32, 32), (*counts,)))
    assert macs / 1e9 == pytest.approx(published, rel=0.01)


@torch.inference_mode()
def test_autocast_and_half_precision_are_no_exception():
    network, images = draw_network().float(), draw_images().float()
    algm.apply(network, algm.Merging(rule='dtop', confidence=0.3, context=1))
    with torch.autocast('cpu', torch.bfloat16):
        assert network(images).isfinite().all()
    assert network.bfloat16()(images.bfloat16()).isfinite().all()
    assert network(torch.zeros(1, 3, 16, 16, dtype=torch.bfloat16)).isfinite().all()


def test_exits_are_options_of_a_network_and_are_kept_in_its_file(tmp_path, monkeypatch):
    class Small(SegmenterViT):
        def __init__(self, num_classes):
            super().__init__(64, 16, DIM, DEPTH, 4, num_classes)

    monkeypatch.setitem(NETWORKS, 'segmenter_t', Small)
    card = ModelCard('segmenter_t', ('a', 'b', 'c'), '', (0.0,) * 3, (1.0,) * 3)
    plain, model = build_model(card), build_model(
        replace(card, network_options=('first_exit=1', 'second_exit=3')))
    more = model.network.state_dict().keys() - plain.network.state_dict().keys()
    assert {key.rpartition('.')[0] for key in more} == {
        f'exit_heads.{layer}.{part}' for layer in (1, 3) for part in ('norm', 'head')}
    save_model(model, tmp_path / 'model.safetensors')
    again = load_model(tmp_path / 'model.safetensors').network.state_dict()
    assert all(torch.equal(again[key], value)
               for key, value in model.network.state_dict().items())
    with pytest.raises(ValueError, match='needs a network with exits; train one with'):
        algm.apply(plain.network, algm.Merging(rule='dovit'))
    for layers in ((4, 0), (3, 1), (2, 2)):
        with pytest.raises(ValueError, match=r'after layers 1 <= first < second < 4'):
            build_network('segmenter_t', 3, [f'first_exit={layers[0]}',
                                             f'second_exit={layers[1]}'])
    with pytest.raises(ValueError, match='confidence must be a probability'):
        algm.Merging(confidence=1.5)
