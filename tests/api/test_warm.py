"""A server whose policy reads meaning is ready only once everything it compares with has been embedded."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from experts.errors import SourceError
from orchestrator.config import load_config
from router.embed import Embedder, Encoded
from tests.fakes import Upstream
from tests.serving import serving

CONFIG = """
experts: {{a: {{backend: openai, url: "{url}", model: ok}}}}
signals: {{login: {{type: embedding, candidates: [I cannot log in]}}}}
decisions: [{{name: login, when: login, use: a}}, {{name: rest, use: a}}]
"""


async def test_ready_means_warm(tmp_path: Path) -> None:
    async with Upstream().running() as upstream, serving(CONFIG.format(url=upstream.url), tmp_path) as served:
        await served.until_ready()
        assert served.service.embedder.loaded, "nobody waits for the model at the first request"
        assert (await served.chat("I am unable to log in")).headers["x-madrigal-decision"] == "login"


async def test_a_policy_of_cheap_signals_loads_no_model(tmp_path: Path) -> None:
    cheap = CONFIG.replace("embedding, candidates: [I cannot log in]", "keyword, any: [log in]")
    async with Upstream().running() as upstream, serving(cheap.format(url=upstream.url), tmp_path) as served:
        await served.until_ready()
        assert (await served.chat("I am unable to log in")).headers["x-madrigal-decision"] == "login"
        assert not served.service.embedder.loaded


class Broken:
    """A model that is loaded and fails at every text."""

    def encode(self, texts: Sequence[str]) -> Encoded:
        raise RuntimeError("no memory")

    def split(self, text: str) -> list[str]:
        return [text]


async def test_a_policy_whose_model_fails_is_not_taken_and_reloading_goes_on(tmp_path: Path) -> None:
    """The watcher ends at what is no error of ours: no later policy would ever be taken."""
    cheap = CONFIG.replace("embedding, candidates: [I cannot log in]", "keyword, any: [log in]")
    async with Upstream().running() as upstream, serving(cheap.format(url=upstream.url), tmp_path) as served:
        await served.until_ready()
        before, served.service.embedder = served.service.embedder, Embedder(Broken)
        try:
            (tmp_path / "neural.yaml").write_text(CONFIG.format(url=upstream.url))
            with pytest.raises(SourceError, match="the sentence embedder fails: RuntimeError: no memory"):
                await served.service.reload(load_config(tmp_path / "neural.yaml"))
        finally:
            await served.service.embedder.close()
            served.service.embedder = before
        assert (await served.chat("I am unable to log in")).headers["x-madrigal-decision"] == "login"
