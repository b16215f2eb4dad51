"""docs/plugins.md against the code: every plugin, in the order in which they run, each with an example that loads."""

import re
from pathlib import Path

import pytest
import yaml

from experts import registry
from orchestrator.config import parse_config
from orchestrator.plugins import ORDER, OWN

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "plugins.md").read_text(encoding="utf-8")
KNOWN = [name for name in ORDER if name == OWN or name in registry.known("orchestrator.plugins")]


def test_the_page_has_every_plugin_in_the_order_in_which_they_run() -> None:
    told = " → ".join(["client", *("your own" if name == OWN else name for name in KNOWN), "experts"])
    assert told in PAGE
    assert re.findall(r"^### `(\w+)`", PAGE, re.MULTILINE) == [name for name in KNOWN if name != OWN]


@pytest.mark.parametrize("example", re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL))
def test_every_example_loads(example: str) -> None:
    written = yaml.safe_load(example)
    if "decisions" not in written:
        written = {"decisions": [{"use": "general", **written}]}
    written["signals"] = {"chat": {"type": "keyword", "any": ["hi"]}}
    config = parse_config(yaml.safe_dump(written), str(DOCS / "examples" / "madrigal.yaml"))
    assert config.policies["auto"].decisions[0].plugins
