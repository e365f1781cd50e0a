# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`evaluate` takes data sets, bags, pictures and videos, and leaves files to decide from."""

from __future__ import annotations

import json
from shutil import copyfile

import cv2
import numpy as np
import pytest
from ros_bags import START, image, labels, write_bag
from tiny import tiny_model

from sparse_seg_ros.bags.recorded import RecordedBag
from sparse_seg_ros.commands import main
from sparse_seg_ros.data.street import CLASSES, street_frames
from sparse_seg_ros.evaluation.scores import Scores
from sparse_seg_ros.label_remap import load_remap
from sparse_seg_ros.labels import load_labels
from sparse_seg_ros.loading.checkpoints import save_model
from sparse_seg_ros.report.evaluation_job import encoder_of

SIZE = (96, 128)


@pytest.fixture(name='run', scope='module')
def model_and_frames(tmp_path_factory):
    """A model, three streets as pictures with labels, and the same as a video."""
    run = tmp_path_factory.mktemp('run with blanks')
    save_model(tiny_model(), run / 'model.safetensors')
    (run / 'labels').mkdir()
    (run / 'pictures').mkdir()
    film = cv2.VideoWriter(str(run / 'drive.avi'), cv2.VideoWriter_fourcc(*'MJPG'), 10.0,
                           SIZE[::-1])
    lines = []
    for number, (picture, label) in enumerate(street_frames(1, 3, SIZE), 1):
        cv2.imwrite(str(run / 'pictures' / f'{number:06d}.png'), picture[..., ::-1])
        cv2.imwrite(str(run / 'labels' / f'{number:06d}_ids.png'), label)
        film.write(np.ascontiguousarray(picture[..., ::-1]))
        lines.append(f'pictures/{number:06d}.png labels/{number:06d}_ids.png')
    film.release()
    (run / 'all.txt').write_text('\n'.join(lines))
    return run


def evaluate(run, *options) -> int:
    return main(['evaluate', '--model', f'{run}/model.safetensors', '--device', 'cpu',
                 '--precision', 'fp32', *map(str, options)])


def summary_of(folder) -> dict:
    return json.loads((folder / 'summary.json').read_text())


def test_pictures_and_a_list_of_the_same_frames_have_the_same_figures(run, tmp_path):
    assert evaluate(run, '--frames', run / 'all', '--out', tmp_path / 'list') == 0
    assert evaluate(run, '--pictures', run / 'pictures', '--labels', run / 'labels',
                    '--out', tmp_path / 'pictures') == 0
    one, other = summary_of(tmp_path / 'list'), summary_of(tmp_path / 'pictures')
    for name in ('miou', 'accuracy', 'density', 'data_sha256', 'frames', 'labelled'):
        assert one[name] == other[name]
    assert one['labelled'] == 3 and one['model']['sha256'] and one['model']['settings_sha256']


def test_each_frame_is_a_line_and_the_counts_can_be_added_to_others(run, tmp_path):
    assert evaluate(run, '--frames', run / 'all', '--out', tmp_path / 'out') == 0
    records = [json.loads(line) for line in
               (tmp_path / 'out' / 'frames.jsonl').read_text().splitlines()]
    assert [record['frame'][-10:] for record in records] == ['000001.png', '000002.png',
                                                             '000003.png']
    assert all(0 <= record['miou'] <= 1 and record['milliseconds']['total'] > 0
               for record in records)
    scores = Scores.from_bytes((tmp_path / 'out' / 'scores.npz').read_bytes())
    assert (scores + scores).summary()['miou'] == summary_of(tmp_path / 'out')['miou']


def test_a_video_is_scored_by_the_numbers_of_its_frames(run, tmp_path, capsys):
    (tmp_path / 'labels').mkdir()
    for number in (2, 9):
        label = cv2.imread(str(run / 'labels' / '000002_ids.png'), cv2.IMREAD_UNCHANGED)
        cv2.imwrite(str(tmp_path / 'labels' / f'drive_{number:06d}.png'), label)
    source = ('--pictures', run / 'drive.avi', '--labels', tmp_path / 'labels')
    assert evaluate(run, *source, '--out', tmp_path / 'some') == 0
    assert 'drive_000009.png' in capsys.readouterr().err  # it fits no frame
    assert evaluate(run, *source, '--all-frames', '--out', tmp_path / 'all') == 0
    some, every = summary_of(tmp_path / 'some'), summary_of(tmp_path / 'all')
    assert (some['frames'], some['labelled'], every['frames'], every['labelled']) == (1, 1, 3, 1)
    assert some['miou'] == every['miou']
    assert some['flicker'] is None and 0 <= every['flicker'] <= 1


@pytest.mark.parametrize('kind', ['topic', 'folder'])
def test_a_bag_is_scored_against_a_topic_or_a_folder_named_by_stamps(run, tmp_path, kind):
    write_bag(tmp_path / 'bag', {'/camera/image_raw': image, '/camera/label': labels})
    (tmp_path / 'labels').mkdir()
    for number in range(3):
        message = labels(number)
        cv2.imwrite(str(tmp_path / 'labels' / f'{START + number * 100_000_000}.png'),
                    message.data.reshape(message.height, message.width))
    where = '/camera/label' if kind == 'topic' else tmp_path / 'labels'
    assert evaluate(run, '--bag', tmp_path / 'bag', '--labels', where, '--topic',
                    '/camera/image_raw', '--out', tmp_path / 'out') == 0
    summary = summary_of(tmp_path / 'out')
    assert (summary['labelled'], summary['invalid']) == (3, 0)


def test_an_image_of_a_bag_that_cannot_be_used_is_counted_and_named(run, tmp_path, capsys):
    def broken(number):
        message = image(number)
        message.encoding = 'rgb8' if number else 'unknown'
        return message
    write_bag(tmp_path / 'bag', {'/camera/image_raw': broken, '/camera/label': labels})
    assert evaluate(run, '--bag', tmp_path / 'bag', '--labels', '/camera/label', '--out',
                    tmp_path / 'out', '--corrupt', 'dark:1') == 0
    assert summary_of(tmp_path / 'out')['invalid'] == 1
    printed = capsys.readouterr()
    assert '1 frames could not be used; the first: /camera/image_raw, message at' in printed.err
    assert "'unknown' is not known" in printed.err
    assert '| dark | 1 |' in printed.out
    record = json.loads((tmp_path / 'out' / 'frames.jsonl').read_text().splitlines()[0])
    assert record['invalid'] == 'image' and "'unknown' is not known" in record['error']


def test_a_label_of_a_bag_that_does_not_fit_is_counted_and_named(run, tmp_path):
    def small(number):
        message = labels(number)
        if number == 1:
            message.height, message.data = 20, message.data[:20 * message.step]
        return message
    write_bag(tmp_path / 'bag', {'/camera/image_raw': image, '/camera/label': small})
    assert evaluate(run, '--bag', tmp_path / 'bag', '--labels', '/camera/label', '--topic',
                    '/camera/image_raw', '--out', tmp_path / 'out') == 0
    summary = summary_of(tmp_path / 'out')
    assert (summary['labelled'], summary['invalid']) == (2, 1)


@pytest.mark.parametrize(('change', 'words'), [
    (lambda label: label[:50], r'label must be as large as its image, (96, 128), got (50, 128)'),
    (lambda label: label * 0 + 77, 'labels must be below 11 or 255 for void, got 77')])
def test_a_label_of_a_picture_that_does_not_fit_ends_the_evaluation_and_is_named(
        run, tmp_path, capsys, change, words):
    label = cv2.imread(str(run / 'labels' / '000002_ids.png'), cv2.IMREAD_UNCHANGED)
    cv2.imwrite(str(tmp_path / '000002.png'), change(label))
    assert evaluate(run, '--pictures', run / 'pictures', '--labels', tmp_path) == 1
    assert f"{run / 'pictures' / '000002.png'}: {words}" in capsys.readouterr().err


@pytest.mark.parametrize(('bound', 'code'), [('>= 0', 0), ('>= 0.99', 1)])
def test_thresholds_decide_the_exit_code(run, tmp_path, capsys, bound, code):
    (tmp_path / 'must.yaml').write_text(f"miou: '{bound}'\nlatency.p99_ms: '> 0'\n")
    assert evaluate(run, '--frames', run / 'all', '--thresholds', tmp_path / 'must.yaml') == code
    assert (': miou must be >= 0.99, got ' in capsys.readouterr().err) == bool(code)


@pytest.mark.parametrize('figure', ['class.rode.iou', 'latency.p98_ms'])
def test_a_misspelled_figure_of_a_threshold_is_told_before_the_first_frame(run, tmp_path, capsys,
                                                                           figure):
    (tmp_path / 'must.yaml').write_text(f"{figure}: '>= 0'\n")
    assert evaluate(run, '--frames', run / 'all', '--thresholds', tmp_path / 'must.yaml',
                    '--out', tmp_path / 'out') == 1
    assert f"no figure '{figure}' in this evaluation; did you mean" in capsys.readouterr().err
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize('figure', ['miuo', 'class.road.iuo', 'latency.p98_ms'])
def test_a_misspelled_figure_of_many_bags_is_told_before_the_first_bag(tmp_path, capsys, figure):
    (tmp_path / 'must.yaml').write_text(f"class.road.iou: '>= 0'\n{figure}: '>= 0'\n")
    assert main(['evaluate', '--bags', f'{tmp_path}/*.mcap', '--labels', '/label', '--out',
                 f'{tmp_path}/out', '--thresholds', f'{tmp_path}/must.yaml']) == 1
    assert f"no figure '{figure}' in this evaluation; did you mean" in capsys.readouterr().err


@pytest.mark.parametrize('figure', ['class.road.flicker', 'latency.stages.upload.p50_ms'])
def test_a_figure_that_is_known_later_may_have_a_threshold(run, tmp_path, capsys, figure):
    (tmp_path / 'must.yaml').write_text(f"{figure}: '>= 0'\n")
    is_known = 'latency' in figure
    assert evaluate(run, '--frames', run / 'all', '--thresholds',
                    tmp_path / 'must.yaml') == (0 if is_known else 1)
    assert ('nothing in these frames tells it' in capsys.readouterr().err) != is_known


def test_two_models_of_other_classes_are_refused_before_the_second_is_evaluated(run, tmp_path,
                                                                               capsys):
    save_model(tiny_model(classes=CLASSES[::-1], labels=''), tmp_path / 'other.safetensors')
    assert main(['evaluate', '--model', f'{run}/model.safetensors',
                 f'{tmp_path}/other.safetensors',
                 '--device', 'cpu', '--pictures', f'{run}/pictures', '--labels', f'{run}/labels',
                 '--out', f'{tmp_path}/out']) == 1
    assert 'models must have the same classes to be compared' in capsys.readouterr().err
    assert not (tmp_path / 'out' / 'other').exists()


def test_two_models_have_a_folder_each(run, tmp_path):
    assert main(['evaluate', '--model', f'a={run}/model.safetensors',
                 f'b={run}/model.safetensors', '--device', 'cpu', '--frames', f'{run}/all',
                 '--out', f'{tmp_path}/out']) == 0
    assert summary_of(tmp_path / 'out' / 'a')['miou'] == summary_of(tmp_path / 'out' / 'b')['miou']


def test_two_models_whose_names_make_one_folder_are_refused(run, tmp_path, capsys):
    model = f'{run}/model.safetensors'
    assert main(['evaluate', '--model', f'a b={model}', f'a_b={model}', '--device', 'cpu',
                 '--frames', f'{run}/all', '--out', f'{tmp_path}/out']) == 1
    assert "'a b' and 'a_b' would both have the folder a_b" in capsys.readouterr().err


def test_where_no_label_can_be_used_the_cause_is_told(run, tmp_path, capsys):
    write_bag(tmp_path / 'bag', {'/camera/image_raw': image, '/camera/label': image})
    assert evaluate(run, '--bag', tmp_path / 'bag', '--labels', '/camera/label', '--topic',
                    '/camera/image_raw') == 1
    assert ('has a label to score against; 3 frames could not be used; the first: '
            '/camera/image_raw') in capsys.readouterr().err


def test_predictions_are_saved_as_ids(run, tmp_path):
    assert evaluate(run, '--frames', run / 'all', '--save-predictions', tmp_path / 'out') == 0
    saved = [cv2.imread(str(tmp_path / 'out' / f'{number:06d}.png'), cv2.IMREAD_UNCHANGED)
             for number in (1, 2, 3)]
    assert all(each.shape == SIZE and each.max() < len(CLASSES) for each in saved)


def test_models_are_compared_with_intervals_and_on_frames_made_worse(run, tmp_path, capsys):
    assert main(['evaluate', '--model', f'a={run}/model.safetensors', f'b={run}/model.safetensors',
                 '--device', 'cpu', '--precision', 'fp32', '--frames', f'{run}/all', '--corrupt',
                 'dark:2', '--report', f'{tmp_path}/report.html', '--json',
                 f'{tmp_path}/figures.json']) == 0
    printed = capsys.readouterr().out
    assert '| b less a | points | 95 % interval |  |' in printed
    assert '| mIoU | +0.0 | +0.0 to +0.0 |  |' in printed
    assert printed.count('| dark | 2 |') == 2
    page = (tmp_path / 'report.html').read_text()
    assert 'the frames that differ most' in page and page.count('On frames made worse') == 2
    rows = json.loads((tmp_path / 'figures.json').read_text())['corrupted']['a']
    assert [(row['name'], row['severity']) for row in rows] == [('', 0), ('dark', 2)]
    assert rows[0]['uncertainty'] > 0


def test_saved_predictions_have_the_figures_of_the_model_that_made_them(run, tmp_path, capsys):
    assert evaluate(run, '--frames', run / 'all', '--save-predictions', tmp_path / 'ids',
                    '--out', tmp_path / 'model') == 0
    words = ['evaluate', '--predictions', f'{tmp_path}/ids', '--frames', f'{run}/all']
    assert main([*words, '--label-set', 'camvid', '--out', f'{tmp_path}/saved']) == 0
    made, saved = summary_of(tmp_path / 'model'), summary_of(tmp_path / 'saved')
    for name in ('miou', 'accuracy', 'boundary_f1', 'interval', 'data_sha256'):
        assert made[name] == saved[name]
    assert saved['auroc'] is None and saved['latency']['p50_ms'] is None
    assert main(words) == 1
    assert 'nothing tells the classes' in capsys.readouterr().err


def test_frames_without_a_prediction_are_named_and_fail(run, tmp_path, capsys):
    (tmp_path / 'ids').mkdir()
    label = cv2.imread(str(run / 'labels' / '000002_ids.png'), cv2.IMREAD_UNCHANGED)
    cv2.imwrite(str(tmp_path / 'ids' / '000002.png'), label)
    assert main(['evaluate', '--predictions', f'{tmp_path}/ids', '--frames', f'{run}/all',
                 '--label-set', 'camvid', '--out', f'{tmp_path}/out',
                 '--report', f'{tmp_path}/report.html']) == 1
    printed = capsys.readouterr()
    assert '2 frames could not be used; the first: ' in printed.err
    assert '000001.png: no prediction has its name or stamp' in printed.err
    summary = summary_of(tmp_path / 'out')
    assert (summary['frames'], summary['invalid'], summary['density']) == (1, 2, None)
    page = (tmp_path / 'report.html').read_text()
    assert page.count('mIoU') and 'The best frames' not in page  # the only frame is the worst
    assert not any(words in page for words in ('pixels refined', '- ms', '>uncertainty<'))
    assert '| - | - |\n' in printed.out  # neither density nor time


def test_a_prediction_is_never_taken_for_two_frames_of_one_name(run, tmp_path, capsys):
    lines = []
    for number in (1, 2):
        (tmp_path / f'{number}').mkdir()
        for kind, ending in (('pictures', ''), ('labels', '_ids')):
            copyfile(run / kind / f'{number:06d}{ending}.png',
                     tmp_path / f'{number}' / f'{kind[0]}.png')
        lines.append(f'{number}/p.png {number}/l.png')
    (tmp_path / 'all.txt').write_text('\n'.join(lines))
    words = ['--frames', tmp_path / 'all']
    assert evaluate(run, *words, '--save-predictions', tmp_path / 'ids') == 0
    assert main(['evaluate', *map(str, words), '--predictions', f'{tmp_path}/ids',
                 '--label-set', 'camvid', '--out', f'{tmp_path}/out']) == 1
    assert f'p.png has its name, and that of {tmp_path}/1/p.png' in capsys.readouterr().err
    assert summary_of(tmp_path / 'out')['frames'] == 1


def test_the_masks_of_one_bag_are_scored_against_the_labels_of_another(run, tmp_path, capsys):
    write_bag(tmp_path / 'bag', {'/camera/image_raw': image, '/camera/label': labels})
    assert main(['replay', '--bag', f'{tmp_path}/bag', '-o', f'{tmp_path}/masks', '--model',
                 f'{run}/model.safetensors', '--device', 'cpu', '--labels', '/camera/label',
                 '--json', f'{tmp_path}/replay.json']) == 0
    words = ['evaluate', '--predictions', f'{tmp_path}/masks', '--bag', f'{tmp_path}/bag',
             '--labels', '/camera/label', '--topic', '/camera/image_raw']
    assert main([*words, '--label-set', 'camvid', '--out', f'{tmp_path}/out',
                 '--report', f'{tmp_path}/report.html']) == 0
    replayed = json.loads((tmp_path / 'replay.json').read_text())
    assert summary_of(tmp_path / 'out')['miou'] == pytest.approx(replayed['miou'], abs=1e-5)
    assert main([*words, '--remap', 'x']) == 1
    assert '--remap is of a model' in capsys.readouterr().err


@pytest.mark.parametrize('verb', [('predict',), ('replay', '--pictures')])
def test_predict_and_replay_write_the_classes_of_a_remap(run, tmp_path, verb):
    write = ('--write', 'ids') if verb == ('predict',) else ()
    assert main([*verb, f'{run}/pictures', '-o', f'{tmp_path}/out', '--model',
                 f'{run}/model.safetensors', '--device', 'cpu', '--remap', 'camvid_to_nav2',
                 *write]) == 0
    names = load_remap('camvid_to_nav2').labels.names
    if write:
        ids = cv2.imread(str(tmp_path / 'out' / '000001_ids.png'), cv2.IMREAD_UNCHANGED)
        assert set(np.unique(ids)) <= {*range(len(names)), 255}
    else:
        assert RecordedBag(tmp_path / 'out').names == names


@pytest.mark.parametrize(('form', 'expected'), [
    ('labelIds', [7, 8, 33, 0]), ('trainIds', [0, 1, 18, 255])])
def test_cityscapes_predictions_can_be_sent_to_its_benchmark(form, expected):
    encode = encoder_of(load_labels('cityscapes'), form)
    assert encode(np.array([[0, 1, 18, 255]], np.uint8)).tolist() == [expected]


@pytest.mark.parametrize(('words', 'message'), [
    ('--frames a/b --labels c', '--labels and --all-frames go with --bag, --bags or --pictures'),
    ('--street 1 --topic /a', '--topic goes with --bag'),
    ('--bag a', 'a bag is scored against true labels; name their topic or folder'),
    ('--pictures a', 'pictures and videos are scored against true labels'),
    ('--street 1 --form labelIds', '--form goes with --save-predictions'),
    ('--street 1 --thresholds gone.yaml', 'no settings file gone.yaml'),
    ('--bag gone --labels /a', 'no bag gone')])
def test_options_that_do_not_go_together_are_refused(run, words, message, capsys):
    assert evaluate(run, *words.split()) == 1
    assert message in capsys.readouterr().err
