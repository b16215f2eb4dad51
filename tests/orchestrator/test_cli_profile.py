"""`madrigal experts profile` and `skills`: through the pool and through a server, on experts that follow a script."""

import asyncio
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from orchestrator import cli
from router.learned import load
from tests.fakes import Upstream
from tests.serving import serving

TASKS = [
    {"id": "sum", "prompt": "What is 2 + 2?", "answer": 4},
    {"id": "other", "prompt": "What is 3 + 3?", "answer": 6},
    {"id": "letter", "prompt": "Which is even?\nA. 3\nB. 4", "answer": "B"},
]


async def madrigal(*args: str | Path) -> Result:
    """Run in a thread, as the commands have event loops of their own."""
    run: Callable[[], Result] = lambda: CliRunner().invoke(cli.build(), [str(arg) for arg in args])  # noqa: E731
    return await asyncio.to_thread(run)


def policy(url: str, *experts: str) -> str:
    rows = "\n".join(f"  {name}: {{backend: openai, url: '{url}', model: {name}}}" for name in experts)
    return f"experts:\n{rows}\ndecisions:\n  - {{name: rest, use: [{', '.join(experts)}]}}\n"


def tasks(folder: Path, rows: Sequence[dict[str, Any]] = TASKS) -> Path:
    path = folder / "tasks.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


async def test_experts_are_measured_through_the_pool(tmp_path: Path) -> None:
    async with Upstream(words=("The answer", " is 4")).running() as upstream:
        (tmp_path / "m.yaml").write_text(policy(upstream.url, "four", "more"))
        common = ("--tasks", tasks(tmp_path), "-o", tmp_path / "p.json", "--config", tmp_path / "m.yaml")
        done = await madrigal("experts", "profile", "four", "more", *common, "--max-tokens", "8")
        assert done.exit_code == 0, done.output
        assert "33.3" in done.stdout
        told = json.loads((tmp_path / "p.json").read_text())
        assert told["experts"]["four"]["outcomes"] == {"sum": [1.0, "4"], "other": [0.0, "4"], "letter": [0.0, None]}
        assert told["experts"]["four"]["settings"] == {"max_tokens": 8, "temperature": 0.0, "seed": 0}
        assert len(upstream.bodies) == 6
        assert upstream.bodies[0]["max_tokens"] == 8
        assert upstream.bodies[0]["messages"][0]["content"].startswith("What is 2 + 2?")
        again = await madrigal("experts", "profile", "four", "more", *common, "--max-tokens", "8")
        assert again.exit_code == 0
        assert len(upstream.bodies) == 8, "one call an expert, to see whether it is still the same"


async def test_experts_are_measured_through_a_server(tmp_path: Path) -> None:
    async with (
        Upstream(words=("4",)).running() as upstream,
        serving(policy(upstream.url, "four"), tmp_path) as server,
    ):
        common = ("--tasks", tasks(tmp_path), "-o", tmp_path / "p.json", "--url", server.url)
        done = await madrigal("experts", "profile", "four", *common)
        assert done.exit_code == 0, done.output
        assert json.loads((tmp_path / "p.json").read_text())["experts"]["four"]["outcomes"]["sum"] == [1.0, "4"]
        stranger = await madrigal("experts", "profile", "fuor", *common)
        assert stranger.exit_code == 2
        assert "has no expert 'fuor'" in stranger.output


async def test_tasks_without_a_reply_are_not_counted_and_the_answer_is_no(tmp_path: Path) -> None:
    async with Upstream(words=("4",)).running() as upstream:
        upstream.script += ["ok", "err-500", "ok"]
        (tmp_path / "m.yaml").write_text(policy(upstream.url, "four"))
        common = ("--tasks", tasks(tmp_path), "-o", tmp_path / "p.json", "--config", tmp_path / "m.yaml")
        done = await madrigal("experts", "profile", "four", *common, "--concurrency", "1")
        assert done.exit_code == 1
        assert "1 task had no reply and is not counted, the first: four on other" in done.output.replace("\n", " ")
        assert set(json.loads((tmp_path / "p.json").read_text())["experts"]["four"]["outcomes"]) == {"sum", "letter"}


async def test_an_annotator_names_the_skills(tmp_path: Path) -> None:
    async with Upstream(words=("Arithmetic,", " sums")).running() as upstream:
        (tmp_path / "m.yaml").write_text(policy(upstream.url, "four"))
        common = ("--tasks", tasks(tmp_path), "-o", tmp_path / "p.json", "--config", tmp_path / "m.yaml")
        done = await madrigal("experts", "profile", "four", *common, "--annotator", "four")
        assert done.exit_code == 0, done.output
        told = json.loads((tmp_path / "p.json").read_text())
        assert [row["skills"] for row in told["tasks"]] == [["arithmetic", "sums"]] * 3
        assert len(upstream.bodies) == 3 + 5 * 3, "five samples a task"
        assert upstream.bodies[-1]["temperature"] == 0.7


@pytest.fixture(scope="module")
def profiles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 sums that `able` gets right and 40 capitals that `worldly` does."""
    told = {
        "format": "madrigal-profiles/1",
        "sources": {},
        "tasks": [
            {
                "id": f"s{n}",
                "prompt": f"What is {n} plus {n * 3}?",
                "answer": str(n * 4),
                "kind": "number",
                "contains": False,
            }
            for n in range(40)
        ]
        + [
            {
                "id": f"c{n}",
                "prompt": f"Which river flows through country {n}?",
                "answer": "x",
                "kind": "text",
                "contains": False,
            }
            for n in range(40)
        ],
        "experts": {
            name: {
                "revision": "r",
                "date": "",
                "settings": {},
                "outcomes": {f"{kind}{n}": [float(kind == good), "x"] for kind in "sc" for n in range(40)},
            }
            for name, good in (("able", "s"), ("worldly", "c"))
        },
    }
    path = tmp_path_factory.mktemp("profiles") / "p.json"
    path.write_text(json.dumps(told))
    return path


async def test_the_heat_map_shows_who_is_good_at_what(profiles: Path, tmp_path: Path) -> None:
    done = await madrigal("experts", "skills", profiles, "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["tasks"] == 80
    rows = {row["skill"]: row["accuracy"] for row in told["skills"]}
    assert rows["arithmetic"]["able"] > 0.8 > 0.2 > rows["arithmetic"]["worldly"]
    assert rows["geography"]["worldly"] > 0.8 > 0.2 > rows["geography"]["able"]
    shown = await madrigal(
        "experts", "skills", profiles, "--plot", tmp_path / "h.png", "--model", tmp_path / "m.safetensors"
    )
    assert shown.exit_code == 0, shown.output
    assert "geography" in shown.stdout
    assert (tmp_path / "h.png").read_bytes()[:4] == b"\x89PNG"
    learned = load(tmp_path / "m.safetensors", selector="skills", experts=["able", "worldly"])
    assert learned.provenance["rows"] == 80


async def test_profiles_without_a_common_task_are_refused(tmp_path: Path) -> None:
    (tmp_path / "p.json").write_text('{"format": "madrigal-profiles/1", "sources": {}, "tasks": [], "experts": {}}')
    done = await madrigal("experts", "skills", tmp_path / "p.json")
    assert done.exit_code == 2
    assert "holds no task that all of its experts have answered" in done.output
