"""What a person at a terminal meets: questions before what is dangerous, and progress that is drawn over itself."""

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time

import pytest
from demo_world import MAPPINGS, running_demo

ESCAPE = re.compile(r"\x1b\[[0-9;]*([A-Za-z])")
LINES = 40
FAILOVER = f"openstack protector protection-group failover prod-web-app {MAPPINGS}"


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    # Slow enough that there is something to be seen on the way.
    with running_demo(tmp_path_factory.mktemp("demo"), speed=10) as demo:
        demo.sync()
        yield demo


class Terminal:
    """A command on a terminal of its own."""

    def __init__(self, demo, command, columns):
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, columns, 0, 0))
        clean = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES", "NO_COLOR")}
        self.process = subprocess.Popen(
            ["bash", "-c", f"source {demo.env_file}; {command}"],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={**clean, "PATH": f"{demo.bin}:{os.environ['PATH']}", "TERM": "xterm", "LC_ALL": "C.UTF-8"},
            start_new_session=True,
            # Whoever runs the tests in the background has Ctrl-C ignored, and so would all that he starts.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        os.close(slave)
        self.said = ""

    def until(self, words):
        """Reads until these words appear."""
        deadline = time.monotonic() + 60
        while words not in self.said:
            assert time.monotonic() < deadline, self.said
            assert self._read(), f"{words!r} never came:\n{self.said}"

    def _read(self):
        if not select.select([self.master], [], [], 1)[0]:
            return True
        try:
            data = os.read(self.master, 65536)
        except OSError:  # how Linux tells the end of a terminal
            return False
        self.said += data.decode(errors="replace")
        return bool(data)

    def answer(self, text):
        os.write(self.master, text.encode())

    def end(self):
        """The exit code."""
        deadline = time.monotonic() + 120
        while self._read():
            assert time.monotonic() < deadline, f"it never ended:\n{self.said}"
        return self.process.wait(timeout=30)


@contextlib.contextmanager
def terminal(demo, command, columns=80):
    opened = Terminal(demo, command, columns)
    try:
        yield opened
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(opened.process.pid, signal.SIGTERM)
        opened.process.wait(timeout=10)
        os.close(opened.master)


def operations(demo):
    return [operation.id for operation in demo.protector().operations()]


@pytest.mark.parametrize("answer", ["n\n", "\n", "prod-web-app\n"])
def test_no_is_the_answer_unless_it_is_yes(demo, answer):
    before = operations(demo)
    with terminal(demo, FAILOVER) as person:
        person.until("Go on? [y/N]")
        for words in ("Planned failover", "from site-a to site-b", "web-1", "3 servers"):
            assert words in person.said
        person.answer(answer)
        assert person.end() == 1
    assert "Nothing was done" in person.said
    assert operations(demo) == before


@pytest.mark.parametrize("answer", ["y\n", "yes\n", "prod-web\n"])
def test_an_unplanned_failover_wants_the_groups_name(demo, answer):
    before = operations(demo)
    with terminal(demo, f"openstack --os-cloud site-b {FAILOVER.removeprefix('openstack')} --type unplanned") as person:
        person.until("Type the name prod-web-app to go on:")
        told = " ".join(person.said.split())
        assert re.search(r"newest recovery point: \S+, [^(]+ old", told), told
        assert "data loss: what was written in" in told
        person.answer(answer)
        assert person.end() == 1
    assert "Nothing was done" in person.said
    assert operations(demo) == before


def test_ctrl_c_at_the_question_does_nothing(demo):
    before = operations(demo)
    with terminal(demo, FAILOVER) as person:
        person.until("Go on? [y/N]")
        person.answer("\x03")
        assert person.end() != 0
    assert "Traceback" not in person.said
    assert operations(demo) == before


def screen_lines(said):
    """The lines that were drawn, without colours."""
    return [ESCAPE.sub("", line).strip("\r") for line in said.split("\n")]


def test_progress_is_drawn_over_itself_at_80_columns(demo):
    with terminal(demo, f"{FAILOVER} --wait", 80) as person:
        person.until("Go on? [y/N]")
        person.answer("y\n")
        assert person.end() == 0
    live = person.said.split("[y/N]")[1].split("+----")[0]
    assert re.search(r"\x1b\[\d+A", live), "the cursor goes up"
    assert max(map(len, screen_lines(live))) < 80, "no line wraps"
    text = "\n".join(screen_lines(live))
    for words in ("failover of prod-web-app", "recreate instances", "web-1", "elapsed", "100%  completed"):
        assert words in text
    assert "left" in text or "almost done" in text
    assert {line.split()[0] for line in screen_lines(live.split("completed")[-1]) if "web-" in line} == {"✔"}


def test_at_160_columns_servers_stand_beside_the_stages(demo):
    script = "openstack --os-cloud site-b protector protection-group failback prod-web-app --wait --yes"
    with terminal(demo, script, 160) as person:
        assert person.end() == 0
    drawn = screen_lines(person.said.split("+----")[0].split("failback of prod-web-app", 1)[1])
    assert 100 < max(map(len, drawn)) < 160
    assert any("validate target site" in line and "db-1" in line for line in drawn)
    assert "[y/N]" not in person.said
    assert "Failback of prod-web-app" in person.said, "what will happen is told all the same"


def test_ctrl_c_ends_the_watching_and_not_the_operation(demo):
    with terminal(demo, f"{FAILOVER} --wait --yes") as person:
        person.until("elapsed")
        person.answer("\x03")
        assert person.end() == 130
    assert "goes on without you" in person.said
    assert "Traceback" not in person.said
    [newest] = demo.protector().operations(limit=1)
    assert demo.protector().wait_for_operation(newest.id, timeout=60, interval=0.2).status == "completed"


def test_in_a_script_it_is_told_on_standard_error_and_goes_on(demo):
    done = demo.run("openstack protector protection-group failback prod-web-app --wait -f value -c status", "site-b")
    assert (done.returncode, done.stdout) == (0, "completed\n"), done.stderr
    assert done.stderr.startswith("Failback of prod-web-app")
    assert "\x1b" not in done.stderr
