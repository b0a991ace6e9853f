"""What is shared out among takers that may die: each thing is done once; and what a process or trial takes of a node."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.cluster.encoding import places
from pipeline.cluster.joining import TRIES, Node
from pipeline.cluster.shares import Shares
from pipeline.cluster.trials import room, shared
from pipeline.errors import InputError, ResourceError


@given(st.integers(0, 60), st.integers(1, 5), st.sets(st.integers(0, 59)))
def test_everything_is_done_once_whatever_the_takers_die_at(count, takers, deadly):
    shares, done = Shares(range(count), takers), []

    def serve() -> None:
        while share := shares.take():
            for at, thing in enumerate(share):
                if thing in deadly:
                    deadly.discard(thing)
                    shares.died_at(thing)
                    shares.give_back(share[at:])
                    break
                done.append(thing)
                shares.done(thing)

    expected = len(deadly & set(range(count)))
    threads = [threading.Thread(target=serve) for _ in range(takers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert sorted(done) == list(range(count))
    assert shares.begun_again == expected


def test_what_kills_whoever_tries_it_is_not_tried_for_ever():
    shares = Shares(["deadly"], 1)
    for _ in range(TRIES - 1):
        shares.died_at("deadly")
        shares.give_back(shares.take())
    with pytest.raises(ResourceError, match="3 processes of the cluster died at the same block"):
        shares.died_at("deadly")


def test_who_waits_for_what_others_hold_is_let_go_when_all_ends():
    shares = Shares(["one"], 1)
    assert shares.take() == ["one"]
    waiting = threading.Thread(target=shares.take)
    waiting.start()
    shares.close()
    waiting.join(10)
    assert not waiting.is_alive()


def test_a_process_takes_a_gpu_with_its_share_of_cores_or_a_few_cores():
    def told(*nodes: tuple[int, int]) -> list[tuple[str, int, int]]:
        return [(one.node, one.cpus, one.gpus) for one in places([Node(str(at), *one) for at, one in enumerate(nodes)])]

    assert told((64, 8), (16, 0), (2, 4)) == [("0", 8, 1)] * 8 + [("2", 1, 1)] * 2
    assert told((9, 0), (2, 0)) == [("0", 4, 0), ("0", 4, 0), ("1", 2, 0)]


def test_a_trial_has_a_core_beside_its_workers_and_a_share_of_a_gpu():
    nodes = [Node("a", 4, 0), Node("b", 16, 2)]
    assert shared(nodes, 1, None) == (1, 1)
    assert shared(nodes, 20, 0.25) == (16, 0.25)
    assert shared(nodes[:1], 5, None) == (4, 0)
    for gpus, there in ((3, nodes), (1.5, nodes), (0.5, nodes[:1])):
        with pytest.raises(InputError, match=f"a trial cannot have {gpus} of a GPU"):
            shared(there, 1, gpus)


def test_as_many_trials_run_as_have_their_share():
    nodes = [Node("a", 4, 0), Node("b", 16, 2)]
    assert room(nodes, (1, 0.1)) == 16
    assert room(nodes[1:], (1, 0.25)) == 8
    assert room(nodes, (3, 0)) == 6
