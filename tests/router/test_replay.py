"""Replay: selectors see prompts only, baselines and measures are right, folds are fair."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from experts.errors import InputError
from router import replay
from router.learned import Learned
from router.outcomes import Asked
from tests.router.worlds import world

LEARN, LEARN_VECTORS = world(400, seed=1)
TEST, TEST_VECTORS = world(200, seed=2)


def test_the_report_has_the_contract_and_true_figures() -> None:
    done = replay.run(["knn", "linear"], TEST, TEST_VECTORS, (LEARN, LEARN_VECTORS))
    told = replay.report(done)
    single = TEST.scores[:, LEARN.scores.mean(axis=0).argmax()].mean()
    assert told["n"] == 200
    assert told["baselines"]["best_single"]["accuracy"] == single
    assert told["baselines"]["oracle"]["accuracy"] == TEST.scores.max(axis=1).mean()
    assert told["baselines"]["best_per_group"]["accuracy"] == pytest.approx(0.9, abs=0.05)
    linear = told["selectors"]["linear"]
    assert linear["gain_at_best"] == pytest.approx(linear["accuracy"] - single)
    assert linear["low"] < linear["accuracy"] < linear["high"]
    assert linear["over_best_single"]["low"] > 0.2, "0.9 against about 0.5"
    assert sum(linear["calls"].values()) == pytest.approx(1)
    assert "over_knn" in linear and "over_knn" not in told["selectors"]["knn"]
    assert "apgr" not in linear, "for pairs only"


def test_pairs_have_the_measures_of_routellm() -> None:
    test, learn = TEST.pool(["poet", "coder"]), LEARN.pool(["poet", "coder"])
    told = replay.report(replay.run(["linear"], test, TEST_VECTORS, (learn, LEARN_VECTORS)))["selectors"]["linear"]
    assert told["apgr"] > 0.6 and 0 < told["cpt50"] <= told["cpt80"] <= 1


def test_costs_give_a_curve() -> None:
    prices = np.array([1.0, 2.0, 8.0])
    done = replay.run(["linear"], TEST, TEST_VECTORS, (LEARN, LEARN_VECTORS))
    told = replay.report(done, prices)["selectors"]["linear"]
    assert 1 < told["cost_per_prompt"] < 8
    assert 0.5 < told["aiq"] < 0.95


def test_what_is_routed_is_never_shown() -> None:
    """A spy among the selectors: in every fold it is fitted on other rows and asked with prompts and vectors only."""
    seen: list[tuple[Any, ...]] = []

    def fit(asked: Asked, scores: Any, experts: list[str], *, seed: int) -> Learned:
        seen.append((set(asked.prompts), None))
        assert len(asked) == len(scores)
        return Learned("spy", tuple(experts), {})

    def predictor(learned: Learned) -> Any:
        def predict(asked: Asked) -> Any:
            assert type(asked) is Asked
            seen[-1] = (seen[-1][0], set(asked.prompts))
            return np.zeros((len(asked), len(learned.experts)))

        return predict

    replay.run(["spy"], TEST, TEST_VECTORS, None, k=4, known={"spy": SimpleNamespace(fit=fit, predictor=predictor)})
    assert len(seen) == 4
    assert all(not fitted & routed for fitted, routed in seen)
    assert set().union(*(routed for _, routed in seen)) == set(TEST.prompts)


def test_the_best_single_expert_is_picked_where_selectors_are_fitted() -> None:
    flipped = LEARN.scores.copy()
    flipped[:, 2] = 1.0
    learn = LEARN.take(range(400))
    object.__setattr__(learn, "scores", flipped)
    done = replay.run([], TEST, TEST_VECTORS, (learn, LEARN_VECTORS))
    assert replay.baselines(done)["best_single"]["experts"] == ["coder"]


def test_experts_are_matched_by_name() -> None:
    order = ["coder", "poet", "mathematician"]
    one = replay.run(["linear"], TEST, TEST_VECTORS, (LEARN, LEARN_VECTORS))
    other = replay.run(["linear"], TEST, TEST_VECTORS, (LEARN.pool(order), LEARN_VECTORS))
    assert np.allclose(one.predicted["linear"], other.predicted["linear"])


def test_wrong_calls_are_refused() -> None:
    with pytest.raises(InputError, match="static cannot be fitted") as error:
        replay.run(["static"], TEST, TEST_VECTORS, None)
    assert "knn" in str(error.value.remedy)
    with pytest.raises(InputError, match="no outcomes of poet"):
        replay.run(["knn"], TEST, TEST_VECTORS, (LEARN.pool(["coder"]), LEARN_VECTORS))
    with pytest.raises(InputError, match="5 folds need at least 5 rows"):
        replay.run(["knn"], TEST.take([0, 1]), TEST_VECTORS[:2], None, k=5)
