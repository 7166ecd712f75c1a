"""Turns on the GPU: a family that has begun finishes first.

One that failed or never comes back keeps nobody waiting.
"""

from __future__ import annotations

import threading
from collections import Counter

import pytest

from flows.turns import Turns
from tasks.pipeline import child

LIMIT = 60.0  # seconds; a test waits for events, this only ends one that hangs


def ask(turns: Turns, family: str, order: list[str], stop: threading.Event) -> threading.Thread:
    """Ask for a turn in a thread of its own, which notes it in ``order``."""

    def run() -> None:
        with turns.turn(family, stop):
            order.append(family)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def test_a_family_that_has_begun_finishes_before_the_next_one_begins() -> None:
    turns, order, stop = Turns(Counter(a=3, b=1), idle_s=LIMIT), list[str](), threading.Event()
    with turns.turn("a", stop):
        waiting = ask(turns, "b", order, stop)
    for _ in range(2):
        ask(turns, "a", order, stop).join(LIMIT)
    waiting.join(LIMIT)
    assert order == ["a", "a", "b"]


def test_a_failed_family_gives_its_turn_away_and_may_try_again() -> None:
    turns, order, stop = Turns(Counter(a=3, b=1), idle_s=LIMIT), list[str](), threading.Event()
    with pytest.raises(RuntimeError), turns.turn("a", stop):
        waiting = ask(turns, "b", order, stop)
        raise RuntimeError("no memory")
    waiting.join(LIMIT)
    ask(turns, "a", order, stop).join(LIMIT)
    assert order == ["b", "a"]


def test_a_family_whose_next_stage_never_comes_loses_its_turn() -> None:
    turns, order, stop = Turns(Counter(a=3, b=1), idle_s=0.1), list[str](), threading.Event()
    with turns.turn("a", stop):
        pass
    ask(turns, "b", order, stop).join(LIMIT)
    assert order == ["b"]


def test_who_waits_ends_when_the_run_is_stopped() -> None:
    turns, stop = Turns(Counter(a=2, b=1), idle_s=LIMIT), threading.Event()
    with turns.turn("a", stop):
        stop.set()
        with pytest.raises(child.StoppedError), turns.turn("b", stop):
            pass
