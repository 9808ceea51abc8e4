import os
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from store_fakes import FakeModel, request

from stepladder.core import StoreError
from stepladder.store import ledger, open_store
from stepladder.store.ledger import Ledger


def one_line(error):
    return "\n" not in str(error.value)


def test_a_ledger_of_a_newer_version_is_refused_with_a_clear_line_and_left_alone(tmp_path):
    open_store(tmp_path).close()
    with sqlite3.connect(tmp_path / "ledger.db") as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(StoreError, match=r"newer version of Stepladder \(ledger version 99; .*update stepladder") as error:
        open_store(tmp_path)
    assert one_line(error)
    assert sqlite3.connect(tmp_path / "ledger.db").execute("PRAGMA user_version").fetchone() == (99,)


def test_an_old_ledger_is_migrated_step_by_step_and_keeps_its_answers(tmp_path, monkeypatch):
    model = FakeModel()
    with open_store(tmp_path) as store:
        before = store.ask(model, [request(1)], label="x")
    more = (
        "ALTER TABLE events ADD COLUMN note TEXT;\n-- a comment; with a semicolon\nUPDATE events SET note = 'a;b';",
        "CREATE TABLE extra (x);",
    )
    steps = ledger.migrations() + more
    monkeypatch.setattr(ledger, "migrations", lambda: steps)
    with open_store(tmp_path) as store:
        assert store.ask(model, [request(1)], label="x") == before
    connection = sqlite3.connect(tmp_path / "ledger.db")
    assert connection.execute("SELECT note FROM events").fetchall() == [("a;b",)]
    assert connection.execute("PRAGMA user_version").fetchone() == (len(steps),)


def test_a_migration_that_fails_changes_nothing(tmp_path, monkeypatch):
    open_store(tmp_path).close()
    before = len(ledger.migrations())
    steps = (*ledger.migrations(), "CREATE TABLE extra (x); CREATE TABLE extra (x);")
    monkeypatch.setattr(ledger, "migrations", lambda: steps)
    with pytest.raises(sqlite3.OperationalError, match="already exists"):
        open_store(tmp_path)
    connection = sqlite3.connect(tmp_path / "ledger.db")
    assert connection.execute("PRAGMA user_version").fetchone() == (before,)
    assert not connection.execute("SELECT * FROM sqlite_master WHERE name = 'extra'").fetchall()


def test_a_transaction_is_all_or_nothing(tmp_path):
    opened = Ledger(tmp_path / "ledger.db")

    def interrupted():
        with opened.transaction() as connection:
            connection.execute("INSERT INTO verdicts VALUES ('r', 'j', '')")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert opened.read("SELECT * FROM verdicts") == []
    opened.close()


def test_the_ledger_is_in_wal_mode(tmp_path):
    with open_store(tmp_path):
        assert (tmp_path / "ledger.db-wal").exists()


def test_a_file_that_is_no_ledger_is_one_clear_line(tmp_path):
    (tmp_path / "ledger.db").write_bytes(b"not a database at all" * 100)
    with pytest.raises(StoreError, match="not a ledger of Stepladder") as error:
        open_store(tmp_path)
    assert one_line(error)


def test_a_file_in_the_place_of_the_folder_is_one_clear_line(tmp_path):
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(StoreError, match="cannot be a folder") as error:
            open_store(folder)
        assert one_line(error)


@pytest.fixture
def somebody():
    """Rights of an ordinary user for the length of a test: the superuser may write anywhere."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    yield
    os.seteuid(0)


@pytest.fixture
def read_only(tmp_path):
    with open_store(tmp_path / "store") as store:
        store.ask(FakeModel(), [request(1)], label="x")
    for path in (tmp_path / "store" / "ledger.db", tmp_path / "store"):
        path.chmod(0o555)
    for parent in (tmp_path, *list(tmp_path.parents)[:3]):  # under pytest-xdist each worker has a folder of its own
        if parent != Path(tempfile.gettempdir()):
            parent.chmod(parent.stat().st_mode | 0o055)
    yield tmp_path / "store"
    (tmp_path / "store").chmod(0o755)


def test_a_read_only_folder_is_one_clear_line_and_stays_as_it_was(read_only, somebody):
    before = sorted(read_only.iterdir())
    for folder in (read_only, read_only / "new"):
        with pytest.raises(StoreError, match="cannot be written") as error:
            open_store(folder)
        assert one_line(error)
        assert str(folder) in str(error.value)
    assert sorted(read_only.iterdir()) == before


WRITER = """
import sys
from store_fakes import FakeModel, Config, method, request
from stepladder.store import open_store
for round in range(3):
    with open_store(sys.argv[1]) as store:
        store.ask(FakeModel(pause=0.0005), [request(n) for n in range(60)], label="x")
        store.run_method(method(), store.context(FakeModel(), seed=round), Config())
"""


def test_several_processes_on_one_new_ledger_do_not_disturb_each_other(tmp_path):
    command = [sys.executable, "-c", WRITER, str(tmp_path / "store")]
    environment = os.environ | {"PYTHONPATH": os.path.dirname(__file__)}
    processes = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) for _ in range(3)]
    assert [(process.communicate()[1], process.returncode) for process in processes] == [("", 0)] * 3
    with open_store(tmp_path / "store") as store:
        model = FakeModel()
        store.ask(model, [request(n) for n in range(60)], label="x")
        assert model.units == []
        assert len(store.records()) == 3
    connection = sqlite3.connect(tmp_path / "store" / "ledger.db")
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_two_processes_that_ask_the_same_end_with_the_same_answer(tmp_path):
    class Noisy(FakeModel):
        async def reply_many(self, requests):
            with open_store(tmp_path) as other:  # the other process is faster
                other.ask(FakeModel(), requests, label="other")
            return [reply.model_copy(update={"text": "mine"}) for reply in await super().reply_many(requests)]

    with open_store(tmp_path) as store:
        mine = store.ask(Noisy(), [request(1)], label="x")
        assert mine == store.ask(FakeModel(), [request(1)], label="x")
        assert mine[0].reply.text != "mine"
