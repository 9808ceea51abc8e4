"""Calibrate until a given question, then die at once: `kill_calibrate.py FOLDER QUESTION`; 0 is never."""

import os
import signal
import sys
from pathlib import Path

from calibration_fakes import FakeSubject, Nursery, make_detector, make_plan

from stepladder.calibration import calibrate
from stepladder.store import open_store

folder, last = Path(sys.argv[1]), int(sys.argv[2])
log = os.open(folder / "asked", os.O_WRONLY | os.O_APPEND | os.O_CREAT)


class Log(list):
    def append(self, question):
        if len(self) + 1 == last:
            os.kill(os.getpid(), signal.SIGKILL)
        super().append(question)
        os.write(log, f"{question}\n".encode())


FakeSubject.asked = Log()
with open_store(folder / "store") as store:
    matrix = calibrate(store, make_plan([make_detector("first"), make_detector("second")], seeds=4), Nursery())
print(matrix.to_json())
