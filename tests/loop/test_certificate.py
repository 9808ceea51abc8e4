"""A certificate is given only by open gates, and stays in the ledger with all that it rests on, refused ones too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stepladder.core import Interval, Measurement, UnknownName
from stepladder.loop import Certificate, find_certificate
from stepladder.loop.certificate import GateLine, certificate_id
from stepladder.store import open_store

TRUST = Measurement(name="trust", value=0.9, unit="share", n=70, interval=Interval(low=0.85, high=0.95, method="draws"))


def gate(passed: bool | None) -> GateLine:
    return GateLine(name=f"gate {passed}", passed=passed, bound="upper bound <= 0.1", value="0.2", reason="r")


def certificate(*passed: bool | None, name: str = "c") -> Certificate:
    fields: dict[str, Any] = {
        "run": "demo", "rung": 1, "subject": "toy", "model": "rung/x", "fingerprint": "toy:1", "reader": "toy",
        "judge": "refusal", "policy": "p", "gates": tuple(gate(p) for p in passed), "trust": TRUST,
        "rests_on": {"find": "k1"},
    }  # fmt: skip
    return Certificate(id=name, **fields)


def test_every_gate_has_to_open() -> None:
    assert certificate(True, True).issued
    assert not certificate(True, False).issued
    assert not certificate(True, None).issued


def test_a_policy_without_gates_certifies_nothing() -> None:
    assert not certificate().issued
    assert "no gates" in certificate().why


def test_a_refusal_names_the_gates_that_stayed_shut_and_why() -> None:
    assert certificate(True, False, None).why == "refused: gate False (0.2); gate None (unmeasured)"


def test_the_ledger_keeps_refusals_and_the_first_date(tmp_path: Path) -> None:
    with open_store(tmp_path) as store:
        store.save_certificate("c", certificate(False))
        ((first, _),) = store.certificates(Certificate)
        store.save_certificate("c", certificate(False))
        store.save_certificate("d", certificate(True, name="d"))
    with open_store(tmp_path) as store:
        kept = store.certificates(Certificate)
        assert [c.id for _, c in kept] == ["c", "d"]
        assert kept[0] == (first, certificate(False))
        assert find_certificate(store, "d")[1].issued
        with pytest.raises(UnknownName, match="c, d"):
            find_certificate(store, "z")


def test_other_evidence_is_another_certificate() -> None:
    one = {"gates": [{"passed": True}], "rests_on": {"find": "k1"}}
    assert certificate_id(one) == certificate_id(dict(reversed(one.items())))
    assert certificate_id(one) != certificate_id({**one, "rests_on": {"find": "k2"}})
