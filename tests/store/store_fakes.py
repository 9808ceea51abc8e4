"""A model whose answers are known beforehand and that counts what it is asked, and a technique made of it."""

import asyncio
from dataclasses import dataclass

from stepladder.core import Access, Message, Method, Record, Reply, Request, digest


def request(number, *, name=None, text="hello", **metadata):
    return Request(id=name or f"r{number}", messages=(Message(role="user", content=f"{text} {number}"),), metadata=metadata)


def answer(request):
    text = digest([m.content for m in request.messages])
    return Reply(
        text=text, stop_reason="stop", tokens_in=len(request.messages[0].content), tokens_out=len(text), seconds=0.25
    )


class FakeModel:
    """Answers as `answer` says; requests whose text is in `down` get an error. `units` lists what was asked together."""

    def __init__(self, name="fake", batch=1, down=(), pause=0.0):
        self.name, self.access, self.fingerprint, self.batch = name, Access.chat, f"fingerprint of {name}", batch
        self.down, self.pause, self.units = set(down), pause, []

    @property
    def asked(self):
        return [text for unit in self.units for text in unit]

    async def reply_many(self, requests):
        texts = [request.messages[0].content for request in requests]
        self.units.append(texts)
        await asyncio.sleep(self.pause)
        pairs = zip(requests, texts, strict=True)
        return [Reply(error=f"no answer to {text}") if text in self.down else answer(request) for request, text in pairs]

    def layers(self):
        return 3


@dataclass(frozen=True)
class Config:
    """Configuration of the technique."""

    count: int = 10
    note: str = ""


def record_of(context, config):
    exchanges = context.ask(context.subject, [request(n, behaviour=f"b{n}") for n in range(config.count)], label="asking")
    return Record(key="", method="fake_method", family="red_teaming", subject=context.subject.name, exchanges=exchanges)


def method(record=record_of, **fields):
    judge = fields.pop("judge", lambda record, verdicts, config: None)
    return Method(
        **({"name": "fake_method", "family": "red_teaming", "access": "chat", "papers": (), "config": Config} | fields),
        record=record,
        judge=judge,
    )
