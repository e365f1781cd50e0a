# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""CTS: shared tokens against loops over pixels, what its policy learns, and the published cost."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from sparse_seg_ros.labels import VOID
from sparse_seg_ros.loading.checkpoints import build_model, load_model, save_model
from sparse_seg_ros.methods import algm
from sparse_seg_ros.methods.algm.cts import embed_shared
from sparse_seg_ros.methods.algm.method import Algm, Call
from sparse_seg_ros.methods.dense import DenseObjective
from sparse_seg_ros.methods.dense.policy_loss import policy_loss, uniform_cells
from sparse_seg_ros.methods.macs import count_module
from sparse_seg_ros.methods.request import Request
from sparse_seg_ros.model_card import Model, ModelCard
from sparse_seg_ros.networks import NETWORKS, build_network
from sparse_seg_ros.networks.vit.options import ViTOptions
from sparse_seg_ros.networks.vit.policy import PolicyNetwork
from sparse_seg_ros.networks.vit.segmenter_vit import SegmenterViT
from sparse_seg_ros.timing import Stopwatch

CLASSES, DIM, DEPTH = 5, 64, 4
OPTIONS = ('policy=efficientnet_lite0',)


def draw_network(decoder='mask'):
    torch.manual_seed(0)
    network = SegmenterViT(128, 16, DIM, DEPTH, 4, CLASSES, decoder)
    network.add_options(ViTOptions(policy='efficientnet_lite0'))
    return network.double().eval()


def draw_images(batch=2, height=96, width=128):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(batch, 3, height, width, generator=generator, dtype=torch.float64)


def embedded(network, patch):
    """(3, 16, 16) pixels -> (d,), a product for each of its channels."""
    conv = network.encoder.patch_embed.proj
    return (conv.weight * patch).sum((1, 2, 3)) + conv.bias


def tokens_by_loops(network, image, chosen):
    """One image, its superpatches (row, column) that share -> tokens and [patches of each]."""
    rows, columns = (side // 16 for side in image.shape[1:])
    positions = network.encoder.positions((rows, columns))[0]
    values, members = [network.encoder.cls_token[0, 0] + positions[0]], []
    for y, x in chosen:
        region = image[:, 32 * y:32 * y + 32, 32 * x:32 * x + 32]
        patch = sum(region[:, down::2, across::2] for down in (0, 1) for across in (0, 1)) / 4
        own = [(2 * y + down) * columns + 2 * x + across for down in (0, 1) for across in (0, 1)]
        values.append(embedded(network, patch) + sum(positions[1 + i] for i in own) / 4)
        members.append(own)
    gone = {i for own in members for i in own}
    for i in range(rows * columns):
        if i not in gone:
            y, x = 16 * (i // columns), 16 * (i % columns)
            values.append(embedded(network, image[:, y:y + 16, x:x + 16]) + positions[1 + i])
            members.append([i])
    return torch.stack(values), members


@torch.inference_mode()
@pytest.mark.parametrize('decoder', ['mask', 'naive', 'mla'])
def test_a_network_with_shared_tokens_gives_what_loops_over_the_pixels_give(decoder):
    network, images = draw_network(decoder), draw_images()
    algm.apply(network, algm.Merging(rule='cts', shares=(0.3, 0.0)))
    assert network.multiple == 32 and network.images_at_once(2) == 2
    got, scores = network(images), network.policy(images)
    assert scores.shape == (2, 3, 4)
    assert network.token_counts == [[1 + 48 - 3 * 4] * DEPTH] * 2  # 4 of 12: 0.3 is rounded up
    for image, logits, score in zip(images, got, scores):
        ranked = sorted((-float(score[y, x]), y, x) for y in range(3) for x in range(4))
        chosen = [(y, x) for _, y, x in ranked[:4]]
        values, members = tokens_by_loops(network, image, chosen)
        streams = []
        for layer, block in enumerate(network.encoder.blocks, start=1):
            values = block(values[None])[0]
            if layer in network.layers:
                streams.append(network.encoder.norm(values))
        groups = torch.zeros(1, 49, dtype=torch.int64)
        for token, own in enumerate(members, start=1):
            groups[0, [1 + i for i in own]] = token
        whole = network.encoder.embed(image[None])
        want = network.decoder(*(replace(whole, values=stream[None], groups=groups)
                                 for stream in streams))
        want = F.interpolate(want, (96, 128), mode='bilinear', align_corners=False)[0]
        torch.testing.assert_close(logits, want, atol=1e-9, rtol=0)
    algm.remove(network)
    assert torch.equal(network(images), draw_network(decoder)(images))


@torch.inference_mode()
@pytest.mark.parametrize('count', [0, 3, 12])
def test_tokens_know_their_patches_whether_none_some_or_all_are_shared(count):
    network, image = draw_network(), draw_images(1)
    rank = torch.randperm(12, generator=torch.Generator().manual_seed(count))[None]
    tokens = embed_shared(network.encoder, image, rank, count)
    chosen = [divmod(int(cell), 4) for cell in rank[0].argsort()[:count]]
    values, members = tokens_by_loops(network, image[0], chosen)
    torch.testing.assert_close(tokens.values[0], values, atol=1e-9, rtol=0)
    for token, own in enumerate(members, start=1):
        assert tokens.groups[0, [1 + i for i in own]].tolist() == [token] * len(own)
    assert tokens.groups[0, 0] == 0 and tokens.sizes[0, 1:].tolist() == [4] * count + [1] * (
        48 - 4 * count)
    if not count:
        torch.testing.assert_close(tokens.values, network.encoder.embed(image).values,
                                   atol=1e-9, rtol=0)


def draw_labels(batch=2, height=96, width=128):
    """Draw large areas, with void."""
    generator = torch.Generator().manual_seed(3)
    coarse = torch.randint(3, (batch, 1, 2, 3), generator=generator).float()
    labels = F.interpolate(coarse, (height, width), mode='nearest')[:, 0].to(torch.uint8)
    labels[0, 20:, 30:] = VOID
    return labels


@pytest.mark.parametrize('size_hw', [(96, 128), (70, 100)])
def test_the_policy_learns_which_cells_have_one_class_apart_from_void(size_hw):
    labels = draw_labels()
    rows, columns = (math.ceil(side / 32) for side in size_hw)
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, rows, columns, generator=generator, dtype=torch.float64)
    is_uniform, is_known = uniform_cells(labels, size_hw)
    losses, kinds = [], set()
    for image in range(2):
        for row in range(rows):
            for column in range(columns):
                ids = set()
                for y in range(32 * row, min(32 * row + 32, size_hw[0])):
                    for x in range(32 * column, min(32 * column + 32, size_hw[1])):
                        ids.add(int(labels[image, int((y + 0.5) * 96 / size_hw[0]),
                                           int((x + 0.5) * 128 / size_hw[1])]))
                ids -= {VOID}
                assert bool(is_known[image, row, column]) == bool(ids)
                if ids:
                    assert bool(is_uniform[image, row, column]) == (len(ids) == 1)
                    logit = float(logits[image, row, column])
                    losses.append(math.log1p(math.exp(-logit if len(ids) == 1 else logit)))
                kinds.add(min(len(ids), 2))
    assert kinds == {0, 1, 2}
    loss = float(policy_loss(logits, labels, size_hw))
    assert loss == pytest.approx(sum(losses) / len(losses), rel=1e-6)


def test_the_policy_learns_by_itself_and_the_network_by_pixels():
    network = draw_network('linear').float().train()  # without dropout
    card = ModelCard('x', tuple('abcde'), '', (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    algm.apply(network, algm.Merging(rule='cts', shares=(0.4, 0.0), batch_rule='shared'))
    objective = DenseObjective(Model(card, network), torch.ones(CLASSES)).train()
    images, labels = draw_images().float(), draw_labels()
    total = objective(images, labels, torch.zeros(2))
    assert network.token_counts == [[1 + 48 - 3 * 5] * DEPTH] * 2
    own = policy_loss(network.policy(images), labels, (96, 128))
    pixels = F.cross_entropy(network(images), labels.long(), ignore_index=VOID)
    torch.testing.assert_close(total, own + pixels, atol=1e-4, rtol=0)
    names, weights = zip(*network.named_parameters())
    by_pixels = torch.autograd.grad(pixels, weights, allow_unused=True)
    by_policy = torch.autograd.grad(own, weights, allow_unused=True)
    for name, one, other in zip(names, by_pixels, by_policy):
        assert (other is not None) == name.startswith('policy.'), name
        assert (one is not None) == (other is None and not name.startswith('encoder.head')), name


def test_a_policy_finds_the_cells_of_one_class():
    """Texture says where classes meet, so few steps are enough."""
    torch.manual_seed(0)
    policy, labels = PolicyNetwork().train(), draw_labels(3)
    is_uniform, _ = uniform_cells(labels, (96, 128))
    rough = (~is_uniform).float().repeat_interleave(32, 1).repeat_interleave(32, 2)
    images = rough[:, None] * torch.randn(3, 3, 96, 128)
    optimizer = torch.optim.AdamW(policy.parameters(), 1e-3)
    for _ in range(4):
        optimizer.zero_grad()
        policy_loss(policy(images), labels, (96, 128)).backward()
        optimizer.step()
    with torch.no_grad():
        scores = policy(images)
    assert scores[is_uniform].mean() > scores[~is_uniform].mean() + 1
    best = scores.flatten().topk(int(is_uniform.sum()) // 2).indices
    assert is_uniform.flatten()[best].float().mean() > 0.9


@pytest.mark.parametrize(('name', 'classes', 'side', 'share', 'published', 'within'), [
    ('segmenter_t', 150, 512, 0.4, 9.8, 0.012), ('segmenter_s', 150, 512, 0.4, 27.2, 0.022),
    ('segmenter_b', 150, 512, 0.4, 91, 0.031), ('segmenter_l', 150, 640, 0.4, 446, 0.01),
    ('segmenter_b', 171, 512, 0.4, 89, 0.01),
    ('segmenter_s', 60, 480, 0.4, 22.4, 0.01)])
def test_the_cost_is_that_of_the_paper(name, classes, side, share, published, within):
    with torch.device('meta'):
        network, plain = build_network(name, classes, OPTIONS), build_network(name, classes)
    own = sum(weight.numel() for weight in network.parameters()) - sum(
        weight.numel() for weight in plain.parameters())
    assert own == 3_372_289  # EfficientNet-Lite0 has 4.65 million, 1.281 of them classify
    method = Algm(network.eval(), algm.Merging(rule='cts', shares=(share, 0.0)))
    patches = (side // 16) ** 2
    left = 1 + patches - 3 * math.ceil(share * patches / 4)
    call = Call(1, (side // 16,) * 2, (left,) * len(network.encoder.blocks))
    assert method.count_call(call) / 1e9 == pytest.approx(published, rel=within)


@torch.inference_mode()
def test_the_map_shows_who_shares_and_half_precision_is_no_exception():
    network = draw_network().float()
    method = Algm(network, algm.Merging(rule='cts', shares=(0.5, 0.0)))
    output = method(draw_images(1, 90, 60).float(), Request(wants=frozenset(['merged'])),
                    Stopwatch())
    numbers = output.merged[0].unique().tolist()  # 3 x 2 superpatches after padding
    assert len(numbers) == 4 and numbers[0] == 0
    left, with_classes = 24 - 3 * 3, 24 - 3 * 3 + CLASSES
    macs = count_module(network.policy, 1, 3, 96, 64) + left * 3 * 16 ** 2 * DIM
    macs += DEPTH * (12 * (left + 1) * DIM ** 2 + 2 * (left + 1) ** 2 * DIM)
    macs += left * DIM ** 2 + 2 * (12 * with_classes * DIM ** 2 + 2 * with_classes ** 2 * DIM)
    macs += with_classes * DIM ** 2 + left * DIM * CLASSES
    assert method.count_macs((90, 60), work=output.work)['dense'] == macs
    with torch.autocast('cpu', torch.bfloat16):
        assert method.network(draw_images(1).float()).isfinite().all()
    assert method.network.bfloat16()(draw_images(1).bfloat16()).isfinite().all()


def test_a_policy_is_an_option_of_a_network_and_is_kept_in_its_file(tmp_path, monkeypatch):
    class Small(SegmenterViT):
        def __init__(self, num_classes):
            super().__init__(64, 16, DIM, DEPTH, 4, num_classes)

    monkeypatch.setitem(NETWORKS, 'segmenter_t', Small)
    card = ModelCard('segmenter_t', ('a', 'b', 'c'), '', (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    plain, model = build_model(card), build_model(replace(card, network_options=OPTIONS))
    more = model.network.state_dict().keys() - plain.network.state_dict().keys()
    assert {key.partition('.')[0] for key in more} == {'policy'}
    save_model(model, tmp_path / 'model.safetensors')
    again = load_model(tmp_path / 'model.safetensors').network.state_dict()
    assert all(torch.equal(again[key], value) for key, value in model.network.state_dict().items())
    with pytest.raises(ValueError, match='needs a network with a policy; train one with'):
        algm.apply(plain.network, algm.Merging(rule='cts'))
    with pytest.raises(ValueError, match='a policy is for patches of 16 pixels, got 8'):
        SegmenterViT(64, 8, DIM, DEPTH, 4, 3).add_options(ViTOptions(policy='efficientnet_lite0'))
    with pytest.raises(ValueError, match='policy'):
        build_network('segmenter_t', 3, ['policy=resnet'])
