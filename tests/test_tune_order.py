"""What is known of like schedules, problems and devices orders the candidates."""

from __future__ import annotations

import pytest
from test_tune_records import FAST, OTHER, SLOW, matmul

from webrt.kernel.problem import specialise
from webrt.schedule import Limits, Schedule, space
from webrt.schedule.contract import ContractSchedule
from webrt.tune.order import Order, like, order, shape_of, weight_of
from webrt.tune.records import Key, Record, Trial

SHAPE = (1, 128, 1152, 384)
KEY = Key("mine", "0.1", "contract:1", (("s0", 128),))
SPACE: tuple[Schedule, ...] = (SLOW, OTHER, FAST)


def record(
    device: str, *trials: Trial, problem: str = "contract:1", shape: tuple[int, ...] = SHAPE
) -> Record:
    return Record(Key(device, "0.1", problem, (("s0", 128),)), 2.0, trials, shape)


def ranked(*records: Record) -> list[Schedule]:
    made = order(SPACE, KEY, SHAPE, records)
    return sorted(SPACE, key=made.expected)


def test_with_nothing_known_a_space_keeps_its_order() -> None:
    assert ranked() == [SLOW, OTHER, FAST]


def test_other_devices_order_the_candidates() -> None:
    there = record("other", Trial(SLOW, 2.0), Trial(OTHER, 9.0), Trial(FAST, 1.0))
    assert ranked(there) == [FAST, SLOW, OTHER]


def test_what_failed_elsewhere_comes_last() -> None:
    there = record("other", Trial(SLOW, 2.0), Trial(OTHER, None, "wrong"))
    assert ranked(there)[-1] == OTHER


def test_this_device_counts_for_more_than_another() -> None:
    here = record("mine", Trial(SLOW, 2.0), Trial(OTHER, 1.0), problem="contract:2")
    there = record("other", Trial(SLOW, 2.0), Trial(OTHER, 4.0), problem="contract:2")
    assert ranked(here, there)[0] == OTHER
    assert weight_of(here, KEY, SHAPE) > weight_of(there, KEY, SHAPE) > 0


def test_another_device_chooses_every_second_candidate_of_a_problem() -> None:
    """However much it says, and however wrong it is, half of the trials aren't its own."""
    there = [
        record(
            "other", Trial(SLOW, 1.0), Trial(OTHER, 9.0), Trial(FAST, 9.0), problem=f"contract:{j}"
        )
        for j in range(9)
    ]
    made = order(SPACE, KEY, SHAPE, there)
    assert made.best(SPACE) == SLOW
    made.learn(SLOW, 1.0)  # the default: from now on in turns
    assert made.best([OTHER, FAST]) == OTHER
    made.learn(OTHER, 0.5)
    told = made.expected(FAST)
    made.learn(OTHER, 0.5, 0.99)  # of a like problem: it is nobody's turn
    assert made.expected(FAST) <= told
    made.learn(OTHER, 0.5)
    assert made.expected(FAST) < told


def test_another_engine_of_wasm_says_nothing() -> None:
    page = Key("wasm//x86_64/Chromium", "0.1", "contract:1", (("s0", 128),))
    native, other = record("wasm/wasmtime 50, A/x86_64/w"), record("wasm//aarch64/Firefox")
    assert weight_of(native, page, SHAPE) == 0.0
    assert weight_of(other, page, SHAPE) > 0
    assert weight_of(native, record("wasm/wasmtime 51, B/x86_64/w").key, SHAPE) > 0


def test_like_shapes_count_for_more() -> None:
    near = record("other", problem="contract:2", shape=(1, 128, 1536, 384))
    far = record("other", problem="contract:2", shape=(1, 1, 1536, 384))
    same = record("other")
    weights = [weight_of(r, KEY, SHAPE) for r in (same, near, far)]
    assert weights == sorted(weights, reverse=True)
    assert like(SHAPE, SHAPE) == 1.0


@pytest.mark.parametrize(
    "useless",
    [
        record("other", problem="map:1"),
        record("other", problem="contract:2", shape=()),
        record("other", problem="contract:2", shape=(1, 2)),
    ],
)
def test_other_families_and_unknown_shapes_say_nothing(useless: Record) -> None:
    assert weight_of(useless, KEY, SHAPE) == 0.0


def test_a_trial_says_something_of_like_schedules() -> None:
    wide, wider, narrow = (ContractSchedule(8, c, 4, 8) for c in (12, 16, 4))
    made = Order((narrow, wide, wider))
    made.learn(wide, 0.25)
    assert made.expected(wide) < made.expected(wider) < made.expected(narrow)
    assert made.best((narrow, wider)) == wider
    made.learn(wide, 0.0)
    assert made.expected(wide) > 0.0


def test_shapes_are_those_of_specialised_problems() -> None:
    assert shape_of(specialise(matmul(24), {"s0": 128})) == (1, 128, 24, 32)


def test_every_candidate_has_a_place() -> None:
    problem = specialise(matmul(24), {"s0": 128})
    found = space(problem, Limits())
    made = order(found, KEY, shape_of(problem), [])
    assert made.best(found) == found[0]
    assert [made.best(found[j:]) for j in range(len(found))] == list(found)


def test_a_problem_whose_next_candidate_is_known_to_be_slow_promises_little() -> None:
    nothing, bad, good = (order(SPACE, KEY, SHAPE, r) for r in ([], [_all(4.0)], [_all(1.0)]))
    waiting = (OTHER, FAST)
    promised = [made.promise(waiting, 1.0, 0) for made in (bad, nothing, good)]
    assert promised == sorted(promised)
    assert promised[2] > 0.4 > promised[1] > 2 * promised[0]


def test_trials_that_brought_nothing_lower_what_is_promised() -> None:
    made = order(SPACE, KEY, SHAPE, [])
    promised = [made.promise((FAST,), 1.0, idle) for idle in range(4)]
    assert promised == sorted(promised, reverse=True)
    assert promised[3] > 0


def _all(ms: float) -> Record:
    return record("other", Trial(SLOW, 2.0), Trial(OTHER, ms), Trial(FAST, ms))
