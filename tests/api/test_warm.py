"""A server whose policy reads meaning is ready only once everything it compares with has been embedded."""

from pathlib import Path

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
