"""`madrigal evaluate routing` and `madrigal router`, with the real embedder on a small world of outcomes."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from orchestrator.caller import Key
from orchestrator.store.recorder import Recorder
from orchestrator.store.records import RequestRecord
from orchestrator.store.store import Store
from router.learned import load
from router.outcomes import Outcomes
from tests.router.worlds import world


def write(path: Path, outcomes: Outcomes) -> Path:
    rows = []
    for i, prompt in enumerate(outcomes.prompts):
        row: dict[str, Any] = {"id": outcomes.ids[i], "prompt": prompt, "group": outcomes.groups[i]}
        row["scores"] = dict(zip(outcomes.experts, outcomes.scores[i].tolist(), strict=True))
        row["split"] = "train" if i % 2 else "test"
        rows.append(json.dumps(row))
    path.write_text("\n".join(rows))
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("outcomes")
    write(folder / "learn.jsonl", world(120, seed=1)[0])
    write(folder / "test.jsonl", world(60, seed=2)[0])
    prices = {"poet": 1, "mathematician": 2, "coder": 8}
    (folder / "prices.json").write_text(json.dumps({n: {"input": p, "output": p} for n, p in prices.items()}))
    return folder


def madrigal(folder: Path, *args: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "MADRIGAL_CACHE": str(folder / "cache"), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [Path(sys.executable).with_name("madrigal"), *args], capture_output=True, text=True, cwd=folder, env=env
    )


def test_the_json_has_the_contract(files: Path) -> None:
    args = ["--data", "test.jsonl", "--fit", "learn.jsonl", "--selector", "linear", "--prices", "prices.json"]
    done = madrigal(files, "evaluate", "routing", *args, "--share", "0.3", "--json", "--plot", "out.png")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["data"], told["n"], told["folds"]) == (["test.jsonl"], 60, None)
    assert set(told["baselines"]) == {"best_single", "random", "oracle", "best_per_group"}
    assert set(told["selectors"]) == {"linear", "knn"}, "kNN is always measured too"
    one = told["selectors"]["linear"]
    assert {"accuracy", "low", "high", "gain_at_best", "gap_at_oracle", "aiq", "calls", "online"} <= set(one)
    assert one["accuracy"] > told["baselines"]["best_single"]["accuracy"]
    assert one["online"]["given"] == pytest.approx(0.3, abs=0.05)
    assert (files / "out.png").read_bytes().startswith(b"\x89PNG")


def test_folds_pools_and_splits(files: Path) -> None:
    args = ["--pool", "poet,coder", "--split", "test", "--selector", "linear", "--folds", "3"]
    done = madrigal(files, "evaluate", "routing", "--data", "learn.jsonl", *args)
    assert done.returncode == 0, done.stderr
    assert "60 prompts, 2 models, 3 folds" in done.stdout
    assert "APGR" in done.stdout and "oracle (cheats)" in done.stdout


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--data", "none.jsonl"], "none.jsonl cannot be read"),
        (["--data", "test.jsonl", "--selector", "static"], "static cannot be fitted on outcomes"),
        (["--data", "test.jsonl", "--pool", "poet,nobody"], "no outcomes of nobody"),
        (["--data", "test.jsonl", "--split", "dev"], "no row is marked with the split 'dev'"),
        (["--data", "test.jsonl", "--prices", "test.jsonl"], "test.jsonl holds no price of every model"),
    ],
)
def test_wrong_calls_exit_with_2_and_say_why(files: Path, args: list[str], says: str) -> None:
    done = madrigal(files, "evaluate", "routing", *args)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-2].startswith("error: ") or done.stderr.splitlines()[-1].startswith("error: ")
    assert says in done.stderr


def test_a_model_is_fitted_shown_and_used_by_a_policy(files: Path) -> None:
    fit = madrigal(
        files, "router", "fit", "--data", "learn.jsonl", "--selector", "linear", "--name", "poet=bard", "--folds", "3"
    )
    assert fit.returncode == 0, fit.stderr
    assert "fitted on 120 prompts" in fit.stdout and "held out (3 folds): accuracy" in fit.stdout
    shown = json.loads(madrigal(files, "router", "show", "routing.safetensors", "--json").stdout)
    assert shown["experts"] == ["bard", "mathematician", "coder"]
    assert shown["command"].startswith("madrigal router fit --data learn.jsonl")
    assert shown["rows"] == 120 and len(shown["data"]["learn.jsonl"]) == 64 and shown["seed"] == 0
    assert shown["held_out"]["accuracy"] > shown["held_out"]["best_single"]
    expert = "{backend: openai, url: 'http://127.0.0.1:1/v1'}"
    (files / "madrigal.yaml").write_text(
        f"experts: {{bard: {expert}, mathematician: {expert}, coder: {expert}}}\n"
        "decisions:\n  - {name: rest, use: [bard, mathematician, coder], select: linear}\n"
    )
    routed = madrigal(files, "route", "--json", "What is deep plus cold times 12? (7)")
    assert routed.returncode == 0, routed.stderr
    experts = json.loads(routed.stdout)["experts"]
    assert experts[0]["name"] == "mathematician"
    assert experts[0]["why"].startswith("linear: predicted score")


def test_a_policy_whose_model_does_not_fit_is_refused(files: Path, tmp_path: Path) -> None:
    expert = "{backend: openai, url: 'http://127.0.0.1:1/v1'}"
    (tmp_path / "m.yaml").write_text(f"experts: {{a: {expert}}}\ndecisions:\n  - {{name: r, use: a, select: knn}}\n")
    done = madrigal(tmp_path, "policy", "check", "m.yaml")
    assert done.returncode == 1
    assert "there is no fitted model" in done.stderr and "madrigal router fit" in done.stderr


@pytest.mark.parametrize("command", [("evaluate", "routing"), ("router", "fit")])
def test_a_misspelt_selector_is_refused_before_minutes_of_embedding(tmp_path: Path, command: tuple[str, ...]) -> None:
    write(tmp_path / "learn.jsonl", world(12, seed=1)[0])
    done = madrigal(tmp_path, *command, "--data", "learn.jsonl", "--selector", "kernal")
    assert done.returncode == 2 and "kernal cannot be fitted on outcomes" in done.stderr and "kernel" in done.stderr
    assert not (tmp_path / "cache" / "embeddings").exists()


@pytest.mark.shared
def test_the_forest_beats_knn_on_real_outcomes() -> None:
    """Cross-validated on a part of the training file; the figures for the test files are in docs/benchmarks.md."""
    from router import replay
    from router.outcomes import read

    path = Path(__file__).parents[2].parent / "shared" / "data" / "routing" / "llmrouter_train.jsonl.gz"
    if not path.exists():
        pytest.skip(f"{path} is not here")
    every = read([path])
    part = every.take(np.arange(0, len(every), 4))
    from router.vectors import vectors

    told = replay.report(replay.run(["forest", "knn"], part, vectors(part.prompts), None, k=3))
    assert told["selectors"]["forest"]["accuracy"] > told["selectors"]["knn"]["accuracy"]
    assert told["selectors"]["forest"]["over_best_single"]["low"] > 0


async def test_a_model_is_fitted_from_the_request_log(tmp_path: Path) -> None:
    outcomes, _ = world(120, seed=3)
    draw = np.random.default_rng(7)
    store = await Store.open(f"sqlite:///{tmp_path / 'm.db'}")
    recorder = Recorder(store, keep="text", retention_days=None)
    recorder.start()
    alice = Key("key_a", "alice")
    for i, prompt in enumerate(outcomes.prompts):
        expert = int(draw.integers(0, 3))
        recorder.put(
            RequestRecord(
                id=f"req-{i}",
                created_at=1.8e9 + i,
                path="chat/completions",
                key_id=alice.id,
                expert=outcomes.experts[expert],
                propensity=1 / 3,
                features={"first": outcomes.experts[expert]},
                text=json.dumps([{"role": "user", "content": prompt}]),
            )
        )
        await recorder.feedback(f"req-{i}", alice, float(outcomes.scores[i, expert]))
    await recorder.close()
    await store.close()
    done = await asyncio.to_thread(
        madrigal,
        tmp_path,
        "router",
        "fit",
        "--log",
        "--store",
        f"sqlite:///{tmp_path / 'm.db'}",
        "--selector",
        "linear",
    )
    assert done.returncode == 0, done.stderr
    assert "fitted on 120 prompts" in done.stdout
    model = load(tmp_path / "routing.safetensors", selector="linear", experts=outcomes.experts)
    assert list(model.provenance["data"]) == ["request log"]
    both = await asyncio.to_thread(madrigal, tmp_path, "router", "fit", "--log", "--data", "x.jsonl")
    assert both.returncode == 2 and "exactly one of --data and --log" in both.stderr
