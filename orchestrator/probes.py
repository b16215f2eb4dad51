"""vLLM Semantic Router's `probes.yaml` as cases of ours: a request each, and the decision it must reach.

Knows nothing of routing. What a probe asserts beyond its decision (signals, algorithm, plugins) is not looked at: those
are another router's.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from experts.errors import InputError
from orchestrator.cases import Case
from orchestrator.yaml_marks import read_yaml


def read_probes(text: str, file: str) -> list[tuple[int, Case]]:
    """Every probe with its line. Raises `InputError` where it is no such file, `ConfigError` where it is no YAML."""
    doc = read_yaml(text, file)
    groups = doc.data.get("decisions") if isinstance(doc.data, dict) else None
    if not isinstance(groups, list):
        raise InputError(
            f"{file} holds no probes", remedy="Write JSON lines, or vLLM Semantic Router's probes: {decisions: […]}."
        )
    cases: list[tuple[int, Case]] = []
    for i, group in enumerate(groups):
        for j, variant in enumerate(group.get("variants") or ()):
            line, _ = doc.place(("decisions", i, "variants", j))
            try:
                cases.append((line, _case(group, variant)))
            except (ValidationError, KeyError, TypeError) as error:
                raise InputError(f"{file}:{line}: this is no probe: {error}") from None
    if not cases:
        raise InputError(f"{file} holds no probes")
    return cases


def _case(group: Mapping[str, Any], variant: Mapping[str, Any]) -> Case:
    asked: dict[str, Any] = {"decision": group["expected_decision"], "model": group.get("model") or "auto"}
    if "messages" in variant:
        asked["messages"] = tuple(variant["messages"])
    else:
        asked["text"] = _text(variant)
    if "tools" in variant:
        asked["request"] = {"tools": variant["tools"]}
    return Case.model_validate(asked)


def _text(variant: Mapping[str, Any]) -> str:
    """The query, as often as it says, with its padding before or after."""
    text = " ".join([str(variant["query"])] * int(variant.get("repeat") or 1))
    padding = variant.get("padding")
    if not padding:
        return text
    filler = " ".join([str(padding["text"])] * int(padding.get("repeat") or 1))
    return f"{text} {filler}" if padding.get("placement") == "after" else f"{filler} {text}"
