"""Knowledge bases of vLLM Semantic Router: labelled examples that its configuration names and its files hold.

Knows nothing of signals. Its two built-in ones are named in configurations without being defined there; their groups and
metrics are written down here as its defaults (v0.3) define them, the examples come from the files.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_SECURITY = ("prompt_injection", "credential_exfiltration", "jailbreak_role", "system_prompt_extraction")
_PRIVACY = (
    "proprietary_code",
    "internal_document",
    "pii",
    "business_strategy",
    "trade_secret_ip",
    "operational_infrastructure",
    "locality_directive",
    "customer_data",
)
_FRONTIER = ("architecture_analysis", "root_cause_analysis", "multi_step_tradeoffs")
_LOCAL = ("generic_coding", "simple_task", "general_knowledge")
BUILT_IN: dict[str, dict[str, Any]] = {
    "privacy_kb": {
        "threshold": 0.55,
        "groups": {
            "security_containment": _SECURITY,
            "privacy_policy": _PRIVACY,
            "frontier_reasoning": _FRONTIER,
            "local_standard": _LOCAL,
            "private": (*_SECURITY, *_PRIVACY),
            "public": (*_FRONTIER, *_LOCAL),
        },
        "metrics": [
            {
                "name": "private_vs_public",
                "type": "group_margin",
                "positive_group": "private",
                "negative_group": "public",
            }
        ],
    },
    "mmlu_kb": {
        "threshold": 0.25,
        "groups": {
            "escalate": (
                "biology",
                "business",
                "computer science",
                "economics",
                "history",
                "math",
                "other",
                "philosophy",
                "psychology",
            ),
            "keep": ("chemistry", "engineering", "health", "law", "physics"),
        },
        "metrics": [
            {
                "name": "escalate_vs_keep",
                "type": "group_margin",
                "positive_group": "escalate",
                "negative_group": "keep",
            }
        ],
    },
}


@dataclass(frozen=True, slots=True)
class Base:
    """One knowledge base: the file its examples go to, those examples, groups of labels, and what is measured of them."""

    file: str
    content: Mapping[str, Any]
    threshold: float
    groups: Mapping[str, tuple[str, ...]]
    metrics: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def labels(self) -> Mapping[str, Any]:
        """The labels with their examples."""
        labels: Mapping[str, Any] = self.content["labels"]
        return labels

    def part(self, group: str) -> Mapping[str, Any]:
        """The same with the labels of one group only."""
        chosen = self.groups.get(group, ())
        return {**self.content, "labels": {name: told for name, told in self.labels.items() if name in chosen}}


class Knowledge(dict[str, Base]):
    """The knowledge bases whose examples were given, and `modules`: the settings of its classifiers."""

    modules: Mapping[str, Any]

    @classmethod
    def of(cls, config: Mapping[str, Any], given: Mapping[str, Mapping[str, Any]]) -> "Knowledge":
        """`given` holds each base's examples: `{"labels": {name: {"exemplars": […]}}}`."""
        catalog = (config.get("global") or {}).get("model_catalog") or {}
        written = {row["name"]: row for row in catalog.get("kbs") or ()}
        made = cls()
        made.modules = catalog.get("modules") or {}
        for name, content in given.items():
            row = written.get(name) or BUILT_IN.get(name) or {}
            labels = {
                label: {"exemplars": list(told.get("exemplars") or ())} for label, told in content["labels"].items()
            }
            made[name] = Base(
                f"{name}.json",
                {"labels": labels},
                float(row.get("threshold", 0.5)),
                {group: tuple(members) for group, members in (row.get("groups") or {}).items()},
                {metric["name"]: metric for metric in row.get("metrics") or ()},
            )
        return made
