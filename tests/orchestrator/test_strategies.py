"""Every file of strategies/ keeps the folder's contract, and fallback does what its numbers say."""

import inspect
from types import ModuleType

import pytest

from experts import registry
from experts.call import Call
from experts.errors import ContextLengthError, EngineBusyError, EngineFaultError, InputError, UnavailableError
from orchestrator.attempts import Attempts
from orchestrator.settings import Fallback
from orchestrator.telemetry import Telemetry

CALL = Call("chat/completions", {"messages": []})


@pytest.mark.parametrize("name", registry.known("orchestrator.strategies"))
def test_every_strategy_keeps_the_contract(name: str) -> None:
    module: ModuleType = registry.load("orchestrator.strategies", name)
    assert module.Params.model_config["frozen"]
    assert module.Params.model_config["extra"] == "forbid"
    assert all(field.description for field in module.Params.model_fields.values())
    module.Params()
    assert inspect.iscoroutinefunction(module.run)
    assert list(inspect.signature(module.run).parameters) == ["job", "params"]
    assert inspect.getdoc(module.Params) and inspect.getdoc(module.run) and module.__doc__


class Scripted(Attempts):
    """Attempts whose calls end as written: expert → errors, one per call; after them it answers."""

    def __init__(self, script: dict[str, list[Exception]], **rules: float) -> None:
        self.slept: list[float] = []

        async def sleep(seconds: float) -> None:
            self.slept.append(seconds)

        super().__init__(
            pool=None,  # type: ignore[arg-type]  # never reached: `one` is scripted
            client=None,  # type: ignore[arg-type]
            rules=Fallback(**rules),  # type: ignore[arg-type]
            telemetry=Telemetry(),
            lease_wait_s=1,
            cost_usd=lambda expert, usage: 0.0,
            random=lambda: 1.0,
            sleep=sleep,
        )
        self.script = script
        self.called: list[str] = []

    async def one(self, name: str, call: Call, *, ask_usage: bool = False, role: str = "answer") -> str:  # type: ignore[override]
        self.called.append(name)
        self.made.append(None)  # type: ignore[arg-type]  # only their number is looked at
        if self.script.get(name):
            raise self.script[name].pop(0)
        return f"answer of {name}"


def fault(status: int = 500) -> EngineFaultError:
    return EngineFaultError("boom", status=status)


async def test_the_next_expert_is_asked_at_once() -> None:
    attempts = Scripted({"a": [fault()]})
    assert await attempts.first(["a", "b"], CALL) == "answer of b"  # type: ignore[comparison-overlap]
    assert attempts.slept == []


async def test_a_second_round_waits_and_waits_longer_each_time() -> None:
    attempts = Scripted({"a": [fault()] * 3}, attempts=4, backoff_s=0.5, max_backoff_s=1.5)
    assert await attempts.first(["a"], CALL) == "answer of a"  # type: ignore[comparison-overlap]
    assert attempts.slept == [0.5, 1.0, 1.5]


async def test_a_wish_to_be_asked_later_is_honoured_if_it_is_short() -> None:
    attempts = Scripted({"a": [EngineBusyError("busy", retry_after_s=3.0)]}, max_retry_after_s=5.0)
    await attempts.first(["a"], CALL)
    assert attempts.slept == [3.0]
    impatient = Scripted({"a": [EngineBusyError("busy", retry_after_s=30.0)]}, max_retry_after_s=5.0)
    with pytest.raises(EngineBusyError) as raised:
        await impatient.first(["a"], CALL)
    assert raised.value.retry_after_s == 30.0
    assert impatient.slept == []


async def test_no_more_calls_than_allowed_over_all_experts() -> None:
    attempts = Scripted({"a": [fault()] * 9, "b": [fault()] * 9}, attempts=5, backoff_s=0)
    with pytest.raises(UnavailableError, match=r"a: boom; b: boom"):
        await attempts.first(["a", "b"], CALL)
    assert attempts.called == ["a", "b", "a", "b", "a"]


async def test_a_clients_mistake_ends_it_at_once() -> None:
    attempts = Scripted({"a": [InputError("wrong")]})
    with pytest.raises(InputError, match="wrong"):
        await attempts.first(["a", "b"], CALL)
    assert attempts.called == ["a"]


async def test_an_expert_whose_context_is_too_short_is_not_asked_again() -> None:
    attempts = Scripted({"a": [ContextLengthError("too long")], "b": [fault()]}, backoff_s=0)
    assert await attempts.first(["a", "b"], CALL) == "answer of b"  # type: ignore[comparison-overlap]
    assert attempts.called == ["a", "b", "b"]


async def test_one_expert_fails_with_its_own_error_and_all_busy_is_busy() -> None:
    with pytest.raises(EngineFaultError):
        await Scripted({"a": [fault()] * 9}, backoff_s=0).first(["a"], CALL)
    busy = {name: [EngineBusyError("busy", retry_after_s=wait)] * 9 for name, wait in (("a", 40.0), ("b", 20.0))}
    with pytest.raises(EngineBusyError) as raised:
        await Scripted(busy).first(["a", "b"], CALL)
    assert raised.value.retry_after_s == 20.0
