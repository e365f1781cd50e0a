# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The report of an evaluation is one page that every browser, phone and screen reader can use."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser

import pytest
from tiny import tiny_model

from sparse_seg_ros.data.street import street_frames
from sparse_seg_ros.evaluation.recorder import BEST, WORST
from sparse_seg_ros.loading.assemble import assemble
from sparse_seg_ros.methods.dense import DenseConfig
from sparse_seg_ros.methods.sparse_refine import SparseRefineConfig
from sparse_seg_ros.report.evaluation_job import EvaluationJob
from sparse_seg_ros.report.evaluation_page import write_report

FRAMES, SIZE = 9, (96, 128)
CHROMIUM = next(filter(None, map(shutil.which, (
    'chromium', 'chromium-browser', 'google-chrome'))), None)
PROBE = """<script>let page = document.documentElement
addEventListener('load', () => { document.body.innerHTML = '<pre id="out">' +
JSON.stringify({wide: page.scrollWidth - page.clientWidth, errors: window.problems,
pictures: [...document.images].filter(each => !each.naturalWidth).length}) + '</pre>' })</script>
"""


@pytest.fixture(name='page', scope='module')
def page_of_two_models(tmp_path_factory):
    """The report of two models, one of which refines nothing."""
    job = EvaluationJob(keeps_strips=True)
    models = {'one & <two>': assemble(tiny_model(), SparseRefineConfig(scale=0.5), 'cpu', 'fp32',
                                      {}),
              'dense': assemble(tiny_model(refines=False), DenseConfig('dense'), 'cpu', 'fp32',
                                {})}
    results = [job.run(name, segment, list(street_frames(1, FRAMES, SIZE)))
               for name, segment in models.items()]
    path = tmp_path_factory.mktemp('page') / 'new' / 'report.html'
    write_report(path, results, 'rendered streets')
    return path


class Tags(HTMLParser):
    """Counts tags, and notes links and pictures without a text."""

    def __init__(self):
        super().__init__()
        self.counts, self.links, self.silent = {}, [], []

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.counts[tag] = self.counts.get(tag, 0) + 1
        self.links += [value for name, value in attrs.items() if name in ('src', 'href')]
        if tag == 'img' and not attrs.get('alt') or tag == 'svg' and not attrs.get('aria-label'):
            self.silent.append(attrs)


def test_the_page_holds_everything_and_says_what_pictures_show(page):
    text, tags = page.read_text(), Tags()
    tags.feed(text)
    assert tags.links and all(link.startswith('data:image/') for link in tags.links)
    assert not tags.silent and 'one &amp; &lt;two&gt;' in text and '<two>' not in text
    pictures = WORST + min(BEST, FRAMES - WORST)
    assert tags.counts['img'] == pictures * (6 + 5)  # the dense one has no refined pixels
    assert tags.counts['svg'] >= 2 * 5
    for words in ('Confusions', 'Side by side', 'AUROC', 'The worst frames', 'sha256'):
        assert words in text


def test_headings_do_not_skip_a_level(page):
    levels = [int(level) for level in re.findall(r'<h(\d)', page.read_text())]
    assert levels[0] == 1 and all(b <= a + 1 for a, b in zip(levels, levels[1:]))


@pytest.mark.skipif(CHROMIUM is None, reason='no Chromium on this machine')
@pytest.mark.parametrize('width', [500, 1400])  # headless Chromium is no narrower than 500
def test_a_browser_shows_all_pictures_without_errors_or_sideways_scrolling(page, tmp_path, width):
    probed = tmp_path / 'probed.html'
    listen = '<script>problems = []; onerror = error => problems.push(String(error))</script>'
    probed.write_text(page.read_text().replace('<head>', f'<head>{listen}').replace(
        '</body>', f'{PROBE}</body>'))
    done = subprocess.run(
        [CHROMIUM, '--headless', '--no-sandbox', '--disable-gpu', f'--window-size={width},900',
         f'--user-data-dir={tmp_path}/profile', '--virtual-time-budget=10000', '--dump-dom',
         probed.as_uri()], capture_output=True, text=True, timeout=90, check=True)
    seen = json.loads(re.search(r'<pre id="out">(.*?)</pre>', done.stdout)[1])
    assert seen == {'wide': 0, 'errors': [], 'pictures': 0}
