# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
What SparseRefine's paper says of its five networks: Tables 1, A1, A2 and A3.

Mask2Former's parameters there, 36.7 and 207.0 M, are 10.7 and 8.5 M fewer than ours. We count
every parameter: backbone (27.5 and 195.2 M), pixel decoder (5.4 and 5.8 M) and transformer decoder
(14.5 M). That makes 47.4 and 215.5 M, as other papers count them (LRFormer's Table 13: 47 and
215 M). The paper does not say what it counts. A part that it leaves out does not explain it: the
gap is larger under T, although L has no smaller part. Its multiply-adds, 0.62 and 1.99 T, are
above ours, 0.54 and 1.90 T, so it likely ran another configuration.
"""

from __future__ import annotations

from dataclasses import dataclass

SIX_STAGES, FIVE_STAGES = (32, 64, 128, 256, 512, 1024), (32, 64, 128, 256, 512)


@dataclass(frozen=True)
class Published:
    """Scale of the low resolution, refined fraction (A1), parameters (1, M) and the planes."""

    scale: float
    density: float
    parameters: float
    planes: tuple[int, ...] = SIX_STAGES


@dataclass(frozen=True)
class Latency:
    """Milliseconds a frame: the network at full and at low resolution, and refined."""

    full: float | None  # None where the memory did not suffice
    low: float
    refined: float

    @property
    def ratio(self) -> float | None:
        """How many times faster refining is than full resolution."""
        return None if self.full is None else self.full / self.refined


PUBLISHED = {
    'hrnet_w48': Published(0.5, 0.118, 65.9),
    'segformer_b5': Published(0.5, 0.139, 82.0),
    'mask2former_swin_t': Published(0.5, 0.241, 36.7, FIVE_STAGES),
    'mask2former_swin_l': Published(0.5, 0.350, 207.0),
    'segnext_l': Published(0.625, 0.100, 48.8),
}

# A network's three rows, full, low and refined; columns: batches of 1, 2, 4 and, in A2, 8.
# At batch 4 they differ here and there from Table 1: HRNet-W48 has 30.3 ms here and 32.4 there.
BATCHES = (1, 2, 4, 8)
RTX_3090_FP16 = """
hrnet_w48           56.3 54.1 53.4 51.5      20.2 15.1 14.5 14.1     40.2 31.8 30.3 28.6
segformer_b5        149.5 141.1 140.6 141.3  39.0 20.6 18.5 17.8     61.0 39.5 36.2 34.0
mask2former_swin_t  73.9 72.7 66.8 65.4      37.5 24.1 19.1 17.1     67.9 51.7 44.8 44.4
mask2former_swin_l  158.4 150.8 146.3 144.6  56.3 45.4 40.3 37.5     99.8 84.4 74.9 71.3
segnext_l           85.3 87.3 86.3 84.0      34.7 35.4 33.6 32.8     55.1 51.8 49.1 47.0
"""
RTX_3090_FP32 = """
hrnet_w48           95.2 96.5 90.9 89.7      26.8 25.8 24.4 23.8     65.4 60.5 57.3 55.3
segformer_b5        311.5 302.1 299.2 OOM    43.7 39.9 38.3 37.2     86.6 78.5 74.9 72.5
mask2former_swin_t  156.6 145.9 138.8 OOM    49.7 42.1 37.6 34.6     111.9 99.2 93.7 89.3
mask2former_swin_l  382.2 371.1 367.1 OOM    113.0 100.8 94.6 92.1   198.5 181.5 173.5 169.6
segnext_l           132.7 155.2 141.5 134.2  53.5 62.7 56.7 52.7     88.5 94.2 86.0 80.9
"""
ORIN_FP16 = """
hrnet_w48           233.0 217.1 211.1        78.6 63.9 60.5          157.0 138.9 134.1
segformer_b5        751.5 721.0 719.5        110.8 102.4 98.8        197.5 186.7 183.1
mask2former_swin_t  449.1 433.7 422.8        133.0 126.2 115.1       259.0 250.5 241.0
mask2former_swin_l  882.1 903.2 888.1        262.2 243.7 226.6       432.6 412.0 396.9
segnext_l           525.4 529.3 539.1        209.9 214.6 202.7       278.4 279.5 266.2
"""
ORIN_FP32 = """
hrnet_w48           360.6 365.8 349.4        98.9 93.6 90.5          277.4 269.9 265.3
segformer_b5        1220.5 1172.5 1172.8     179.9 161.3 163.1       386.1 363.7 362.3
mask2former_swin_t  583.2 591.7 585.6        174.8 171.4 149.8       486.1 479.1 453.7
mask2former_swin_l  1217.7 1198.5 1201.8     356.7 334.0 317.6       784.4 757.5 736.9
segnext_l           712.0 743.7 731.8        280.3 296.9 288.5       447.5 450.6 441.5
"""
BOARDS = ('RTX 3090', 'AGX Orin')  # of A2 and A3
TABLES = {('RTX 3090', 'fp16'): RTX_3090_FP16, ('RTX 3090', 'fp32'): RTX_3090_FP32,
          ('AGX Orin', 'fp16'): ORIN_FP16, ('AGX Orin', 'fp32'): ORIN_FP32}


def latency(board: str, network: str, batch: int, precision: str) -> Latency | None:
    """Figures of A2 ('RTX 3090') or A3 ('AGX Orin'), None for a batch that they do not have."""
    rows = {name: [None if cell == 'OOM' else float(cell) for cell in cells]
            for name, *cells in map(str.split, TABLES[board, precision].strip().splitlines())}
    columns = len(rows[network]) // 3
    if batch not in BATCHES[:columns]:
        return None
    full, low, refined = rows[network][BATCHES.index(batch)::columns]
    return None if low is None or refined is None else Latency(full, low, refined)
