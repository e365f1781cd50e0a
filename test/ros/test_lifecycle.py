# Copyright 2026 The sparse_seg_ros authors
# SPDX-License-Identifier: Apache-2.0
"""configure, activate, deactivate, cleanup: through the services, as a launch file would."""

from __future__ import annotations

import threading
from copy import copy

import pytest
import transitions
from ros_fakes import make_segmenter

pytest.importorskip('rclpy')

from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from ros_faults import Held, segmenter
from ros_images import connect, image, serve

from sparse_seg_ros.ros.node import SegmentationNode, load_model
from sparse_seg_ros.stream.health import LOADING

CONFIGURE, ACTIVATE = Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE
DEACTIVATE, CLEANUP = Transition.TRANSITION_DEACTIVATE, Transition.TRANSITION_CLEANUP


def change(ros, number: int) -> bool:
    return ros.call(ChangeState, 'segmentation/change_state',
                    transition=Transition(id=number)).success


def state(ros) -> str:
    return ros.call(GetState, 'segmentation/get_state').current_state.label


def test_the_gate_opens_and_closes_and_the_model_is_freed(ros):
    node = ros.segmentation()
    assert change(ros, CONFIGURE) and state(ros) == 'inactive'
    publisher = connect(ros)
    publisher.publish(image())
    assert change(ros, ACTIVATE) and state(ros) == 'active'
    counts = serve(ros, node, publisher, image())
    assert counts.received == counts.published == 1  # the one before was not let in
    assert change(ros, DEACTIVATE) and node.segmenter is not None
    assert change(ros, CLEANUP) and node.segmenter is None and not node.cameras
    assert change(ros, CONFIGURE) and change(ros, ACTIVATE) and state(ros) == 'active'
    assert serve(ros, node, connect(ros), image()).published == 2


ERRORS = [FileNotFoundError('no weights at x.safetensors'), ImportError('no tensorrt'),
          ValueError('weights have 19 classes'), RuntimeError('out of memory'),
          KeyError('mean'), AttributeError("'list' has no 'items'"), TypeError('not a mapping'),
          RecursionError('too deep'), MemoryError(), SystemExit('the model wants to end')]


@pytest.mark.parametrize('error', ERRORS, ids=lambda error: type(error).__name__)
def test_a_failed_configure_says_why_leaves_unconfigured_and_can_be_retried(ros, error, capfd):
    results = [copy(error), make_segmenter()]  # an error that was raised keeps the node alive

    def load(config):
        result = results.pop(0)
        if isinstance(result, BaseException):
            raise result
        return result

    node = ros.segmentation(load)
    assert not change(ros, CONFIGURE)
    assert state(ros) == 'unconfigured' == node.state
    text = f'configure failed: {type(error).__name__}'
    text += f': {error}' if str(error) else ''
    assert text in capfd.readouterr().err
    engine = node.diagnostics.collect()[0]
    assert (engine.level, engine.message) == ('ERROR', text)
    assert change(ros, CONFIGURE) and state(ros) == 'inactive'
    assert node.diagnostics.collect()[0].level == 'OK'


def test_a_failed_configure_that_cannot_be_undone_either_keeps_both_reasons(ros, monkeypatch):
    def fail(*_):
        raise KeyError('no topic')

    node = ros.segmentation(fail)
    with monkeypatch.context() as patch:
        patch.setattr(node, 'release', lambda: int('x'))
        node.trigger_configure()
    assert node.state == 'unconfigured'
    assert 'ValueError: invalid literal' in node.error
    assert "after KeyError: 'no topic'" in node.error


def test_missing_weights_fail_to_configure(ros, capfd):
    from sparse_seg_ros.ros.node import load_model

    ros.segmentation(load_model, model='/nowhere/my.safetensors', device='cpu')
    assert not change(ros, CONFIGURE) and state(ros) == 'unconfigured'
    assert '/nowhere/my.safetensors' in capfd.readouterr().err


def test_services_and_diagnostics_go_on_while_a_model_loads(ros, probe):
    loading, finish = threading.Event(), threading.Event()

    def load(config):
        loading.set()
        finish.wait(20)
        return make_segmenter()

    node = ros.segmentation(load)
    client = ros.peer.create_client(ChangeState, 'segmentation/change_state')
    ros.wait(client.service_is_ready)
    future = client.call_async(ChangeState.Request(transition=Transition(id=CONFIGURE)))
    ros.wait(loading.is_set)
    assert state(ros) == 'configuring'
    ros.wait(lambda: probe.state == LOADING)
    finish.set()
    ros.wait(future.done)
    assert future.result().success and node.state == 'inactive'


def test_autostart_off_leaves_the_node_unconfigured(ros):
    node = ros.segmentation(autostart=False)
    node.autostart()
    assert state(ros) == 'unconfigured'


def test_deactivating_publishes_the_frame_in_flight_and_keeps_the_counters_exact(ros):
    method = Held()
    node = ros.segmentation(lambda config: segmenter(method))
    node.autostart()
    publisher = connect(ros)
    method.hold()
    publisher.publish(image())
    ros.wait(method.entered.is_set, 'a frame in the model')
    publisher.publish(image())
    ros.wait(lambda: node.slots.counters('camera').received == 2)
    threading.Timer(0.1, method.free.set).start()
    node.trigger_deactivate()
    counts = node.slots.counters('camera')
    assert counts.waiting == 0 and (counts.published, counts.abandoned) == (1, 1)


def test_nothing_is_lost_or_gathered_in_transitions_while_images_arrive(ros):
    node = SegmentationNode(lambda config: make_segmenter())
    ros.nodes.append(node)  # to be destroyed; transitions.py spins it
    found = transitions.run(node, ros.peer, cycles=3)
    assert len(found) == 3 and transitions.faults(found, most_growth=0.2) == []
    assert node.diagnostics.errors.count == 0


def test_what_transitions_lose_or_gather_is_a_fault():
    before = transitions.Holdings(9, 20, 3, 0, 2, 12, 2, 300.0)
    after = transitions.Holdings(10, 20, 3, 0, 2, 12, 2, 320.0)
    assert transitions.faults([before, after], 0.03) == [
        'threads: 9, then 10', 'memory: 300 MiB, then 320 MiB']


def test_times_of_a_former_model_are_forgotten(ros):
    node = ros.segmentation()
    node.autostart()
    serve(ros, node, connect(ros), image())
    assert node.diagnostics.times.times
    for step in (node.trigger_deactivate, node.trigger_cleanup, node.trigger_configure):
        step()
    assert not node.diagnostics.times.times


def test_a_long_name_of_a_model_is_not_repeated_whole(ros, capfd):
    node = ros.segmentation(load_model, model='a' * 100_000)
    node.autostart()
    log = capfd.readouterr().err
    assert 'loading model' in log and 'configure failed' in log and len(log) < 3000
