# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""PatchRefine: SparseRefine's rival that refines whole patches, densely."""
