"""What the README says is true: its policy is valid, its commands and targets exist, its links lead somewhere."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.cli.serve import banner
from orchestrator.config import load_config, parse_config

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
MADRIGAL = str(Path(sys.executable).with_name("madrigal"))


def test_the_smallest_policy_is_valid_and_small() -> None:
    (text,) = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    config = parse_config(text, "README.md")
    assert [decision.name for decision in config.policies["auto"].decisions] == ["code", "rest"]
    assert len(text.splitlines()) < 15


def test_the_curl_line_is_the_one_that_serve_prints() -> None:
    told = banner(load_config(ROOT / "madrigal.yaml"), "http://127.0.0.1:8080")
    (shown,) = re.findall(r"    (curl http.*? \\\n.*?)\n", README)
    assert re.sub(r" \\\n\s*", " ", shown) in told


@pytest.mark.parametrize("target", sorted(set(re.findall(r"(?:`|    )make ([a-z]+)", README))))
def test_every_make_target_exists(target: str) -> None:
    done = subprocess.run(["make", "--dry-run", target], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_every_command_exists() -> None:
    (line,) = re.findall(r"    madrigal (serve \|.*?)  ", README)
    for command in line.split(" | "):
        done = subprocess.run([MADRIGAL, command, "--help"], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, f"madrigal {command}: {done.stderr}"


def test_links_lead_somewhere() -> None:
    for link in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / link).exists(), link


def test_ci_runs_what_the_readme_says() -> None:
    script = (ROOT / ".ci/run").read_text()
    assert "make test" in script and "make check" in script
    assert "make serve" in README and "make test" in README
