"""Starts two simulated, linked arrays over TLS for the tests beside this file (it has no tests itself).

The server is `crates/sim/examples/arrays.rs`; PROTECTOR_SIM_ARRAYS names a binary that was built before,
else `target/release/examples/arrays` is taken, built by cargo when it is missing.
"""

import json
import os
import pathlib
import ssl
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]


def binary():
    given = os.environ.get("PROTECTOR_SIM_ARRAYS")
    if given:
        return given
    built = ROOT / "target" / "release" / "examples" / "arrays"
    if not built.exists():
        command = ["cargo", "build", "--release", "-p", "protector-sim", "--example", "arrays"]
        subprocess.run(command, cwd=ROOT, check=True)
    return str(built)


class Reply:
    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.text = body.decode()
        self.json = json.loads(self.text) if self.text else None

    @property
    def items(self):
        return self.json["items"]

    @property
    def message(self):
        return " ".join(error["message"] for error in self.json["errors"])


class Wire:
    """One array, spoken to without any SDK."""

    def __init__(self, env, letter, version):
        self.url = env[f"ARRAY_{letter}_URL"]
        self.name = env[f"ARRAY_{letter}_NAME"]
        self.api_token = env[f"ARRAY_{letter}_TOKEN"]
        self.version = version
        self.context = ssl.create_default_context(cafile=env["ARRAY_CA"])
        self.session = None

    def raw(self, method, path, headers=None, body=None):
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json", **(headers or {})}
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, context=self.context) as answer:
                return Reply(answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as error:
            return Reply(error.code, error.headers, error.read())

    def login(self):
        answer = self.raw("POST", f"/api/{self.version}/login", {"api-token": self.api_token})
        assert answer.status == 200, answer.text
        self.session = answer.headers["x-auth-token"]
        return answer

    def call(self, method, path, body=None, **query):
        if self.session is None:
            self.login()
        text = "&".join(f"{key}={_encode(value)}" for key, value in query.items())
        path = f"/api/{self.version}{path}" + (f"?{text}" if text else "")
        return self.raw(method, path, {"x-auth-token": self.session}, body)

    def door(self, action, **query):
        answer = self.raw("POST", f"/_sim/{action}?{urllib.parse.urlencode(query)}")
        assert answer.status == 204, answer.text

    def dump(self):
        return self.raw("GET", "/_sim/dump").json


def _encode(value):
    """As the SDK does it: every value by itself, the comma stays."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return ",".join(urllib.parse.quote(str(one), safe="") for one in value)
    return urllib.parse.quote(str(value), safe="")


def serve(tmp_path, *arguments):
    """Runs the server until the generator is closed; gives what it wrote about itself."""
    env_file = tmp_path / "arrays.env"
    process = subprocess.Popen([binary(), "--env-file", str(env_file), *arguments])
    try:
        deadline = time.monotonic() + 30
        while not env_file.exists():
            assert process.poll() is None, "the array server ended"
            assert time.monotonic() < deadline, "the array server did not start"
            time.sleep(0.02)
        lines = env_file.read_text().splitlines()
        yield dict(line.split("=", 1) for line in lines)
    finally:
        process.terminate()
        process.wait(timeout=20)


@pytest.fixture(scope="module")
def arrays(tmp_path_factory):
    yield from serve(tmp_path_factory.mktemp("arrays"))


def wait_until(check, seconds=20.0):
    deadline = time.monotonic() + seconds
    while True:
        found = check()
        if found:
            return found
        assert time.monotonic() < deadline, "nothing happened in time"
        time.sleep(0.02)
