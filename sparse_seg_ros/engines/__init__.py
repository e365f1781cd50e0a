# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Engines: what runs a dense network. load(path) -> callable, (B, 3, h, w) -> (B, C, h', w') logits.

An engine is built for images of one shape and kept beside a JSON sidecar (cache.py). It is used
only after it agreed with torch on stored images (self_check.py). Methods do not know of engines:
they get an object (network.py) that is called like the network and has its attributes.
"""
