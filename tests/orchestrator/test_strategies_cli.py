"""`madrigal strategies`, as a user types it, and the page that it writes."""

import json
import socket
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from experts.registry import known
from orchestrator.cli import build
from orchestrator.strategy_pages import STRATEGIES, mermaid, plan_of, reference, steps, updated

ROOT = Path(__file__).parents[2]
DRAWN = [name for name in known(STRATEGIES) if plan_of(name) is not None]


def madrigal(*arguments: object) -> Result:
    return CliRunner().invoke(build(), ["strategies", *(str(argument) for argument in arguments)])


def test_every_strategy_is_listed_with_a_line() -> None:
    listed = json.loads(madrigal("list", "--json").stdout)
    assert list(listed) == list(known(STRATEGIES))
    assert all(line.endswith(".") and len(line) > 20 for line in listed.values())
    assert "self_moa" in madrigal("list").stdout


def test_show_prints_parameters_and_graph() -> None:
    shown = madrigal("show", "debate").stdout
    assert "arXiv 2305.14325" in shown
    for expected in ("debaters", "rounds", "graph TD;", "begin -.-> verdict;", "revise -.-> revise;"):
        assert expected in shown
    told = json.loads(madrigal("show", "workforce", "--json").stdout)
    assert set(told["steps"]) == {"split", "assign", "work", "join"}
    assert "tasks" in told["parameters"]["properties"]


@pytest.mark.parametrize("name", DRAWN)
def test_a_graph_is_drawn_without_any_service(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any, **more: Any) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)  # there is nothing to pass in: it must not get that far
    png, text = tmp_path / "g.png", tmp_path / "g.mmd"
    assert madrigal("show", name, "--png", png, "--mermaid", text).exit_code == 0
    assert png.read_bytes().startswith(b"\x89PNG")
    assert text.read_text() == mermaid(plan_of(name))  # type: ignore[arg-type]  # DRAWN have one


@pytest.mark.parametrize("name", DRAWN)
def test_a_graph_shows_every_step_between_request_and_answer(name: str) -> None:
    plan = plan_of(name)
    assert plan is not None
    drawn = mermaid(plan)
    for step, does in steps(plan).items():
        assert f"\t{step}({step})" in drawn
        assert does, f"{step} has no docstring"
        assert step != "end", "a word of Mermaid's own"
    assert f"\t{plan.final} --> __end__;" in drawn


def test_what_cannot_be_shown_is_explained(tmp_path: Path) -> None:
    for arguments, says in (
        (("show", "guess"), "unknown strategy 'guess'; known: best_of_n"),
        (("show", "single", "--png", tmp_path / "x.png"), "single has no graph to draw"),
        (("show", "moa", "--png", tmp_path / "x.txt"), "cannot be drawn"),
        (("show", "moa", "--mermaid", tmp_path / "no" / "x"), "cannot be written"),
        (("docs", "--update", tmp_path / "none.md"), "cannot be brought up to date"),
    ):
        refused = madrigal(*arguments)
        assert refused.exit_code == 2
        assert says in refused.stderr


def test_the_page_says_what_the_code_does() -> None:
    page = (ROOT / "docs/strategies.md").read_text(encoding="utf-8")
    assert updated(page) == page, "run: madrigal strategies docs --update docs/strategies.md"
    assert [line[4:-1] for line in reference().splitlines() if line.startswith("## `")] == list(known(STRATEGIES))
    with pytest.raises(ValueError, match="must hold the lines"):
        updated("nothing")


def test_the_page_is_written_by_its_command(tmp_path: Path) -> None:
    page = tmp_path / "strategies.md"
    text = (ROOT / "docs/strategies.md").read_text(encoding="utf-8")
    page.write_text(text.replace("arXiv 2409.03733", "an old word"), encoding="utf-8")
    assert madrigal("docs", "--update", page).exit_code == 0
    assert page.read_text(encoding="utf-8") == text
