"""What the store adds to a sample, in processor time, so that a busy machine does not matter."""

import time

from store_fakes import FakeModel, request

from stepladder.core import Record
from stepladder.store import open_store

COUNT = 1000


def per_sample(work):
    started = time.process_time()
    result = work()
    return result, (time.process_time() - started) / COUNT * 1000


def test_asking_and_keeping_a_sample_costs_less_than_five_milliseconds(tmp_path):
    import inspect_ai.log  # noqa: F401 - the import is paid once, however many samples

    requests = [request(n, behaviour="b") for n in range(COUNT)]
    with open_store(tmp_path) as store:
        exchanges, asking = per_sample(lambda: store.ask(FakeModel(), requests, label="x"))
        record = Record(key="k", method="m", family="f", subject="s", exchanges=exchanges)
        _, saving = per_sample(lambda: store.save_record(record))
        _, again = per_sample(lambda: store.ask(FakeModel(), requests, label="x"))
    assert asking < 1
    assert asking + saving < 5
    assert again < 0.2


def test_an_unchanged_second_run_does_not_import_inspect(tmp_path):
    import os
    import subprocess
    import sys

    script = (
        "import sys\nfrom store_fakes import *\nfrom stepladder.store import open_store\n"
        "with open_store(sys.argv[1]) as store:\n"
        "    store.run_method(method(), store.context(FakeModel(), seed=0), Config())\n"
        "print('inspect_ai' in sys.modules)"
    )
    environment = os.environ | {"PYTHONPATH": os.path.dirname(__file__)}
    command = [sys.executable, "-c", script, str(tmp_path)]
    runs = [subprocess.run(command, capture_output=True, text=True, env=environment, check=True).stdout for _ in range(2)]
    assert runs == ["True\n", "False\n"]
