# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures and videos in, files to look at out; every frame that cannot be used is named."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from ros_fakes import LABELS, make_image, make_segmenter

from sparse_seg_ros.report.contact_sheet import SHEET_ROWS, ContactSheet
from sparse_seg_ros.report.film import Film
from sparse_seg_ros.report.predict_job import PredictJob


def write_picture(path, size_hw=(40, 60), seed: int = 0) -> np.ndarray:
    image = make_image(*size_hw, seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), image[..., ::-1])
    return image


def write_video(path, count: int, size_hw=(48, 64)) -> None:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'MJPG'), 10.0, size_hw[::-1])
    for number in range(count):
        writer.write(make_image(*size_hw, number)[..., ::-1])
    writer.release()


def predict(words, out, kinds=None, limit=None) -> PredictJob:
    job = PredictJob([str(word) for word in words], out, kinds, limit)
    job.run(make_segmenter())
    return job


def names_in(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_picture_becomes_ids_overlay_uncertainty_and_all_side_by_side(tmp_path):
    image = write_picture(tmp_path / 'in' / 'a.png')
    job = predict([tmp_path / 'in'], tmp_path / 'out')
    assert names_in(tmp_path / 'out') == [f'a_{kind}.png' for kind in
                                          ('ids', 'overlay', 'side', 'uncertainty')]
    ids = cv2.imread(str(tmp_path / 'out' / 'a_ids.png'), cv2.IMREAD_UNCHANGED)
    expected = make_segmenter()(image).labels
    assert (ids == expected).all()
    height, width = cv2.imread(str(tmp_path / 'out' / 'a_side.png')).shape[:2]
    assert width == 3 * 60 and height > 40  # a legend below
    shares = job.figures()['shares']
    assert shares['bright'] == pytest.approx(expected.mean(), abs=1e-4)
    assert sum(shares.values()) == pytest.approx(1, abs=1e-4)


def test_pictures_of_one_name_do_not_overwrite_each_other_and_share_a_sheet(tmp_path):
    write_picture(tmp_path / 'x' / 'a.png')
    write_picture(tmp_path / 'y' / 'a.png', (60, 40), 1)
    predict([tmp_path / 'x', tmp_path / 'y'], tmp_path / 'out', ['ids'])
    assert names_in(tmp_path / 'out') == ['a_2_ids.png', 'a_ids.png', 'contact_sheet.jpg']


def test_one_picture_goes_into_the_file_that_is_named(tmp_path):
    write_picture(tmp_path / 'a.png')
    predict([tmp_path / 'a.png'], tmp_path / 'new' / 'out.jpg')
    assert names_in(tmp_path / 'new') == ['out.jpg']
    assert cv2.imread(str(tmp_path / 'new' / 'out.jpg')).shape[0] > 40


@pytest.mark.parametrize(('out', 'names'), [
    ('out', ['v_contact_sheet.jpg', 'v_overlay.mp4']), ('out/o.mp4', ['o.mp4'])])
def test_a_video_becomes_a_film_of_its_size_and_rate(tmp_path, out, names):
    write_video(tmp_path / 'v.avi', 5)
    job = predict([tmp_path / 'v.avi'], tmp_path / out)
    folder = tmp_path / 'out'
    assert names_in(folder) == names and job.figures()['frames'] == 5
    film = cv2.VideoCapture(str(folder / names[-1]))
    assert film.get(cv2.CAP_PROP_FPS) == 10 and film.get(cv2.CAP_PROP_FRAME_COUNT) == 5
    assert film.get(cv2.CAP_PROP_FRAME_WIDTH) == 64


def test_ids_of_a_video_are_numbered_pictures_as_many_as_the_limit(tmp_path):
    write_video(tmp_path / 'v.avi', 5)
    predict([tmp_path / 'v.avi'], tmp_path / 'out', ['ids'], limit=2)
    assert names_in(tmp_path / 'out') == ['v_000001_ids.png', 'v_000002_ids.png',
                                          'v_contact_sheet.jpg']


def test_a_picture_that_cannot_be_read_is_named_and_the_others_are_segmented(tmp_path, capfd):
    write_picture(tmp_path / 'in' / 'b.png')
    (tmp_path / 'in' / 'a.jpg').write_bytes(b'no jpeg')
    job = predict([tmp_path / 'in'], tmp_path / 'out', ['ids'])
    assert (job.figures()['frames'], job.failed) == (1, 1)
    assert 'a.jpg: not a readable picture' in capfd.readouterr().err


def test_a_video_that_cannot_be_opened_is_named_and_the_others_are_segmented(tmp_path):
    (tmp_path / 'a.mp4').write_bytes(b'no video')
    write_video(tmp_path / 'v.avi', 2)
    job = predict([tmp_path / 'a.mp4', tmp_path / 'v.avi'], tmp_path / 'out', ['ids'])
    assert (job.figures()['frames'], job.failed) == (2, 1)
    assert any('a.mp4: not a readable video' in note for note in job.notes)


def test_a_sheet_draws_only_what_it_keeps():
    sheet, drawn = ContactSheet(LABELS), []
    for number in range(100):
        sheet.add(np.zeros((4, 4, 3), np.uint8),
                  lambda number=number: drawn.append(number) or np.zeros((4, 4, 3), np.uint8))
    assert len(drawn) < 50


@pytest.mark.parametrize(('out', 'kinds'), [
    ('o.mp4', None), ('o.png', ['ids', 'overlay']), ('o.png', None)])
def test_a_file_holds_one_kind_of_one_source(tmp_path, out, kinds):
    for name in ('a.png', 'b.png')[:1 + (kinds is None)]:
        write_picture(tmp_path / 'in' / name)
    with pytest.raises(ValueError, match='can hold one kind of file of one .*; give a folder'):
        PredictJob([str(tmp_path / 'in')], tmp_path / out, kinds)


def test_an_unknown_kind_of_file_is_refused(tmp_path):
    with pytest.raises(ValueError, match="unknown kind of file 'idss'; did you mean 'ids'"):
        PredictJob(['a.png'], tmp_path / 'out', ['idss'])


def test_what_is_there_already_is_not_overwritten(tmp_path):
    write_picture(tmp_path / 'in' / 'a.png')
    with pytest.raises(ValueError, match='in exists already; remove it or choose another name'):
        PredictJob([str(tmp_path / 'in')], tmp_path / 'in')


def test_a_sheet_of_many_frames_shows_some_from_the_first_to_the_last(tmp_path):
    sheet = ContactSheet(LABELS)
    for number in range(1000):
        sheet.add(np.full((4, 4, 3), number // 4, np.uint8))
        assert len(sheet.rows) <= 2 * SHEET_ROWS
    column = sheet.picture()[320::640, 0, 0][:SHEET_ROWS].astype(int)
    assert column[0] == 0 and column[-1] > 200 and (np.diff(column) > 0).all()


def test_a_film_of_another_ending_is_refused(tmp_path):
    with pytest.raises(ValueError, match='a film is written as .webm, .mp4, .avi, got .o.gif.'):
        Film(tmp_path / 'o.gif', LABELS)


def test_with_pyav_an_mp4_is_h264(tmp_path):
    pytest.importorskip('av')
    film = Film(tmp_path / 'o.mp4', LABELS)
    for number in range(3):
        film.add(make_image(48, 64, number))
    assert film.close() == []
    code = int(cv2.VideoCapture(str(tmp_path / 'o.mp4')).get(cv2.CAP_PROP_FOURCC))
    assert code.to_bytes(4, 'little') in (b'avc1', b'h264')


def test_no_name_of_a_file_is_given_out_twice(tmp_path):
    for name in ('x/f.png', 'y/f.png', 'f_2.png'):
        write_picture(tmp_path / name)
    for folder in ('v', 'w'):
        (tmp_path / folder).mkdir()
        write_video(tmp_path / folder / 'f.avi', 2)
    predict([tmp_path / 'x', tmp_path / 'y', tmp_path / 'f_2.png', tmp_path / 'v', tmp_path / 'w'],
            tmp_path / 'out', ['overlay'])
    stills = [name for name in names_in(tmp_path / 'out') if name.endswith('.png')]
    films = [name for name in names_in(tmp_path / 'out') if name.endswith('.mp4')]
    assert len(stills) == 3 and len(films) == 2


def test_ids_are_not_written_as_jpeg(tmp_path):
    write_picture(tmp_path / 'a.png')
    with pytest.raises(ValueError, match='ids are written as .png, because other files change'):
        PredictJob([str(tmp_path / 'a.png')], tmp_path / 'o.jpg', ['ids'])
