"""The house's own rules: imports run downhill, importing does nothing, one file per idea."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FLOORS = ("api", "orchestrator", "router", "experts", "kernels")
MODULES = sorted(path for floor in FLOORS for path in (ROOT / floor).rglob("*.py"))


def imported(path: Path) -> Iterator[tuple[int, str]]:
    """(line, top-level package) of every import in a file, deferred ones included."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, name.name.partition(".")[0]) for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.lineno, node.module.partition(".")[0]


def test_imports_run_downhill() -> None:
    uphill = []
    for path in MODULES:
        floor = path.relative_to(ROOT).parts[0]
        above = FLOORS[: FLOORS.index(floor)]
        uphill += [f"{path.relative_to(ROOT)}:{line} imports {name}" for line, name in imported(path) if name in above]
    assert uphill == []


def test_imports_are_absolute_and_known() -> None:
    """The rule above sees absolute imports only; so no others may exist."""
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text())):
            assert not (isinstance(node, ast.ImportFrom) and node.level), f"{path}: relative import"


def test_every_module_says_its_purpose() -> None:
    silent = [
        str(path.relative_to(ROOT))
        for path in MODULES
        if path.read_text().strip() and not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert silent == []


def test_importing_everything_starts_nothing_and_loads_nothing_heavy() -> None:
    """No thread, no child, no file opened for writing; torch, transformers and langgraph stay unloaded."""
    names = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in MODULES
        if "migrations" not in path.parts and not path.name.startswith("_llama_child")
    ]
    script = f"""
import importlib, sys, threading
writes = []
sys.addaudithook(lambda event, args: writes.append(args[0]) if event == "open" and isinstance(args[1], str)
                 and args[1][0] in "wax" and "__pycache__" not in str(args[0]) else None)
sys.addaudithook(lambda event, args: writes.append(event) if event.startswith(("subprocess", "socket.bind", "socket.connect")) else None)
for name in {names!r}:
    importlib.import_module(name)
heavy = [m for m in ("torch", "transformers", "langgraph", "sentence_transformers", "xllamacpp", "alembic", "numpy") if m in sys.modules]
print(threading.active_count(), writes, heavy)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "1 [] []"


def test_kernels_is_ours_and_transformers_still_loads(tmp_path: Path) -> None:
    """Hugging Face has a package of the same name, which transformers looks for."""
    script = """
import kernels, transformers
from transformers import LlamaConfig, LlamaForCausalLM
LlamaForCausalLM(LlamaConfig(hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1, vocab_size=8))
print(kernels.__file__)
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=300,
        env={"HF_HUB_OFFLINE": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip().splitlines()[-1]).is_relative_to(ROOT / "kernels")


@pytest.mark.parametrize("word", ["TODO", "FIXME", "raise NotImplementedError"])
def test_nothing_is_called_done_that_is_not(word: str) -> None:
    assert [str(path) for path in MODULES if word in path.read_text()] == []
