"""Kill real processes at random moments until they get done, and check after each kill what must always hold.

Run as `kill_runner.py FOLDER SEED KILLS BATCH`. Prints one JSON line; a broken promise is an AssertionError. Children are
forks of this process, which has imported everything, so that kills fall into the work and not into the imports.
"""

import asyncio
import json
import os
import random
import signal
import sqlite3
import sys
import time
import traceback
import zipfile
from collections import Counter
from pathlib import Path

import inspect_ai.log
import numpy as np
from store_fakes import Config, FakeModel, method, record_of, request

from stepladder.core import request_key
from stepladder.store import open_store, save_tensors

COUNT, CONCURRENCY = 60, 4
assert inspect_ai.log


class LoggingModel(FakeModel):
    """Writes down each request before it answers it."""

    def __init__(self, log, batch):
        super().__init__(batch=batch)
        self.log = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    async def reply_many(self, requests):
        os.write(self.log, "".join(f"{request_key(self.fingerprint, each)}\n" for each in requests).encode())
        await asyncio.sleep(0.001 * len(requests))
        return await super().reply_many(requests)


def technique(context, config):
    record = record_of(context, config)
    save_tensors(context.folder / "guard.safetensors", {"w": np.arange(20_000.0)})
    adaptive = context.ask(context.subject, [request(n, text="more") for n in range(8)], label="more")
    more = [
        exchange.model_copy(update={"request": exchange.request.model_copy(update={"id": f"more {n}"})})
        for n, exchange in enumerate(adaptive)
    ]
    return record.model_copy(update={"exchanges": (*record.exchanges, *more), "artifacts": {"guard": "guard.safetensors"}})


def job(folder, batch):
    model = LoggingModel(folder / "asked", batch)
    with open_store(folder / "store", concurrency=CONCURRENCY) as store:
        store.run_method(method(technique), store.context(model, seed=0), Config(count=COUNT))


def child(folder, batch, seconds):
    """Run the job in a process of its own and kill it after `seconds`; whether it got done before."""
    process = os.fork()
    if process == 0:
        try:
            job(folder, batch)
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        done, status = os.waitpid(process, os.WNOHANG)
        if done:
            assert status == 0
            return True
        time.sleep(0.0005)
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    return False


def look(folder):
    """Keys that are stored and whole records; fails if anything is damaged or half there."""
    path = folder / "store" / "ledger.db"
    if not path.exists():
        return set(), []
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        if connection.execute("PRAGMA user_version").fetchone() == (0,):
            return set(), []
        keys = {key for (key,) in connection.execute("SELECT key FROM exchanges")}
        records = [key for (key,) in connection.execute("SELECT key FROM records")]
    connection.close()
    logs = list((folder / "store" / "records").glob("*.eval"))
    assert all(zipfile.ZipFile(log).testzip() is None for log in logs)
    assert {log.stem.split("_")[-1] for log in logs} >= set(records)
    assert all((folder / "store" / "tensors" / key / "guard.safetensors").exists() for key in records)
    return keys, records


def asked(folder):
    log = folder / "asked"
    return Counter(log.read_text().split()) if log.exists() else Counter()


def trial(folder, batch, draw, mean):
    """Run and kill until it is done; the number of kills."""
    kills = 0
    while True:
        stored, records = look(folder)
        before = asked(folder)
        done = child(folder, batch, draw.uniform(0, 1.2 * mean))
        new = asked(folder) - before
        assert not stored & set(new), "asked for what was stored"
        assert not records or not new, "asked although the record was made"
        if done:
            break
        kills += 1
    total = asked(folder)
    assert max(total.values()) <= 1 + kills
    assert sum(total.values()) <= len(total) + kills * (batch if batch > 1 else CONCURRENCY)
    return kills


def the_record(folder):
    with open_store(folder / "store") as store:
        (record,) = store.records()
        assert store.load_record(store.log_path(record)) == record
        assert not list(folder.rglob("*.tmp"))
        return record


def main(folder, seed, kills, batch):
    draw, killed, trials = random.Random(seed), 0, 0
    (folder / "whole").mkdir()
    started = time.monotonic()
    assert child(folder / "whole", batch, 60)
    mean = time.monotonic() - started
    expected = the_record(folder / "whole")
    while killed < kills:
        place = folder / str(trials)
        place.mkdir()
        killed += trial(place, batch, draw, mean)
        trials += 1
    assert all(the_record(folder / str(number)) == expected for number in range(trials))
    print(json.dumps({"kills": killed, "trials": trials, "seconds": mean}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:]))
