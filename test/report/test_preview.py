# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The pictures of a replay: every frame is in the film, whatever its size, and has a legend."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from ros_fakes import LABELS, make_image, make_segmenter

from sparse_seg_ros.data.frame import Frame
from sparse_seg_ros.labels import find_labels
from sparse_seg_ros.pictures import draw_legend
from sparse_seg_ros.report.film import Film, letterbox
from sparse_seg_ros.report.preview import Preview


def read_film(path) -> list[np.ndarray]:
    """Return all pictures of a film, RGB."""
    film, found = cv2.VideoCapture(str(path)), []
    while (picture := film.read())[0]:
        found.append(cv2.cvtColor(picture[1], cv2.COLOR_BGR2RGB))
    return found


def preview_of(folder, sizes: list[tuple[int, int]]) -> Preview:
    preview, segmenter = Preview(folder, LABELS), make_segmenter()
    for number, (height, width) in enumerate(sizes):
        image = make_image(height, width)
        preview(Frame('camera', None, stamp=number), image, segmenter(image))
    preview.close()
    return preview


@pytest.mark.parametrize('sizes', [
    [(40, 60)] * 3, [(1, 1400), (40, 60)], [(40, 60), (1, 1400)], [(1400, 1)] * 2, [(1, 1)],
    [(41, 61), (82, 61), (20, 900)], [(40, 1500)]], ids=str)
def test_every_frame_is_in_the_film_and_on_the_sheet(tmp_path, sizes):
    preview = preview_of(tmp_path / 'pictures', sizes)
    assert len(read_film(tmp_path / 'pictures' / 'overlay.webm')) == len(sizes)
    assert cv2.imread(str(tmp_path / 'pictures' / 'contact_sheet.jpg')).size
    others = sum(size != sizes[0] for size in sizes)
    assert preview.notes == ([f'{others} pictures of other sizes were fitted into the film']
                             if others else [])


def test_the_film_is_a_webm_of_vp8_which_browsers_play(tmp_path, capfd):
    preview_of(tmp_path, [(40, 60)] * 2)
    assert (tmp_path / 'overlay.webm').read_bytes()[:4] == b'\x1a\x45\xdf\xa3'
    film = cv2.VideoCapture(str(tmp_path / 'overlay.webm'))
    assert int(film.get(cv2.CAP_PROP_FOURCC)).to_bytes(4, 'little') == b'VP80'
    assert not capfd.readouterr().err


def test_film_and_sheet_end_with_the_legend(tmp_path):
    preview_of(tmp_path, [(40, 200)])
    for picture in (*read_film(tmp_path / 'overlay.webm'),
                    cv2.imread(str(tmp_path / 'contact_sheet.jpg'))[:, :, ::-1]):
        swatch = picture[-22 + 4 + 7, 6 + 7].astype(int)
        assert np.abs(swatch - LABELS.colors[0]).max() < 30


@pytest.mark.parametrize('width', [16, 300, 1920])
@pytest.mark.parametrize('classes', [1, 2, 150])
def test_a_legend_shows_the_colour_of_every_class(width, classes):
    labels = find_labels(tuple(f'thing {number}' for number in range(classes)))
    legend = draw_legend(labels, width)
    assert legend.shape[1] == width and legend.shape[0] % 2 == 0
    shown = {tuple(color) for color in legend.reshape(-1, 3).tolist()}
    assert set(labels.colors) <= shown


def test_a_picture_is_fitted_without_being_bent():
    fitted = letterbox(np.full((10, 10, 3), 200, np.uint8), (20, 60))
    assert fitted.shape == (20, 60, 3) and (fitted[:, 20:40] == 200).all()
    assert not fitted[:, :20].any() and not fitted[:, 40:].any()


def test_a_film_that_cannot_be_written_is_said(tmp_path):
    film = Film(tmp_path / 'gone' / 'overlay.webm', LABELS)
    film.add(make_image())
    assert film.close() == [f'no film {film.path}: this OpenCV cannot write webm, or the disk is '
                            'full']


def test_a_full_disk_is_one_sentence(tmp_path):
    preview = Preview(tmp_path, LABELS)
    (tmp_path / 'overlay_0.png').symlink_to('/dev/full')
    image = make_image()
    with pytest.raises(ValueError, match='cannot write .*overlay_0.png: No space left on device; '
                                         'free some space'):
        preview(Frame('camera', None, stamp=0), image, make_segmenter()(image))


def test_images_that_share_a_stamp_have_pictures_of_their_own(tmp_path):
    preview, segment = Preview(tmp_path, LABELS), make_segmenter()
    for number in range(11):
        image = make_image(seed=number)
        preview(Frame('camera', None), image, segment(image))
    assert {each.name for each in tmp_path.glob('*.png')} == {
        'overlay_0.png', 'uncertainty_0.png', 'overlay_0_10.png', 'uncertainty_0_10.png'}
