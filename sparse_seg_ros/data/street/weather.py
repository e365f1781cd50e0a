# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Light and air of one drive: sun, colours of sky and haze, exposure and sensor noise."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# sky at the zenith, sky at the horizon, light on surfaces (1 = neutral day)
MOODS = {
    'clear': ((70, 120, 200), (190, 210, 230), (1.08, 1.04, 0.98)),
    'overcast': ((165, 170, 178), (205, 208, 212), (0.86, 0.88, 0.92)),
    'bright': ((150, 185, 225), (240, 242, 245), (1.2, 1.18, 1.14)),
    'dusk': ((78, 84, 120), (222, 165, 130), (0.78, 0.66, 0.62)),
    'gloom': ((92, 98, 108), (135, 138, 142), (0.6, 0.62, 0.65)),
}


@dataclass(frozen=True)
class Weather:
    """One mood of light; colours are RGB 0..255, `light` multiplies them."""

    mood: str
    sky_top: np.ndarray
    sky_bottom: np.ndarray
    light: np.ndarray
    haze: np.ndarray
    haze_distance_metres: float
    shadow: float  # 0 none .. 1 black
    sun_per_metre: tuple[float, float]  # ground shift (x, z) of a shadow per metre of height
    clouds: float
    noise: float
    blur: float

    def haze_at(self, distance_metres):
        """Distance or array of distances -> share of haze, from 0 to 1."""
        return 1.0 - np.exp(-distance_metres / self.haze_distance_metres)

    def shade_of(self, side: float) -> float:
        """How bright a vehicle's right (1.0) or left (-1.0) side is; 1 is its own colour."""
        return 0.92 - np.sign(self.sun_per_metre[0] * side) * 0.4 * self.shadow


def draw_weather(random: np.random.Generator) -> Weather:
    """Another weather for another generator state."""
    mood = str(random.choice(list(MOODS), p=[0.3, 0.25, 0.2, 0.13, 0.12]))
    sky_top, sky_bottom, light = (np.array(colour, np.float64) for colour in MOODS[mood])
    sky_bottom = np.clip(sky_bottom + random.normal(0, 6, 3), 0, 255)
    angle = random.uniform(0, 2 * np.pi)
    length = random.uniform(0.3, 1.6)
    sunny = mood in ('clear', 'bright', 'dusk')
    return Weather(
        mood=mood,
        sky_top=np.clip(sky_top + random.normal(0, 8, 3), 0, 255),
        sky_bottom=sky_bottom,
        light=light * random.uniform(0.85, 1.15) * random.uniform(0.96, 1.04, 3),
        haze=sky_bottom * random.uniform(0.82, 0.97),
        haze_distance_metres=float(np.exp(random.uniform(np.log(140), np.log(900)))),
        shadow=random.uniform(0.35, 0.6) if sunny else random.uniform(0.08, 0.2),
        sun_per_metre=(length * np.cos(angle), length * np.sin(angle)),
        clouds=random.uniform(0.15, 0.7) if sunny else random.uniform(0.0, 0.25),
        noise=random.uniform(0.02, 0.09) * (1.0 if sunny else 1.3),
        blur=random.uniform(0.4, 0.75),
    )
