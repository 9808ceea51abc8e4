"""Hosted models against mocks and a server on this machine that behaves, babbles, or is not there."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from tiny_models import ask

from stepladder.core.errors import ModelUnavailable, UnknownName
from stepladder.core.method import Access
from stepladder.core.values import Reply
from stepladder.models import hosted, open_model

pytest.importorskip("openai")


def answer(content: str | None, **fields: Any) -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"} | fields
    usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    return json.dumps(
        {"id": "1", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice], "usage": usage}
    ).encode()


class Server:
    """Speaks the OpenAI protocol; `body` and `status` are what it answers, `asked` what it was sent."""

    def __init__(self) -> None:
        self.body, self.status, self.asked = answer("hello there"), 200, list[dict[str, Any]]()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                outer.asked.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
                self.send_response(outer.status)
                self.send_header("content-type", "application/json")
                self.end_headers()
                self.wfile.write(outer.body)

            def log_message(self, *args: Any) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, daemon=True).start()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    running = Server()
    monkeypatch.setenv("HERE_BASE_URL", f"http://127.0.0.1:{running.http.server_port}/v1")
    monkeypatch.setenv("HERE_API_KEY", "none")
    yield running
    running.http.shutdown()
    running.http.server_close()


def reply(name: str = "openai-api/here/m", **fields: Any) -> Reply:
    return asyncio.run(open_model(name).reply_many([ask("hi", **fields)]))[0]


def test_a_server_is_asked_what_the_request_says(server: Server) -> None:
    got = reply(max_tokens=5, temperature=0.5, seed=9)
    assert (got.text, got.stop_reason, got.tokens_in, got.tokens_out) == ("hello there", "stop", 7, 3)
    sent = server.asked[0]
    assert sent["messages"] == [{"role": "user", "content": "hi"}]
    assert (sent["max_tokens"], sent["temperature"], sent["seed"]) == (5, 0.5, 9)


@pytest.mark.parametrize("content", [None, ""])
def test_an_empty_answer_is_an_error_and_not_a_text(server: Server, content: str | None) -> None:
    server.body = answer(content)
    assert reply().error == "model answered nothing"


def test_a_filtered_answer_is_no_error(server: Server) -> None:
    server.body = answer("", finish_reason="content_filter")
    got = reply()
    assert (got.text, got.stop_reason) == ("", "content_filter")


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"<html>?</html>", 200), (b'{"choices": []}', 200), (b'{"what": 1}', 200), (b'{"error": "no"}', 400)],
)
def test_nonsense_is_an_error_reply(server: Server, body: bytes, status: int) -> None:
    server.body, server.status = body, status
    got = reply()
    assert got.text is None
    assert got.error
    assert "\n" not in got.error


@pytest.mark.parametrize("retries", [0, pytest.param(hosted.RETRIES, marks=pytest.mark.slow)])
def test_nobody_at_the_address_is_an_error_reply_in_seconds(monkeypatch: pytest.MonkeyPatch, retries: int) -> None:
    monkeypatch.setattr(hosted, "RETRIES", retries)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("HERE_BASE_URL", f"http://127.0.0.1:{port}/v1")
    monkeypatch.setenv("HERE_API_KEY", "none")
    model = open_model("openai-api/here/m")
    first, second = (asyncio.run(model.reply_many([ask("hi")]))[0] for _ in range(2))
    assert first.error is not None
    assert "onnect" in first.error
    assert first.seconds < 40
    assert second.seconds < 2  # nobody waits twice in vain


def test_inspects_mock_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    from inspect_ai.model import ModelAPI

    async def words(self: ModelAPI, text: str) -> int:
        return len(text.split())

    monkeypatch.setattr(ModelAPI, "count_text_tokens", words)  # the mock's own way to count downloads a tokenizer
    model = open_model("mockllm/model")
    assert (model.access, model.batch) == (Access.chat, 1)
    assert reply("mockllm/model").text == "Default output from mockllm/model"


def test_an_unknown_provider_is_told_which_there_are() -> None:
    with pytest.raises(UnknownName, match=r"anthropic/<model>.*mockllm/<model>"):
        open_model("nowhere/model")


def test_a_missing_key_is_one_line_that_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ELSEWHERE_API_KEY", raising=False)
    with pytest.raises(ModelUnavailable, match="ELSEWHERE_API_KEY") as caught:
        open_model("openai-api/elsewhere/m")
    assert "\n" not in str(caught.value)


def test_the_fingerprint_names_the_address(server: Server) -> None:
    assert f"{server.http.server_port}" in open_model("openai-api/here/m").fingerprint
