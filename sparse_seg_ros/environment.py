# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Environment variables that let large images through DDS, for the processes that we start."""

from __future__ import annotations

import os

from sparse_seg_ros.files import share


def large_image_settings() -> dict[str, str]:
    """
    Return the Fast DDS profile and what malloc shall do.

    Fresh page mappings per image cost more than the copy, hence the thresholds, and huge pages
    need fewer of them: from glibc 2.35 on, unless the user has tunables of his own. Fast DDS
    before Jazzy knows only the old name of the variable, and later ones warn of it.
    """
    is_old = os.environ.get('ROS_DISTRO') in ('humble', 'iron')
    variable = 'FASTRTPS_DEFAULT_PROFILES_FILE' if is_old else 'FASTDDS_DEFAULT_PROFILES_FILE'
    return {variable: str(share() / 'config' / 'fastdds_large_images.xml'),
            'MALLOC_MMAP_THRESHOLD_': '33554432', 'MALLOC_TRIM_THRESHOLD_': '536870912',
            'MALLOC_TOP_PAD_': '67108864',
            'GLIBC_TUNABLES': os.environ.get('GLIBC_TUNABLES') or 'glibc.malloc.hugetlb=1'}


def private_settings(domain: int) -> dict[str, str]:
    """Return what makes processes of a domain find only each other, only on this machine."""
    return {'ROS_DOMAIN_ID': str(domain), 'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST',
            'ROS_LOCALHOST_ONLY': '1'}
