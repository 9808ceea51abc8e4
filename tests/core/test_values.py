"""The rules that are built into the values."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from stepladder.core import (
    SCHEMA_VERSION,
    Exchange,
    Finding,
    Interval,
    Measurement,
    Message,
    Record,
    Reply,
    Request,
    StoreError,
    Verdict,
    request_key,
)

text = st.text(max_size=40)
messages = st.builds(Message, role=st.sampled_from(["system", "user", "assistant"]), content=text)
requests = st.builds(
    Request,
    id=text,
    messages=st.lists(messages, min_size=1).map(tuple),
    max_tokens=st.integers(1, 999),
    temperature=st.floats(0, 2),
    seed=st.integers(-5, 5),
    metadata=st.dictionaries(text, st.one_of(text, st.integers(-9, 9), st.booleans(), st.none()), max_size=3),
)
replies = st.one_of(st.builds(Reply, text=text, stop_reason=text), st.builds(Reply, error=text))


@given(st.lists(st.builds(Exchange, request=requests, reply=replies), max_size=3))
def test_a_record_is_equal_after_a_trip_through_json(exchanges: list[Exchange]) -> None:
    record = Record(key="k", method="m", family="f", subject="s", exchanges=tuple(exchanges))
    assert Record.from_json(record.to_json()) == record


@pytest.mark.parametrize("kwargs", [{}, {"value": 0.5, "unmeasured": "why"}, {"unmeasured": ""}])
def test_a_verdict_is_a_value_or_a_reason_never_both_or_neither(kwargs: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match="either a value or the reason"):
        Verdict(exchange="e", judge="j", **kwargs)


@pytest.mark.parametrize("kwargs", [{"value": None}, {"value": 0.1, "reason": "because"}])
def test_a_measurement_without_a_value_needs_a_reason(kwargs: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match="either a value or the reason"):
        Measurement(name="x", unit="share", n=1, **kwargs)


def test_an_interval_of_no_width_is_refused() -> None:
    with pytest.raises(ValidationError, match="has a width"):
        Interval(low=0.0, high=0.0, method="wilson")


def test_a_value_outside_its_own_interval_is_refused() -> None:
    with pytest.raises(ValidationError, match="outside its own interval"):
        Measurement(name="x", value=0.9, unit="share", n=3, interval=Interval(low=0.1, high=0.2, method="wilson"))


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_nan_and_infinity_are_refused(bad: float) -> None:
    with pytest.raises(ValidationError):
        Measurement(name="x", value=bad, unit="share", n=3)


def test_values_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Message(role="user", content="a").content = "b"  # type: ignore[misc]


def test_an_object_of_a_newer_schema_is_refused_in_one_line() -> None:
    finding = Finding(method="m", family="f", subject="s", record="r", measurements=())
    newer = finding.to_json().replace(f'"schema_version":{SCHEMA_VERSION}', f'"schema_version":{SCHEMA_VERSION + 1}')
    with pytest.raises(StoreError, match="this program reads 1 to"):
        Finding.from_json(newer)


def test_a_foreign_object_is_refused_in_one_line() -> None:
    with pytest.raises(StoreError, match="not a stored Finding") as error:
        Finding.from_json('{"hello": 1}')
    assert "\n" not in str(error.value)


@given(requests, text)
def test_the_key_of_an_exchange_ignores_what_the_request_is_for(request: Request, other: str) -> None:
    renamed = request.model_copy(update={"id": other, "metadata": {"attack": other}})
    assert request_key("model", renamed) == request_key("model", request)
    assert request_key("another model", request) != request_key("model", request)


@given(requests)
def test_a_model_that_reads_metadata_has_a_key_for_each_of_its_values(request: Request) -> None:
    mine, yours = (request.model_copy(update={"metadata": {"family": family}}) for family in ("mine", "yours"))
    assert request_key("m", mine) == request_key("m", yours)
    assert request_key("m", mine, ("family",)) != request_key("m", yours, ("family",))


@given(requests)
def test_the_key_of_an_exchange_changes_with_all_that_determines_the_answer(request: Request) -> None:
    louder = request.model_copy(update={"temperature": request.temperature + 1})
    longer = request.model_copy(update={"max_tokens": request.max_tokens + 1})
    other = request.model_copy(update={"seed": request.seed + 1})
    keys = {request_key("m", r) for r in (request, louder, longer, other)}
    assert len(keys) == 4


def test_one_finds_the_only_measurement_with_these_labels() -> None:
    a = Measurement(name="x", value=0.1, unit="share", n=1, labels={"family": "a"})
    b = Measurement(name="x", value=0.2, unit="share", n=1, labels={"family": "b"})
    finding = Finding(method="m", family="f", subject="s", record="r", measurements=(a, b))
    assert finding.one("x", family="b") is b
    with pytest.raises(KeyError, match="2 measurements"):
        finding.one("x")
