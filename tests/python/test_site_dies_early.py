"""A site dies as it begins an operation, of which the other one has heard nothing.

Between the two Protectors is a way that loses what is told of operations, so that this moment is met each time.
"""

import contextlib
import http.client
import signal
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from protector_processes import MAPPINGS, running_processes

ALL = ["db-1", "web-1", "web-2"]
LOST = "/v1/peer/operations"


class Way(BaseHTTPRequestHandler):
    """Hands on whatever it is asked, but for what is lost."""

    protocol_version = "HTTP/1.1"
    to, losing, lost = None, False, 0

    def hand_on(self):
        # Who asked may be dead by now.
        with contextlib.suppress(OSError):
            self._hand_on()

    def _hand_on(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.losing and self.path.startswith(LOST):
            type(self).lost += 1
            self.close_connection = True
            return
        connection = http.client.HTTPConnection(*self.to, timeout=30)
        headers = {key: value for key, value in self.headers.items() if key.lower() not in ("connection", "content-length")}
        connection.request(self.command, self.path, body or None, headers)
        answer = connection.getresponse()
        content = answer.read()
        self.send_response(answer.status)
        for key, value in answer.getheaders():
            if key.lower() not in ("connection", "transfer-encoding", "content-length"):
                self.send_header(key, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        connection.close()

    do_GET = do_PUT = do_POST = do_DELETE = do_PATCH = hand_on

    def log_message(self, *_):
        """Not to be seen."""


@pytest.fixture
def world(tmp_path):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Way)
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def lay(urls):
        host, port = urls["B"].removeprefix("http://").split(":")
        Way.to = (host, int(port))
        return {"B": f"http://127.0.0.1:{server.server_port}"}

    with running_processes(tmp_path, speed=40, lay=lay) as world:
        yield world
    server.shutdown()


def test_the_other_site_has_a_way_out(world):
    world.complete("A", sync_volumes={})
    Way.losing = True
    operation = world.started("A", failover=MAPPINGS)
    give_up = time.monotonic() + 30
    while Way.lost == 0:
        assert time.monotonic() < give_up, "nothing is told to site B"
        time.sleep(0.02)
    # It begins once the other site has its plan: until then it touches nothing.
    time.sleep(1)
    assert world.servers("A") == [(name, "ACTIVE") for name in ALL]
    for what in ("api", "engine"):
        world.end("A", what, signal.SIGKILL)
    for of in ("CLOUD", "ARRAY"):
        world.demo.sim("A", "partition", {"mode": "refuse"}, of=of)
    assert world.ask("B", "GET", world.tenant("B", f"/operations/{operation}")).status_code == 404
    give_up = time.monotonic() + 30
    while (answer := world.act("B", failover={"force": True, **MAPPINGS})).status_code != 202:
        assert time.monotonic() < give_up, answer.text
        time.sleep(0.3)
    record = world.ended("B", answer.json()["operation"]["id"])
    assert record["status"] == "completed", record
    assert [name for name, state in world.servers("B") if state == "ACTIVE"] == ALL
