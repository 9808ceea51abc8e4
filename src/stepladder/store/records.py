"""The ledger's records, verdicts and findings, and the Inspect log that goes with each record."""

from __future__ import annotations

import difflib
import json
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from pydantic import TypeAdapter

from stepladder.core import Finding, Record, Stored, StoreError, UnknownName, Verdict, digest
from stepladder.store.ledger import Ledger, now

_VERDICTS = TypeAdapter(tuple[Verdict, ...])
_SHOWN = 8


class Kept(NamedTuple):
    """A stored record with the digest of the inputs that it was made from and the time when it was."""

    record: Record
    inputs: str
    at: str


class Records:
    """Records by key; a record, its verdicts and its findings always fit together."""

    def __init__(self, ledger: Ledger, folder: Path) -> None:
        self._ledger = ledger
        self._folder = folder

    def get(self, key: str) -> Kept | None:
        """The stored record of exactly that key."""
        rows = self._ledger.read("SELECT body, inputs, at FROM records WHERE key = ?", (key,))
        return Kept(Record.from_json(zlib.decompress(rows[0][0])), rows[0][1], rows[0][2]) if rows else None

    def put(self, record: Record, inputs: str = "") -> Record:
        """Store the record, its log first, so that what the ledger knows is complete; gives it as it will be read."""
        body = _checked(record)
        record, at, kept = Record.from_json(body), now(), self.get(record.key)
        if kept and kept.record == record and kept.inputs == inputs and self.has_log(record):
            return record
        self.write_log(record, at)
        content = content_digest([record])
        row = (record.key, at, record.method, record.subject, content, inputs, zlib.compress(body.encode()))
        with self._ledger.transaction() as connection:
            for table in ("verdicts", "findings"):  # void where the answers are others now
                sql = f"DELETE FROM {table} WHERE record IN (SELECT key FROM records WHERE key = ? AND content != ?)"
                connection.execute(sql, (record.key, content))
            connection.execute("INSERT OR REPLACE INTO records VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        return record

    def log_path(self, record: Record) -> Path:
        """Where the record's Inspect log is."""
        return self._folder / f"{record.method}_{record.key}.eval"

    def has_log(self, record: Record) -> bool:
        """Whether the record's log is there; one without exchanges needs none."""
        return not record.exchanges or self.log_path(record).exists()

    def write_log(self, record: Record, at: str) -> None:
        """Write the record's Inspect log; a record without exchanges has none."""
        from stepladder.store.inspect_log import write_log

        if record.exchanges:
            write_log(record, self.log_path(record), at)

    def all(self) -> tuple[Record, ...]:
        """All records, oldest first."""
        rows = self._ledger.read("SELECT body FROM records ORDER BY at, rowid")
        return tuple(Record.from_json(zlib.decompress(body)) for (body,) in rows)

    def find(self, name: str | Path) -> Record:
        """The record of that key or unique prefix of a key, or in the Inspect log at that path."""
        if isinstance(name, Path) or name.endswith((".eval", ".json")) or Path(name).is_file():
            from stepladder.store.inspect_log import read_log

            return read_log(Path(name))
        rows = self._ledger.read("SELECT key, method, subject FROM records ORDER BY at DESC, rowid DESC")
        found = [key for key, *_ in rows if name and key.startswith(name)]
        if len(found) > 1:
            raise StoreError(f"{len(found)} records begin with {name!r}: {', '.join(found[:_SHOWN])}; give more digits")
        kept = self.get(found[0]) if found else None
        if kept is None:
            raise self._unknown(name, rows)
        return kept.record

    def _unknown(self, name: str, rows: Sequence[tuple[str, str, str]]) -> StoreError | UnknownName:
        if not rows:
            return StoreError(f"no record {name!r}: nothing is recorded yet in {self._folder.parent}")
        near = difflib.get_close_matches(name, [key[: len(name)] for key, *_ in rows], _SHOWN)
        first = sorted(rows, key=lambda row: row[0][: len(name)] not in near)
        shown = [f"{key} ({method} on {subject})" for key, method, subject in first[:_SHOWN]]
        return UnknownName("record", name, [*shown, "the path of an .eval log"])

    def verdicts(self, record: str, judge: str) -> tuple[Verdict, ...] | None:
        """What that judge said of the record, or `None` where it was never asked."""
        rows = self._ledger.read("SELECT body FROM verdicts WHERE record = ? AND judge = ?", (record, judge))
        return _VERDICTS.validate_json(zlib.decompress(rows[0][0])) if rows else None

    def put_verdicts(self, record: str, judge: str, verdicts: Sequence[Verdict]) -> None:
        """Store a judge's verdicts on a record, all of them or none."""
        body = zlib.compress(_VERDICTS.dump_json(tuple(verdicts)))
        with self._ledger.transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO verdicts VALUES (?, ?, ?)", (record, judge, body))

    def put_finding(self, finding: Finding) -> None:
        """Store a finding in the place of an older one from the same record, method and judge."""
        row = (finding.record, finding.method, finding.judge, zlib.compress(finding.to_json().encode()))
        with self._ledger.transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO findings VALUES (?, ?, ?, ?)", row)

    def findings(self) -> tuple[Finding, ...]:
        """All findings, oldest first."""
        rows = self._ledger.read("SELECT body FROM findings ORDER BY rowid")
        return tuple(Finding.from_json(zlib.decompress(body)) for (body,) in rows)

    def put_certificate(self, key: str, value: Stored) -> None:
        """Store a certificate; the same one again keeps its first date."""
        with self._ledger.transaction() as connection:
            row = (key, now(), zlib.compress(value.to_json().encode()))
            connection.execute("INSERT OR IGNORE INTO certificates VALUES (?, ?, ?)", row)

    def certificates(self) -> tuple[tuple[str, str, bytes], ...]:
        """Id, time and JSON of all certificates, oldest first."""
        rows = self._ledger.read("SELECT id, at, body FROM certificates ORDER BY rowid")
        return tuple((key, at, zlib.decompress(body)) for key, at, body in rows)

    def put_calibration(self, kind: str, key: str, value: Stored) -> None:
        """Store what calibration measured under its kind and key."""
        with self._ledger.transaction() as connection:
            row = (kind, key, zlib.compress(value.to_json().encode()))
            connection.execute("INSERT OR REPLACE INTO calibration VALUES (?, ?, ?)", row)

    def calibrations(self, kind: str) -> tuple[tuple[str, bytes], ...]:
        """Key and JSON of all that calibration stored of that kind, oldest first."""
        rows = self._ledger.read("SELECT key, body FROM calibration WHERE kind = ? ORDER BY rowid", (kind,))
        return tuple((key, zlib.decompress(body)) for key, body in rows)


def content_digest(records: Sequence[Record]) -> str:
    """Digest of what was answered: texts, which requests failed (not how the failure was worded), data and artifacts."""
    return digest([_content(record) for record in records]) if records else ""


def _content(record: Record) -> Mapping[str, object]:
    answers = [[e.id, dict(e.metadata), e.reply.text] for e in record.exchanges]
    return {"answers": answers, "data": record.data, "artifacts": record.artifacts}


def _checked(record: Record) -> str:
    """The record's JSON; a `ValueError` for what a technique may not put into a record."""
    ids = Counter(exchange.id for exchange in record.exchanges)
    repeated = [name for name, count in ids.items() if count > 1]
    if repeated:
        raise ValueError(f"record {record.key}: {len(repeated)} exchange ids are not unique, such as {repeated[0]!r}")
    json.dumps([dict(record.data), dict(record.config)], allow_nan=False, default=str)
    return record.to_json()
