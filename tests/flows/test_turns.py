"""Turns on the GPU: a family that has begun finishes first.

One that failed or never comes back keeps nobody waiting.
"""

from __future__ import annotations

import threading

import pytest

from flows.turns import Turns
from tasks.pipeline import child

LIMIT = 60.0  # seconds; a test waits for events, this only ends one that hangs


def turns_of(idle_s: float = LIMIT, **stages: int) -> Turns:
    """Return the turns of families that ask for so many ``stages``, in this order."""
    turns = Turns(stages, idle_s)
    for family, number in stages.items():
        turns.expect(family, number)
    return turns


def ask(turns: Turns, family: str, order: list[str], stop: threading.Event) -> threading.Thread:
    """Ask for a turn in a thread of its own, which notes it in ``order``."""

    def run() -> None:
        with turns.turn(family, stop):
            order.append(family)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def test_a_family_that_has_begun_finishes_before_the_next_one_begins() -> None:
    turns, order, stop = turns_of(a=3, b=1), list[str](), threading.Event()
    with turns.turn("a", stop):
        waiting = ask(turns, "b", order, stop)
    for _ in range(2):
        ask(turns, "a", order, stop).join(LIMIT)
    waiting.join(LIMIT)
    assert order == ["a", "a", "b"]


def test_the_first_family_begins_also_when_it_asks_last() -> None:
    turns, order, stop = Turns("ab", idle_s=LIMIT), list[str](), threading.Event()
    turns.expect("b", 1)
    waiting = ask(turns, "b", order, stop)
    turns.expect("a", 1)
    ask(turns, "a", order, stop).join(LIMIT)
    waiting.join(LIMIT)
    assert order == ["a", "b"]


def test_a_family_without_stages_keeps_nobody_waiting() -> None:
    turns, order, stop = Turns("ab", idle_s=LIMIT), list[str](), threading.Event()
    turns.expect("b", 1)
    waiting = ask(turns, "b", order, stop)
    turns.expect("a", 0)
    waiting.join(LIMIT)
    assert order == ["b"]


def test_a_failed_family_gives_its_turn_away_and_may_try_again() -> None:
    turns, order, stop = turns_of(a=3, b=1), list[str](), threading.Event()
    with pytest.raises(RuntimeError), turns.turn("a", stop):
        waiting = ask(turns, "b", order, stop)
        raise RuntimeError("no memory")
    waiting.join(LIMIT)
    ask(turns, "a", order, stop).join(LIMIT)
    assert order == ["b", "a"]


def test_a_family_whose_next_stage_never_comes_loses_its_turn() -> None:
    turns, order, stop = turns_of(0.1, a=3, b=1), list[str](), threading.Event()
    with turns.turn("a", stop):
        pass
    ask(turns, "b", order, stop).join(LIMIT)
    assert order == ["b"]


def test_who_waits_ends_when_the_run_is_stopped() -> None:
    turns, stop = turns_of(a=2, b=1), threading.Event()
    with turns.turn("a", stop):
        stop.set()
        with pytest.raises(child.StoppedError), turns.turn("b", stop):
            pass
