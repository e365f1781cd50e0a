# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Published data sets: every form gives its pairs and ids, and a wrong tree one clear sentence."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from miniature_trees import TREES, make_tree, true_label, write

from sparse_seg_ros.data.datasets import DATASETS, kind_of
from sparse_seg_ros.data.frames import frames
from sparse_seg_ros.data.picture_files import read_image
from sparse_seg_ros.labels import load_labels


def folders(name, root):
    """Return the image and label files of a tree."""
    tree = TREES[name]
    return [[Path(root) / path.format(split=tree.split, frame=frame) for frame in tree.frames]
            for path in (tree.image, tree.label)]


@pytest.mark.parametrize('name', TREES)
def test_a_tree_as_published_gives_its_pairs_with_ids_and_void(name, tmp_path):
    root = tmp_path / 'my data [1]'
    split = frames(make_tree(name, root))
    images, labels = folders(name, root)
    assert split.paths == sorted(zip(images, labels))
    kind = name.split()[0]
    assert split.classes == (() if kind == 'folder' else load_labels(kind).names)
    for frame, (path, _) in zip(split, split.paths):
        image, label = frame
        assert np.array_equal(image, read_image(path)) and label.dtype == np.uint8
        assert np.array_equal(label, true_label(name))


def test_every_data_set_has_a_tree_here():
    assert {name.split()[0] for name in TREES} == DATASETS.keys()


def test_a_data_set_is_named_by_one_string_or_by_its_parts(tmp_path):
    split = make_tree('cityscapes', tmp_path)
    assert frames('cityscapes', tmp_path, 'val').paths == frames(split).paths
    assert kind_of(split) == ('cityscapes', tmp_path / 'val')
    assert kind_of('c:/data/val') is kind_of('data/val') is kind_of('cityscapes/val') is None
    with pytest.raises(ValueError, match="no data set 'cityscape', .*did you mean 'cityscapes'"):
        frames(f'cityscape:{tmp_path}/val')


def remove(paths):
    for path in paths:
        path.unlink()


def no_root(name, root):
    shutil.rmtree(root)


def empty(name, root):
    shutil.rmtree(root)
    root.mkdir()


def a_file(name, root):
    shutil.rmtree(root)
    root.write_text('')


def one_folder_too_deep(name, root):
    shutil.move(root, root.parent / 'moved')
    shutil.move(root.parent / 'moved', root / 'archive')


def images_alone(name, root):
    remove(folders(name, root)[1])


def labels_alone(name, root):
    remove(folders(name, root)[0])


def an_image_less(name, root):
    remove(folders(name, root)[0][:1])


def a_label_less(name, root):
    remove(folders(name, root)[1][:1])


def other_endings(name, root):
    for path in sum(folders(name, root), []):
        path.rename(path.with_suffix('.webp'))


def swapped(name, root):
    for image, label in zip(*folders(name, root)):
        image.rename(label.with_suffix('.old'))
        label.rename(image.with_suffix('.bmp'))


WRONG = (no_root, empty, a_file, one_folder_too_deep, images_alone, labels_alone, an_image_less,
         a_label_less, other_endings, swapped)


@pytest.mark.parametrize('name', TREES)
def test_ten_wrong_trees_are_each_refused_in_one_sentence(name, tmp_path):
    kind, tree = name.split()[0], TREES[name]
    for spoil in WRONG:
        root = tmp_path / spoil.__name__
        split = make_tree(name, root)
        spoil(name, root)
        with pytest.raises((FileNotFoundError, ValueError)) as caught:
            frames(split)
        words = str(caught.value)
        assert words.startswith(f'{kind}, split {tree.split!r}: '), words
        assert str(root) in words and '\n' not in words and len(words) < 900, words
        if spoil in (an_image_less, a_label_less):
            lost = folders(name, root)[spoil is a_label_less][0]
            assert lost.stem in words, words
        elif not tree.listing:
            assert 'expected ' in words and ' with ' in words, words


@pytest.mark.parametrize(('name', 'picture', 'words'), [
    ('cityscapes', np.full((8, 24), 40, np.uint8), 'id 40 is no class and no void of its'),
    ('cityscapes', np.full((8, 24), 255, np.uint8), 'id 255 is no class and no void of its'),
    ('cityscapes', np.full((8, 24), 700, np.uint16), 'id 700 is no class'),
    ('ade20k', np.full((8, 24), 151, np.uint8), 'id 151 is no class'),
    ('coco_stuff', np.full((8, 24), 11, np.uint8), 'id 11 is no class'),
    ('isic', np.full((8, 24), 1, np.uint8), 'id 1 is no class'),
    ('comma10k', np.full((8, 24, 3), 9, np.uint8), 'colour [9, 9, 9] is no class'),
    ('camvid kaggle', np.full((8, 24, 3), 128, np.uint16), 'colours must have 8 bits a channel'),
    ('deepglobe', np.full((8, 24, 3), (255, 0, 0), np.uint8), 'colour [255, 0, 0] is no class'),
    ('cityscapes', np.full((8, 24, 3), 7, np.uint8), 'must be a one-channel PNG of class ids'),
    ('cityscapes', np.full((8, 23), 7, np.uint8), 'both must have the same size'),
    ('comma10k', np.full((9, 24, 3), (64, 32, 32), np.uint8), 'both must have the same size'),
])
def test_a_value_or_size_that_does_not_fit_is_named_with_its_file(name, picture, words, tmp_path):
    split = frames(make_tree(name, tmp_path))
    path = folders(name, tmp_path)[1][0]
    write(path, picture)
    with pytest.raises(ValueError) as caught:
        split[0].label()
    assert words in str(caught.value) and str(path) in str(caught.value)


def test_a_damaged_file_of_matlab_is_named(tmp_path):
    split = frames(make_tree('coco_stuff_10k mat', tmp_path))
    path = folders('coco_stuff_10k mat', tmp_path)[1][0]
    for data in (b'', b'no mat' * 99, path.read_bytes()[:200]):
        path.write_bytes(data)
        with pytest.raises(ValueError, match=rf"{path.name}: expected a .mat file .* in 'S'"):
            split[0].label()


@pytest.mark.parametrize('value', [-1, 65536 + 3])
def test_an_id_of_matlab_that_fits_no_table_is_named(value, tmp_path):
    split = frames(make_tree('coco_stuff_10k mat', tmp_path))
    for path in folders('coco_stuff_10k mat', tmp_path)[1]:
        write(path, np.full((8, 24), value, np.int32), 'mat')
    with pytest.raises(ValueError, match=f"ids from 0 to 65535 in 'S', got {value}"):
        split[0].label()


def test_ids_of_sixteen_bits_are_mapped_like_those_of_eight(tmp_path):
    split = frames(make_tree('mapillary', tmp_path))
    for path in folders('mapillary', tmp_path)[1]:
        write(path, np.full((8, 24), 21), 'grey16')
    assert (split[0].label() == 21).all()


def test_an_image_is_read_as_it_is_stored_whatever_its_exif_tag_says(tmp_path):
    split = frames(make_tree('ade20k', tmp_path))
    path = folders('ade20k', tmp_path)[0][0]
    data = path.read_bytes()
    tag = (b'\xff\xe1\x00\x22Exif\x00\x00II*\x00\x08\x00\x00\x00\x01\x00\x12\x01\x03\x00\x01\x00'
           b'\x00\x00\x06\x00\x00\x00\x00\x00\x00\x00')
    stored = split[0].image()
    path.write_bytes(data[:2] + tag + data[2:])
    image, label = split[0]
    assert np.array_equal(image, stored) and image.shape[:2] == label.shape == (8, 24)


def test_hidden_files_of_other_systems_are_no_images(tmp_path):
    split = make_tree('ade20k', tmp_path)
    (tmp_path / 'images/validation/._ADE_val_00000001.jpg').write_text('')
    assert len(frames(split)) == 2


def test_acdc_has_all_conditions_or_one(tmp_path):
    split = make_tree('acdc', tmp_path)
    fog = frames(split.replace('/val', '/fog_val'))
    assert (len(frames(split)), len(fog)) == (2, 1) and '/fog/' in str(fog.paths[0][0])


def test_comma10k_validates_on_names_that_end_in_nine(tmp_path):
    split = make_tree('comma10k', tmp_path)
    for folder in ('imgs', 'masks'):
        kept = next(iter((tmp_path / folder).iterdir()))
        shutil.copy(kept, kept.with_name('0002_1.png'))
    counts = [len(frames(split.replace('/val', f'/{part}'))) for part in ('train', 'val', 'all')]
    assert counts == [1, 2, 3]
    with pytest.raises(ValueError, match="the split must be one of train, val, all, got 'test'"):
        frames(split.replace('/val', '/test'))


def test_camvid_originals_are_not_taken_for_a_split(tmp_path):
    split = make_tree('camvid originals', tmp_path)
    with pytest.raises(FileNotFoundError, match='all 701 originals are the split all'):
        frames(split.replace('/all', '/test'))


def test_a_folder_of_ones_own_has_the_classes_and_colours_of_its_labels_yaml(tmp_path):
    split = make_tree('folder', tmp_path)
    for path in folders('folder', tmp_path)[1]:
        write(path, np.full((8, 24, 3), (200, 0, 0), np.uint8))
    (tmp_path / 'labels.yaml').write_text(
        'classes: {soil: [90, 60, 30], weed: [200, 0, 0]}\n'
        'files: {masks: {colors: own, void: [[0, 0, 0]]}}\n')
    own = frames(split)
    assert own.classes == ('soil', 'weed') and (own[0].label() == 1).all()


def test_both_parts_of_idd_may_lie_in_one_tree(tmp_path):
    split = make_tree('idd', tmp_path)
    path = folders('idd', tmp_path)[0][0]
    path.rename(path.with_suffix('.jpg'))
    assert [image.suffix for image, _ in frames(split).paths] == ['.jpg', '.png']


def test_names_in_the_list_of_pascal_voc_may_have_blanks(tmp_path):
    split = make_tree('voc', tmp_path)
    for path in (paths[0] for paths in folders('voc', tmp_path)):
        name = path.stem
        path.rename(path.with_stem('a b'))
    listing = next((tmp_path / 'ImageSets/Segmentation').glob('*.txt'))
    listing.write_text(listing.read_text().replace(name, 'a b'))
    assert 'a b.jpg' in [image.name for image, _ in frames(split).paths]


def test_folders_in_the_list_of_rellis_may_have_blanks(tmp_path):
    split = make_tree('rellis', tmp_path)
    listing = next(tmp_path.glob('*.lst'))
    drive = listing.read_text().split('/')[0]
    (tmp_path / drive).rename(tmp_path / 'my drive')
    listing.write_text(listing.read_text().replace(f'{drive}/', 'my drive/'))
    assert (frames(split)[0].label() == true_label('rellis')).all()


def test_two_images_with_one_label_are_refused_with_their_names(tmp_path):
    split = make_tree('folder', tmp_path)
    image = folders('folder', tmp_path)[0][0]
    twin = image.with_suffix('.jpg' if image.suffix != '.jpg' else '.png')
    shutil.copy(image, twin)
    with pytest.raises(ValueError, match='have one label, .*; remove one of the images') as caught:
        frames(split)
    assert str(image) in str(caught.value) and str(twin) in str(caught.value)


@pytest.mark.parametrize('name', ['cityscapes', 'voc'])
def test_links_to_files_that_are_not_there_are_named(name, tmp_path):
    for part, lost in enumerate(('image', 'label')):
        root = tmp_path / lost
        split = make_tree(name, root)
        path = folders(name, root)[part][0]
        path.unlink()
        path.symlink_to(tmp_path / 'nowhere.png')
        with pytest.raises(ValueError, match='is a link to .*nowhere.png, which is not there'
                           ) as caught:
            frames(split)
        assert str(path) in str(caught.value)


def test_frames_whose_image_and_label_are_lost_links_are_not_passed_over(tmp_path):
    split = make_tree('cityscapes', tmp_path)
    for path, _ in folders('cityscapes', tmp_path):
        path.unlink()
        path.symlink_to(tmp_path / 'nowhere.png')
    with pytest.raises(ValueError, match='is a link to'):
        frames(split)


@pytest.mark.parametrize(('name', 'names'), [
    ('cityscapes', 'val'), ('ade20k', 'validation'), ('camvid', 'val'), ('isic', 'Training'),
    ('voc', 'val'), ('rellis', 'val'), ('folder', 'val'), ('folder inside', 'val')])
def test_a_split_that_is_not_there_is_refused_with_those_that_are(name, names, tmp_path):
    split = make_tree(name, tmp_path)
    with pytest.raises(FileNotFoundError, match=f'no frames of this split, but of {names}; '):
        frames(Path(f'{split}x'))


@pytest.mark.parametrize('name', ['voc', 'rellis'])
def test_a_list_alone_is_refused_with_the_first_image_that_it_names(name, tmp_path):
    split = make_tree(name, tmp_path)
    remove(sum(folders(name, tmp_path), []))
    with pytest.raises(FileNotFoundError, match='holds a list of this split, but not ') as caught:
        frames(split)
    assert f'{folders(name, tmp_path)[0][0]}; expected ' in str(caught.value)


def test_a_list_may_begin_with_the_mark_that_editors_write(tmp_path):
    split = make_tree('voc', tmp_path)
    listing = tmp_path / 'ImageSets/Segmentation/val.txt'
    listing.write_text('\ufeff' + listing.read_text(), 'utf-8')
    assert len(frames(split)) == 2


def test_a_line_with_one_name_is_refused_where_two_are_needed(tmp_path):
    split = make_tree('rellis', tmp_path)
    listing = tmp_path / 'val.lst'
    listing.write_text(listing.read_text().split()[0] + '\n')
    with pytest.raises(ValueError, match=r'val.lst: expected "image label" on every line, got '):
        frames(split)


def test_an_image_that_may_have_several_endings_is_missed_with_all_of_them(tmp_path):
    split = make_tree('folder', tmp_path)
    folders('folder', tmp_path)[0][0].unlink()
    with pytest.raises(ValueError, match=r'has no image .*my first\.\{jpg,jpeg,png\}; copy'):
        frames(split)


@pytest.mark.parametrize('part', [0, 1], ids=['image', 'label'])
def test_a_name_in_capitals_is_to_be_renamed(part, tmp_path):
    split = make_tree('ade20k', tmp_path)
    path = folders('ade20k', tmp_path)[part][0]
    path.rename(path.with_suffix(path.suffix.upper()))
    with pytest.raises(ValueError) as caught:
        frames(split)
    assert f'{path}; rename {path.stem}{path.suffix.upper()} to that, or' in str(caught.value)
