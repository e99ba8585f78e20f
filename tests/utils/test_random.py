"""Own generators, and borrowing the default ones."""

import multiprocessing
import os
import random
import threading

import numpy as np
import pytest
import torch

from ltlearn.utils._random import DefaultGenerators, isolated_generators, seed_for

CPU = torch.device("cpu")


def draw():
    return torch.rand(3).tolist(), np.random.rand(3).tolist(), random.random()


def test_a_seed_for_every_purpose_and_round():
    seeds = {
        seed_for(seed, purpose, number)
        for seed in range(20)
        for purpose in ("weights", "order", "objective", "dropout")
        for number in range(5)
    }
    assert len(seeds) == 400
    assert all(0 <= seed < 2**32 for seed in seeds)
    assert seed_for(3, "order") == seed_for(3, "order")
    # Streams from them share no draws, as those of equal seeds do.
    streams = [
        torch.rand(50, generator=torch.Generator().manual_seed(seed_for(0, purpose)))
        for purpose in ("weights", "order")
    ]
    assert not np.isin(streams[0].numpy(), streams[1].numpy()).any()


def test_blocks_go_on_where_the_last_one_ended():
    with isolated_generators(5, CPU):
        once = [draw(), draw()]
    generators = DefaultGenerators(5, CPU)
    in_blocks = []
    for _ in range(2):
        draw()  # the user's own draws in between
        with generators.borrowed():
            in_blocks.append(draw())
    assert in_blocks == once


def test_the_users_draws_are_the_same_with_blocks_in_between():
    def users_draws(generators):
        torch.manual_seed(1), np.random.seed(1), random.seed(1)
        drawn = [draw()]
        if generators is not None:
            with generators.borrowed():
                draw()
        return [*drawn, draw()]

    assert users_draws(DefaultGenerators(5, CPU)) == users_draws(None)


def test_the_users_default_dtype_comes_back_also_across_threads():
    torch.set_default_dtype(torch.float64)
    try:
        seen = []

        def work(seed):
            for _ in range(50):
                with DefaultGenerators(seed, CPU).borrowed():
                    seen.append(torch.zeros(1).dtype)

        threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert set(seen) == {torch.float32}
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)


def _borrow_in_child(results):
    with isolated_generators(0, CPU):
        results.put("done")


@pytest.mark.skipif(not hasattr(os, "register_at_fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_child_of_fork_borrows_while_a_thread_of_its_parent_did():
    entered, leave = threading.Event(), threading.Event()

    def hold():
        with isolated_generators(0, CPU):
            entered.set()
            leave.wait(30)

    holder = threading.Thread(target=hold)
    holder.start()
    entered.wait(30)
    try:
        context = multiprocessing.get_context("fork")
        results = context.Queue()
        child = context.Process(target=_borrow_in_child, args=(results,), daemon=True)
        child.start()
        assert results.get(timeout=20) == "done"
        child.join(20)
        assert child.exitcode == 0
    finally:
        leave.set()
        holder.join()
