# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Hugging Face folders: loaded here they say what they say in `transformers`."""

from __future__ import annotations

import ast
import inspect
import json
import sys
from dataclasses import replace

import pytest
import torch
from bounds import assert_rounded
from hugging_face import save_folder, tiny_mask2former, tiny_segformer, transformers
from tiny import street_image

import sparse_seg_ros as ss
from sparse_seg_ros.commands import main
from sparse_seg_ros.data.street import CLASSES
from sparse_seg_ros.labels import find_labels, load_labels
from sparse_seg_ros.loading.checkpoints import build_model, load_model, save_model
from sparse_seg_ros.networks import build_network, with_transformers
from sparse_seg_ros.networks.pretrained import (
    HuggingFaceSegFormer,
    from_pretrained,
    read_normalisation,
)
from sparse_seg_ros.training.config import TrainConfig
from sparse_seg_ros.training.start import start_model

HALVES = {'image_mean': [0.5, 0.5, 0.5], 'image_std': [0.25, 0.25, 0.25]}


@pytest.fixture(name='folder', scope='module')
def segformer_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('models') / 'my_segformer'
    return save_folder(tiny_segformer(CLASSES), folder, HALVES)


@pytest.fixture(name='masks', scope='module')
def mask2former_folder(tmp_path_factory):
    return save_folder(tiny_mask2former(5), tmp_path_factory.mktemp('models') / 'my_mask2former')


def random_images(*size_hw):
    return torch.randn(1, 3, *size_hw, generator=torch.Generator().manual_seed(0))


def segformer_b0():
    torch.manual_seed(0)
    return transformers.SegformerForSemanticSegmentation(
        transformers.SegformerConfig(num_labels=19)).eval()


@torch.inference_mode()
@pytest.mark.parametrize('make', [segformer_b0, lambda: tiny_segformer(CLASSES)],
                         ids=['b0', 'tiny'])
def test_a_segformer_folder_gives_the_logits_of_transformers(tmp_path, make):
    model, images = make(), random_images(64, 96)
    network = from_pretrained(save_folder(model, tmp_path))
    assert network.num_classes == model.config.num_labels and not network.training
    logits = network.double()(images.double())
    assert logits.shape == (1, network.num_classes, 16, 24)
    torch.testing.assert_close(logits, model.double()(images.double()).logits)


@pytest.mark.parametrize('sizes', [{'hidden_sizes': [8, 16, 40, 1 << 20]},
                                   {'depths': [1, 1, 1, 1 << 20]},
                                   {'decoder_hidden_size': 1 << 40}], ids=list)
def test_a_card_that_asks_for_far_more_than_its_file_holds_is_refused(folder, tmp_path, sizes):
    model, path = load_model(folder), tmp_path / 'my.safetensors'
    save_model(model, path)
    assert load_model(path).card == model.card
    config = {**model.card.network_config, **sizes}
    save_model(replace(model, card=replace(model.card, network_config=config)), path)
    with pytest.raises(ValueError, match=r'must describe a network of the \d+ numbers in'):
        load_model(path)


@torch.inference_mode()
def test_a_mask2former_folder_gives_the_scores_of_transformers(masks):
    model, images = tiny_mask2former(5).double(), random_images(64, 96).double()
    output = model(images)
    enlarged = torch.nn.functional.interpolate(output.masks_queries_logits, (64, 96),
                                               mode='bilinear').sigmoid()
    seen = output.class_queries_logits.softmax(-1)[0, :, :-1]
    expected = (seen[:, :, None, None] * enlarged[0, :, None]).sum(0)
    scores = from_pretrained(masks).double()(images)[0].exp()
    assert_rounded(scores, expected, additions=len(seen))  # a sum over the queries, then float32


@pytest.mark.parametrize(('preprocessor', 'mean', 'std'), [
    (HALVES, 127.5, 63.75),
    ({**HALVES, 'rescale_factor': 1 / 510}, 255, 127.5),
    ({**HALVES, 'do_rescale': False}, 0.5, 0.25),
    ({**HALVES, 'do_normalize': False}, 0, 255),
    ({'do_rescale': True}, 123.675, 58.395),
    ({**HALVES, 'image_mean': None, 'rescale_factor': None}, 123.675, 63.75),
    (None, 123.675, 58.395),
])
def test_the_normalisation_is_that_of_the_preprocessor(tmp_path, preprocessor, mean, std):
    if preprocessor is not None:
        (tmp_path / 'preprocessor_config.json').write_text(json.dumps(preprocessor))
    means, stds = read_normalisation(tmp_path, HuggingFaceSegFormer)
    assert len(means) == len(stds) == 3
    assert (means[0], stds[0]) == pytest.approx((mean, std))


@pytest.mark.parametrize('text', ['{', '[]', '{"image_mean": 0.5}', '{"image_std": ["a"]}',
                                  '{"rescale_factor": "x"}'])
def test_a_preprocessor_that_can_not_be_read_is_named(tmp_path, text):
    (tmp_path / 'preprocessor_config.json').write_text(text)
    with pytest.raises(ValueError, match='preprocessor_config.json: image_mean and image_std'):
        read_normalisation(tmp_path, HuggingFaceSegFormer)


@pytest.mark.parametrize('changes', [{'hidden_sizes': 5}, {'depths': None}, {'id2label': 7},
                                     {'num_attention_heads': [0, 0, 0, 0]}, None])
def test_a_configuration_of_no_model_is_refused(tmp_path, changes):
    save_folder(tiny_segformer(CLASSES), tmp_path)
    path = tmp_path / 'config.json'
    path.write_text('{' if changes is None else
                    json.dumps({**json.loads(path.read_text()), **changes}))
    with pytest.raises(ValueError, match=str(tmp_path)):
        from_pretrained(tmp_path)


def test_a_folder_of_git_lfs_pointers_is_told_how_to_be_filled(tmp_path):
    save_folder(tiny_segformer(CLASSES), tmp_path)
    (tmp_path / 'model.safetensors').write_text('version https://git-lfs.github.com/spec/v1\n')
    with pytest.raises(ValueError, match='model.safetensors: a Git LFS pointer stands in its pla'):
        from_pretrained(tmp_path)


def test_a_folder_with_a_value_that_is_not_finite_is_refused(tmp_path):
    model = tiny_segformer(CLASSES)
    with torch.no_grad():
        next(model.parameters()).view(-1)[0] = torch.inf
    save_folder(model, tmp_path)
    with pytest.raises(ValueError, match='must be finite, got 1 values that are not; train or co'):
        ss.load(tmp_path, 'cpu')


def test_a_folder_runs_by_itself_and_from_a_method_file(folder, tmp_path):
    image = street_image()
    alone = ss.load(folder, device='cpu', precision='fp32')
    assert alone.labels.names == CLASSES
    assert alone.normalisation.mean.flatten().tolist() == [127.5] * 3
    assert alone(image).labels.shape == (96, 128)
    (folder.parent / 'half.yaml').write_text(
        'method: dense\nweights: my_segformer/\nscale: 0.5\n')
    half = ss.load(folder.parent / 'half.yaml', device='cpu', precision='fp32')
    assert half.coarse_logits(image).shape == (1, 11, 48, 64)
    assert half.description['weights_hash'] == alone.description['weights_hash']


def test_a_folder_is_evaluated_like_any_model(folder, tmp_path, capsys):
    assert main(['evaluate', '--model', str(folder), '--street', '1', '--size', '64x96',
                 '--json', str(tmp_path / 'scores.json')]) == 0
    assert '| my_segformer |' in capsys.readouterr().out
    assert 0 <= json.loads((tmp_path / 'scores.json').read_text())[
        'rows']['my_segformer']['mean_iou'] < 1


@pytest.mark.parametrize('kind', ['folder', 'masks'])
def test_a_model_file_holds_it_with_a_refiner(kind, tmp_path, request):
    start = load_model(request.getfixturevalue(kind))
    model = build_model(replace(start.card, planes=(4, 8), alpha=0.1, scale=0.625))
    model.network.load_state_dict(start.network.state_dict())
    save_model(model, tmp_path / 'both.safetensors')
    again = load_model(tmp_path / 'both.safetensors')
    images = random_images(64, 96)
    with torch.inference_mode():
        torch.testing.assert_close(*(kept.network.double()(images.double())
                                     for kept in (again, start)))
    segment = ss.load(tmp_path / 'both.safetensors', device='cpu', precision='bf16')
    seen = segment(street_image())
    assert segment.method.scale == 0.625 and seen.refined.any()


def test_a_refiner_is_trained_on_top_of_a_folder(folder):
    start = load_model(folder)
    model = start_model(TrainConfig(stage='refiner', start_from=str(folder), planes=(4, 8)))
    assert (model.card.mean, model.card.classes) == (start.card.mean, CLASSES)
    assert model.refiner is not None
    for key, tensor in start.network.state_dict().items():
        assert torch.equal(model.network.state_dict()[key], tensor), key


def test_known_classes_have_their_known_colours_and_others_distinct_ones():
    assert find_labels(CLASSES) == load_labels('camvid')
    names = tuple(map(str, range(150)))
    made = find_labels(names)
    assert made.names == names and len(set(made.colors)) > 100
    assert all(color != other for color, other in zip(made.colors, made.colors[1:]))


def test_a_folder_without_a_decoder_is_refused(tmp_path):
    model = tiny_segformer(CLASSES)
    save_folder(model, tmp_path)
    model.segformer.save_pretrained(tmp_path)  # as published for ImageNet
    with pytest.raises(ValueError, match="tensor 'decode_head.* is missing; save a whole Segform"):
        from_pretrained(tmp_path)


def test_another_architecture_is_refused(tmp_path):
    (tmp_path / 'config.json').write_text('{"model_type": "beit"}')
    with pytest.raises(ValueError, match="must be segformer or mask2former, got 'beit'; convert"):
        from_pretrained(tmp_path)


def test_a_folder_without_a_configuration_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match='no config.json; a Hugging Face folder is'):
        from_pretrained(tmp_path)


class Command:
    """Something that a pickle would run."""

    def __reduce__(self):
        return print, ('run',)


def test_pickled_code_in_a_folder_is_not_run(tmp_path, capsys):
    save_folder(tiny_segformer(CLASSES), tmp_path)
    (tmp_path / 'model.safetensors').unlink()
    torch.save({'weight': Command()}, tmp_path / 'pytorch_model.bin')
    with pytest.raises(ValueError, match='weights that cannot be read'):
        from_pretrained(tmp_path)
    assert 'run\n' not in capsys.readouterr().out


def test_without_transformers_the_cure_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, 'transformers', None)
    with pytest.raises(ImportError, match=r"need transformers: pip install 'transformers>=5.20'"):
        build_network('segformer_b0', 19)


def test_transformers_is_imported_only_when_it_is_needed():
    top = ast.parse(inspect.getsource(with_transformers)).body
    imported = {name for node in top if isinstance(node, ast.Import | ast.ImportFrom)
                for name in [getattr(node, 'module', None), *(part.name for part in node.names)]}
    assert 'json' in imported and not imported & {'transformers', 'scipy', 'huggingface_hub'}
