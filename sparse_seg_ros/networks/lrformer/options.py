# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What LRFormer's ablations change: its Tables 7, 9, 10 and 11."""

from __future__ import annotations

from dataclasses import dataclass

from sparse_seg_ros.config import Settings, setting

DEPTHWISE = ('both', 'attention', 'feed_forward', 'none')
HEADS = ('own', 'ppm', 'ocr', 'da', 'cc')


@dataclass(frozen=True)
class LRFormerOptions(Settings):
    """
    The options of a network; without any it is the published one.

    With a query_side, maps smaller than the grid ask from every pixel, as in Table 7; the release
    repeats their pixels to fill the grid.
    """

    query_side: int | None = setting(
        None, "short side of the encoder's grids that ask; null: 16", at_least=4, at_most=128)
    depthwise: str = setting('both', 'where blocks of the encoder have a depth-wise convolution: '
                             'before attention, in the feed-forward part, both or none',
                             choices=DEPTHWISE)
    decoder_width: int | None = setting(
        None, "channels of the decoder; null: the size's own", at_least=8, at_most=2048)
    head: str = setting('own', 'decoder: the own one, or one made for CNNs, of 512 channels',
                        choices=HEADS)

    @property
    def has_published_encoder(self) -> bool:
        """Whether the encoder has the published layers and grids."""
        return self.query_side is None and self.depthwise == 'both'


PUBLISHED = LRFormerOptions()
