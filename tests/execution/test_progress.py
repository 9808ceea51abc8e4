import io
import re
import time

from stepladder.execution import Progress
from stepladder.execution.progress import describe


class Terminal(io.StringIO):
    def isatty(self):
        return True


def drive(progress, label="asking", steps=3, pause=0.0):
    with progress.task(label, total=100, done=40) as advance:
        for _ in range(steps):
            time.sleep(pause)
            advance(10)


def test_rate_and_time_left_count_only_what_is_new():
    assert describe(70, 100, 30, 3.0) == "70/100, 10/s, 0:03 left"
    assert describe(1, 7201, 1, 1.0) == "1/7,201, 1/s, 2:00:00 left"
    assert describe(40, 100, 0, 0.0) == "40/100"


def test_a_quiet_progress_writes_nothing(capfd):
    drive(Progress(quiet=True))
    assert capfd.readouterr() == ("", "")


def test_a_terminal_gets_a_bar_after_a_moment_and_nothing_goes_to_stdout(capfd):
    stream = Terminal()
    drive(Progress(stream=stream), label="asking [red]x[/red]", pause=0.3)
    assert re.search(r"70/100, [\d.]+/s, 0:\d\d left", stream.getvalue())
    assert "[red]x[/red]" in stream.getvalue()
    assert capfd.readouterr().out == ""


def test_short_work_shows_nothing():
    stream = Terminal()
    drive(Progress(stream=stream))
    assert stream.getvalue() == ""


def test_elsewhere_there_is_a_plain_line_now_and_then(monkeypatch):
    monkeypatch.setattr("stepladder.execution.progress._LINE_EVERY", 0.0)
    stream = io.StringIO()
    drive(Progress(stream=stream), steps=2, pause=0.001)
    assert [line.split(",")[0] for line in stream.getvalue().splitlines()] == ["asking: 50/100", "asking: 60/100"]


def test_a_task_within_a_task_is_not_shown():
    stream, progress = Terminal(), None
    progress = Progress(stream=stream)
    with progress.task("outer", 1):
        drive(progress, label="inner", pause=0.3)
    assert "inner" not in stream.getvalue()
