"""The ledger's exchanges and events: what was answered, and what asking cost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from pydantic_core import PydanticSerializationError

from stepladder.core import Cost, Reply, Request, StepladderError
from stepladder.store.ledger import Ledger, now

_COUNT = (
    "UPDATE events SET requests = requests + ?, errors = errors + ?, tokens_in = tokens_in + ?, "
    "tokens_out = tokens_out + ?, seconds = seconds + ?, money = money + ? WHERE id = ?"
)


class Counts(NamedTuple):
    """What one unit cost; `money` in dollars, 0 where the price is unknown."""

    requests: int = 0
    errors: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    seconds: float = 0.0
    money: float = 0.0


class Event(NamedTuple):
    """One thing that was run; `money` is `None` where a price was unknown."""

    at: str
    kind: str
    label: str
    model: str
    requests: int
    errors: int
    tokens_in: int
    tokens_out: int
    seconds: float
    money: float | None


class Exchanges:
    """Answers by key, stored unit by unit; the first answer to a request stays the answer."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def known(self, keys: Iterable[str]) -> dict[str, Reply]:
        """The stored replies among `keys`."""
        rows = self._ledger.read_many("SELECT key, reply FROM exchanges WHERE key IN (?)", keys)
        return {key: Reply.from_json(reply) for key, reply in rows}

    def shortest(self, fingerprint: str) -> Request | None:
        """The shortest request that this model has ever answered, to try whether it still does."""
        sql = "SELECT request FROM exchanges WHERE fingerprint = ? ORDER BY length(request) LIMIT 1"
        rows = self._ledger.read(sql, (fingerprint,))
        return Request.from_json(rows[0][0]) if rows else None

    def begin(self, kind: str, label: str, model: str, money: float | None = None) -> int:
        """Open an event; its id goes to `store`."""
        sql = "INSERT INTO events (at, kind, label, model, money) VALUES (?, ?, ?, ?, ?)"
        with self._ledger.transaction() as connection:
            return connection.execute(sql, (now(), kind, label, model, money)).lastrowid or 0

    def store(
        self, event: int, fingerprint: str, asked: Mapping[str, Request], replies: Sequence[Reply], counts: Counts
    ) -> dict[str, Reply]:
        """Store a unit in one transaction. Gives, by key, the replies that count from now on: what is stored, and errors."""
        fresh = dict(zip(asked, replies, strict=True))
        answered = {key: reply for key, reply in fresh.items() if reply.error is None}
        rows = [(key, fingerprint, as_asked(asked[key]), reply.to_json(), event) for key, reply in answered.items()]
        with self._ledger.transaction() as connection:
            stored = connection.executemany("INSERT OR IGNORE INTO exchanges VALUES (?, ?, ?, ?, ?)", rows).rowcount
            connection.execute(_COUNT, (*counts, event))
        return fresh if stored == len(rows) else fresh | self.known(fresh)

    def events(self) -> tuple[Event, ...]:
        """All that was run, oldest first."""
        return tuple(Event(*row) for row in self._ledger.read(f"SELECT {', '.join(Event._fields)} FROM events ORDER BY id"))

    def cost(self) -> Cost:
        """What all asking with this ledger has cost, killed runs included."""
        sql = "SELECT total(requests), total(tokens_in), total(tokens_out), total(seconds) FROM events"
        requests, tokens_in, tokens_out, seconds = self._ledger.read(sql)[0]
        return Cost(requests=int(requests), tokens_in=int(tokens_in), tokens_out=int(tokens_out), seconds=seconds)


def as_asked(request: Request) -> str:
    """What determines the answer, as JSON, without what it was first asked for."""
    return request.model_copy(update={"id": "", "metadata": {}}).model_dump_json(exclude={"metadata"})


def check_unicode(requests: Iterable[Request]) -> None:
    """Raise a `StepladderError` for text that no file can hold."""
    for request in requests:
        try:
            request.to_json()
        except PydanticSerializationError:
            raise StepladderError(
                f"request {request.id!r} holds a lone surrogate, which is not valid Unicode text"
            ) from None


def storable(reply: Reply) -> Reply:
    """The reply with lone surrogates, which a server's JSON can hold and a file cannot, replaced by U+FFFD."""
    changed = {
        name: text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        for name, text in (("text", reply.text), ("error", reply.error), ("stop_reason", reply.stop_reason))
        if text is not None and not text.isascii()
    }
    return reply.model_copy(update=changed) if changed else reply
