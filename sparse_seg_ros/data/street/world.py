# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The things of one street: what stands still in lots along z, and who moves.

Every lot is drawn from (seed, side, number), so any stretch of road can be built at any time.
Movers circle in a window that travels with the camera, so a street never runs empty.
"""
from __future__ import annotations

import math
from functools import lru_cache, partial

import numpy as np

from sparse_seg_ros.data.street.backdrop import Surface
from sparse_seg_ros.data.street.canvas import Bend
from sparse_seg_ros.data.street.cars import BODIES, CAR_COLOURS, Car
from sparse_seg_ros.data.street.furniture import Post
from sparse_seg_ros.data.street.houses import WALL_COLOURS, Fence, House, draw_front
from sparse_seg_ros.data.street.lorries import LOADS, Lorry
from sparse_seg_ros.data.street.people import Cyclist, Person
from sparse_seg_ros.data.street.plants import Hedge, Tree

LOT_METRES = 16.0
SIGHT_METRES = 170.0
BODY_ODDS = (0.34, 0.3, 0.18, 0.13, 0.05)
LORRY_ODDS = 0.2  # among those that drive
DELIVERY_ODDS = 0.12  # that a lorry stands beside the lane, in one lot
POST_COLOURS = ((70, 74, 74), (130, 132, 134), (50, 70, 58), (92, 80, 66), (165, 165, 165))
FENCE_COLOURS = ((60, 62, 62), (90, 140, 96), (170, 130, 90), (230, 230, 225), (120, 100, 80),
                 (140, 145, 150))


def _tint(random: np.random.Generator, colours, spread: float = 14) -> tuple:
    colour = np.array(colours[random.integers(len(colours))]) + random.normal(0, spread)
    colour += random.normal(0, 0.35 * spread, 3)
    return tuple(np.clip(colour, 8, 250))


def _leaves(random: np.random.Generator) -> tuple:
    colours = ((96, 128, 62), (120, 140, 84), (80, 110, 70), (150, 140, 70), (140, 100, 60))
    return tuple(1.25 * value for value in _tint(random, colours, 8))


def _clothes(random: np.random.Generator) -> tuple:
    if random.random() < 0.55:
        return _tint(random, ((40, 42, 48), (90, 92, 96), (130, 120, 105), (60, 66, 90)), 12)
    colour = random.uniform(20, 225, 3)
    return tuple(0.6 * colour + 0.4 * colour.mean())


class World:
    """One street: `things(z, time)` lists what a camera at z may see."""

    def __init__(self, seed: int, detail: float, lit: bool):
        random = np.random.default_rng([seed, 11])
        self.seed, self.detail, self.lit = seed, detail, lit
        self.side = float(random.choice([-1.0, 1.0]))  # which side one drives on
        self.bend = Bend(random.uniform(0, 7), random.uniform(55, 90), random.uniform(0, 6.3))
        grey = random.uniform(70, 130)
        lane = random.uniform(2.9, 3.3)
        has_parking = random.random() < 0.55
        shoulder = random.uniform(1.5, 2.0) if has_parking else random.uniform(0.25, 0.7)
        self.surface = Surface(
            half_road=lane + shoulder, pavement=random.uniform(2.6, 4.6),
            asphalt=tuple(grey + random.normal(0, 3, 3)),
            kerb=tuple(np.full(3, random.uniform(130, 190))),
            paving=tuple(np.clip(grey + random.uniform(-5, 65), 0, 255) + random.normal(0, 7, 3)),
            yard=_tint(random, ((120, 116, 104), (110, 120, 84), (130, 130, 130))),
            lane_edge=lane, crossing_every=random.uniform(45, 110), seed=seed)
        self.leafy = random.uniform(0.25, 0.7)
        self.parked = random.uniform(0.05, 0.38) if has_parking else 0.0
        self.storeys = random.uniform(1.6, 4.2)
        self.fence_colour = _tint(random, FENCE_COLOURS)
        self.post_colour = _tint(random, POST_COLOURS, 6)
        self.movers = _draw_movers(np.random.default_rng([seed, 12]), self)
        self.lot = lru_cache(maxsize=128)(self._draw_lot)

    def things(self, z: float, seconds: float) -> list:
        """Everything between z and the end of sight, farthest first."""
        numbers = range(math.floor((z - 12) / LOT_METRES),
                        math.ceil((z + SIGHT_METRES) / LOT_METRES))
        standing = [thing for side in (-1, 1) for number in numbers
                    for thing in self.lot(side, number)]
        moving = [mover(z, seconds) for mover in self.movers]
        return sorted(standing + moving, key=lambda thing: -thing.order)

    def _draw_lot(self, side: int, number: int) -> list:
        random = np.random.default_rng([self.seed, 13, side + 1, number + 1_000_000])
        start = number * LOT_METRES
        front = side * (self.surface.half_road + self.surface.pavement + random.uniform(0, 0.3))
        if random.random() < 0.48:
            things = [self._draw_house(random, front, start)]
        else:
            things = self._draw_garden(random, front, start)
        return things + self._draw_kerbside(random, side, start)

    def _draw_house(self, random, x: float, start: float, order: float = 0.0) -> House:
        length = LOT_METRES - (random.uniform(0, 2.5) if random.random() < 0.4 else 0.0)
        height = 3.1 * max(1, round(random.normal(self.storeys, 1.0))) + random.uniform(0.3, 1.0)
        colour = np.array(_tint(random, WALL_COLOURS, 10))
        depth = random.uniform(8, 13)
        roof = random.uniform(1.8, 3.2) if random.random() < 0.5 else 0.0
        tiles = _tint(random, ((120, 66, 52), (80, 80, 86), (100, 84, 74)))
        return House(
            x=x, z=start, length=length, height=height, depth=depth,
            front=self._facade(random, (length, height), colour),
            gable=self._facade(random, (depth, height), colour * 0.93),
            detail=self.detail, roof=(roof, tiles), order=start + length + order)

    def _facade(self, random, metres: tuple[float, float], colour: np.ndarray):
        seed = int(random.integers(2**32))
        return lru_cache(maxsize=2)(partial(draw_front, seed, metres, colour, self.lit))

    def _draw_garden(self, random, x: float, start: float) -> list:
        side = math.copysign(1.0, x)
        things = [self._draw_house(random, x + side * random.uniform(7, 12), start, 2.0)]
        back = start + LOT_METRES
        for _ in range(random.integers(1, 4)):
            height = random.uniform(4, 9)
            things.append(Tree(x + side * random.uniform(2, 6), start + random.uniform(1, 15),
                               height, height * random.uniform(0.6, 0.9), _leaves(random),
                               int(random.integers(24)), back + 1.0))
        if random.random() < 0.75:
            things.append(Hedge(x + side * 1.2, start, LOT_METRES, random.uniform(0.7, 1.7),
                                _leaves(random), int(random.integers(24)), back + 0.6))
        style = str(random.choice(['bars', 'boards', 'mesh', 'rails'], p=[0.34, 0.34, 0.12, 0.2]))
        things.append(Fence(x, start, LOT_METRES, random.uniform(1.0, 1.9), style,
                            self.fence_colour, back + 0.3))
        return things

    def _draw_kerbside(self, random, side: int, start: float) -> list:
        kerb, things = self.surface.half_road, []
        if random.random() < self.leafy:
            height, z = random.uniform(4.5, 8.5), start + random.uniform(2, 14)
            things.append(Tree(side * (kerb + random.uniform(0.6, 1.1)), z, height,
                               height * random.uniform(0.45, 0.75), _leaves(random),
                               int(random.integers(24)), z))
        if random.random() < 0.5:
            things.append(self._post(random, side, start + 1.0, 'lamp', (5.5, 8.0), (.11, .17)))
        for carries, chance, heights in (('sign', 0.6, (2.2, 3.0)), ('lights', 0.25, (2.8, 3.6)),
                                         ('nothing', 0.25, (4.0, 8.0))):
            if random.random() < chance:
                things.append(self._post(random, side, start + random.uniform(2, 15), carries,
                                         heights, (.06, .11)))
        if random.random() < 0.2:
            things += [Post(side * (kerb + 0.35), start + 2 + 1.5 * index, 0.95, 0.09, 'nothing',
                            self.post_colour, 0) for index in range(random.integers(3, 7))]
        if random.random() < 0.2:
            things.append(Fence(side * (kerb + 0.3), start, LOT_METRES, 1.05,
                                str(random.choice(['bars', 'rails'])), self.fence_colour,
                                start + LOT_METRES * 0.6))
        things += self._draw_parked(random, side, start)
        for _ in range(random.poisson(1.1)):
            things.append(_person(random, side * (kerb + random.uniform(0.4, 2.4)),
                                  start + random.uniform(0, 16)))
        return things

    def _post(self, random, side: int, z: float, carries: str, heights, widths) -> Post:
        x = side * (self.surface.half_road + random.uniform(0.35, 0.7))
        return Post(x, z, random.uniform(*heights), random.uniform(*widths), carries,
                    self.post_colour if random.random() < 0.6 else _tint(random, POST_COLOURS),
                    int(random.integers(60)))

    def _draw_parked(self, random, side: int, start: float) -> list:
        if random.random() < DELIVERY_ODDS:
            x = side * (self.surface.lane_edge + 0.85)
            return [_draw_lorry(random, bool(side != self.side))(x, start + random.uniform(0, 4))]
        cars = []
        for place in (0.4, 6.0, 11.4):
            if random.random() < self.parked:
                body = str(random.choice(list(BODIES)[:4], p=np.array(BODY_ODDS[:4]) / 0.95))
                cars.append(Car(side * (self.surface.half_road - 1.05),
                                start + place + random.uniform(-0.3, 0.3), body,
                                _tint(random, CAR_COLOURS), bool(side != self.side)))
        return cars


def _person(random, x: float, z: float, stride: float = 0.0, swing: float = 0.35) -> Person:
    height = random.uniform(1.05, 1.4) if random.random() < 0.12 else random.uniform(1.55, 1.92)
    return Person(x, z, height, stride + random.uniform(0, 6.28), swing, _clothes(random),
                  _clothes(random), int(random.integers(60)))


def _draw_movers(random: np.random.Generator, world: World) -> list:
    """Functions (camera z, seconds) -> thing, each walking or driving through the window."""
    movers, side, surface = [], world.side, world.surface
    for _ in range(random.integers(1, 5)):
        movers.append(_driver(random, -side * surface.lane_edge / 2, -random.uniform(6, 12)))
    gap = random.uniform(18, 70)
    movers.append(_leader(random, side * surface.lane_edge / 2, gap))
    if random.random() < 0.6:
        movers.append(_leader(random, side * surface.lane_edge / 2, gap + random.uniform(15, 50)))
    for _ in range(random.integers(12, 30)):
        x = float(random.choice([-1, 1])) * (surface.half_road + random.uniform(0.5, 2.3))
        movers.append(_walker(random, x))
    for _ in range(random.integers(2, 5)):
        movers.append(_crosser(random, -side, surface))
    for _ in range(random.integers(8, 15)):
        movers.append(_rider(random, surface))
    return movers


def _circle(start: float, speed: float, z: float, seconds: float) -> float:
    return z + 2.0 + (start + speed * seconds - z) % (SIGHT_METRES - 8.0)


def _draw_lorry(random, is_oncoming: bool):
    length, top = random.uniform(6.5, 11.0), random.uniform(2.9, 3.9)
    load, variant = str(random.choice(LOADS)), int(random.integers(24))
    colour = _tint(random, CAR_COLOURS)
    return lambda x, z: Lorry(x, z, length, top, load, colour, is_oncoming, variant)


def _draw_vehicle(random, is_oncoming: bool):
    """Return a function (x, z, lights on) -> car or lorry."""
    if random.random() < LORRY_ODDS:
        lorry = _draw_lorry(random, is_oncoming)
        return lambda x, z, _: lorry(x, z)
    body, colour = str(random.choice(list(BODIES), p=BODY_ODDS)), _tint(random, CAR_COLOURS)
    return lambda x, z, lights: Car(x, z, body, colour, is_oncoming, lights)


def _driver(random, x: float, speed: float):
    vehicle, start = _draw_vehicle(random, True), random.uniform(0, SIGHT_METRES)
    return lambda z, seconds: vehicle(x, _circle(start, speed, z, seconds), True)


def _leader(random, x: float, gap: float):
    vehicle = _draw_vehicle(random, False)
    return lambda z, seconds: vehicle(x, z + gap + 3 * math.sin(0.3 * seconds),
                                      math.cos(0.3 * seconds) < 0)


def _walker(random, x: float):
    speed, start = float(random.choice([-1, 1])) * random.uniform(0.9, 1.7), random.uniform(0, 170)
    looks = _person(random, x, 0.0)

    def walker(z: float, seconds: float) -> Person:
        return Person(x, _circle(start, speed, z, seconds), looks.height,
                      looks.stride + 6.0 * seconds, 1.0, looks.top, looks.trousers, looks.variant)
    return walker


def _crosser(random, side: float, surface: Surface):
    start, phase = random.uniform(0, 170), random.uniform(0, 6.28)
    looks = _person(random, 0.0, 0.0)
    middle, reach = side * (surface.half_road / 2 + 0.9), surface.half_road / 2

    def crosser(z: float, seconds: float) -> Person:
        x = middle + reach * math.sin(0.35 * seconds + phase)
        return Person(x, _circle(start, 0.0, z, seconds), looks.height,
                      looks.stride + 6.0 * seconds, 1.3, looks.top, looks.trousers, looks.variant)
    return crosser


def _rider(random, surface: Surface):
    away = float(random.choice([-1, 1]))
    on_pavement = random.random() < 0.35
    x = surface.half_road + 1.3 if on_pavement else surface.lane_edge - 0.45
    x *= away if random.random() < 0.5 or on_pavement else -away
    speed, start = away * random.uniform(2.5, 5.5), random.uniform(0, 170)
    heading = random.uniform(-0.5, 0.5) if random.random() < 0.6 else random.uniform(0.7, 1.5)
    looks = Cyclist(x, 0.0, heading, random.uniform(0, 6.28), _clothes(random), _clothes(random),
                    int(random.integers(60)), not on_pavement)

    def rider(z: float, seconds: float) -> Cyclist:
        return Cyclist(x, _circle(start, speed, z, seconds), looks.heading,
                       looks.stride + 7.0 * seconds, looks.top, looks.trousers, looks.variant,
                       looks.is_beside_cars)
    return rider
