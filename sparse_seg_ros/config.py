# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The only list of settings: frozen dataclasses, read from strict YAML.

Every field says its default, range and meaning once; ROS parameters, YAML files and their error
messages all come from here.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

import yaml

from sparse_seg_ros.texts import cut

EXPOSURES = ('as_is', 'lifted')
SELECTORS = ('entropy', 'random', 'magnitude', 'learnable', 'oracle')
LEAST_SCALE = 0.05
METHODS = ('dense', 'sparse_refine', 'point_rend', 'patch_refine', 'algm', 'auto')
REFINES = ('sparse_refine', 'point_rend', 'patch_refine', 'auto')
ENSEMBLERS = ('gated', 'direct', 'entropy', 'oracle')

NAMESPACE = re.compile(r'/?[A-Za-z_]\w*(/[A-Za-z_]\w*)*', re.ASCII)  # of a camera

Config = TypeVar('Config', bound='Settings')


def setting(default: Any, about: str, *, at_least: float | None = None,
            at_most: float | None = None, choices: tuple | None = None,
            changes: str = 'never', methods: tuple[str, ...] = ()) -> Any:
    """
    Make a dataclass field that knows its range.

    changes: when it may change in the ROS node, 'never', 'unconfigured' (before the model is
    loaded) or 'live'; methods: the only ones that a setting of a method belongs to; () = all.
    """
    return field(default=default, metadata={
        'about': about, 'at_least': at_least, 'at_most': at_most, 'choices': choices,
        'changes': changes, 'methods': methods})


class Settings:
    """Base of all settings: checks type and range of every field at birth."""

    def __post_init__(self):
        for item in fields(self):
            check_setting(item, getattr(self, item.name))


def check_setting(item: Any, value: Any) -> None:
    """Raise ValueError, naming the setting and its range, unless `value` fits dataclass field."""
    name, about, expected = item.name, item.metadata, type(item.default)
    is_number = expected in (int, float)
    if isinstance(value, bool) and expected is not bool or not isinstance(
            value, (int, float) if expected is float else expected):
        kind = 'a list' if expected is tuple else expected.__name__
        raise ValueError(f'setting {name!r} must be {kind}, got '
                         f'{cut(repr(value))}')
    if is_number and about['at_least'] is not None and not value >= about['at_least']:
        raise ValueError(f"setting {name!r} must be at least {about['at_least']}, got {value}")
    if is_number and about['at_most'] is not None and not value <= about['at_most']:
        raise ValueError(f"setting {name!r} must be at most {about['at_most']}, got {value}")
    if about['choices'] is not None and value not in about['choices']:
        raise ValueError(f"setting {name!r} must be one of {', '.join(about['choices'])}; "
                         f'got {cut(repr(value))}')


def from_mapping(kind: type[Config], values: Mapping[str, Any], source: str) -> Config:
    """Build settings from a mapping; an unknown key is an error that names the nearest."""
    if not isinstance(values, Mapping):
        raise ValueError(f'{source}: expected settings as "name: value" lines, got '
                         f'{cut(repr(values))}')
    known = {item.name: item for item in fields(kind)}
    for name in values:
        if name not in known:
            raise ValueError(f'{source}: unknown setting {cut(repr(name))}; '
                             f'{nearest(name, known)}')
    converted = {name: tuple(value) if isinstance(value, list) else
                 float(value) if type(value) is int and isinstance(known[name].default, float)
                 else value for name, value in values.items()}
    try:
        return kind(**converted)
    except ValueError as error:
        raise ValueError(f'{source}: {error}') from None


def to_yaml(settings: Settings, notes: Mapping[str, str]) -> str:
    """Settings -> a complete YAML, each line with its note or else with what the setting is."""
    lines = []
    for item in fields(settings):
        if not belongs(item, settings):
            continue
        value = yaml.safe_dump(getattr(settings, item.name), default_flow_style=True)
        value = value.removesuffix('...\n').strip()
        lines.append(f"{item.name}: {value}  # {notes.get(item.name, item.metadata['about'])}\n")
    return ''.join(lines)


def belongs(item: Any, settings: Settings) -> bool:
    """Tell whether a setting is one of the method that the settings name."""
    methods = item.metadata['methods']
    return not methods or settings.method in methods


def nearest(name: str, known: Any) -> str:
    """Return the end of an error sentence: what was probably meant, or what there is."""
    close = difflib.get_close_matches(cut(str(name)), list(known), n=1)
    return f'did you mean {close[0]!r}?' if close else f"known: {cut(', '.join(known), 300)}"


def read_size(text: str, name: str) -> tuple[int, int]:
    """'1024x2048' -> (1024, 2048); name: of the setting or option, for the error."""
    height, _, width = str(text).partition('x')
    if not (height.isdigit() and width.isdigit() and int(height) and int(width)):
        raise ValueError(f'{name} must be HxW, like 1024x2048, got {cut(repr(text))}')
    return int(height), int(width)


@dataclass(frozen=True)
class MethodConfig(Settings):
    """How frames are segmented: one complete YAML per method in config/."""

    method: str = setting('sparse_refine', 'what is done with a frame', choices=METHODS)
    weights: str = setting('demo', 'name in models/zoo.yaml, path of a .safetensors file or of a '
                           "Hugging Face folder, or 'hf:owner/model' on its hub")
    full: str = setting('', 'the same network at full resolution, named like weights, which '
                        'auto may take instead; empty: as models/zoo.yaml says',
                        methods=('auto',))
    scale: float = setting(0.0, 'dense stage size / image size; 0: that of the weights',
                           at_least=0.0, at_most=1.0)
    exposure: str = setting('auto', 'of a dark image: as_is, or lifted to the brightness of '
                            'the training; auto: as with the weights',
                            choices=('auto', *EXPOSURES))
    alpha_nats: float = setting(-1.0, 'refine pixels above this entropy; below 0: the value '
                                'calibrated with the weights', at_least=-1.0, at_most=6.0,
                                methods=REFINES)
    selector: str = setting('auto', 'what alpha is a score of; all but the entropy from 0 to 1; '
                            'auto: as with the weights', choices=('auto', *SELECTORS))
    ensembler: str = setting('auto', 'how both predictions of a pixel become one; auto: as with '
                             'the weights', choices=('auto', *ENSEMBLERS))
    budget: float = setting(1.0, 'refine at most this fraction of the pixels, the most uncertain',
                            at_least=0.0, at_most=1.0, methods=REFINES)
    points: int = setting(8096, 'of point_rend: predicted anew after each doubling, of 1024x2048 '
                          'pixels; of other sizes in proportion', at_least=0)
    temperature: float = setting(0.0, 'logits are divided by it before they become probabilities; '
                                 '0: the value calibrated with the weights', at_least=0.0,
                                 at_most=20.0)
    engine: str = setting('auto', 'what runs the network of the dense stage; auto: on a CPU the '
                          'faster of torch and ONNX Runtime, where engine_sizes are given',
                          choices=('auto', 'torch', 'torch_compile', 'onnxruntime', 'tensorrt'))
    engine_sizes: tuple = setting((), 'HxW of the camera images that the engine is built for; not '
                                  'needed for torch')
    engine_folder: str = setting('', 'where engines are kept, beside this file; empty: '
                                 '~/.cache/sparse_seg_ros')
    engine_failure: str = setting('refuse', 'without a working engine: refuse to start, or run '
                                  'torch and say so', choices=('refuse', 'torch'))
    window: tuple = setting((), 'height and width of the windows that the network sees one after '
                            'the other; [] = all of the image at once', methods=('dense', 'algm'))
    stride: tuple = setting((), 'pixels from one window to the next, down and across; [] = as '
                            'large as a window', methods=('dense', 'algm'))
    merge_layers: tuple = setting((1, 5), 'where tokens merge locally and anywhere, from 1; 0 = '
                                  'nowhere', methods=('algm',))
    merge_threshold: float = setting(0.88, 'cosine similarity from which tokens merge',
                                     at_least=-1.0, at_most=1.0, methods=('algm',))
    merge_rule: str = setting('adaptive', "pairs above: each image's own threshold, or the fixed "
                              'one; a share of all; every layer a few',
                              choices=('adaptive', 'fixed', 'share', 'every'), methods=('algm',))
    merge_window: tuple = setting((2, 2), 'rows and columns of patches that merge locally',
                                  methods=('algm',))
    merge_shares: tuple = setting((0.5, 0.44), 'fractions of windows and of pairs that merge by '
                                  'rule share', methods=('algm',))
    merge_tokens: int = setting(44, 'tokens that merge in each layer by rule every', at_least=0,
                                methods=('algm',))

    def __post_init__(self):
        super().__post_init__()
        if 0 < self.scale < LEAST_SCALE:
            raise ValueError(f"setting 'scale' must be at least {LEAST_SCALE}, or 0 for that of "
                             f'the weights, got {self.scale}')
        for item in fields(self):
            if not belongs(item, self) and getattr(self, item.name) != item.default:
                raise ValueError(f'setting {item.name!r} is for method '
                                 f"{' or '.join(item.metadata['methods'])}, not {self.method!r}; "
                                 'leave it out')


@dataclass(frozen=True)
class NodeConfig(Settings):
    """Parameters of the ROS node, see config/node.yaml."""

    model: str = setting('demo', 'zoo name, method YAML, weights file or Hugging Face folder',
                         changes='unconfigured')
    method: str = setting('own', 'what is done with a frame; own: as the model says; auto: '
                          'refinement or full resolution, whichever is better on this machine',
                          choices=('own', *METHODS), changes='unconfigured')
    device: str = setting('auto', "torch device: 'cpu', 'cuda', 'cuda:0'; auto = cuda if present",
                          changes='unconfigured')
    precision: str = setting('auto', 'arithmetic of the networks; auto = the fastest safe one',
                             choices=('auto', 'fp32', 'bf16', 'fp16'), changes='unconfigured')
    threads: int = setting(0, 'CPU threads of torch; 0 = as many as other processes leave cores '
                           'free', at_least=0, at_most=256, changes='live')
    cameras: tuple = setting((), 'camera namespaces; empty = one camera on topic image')
    image_transport: str = setting('raw', 'type of the input topic', choices=('raw', 'compressed'))
    reliability: str = setting('auto', 'of the image subscription; auto = as the publishers offer',
                               choices=('auto', 'reliable', 'best_effort'))
    autostart: bool = setting(True, 'configure and activate on start')
    max_age_seconds: float = setting(2.0, 'images that are older when their mask could be '
                                     'published, or of unknown age, are dropped as stale; 0 keeps '
                                     'all', at_least=0.0, at_most=10.0, changes='live')
    max_pixels: int = setting(4096 * 2160, 'larger images are dropped before they are decoded',
                              at_least=1, at_most=2 ** 28, changes='live')
    alpha_nats: float = setting(-1.0, 'entropy above which a pixel is refined; below 0: the '
                                "model's own value", at_least=-1.0, at_most=6.0, changes='live')
    budget: float = setting(-1.0, 'refine at most this fraction of the pixels, where most '
                            "uncertain; below 0: the model's own value", at_least=-1.0,
                            at_most=1.0, changes='live')
    budget_milliseconds: float = setting(100.0, 'time a frame may take before the timing status '
                                         'warns', at_least=1.0, at_most=5000.0, changes='live')
    publish_uncertainty: bool = setting(True, 'publish segmentation/uncertainty', changes='live')
    uncertainty_encoding: str = setting('32FC1', '32FC1 in [0, 1], or mono8 0..255',
                                        choices=('32FC1', 'mono8'), changes='live')
    overlay_alpha: float = setting(0.5, 'opacity of the colours in segmentation/overlay',
                                   at_least=0.0, at_most=1.0, changes='live')

    def __post_init__(self):
        super().__post_init__()
        for camera in self.cameras:
            check_camera(camera, self.cameras)

    def own_limits(self) -> dict[str, float]:
        """Return the limits of the refinement that are set here, by name."""
        limits = {'alpha': self.alpha_nats, 'budget': self.budget}
        return {name: value for name, value in limits.items() if value >= 0}


def check_camera(camera: Any, cameras: tuple) -> None:
    """Raise ValueError unless a camera has a namespace of its own that ROS allows."""
    if camera == '':
        raise ValueError("setting 'cameras' must give every camera a namespace, got '' in "
                         f'{list(cameras)}; name that one, too, or leave it out')
    if not isinstance(camera, str) or not NAMESPACE.fullmatch(camera):
        raise ValueError("setting 'cameras' must be namespaces such as 'front' or 'robot/front', "
                         f'got {camera!r}; use letters, digits and _, and no / at the end')
    if [each.strip('/') for each in cameras].count(camera.strip('/')) > 1:
        raise ValueError(f"setting 'cameras' must name every camera once, got {camera!r} again in "
                         f'{list(cameras)}; leave it out')
