"""Calls that pause for their nets, with a stand-in for those who train."""

import time
import warnings
from functools import partial

import pytest
from sklearn import config_context, get_config

from ltlearn.training._together import run_together
from ltlearn.training._trainer import train, train_many


class Plan(str):
    draws_globally = False


class BigPlan(str):
    draws_globally = True


class Net:
    def __init__(self, plan):
        self.plan = plan
        self.history = [{"dur": 0.0}]


class Trainer:
    def __init__(self):
        self.rounds = []

    def __call__(self, plans):
        self.rounds.append(list(plans))
        return [ValueError(plan) if plan == "bad" else Net(plan) for plan in plans]


def call(*plans):
    plans = [plan if isinstance(plan, BigPlan) else Plan(plan) for plan in plans]
    return [train(plan).plan for plan in plans]


def test_nets_are_trained_in_rounds():
    trainer = Trainer()
    calls = [partial(call, *plans) for plans in [("a", "b"), (), ("c",), ("d", "e", "f")]]
    assert run_together(calls, trainer) == [["a", "b"], [], ["c"], ["d", "e", "f"]]
    assert trainer.rounds == [["a", "c", "d"], ["b", "e"], ["f"]]


def test_a_limit_of_calls():
    trainer = Trainer()
    values = run_together([partial(call, i, i) for i in "abcde"], trainer, at_once=2)
    assert values == [[i, i] for i in "abcde"]
    assert max(map(len, trainer.rounds)) == 2


def test_what_trains_alone_anyway_does_not_wait():
    trainer, big = Trainer(), BigPlan
    plans = [(big("a"), "b"), ("c",), ("d", big("e"), big("f"))]
    calls = [partial(call, *each) for each in plans]
    assert run_together(calls, trainer) == [["a", "b"], ["c"], ["d", "e", "f"]]
    assert [each for each in trainer.rounds if each] == [["a"], ["b", "c", "d"], ["e"], ["f"]]


def test_an_error_of_a_training_reaches_its_call_alone():
    def careful(plan):
        try:
            return call(plan)
        except ValueError as error:
            return error

    values = run_together([partial(careful, plan) for plan in ("a", "bad", "c")], Trainer())
    assert values[0] == ["a"]
    assert isinstance(values[1], ValueError)
    assert values[2] == ["c"]


@pytest.mark.parametrize("plans", [("a", "bad"), ("bad",)])
def test_an_error_of_a_call_gives_up_the_others(plans):
    ended = []

    def cleans_up():
        try:
            call("x", "y", "z")
        finally:
            ended.append(True)

    with pytest.raises(ValueError, match="bad"):
        run_together([cleans_up, partial(call, *plans), cleans_up], Trainer())
    assert ended == [True, True]


def test_a_trainer_that_is_interrupted_gives_up_all():
    ended = []

    def cleans_up():
        try:
            call("x")
        finally:
            ended.append(True)

    def interrupted(plans):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_together([cleans_up, cleans_up], interrupted)
    assert ended == [True, True]


def test_calls_that_contain_calls():
    trainer = Trainer()

    def outer(name):
        return run_together([partial(call, f"{name}{i}") for i in range(2)], trainer)

    assert run_together([partial(outer, name) for name in "ab"], trainer) == [
        [["a0"], ["a1"]],
        [["b0"], ["b1"]],
    ]


def test_the_outermost_trainer_gets_the_plans_of_all_at_once():
    trainer, unused = Trainer(), Trainer()

    def outer(name, n):
        inner = partial(train_many, otherwise=unused)
        return run_together([partial(call, f"{name}{i}", f"{name}{i}'") for i in range(n)], inner)

    values = run_together([partial(outer, *each) for each in [("a", 2), ("b", 1)]], trainer)
    assert values == [[["a0", "a0'"], ["a1", "a1'"]], [["b0", "b0'"]]]
    assert trainer.rounds == [["a0", "a1", "b0"], ["a0'", "a1'", "b0'"]]
    assert unused.rounds == []


def test_without_a_trainer_around_the_other_one_trains():
    trainer = Trainer()
    (outcome, error) = train_many(["a", "bad"], otherwise=trainer)
    assert outcome.plan == "a"
    assert isinstance(error, ValueError)


def test_every_call_keeps_its_own_warnings_and_settings():
    def loud(action):
        with warnings.catch_warnings(), config_context(assume_finite=action == "ignore"):
            warnings.simplefilter(action)
            call("a")
            found = get_config()["assume_finite"]
            try:
                warnings.warn("loud", UserWarning, stacklevel=1)
            except UserWarning:
                return "error", found
            return "ignore", found

    before = list(warnings.filters)
    actions = ["error", "ignore", "error", "ignore"]
    values = run_together([partial(loud, action) for action in actions], Trainer())
    assert values == [(action, action == "ignore") for action in actions]
    assert warnings.filters == before


def test_waiting_for_others_is_told_from_working():
    def slow(plans):
        time.sleep(0.06)
        return list(map(Net, plans))

    seconds = []
    run_together(
        [partial(call, "a"), partial(call, "b")],
        slow,
        correct=lambda value, waited: seconds.append(waited),
    )
    assert all(0.05 < waited < 60 for waited in seconds)
