# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""cv_bridge as an optional converter: stand-ins of ones that work, crash, and fail to import."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from sparse_seg_ros.messages import with_cv_bridge
from sparse_seg_ros.messages.pixels import ENCODINGS, to_rgb

WORKS = """
import numpy
class CvBridgeError(TypeError): pass
class CvBridge:
    def cv2_to_imgmsg(self, image, encoding): return image
    def imgmsg_to_cv2(self, message, encoding): return numpy.zeros((4, 6, 3), numpy.uint8)
"""
STAND_INS = {'works': WORKS, 'crashes': WORKS + 'import os; os.abort()',
             'wants another NumPy': 'raise ImportError("numpy.core.multiarray failed to import")',
             'fails': WORKS + 'CvBridge.imgmsg_to_cv2 = lambda *_: {}[16]'}
MESSAGE = SimpleNamespace(height=4, width=6, encoding='unheard_of', step=6, is_bigendian=0,
                          data=bytes(24))


@pytest.fixture(name='stand_in', params=STAND_INS)
def installed(request, tmp_path, monkeypatch):
    (tmp_path / 'cv_bridge.py').write_text(STAND_INS[request.param])
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv('PYTHONPATH', str(tmp_path))
    with_cv_bridge.is_usable.cache_clear()
    yield request.param
    with_cv_bridge.is_usable.cache_clear()
    sys.modules.pop('cv_bridge', None)


def test_only_a_cv_bridge_that_works_is_used(stand_in):
    assert with_cv_bridge.is_usable() == (stand_in == 'works')
    if stand_in == 'works':
        assert to_rgb(MESSAGE).shape == (4, 6, 3)
    else:
        with pytest.raises(ValueError, match="'unheard_of' is not known"):
            to_rgb(MESSAGE)


CONVERTED = [name for name in ENCODINGS if name.startswith(('rgb', 'bgr', 'mono', 'bayer'))]


@pytest.mark.parametrize('encoding', CONVERTED)
def test_pixels_are_those_of_cv_bridge(encoding):
    """Where ROS is installed: the tables of pixels.py and cv_bridge agree on every image."""
    pytest.importorskip('cv_bridge')
    if not with_cv_bridge.is_usable():
        pytest.skip('this cv_bridge does not work here')
    from cv_bridge import CvBridge
    from sensor_msgs.msg import Image

    layout = ENCODINGS[encoding]
    width = 60 * layout.channels * layout.depth
    data = np.random.default_rng(0).integers(0, 256, 40 * width, np.uint8)
    message = Image(height=40, width=60, encoding=encoding, step=width)
    message.data.frombytes(data.tobytes())
    expected = CvBridge().imgmsg_to_cv2(message, 'rgb8').astype(int)
    assert np.abs(to_rgb(message) - expected).max() <= (layout.depth == 2)
