"""A running `protector demo` and its users' shells, for the tests of clients.

PROTECTOR_BIN names the program (default: target/release/protector).
"""

import contextlib
import json
import os
import pathlib
import shlex
import signal
import ssl
import subprocess
import sys
import time
import urllib.request

# The documentation's names, as the demo's networks and flavors have them.
MAPPINGS = (
    "--network-mapping aaa11111-net-primary-web=bbb22222-net-secondary-web "
    "--network-mapping aaa11111-net-primary-db=bbb22222-net-secondary-db --flavor-mapping m1.large=m2.large"
)
ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("PROTECTOR_BIN", ROOT / "target" / "release" / "protector"))
PATIENCE = 300
# An environment with tests/python/requirements-debian12.txt and our package; scripts/install makes it.
DEBIAN12 = pathlib.Path(os.environ.get("PROTECTOR_VENV_DEBIAN12", ROOT / "target" / "pyvenv-debian12"))


class Demo:
    """The running demo and its shell variables."""

    def __init__(self, env_file, process=None):
        self.env_file = env_file
        self.process = process
        words = shlex.split(env_file.read_text())
        self.env = dict(word.split("=", 1) for word in words if "=" in word)
        # Where the `openstack` comes from that a shell finds.
        self.bin = pathlib.Path(sys.executable).parent

    def __getitem__(self, key):
        return self.env[key]

    def run(self, script, cloud="site-a", stdin=subprocess.DEVNULL, **variables):
        """Runs a script as a person would after sourcing the env file; whatever comes of it."""
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("OS_", "PROTECTOR_"))}
        clean["PATH"] = f"{self.bin}:{clean['PATH']}"
        lines = ["set -euo pipefail", f"source {shlex.quote(str(self.env_file))}", f"export OS_CLOUD={cloud}", script]
        return subprocess.run(
            ["bash", "-c", "\n".join(lines)],
            env={**clean, **variables},
            stdin=stdin,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def bash(self, script, cloud="site-a", **variables):
        """What a script that succeeds prints."""
        done = self.run(script, cloud, **variables)
        assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def connection(self, cloud="site-a"):
        """openstacksdk on a cloud, for looking without the price of starting a command."""
        import openstack

        config = openstack.config.OpenStackConfig(config_files=[self["OS_CLIENT_CONFIG_FILE"]], load_envvars=False)
        return openstack.connection.Connection(config=config.get_one(cloud=cloud))

    def protector(self, cloud="site-a"):
        """The SDK of this repository."""
        from protectorclient import sdk

        return sdk.attach(self.connection(cloud))

    def openstack(self, words, cloud="site-a"):
        """What `openstack` says as JSON; ``words`` as one would type them."""
        return json.loads(self.bash(f"openstack {words} -f json", cloud))

    def sim(self, letter, door, body=None, method="POST", of="CLOUD"):
        """The simulator's own door at a site: ``faults``, ``partition``; ``of`` its cloud or its ARRAY."""
        context = ssl.create_default_context(cafile=self["ARRAY_CA"]) if of == "ARRAY" else None
        request = urllib.request.Request(
            f"{self[f'SITE_{letter}_{of}_URL']}/_sim/{door}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
            method=method,
        )
        with urllib.request.urlopen(request, timeout=10, context=context) as response:
            return response.status

    def sync(self, cloud="site-a"):
        """A recovery point that holds all members: what drills and unplanned failovers start from."""
        protector = self.protector(cloud)
        return protector.wait_for_operation(protector.sync_volumes(self["PG_ID"]).id, timeout=60, interval=0.2)

    def batch(self, lines, cloud="site-a"):
        """Runs many `openstack` lines in one process; answers line, code, out and err of each."""
        script = pathlib.Path(__file__).with_name("openstack_batch.py")
        quoted = shlex.quote("\n".join(lines))
        return json.loads(self.bash(f"python {shlex.quote(str(script))} <<<{quoted}", cloud))


@contextlib.contextmanager
def running_demo(folder, *arguments, speed=60):
    """The demo with protection in place and nothing failed over."""
    assert BIN.exists(), f"{BIN} is not there; build it, or name another with PROTECTOR_BIN"
    env_file, log = folder / "demo.env", folder / "demo.log"
    command = [str(BIN), "demo", "--no-failover", "--speed", str(speed), "--env-file", str(env_file), *arguments]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + PATIENCE
        # The last thing that it says; by then the env file is whole.
        while b"Everything keeps running" not in log.read_bytes():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        yield Demo(env_file, process)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 0, log.read_text()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
