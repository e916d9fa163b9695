"""Starts a simulated world once per session and hands out unpatched OpenStack clients.

PROTECTOR_SIM_CMD is the command that serves a world; `--env-file PATH` is appended.
PROTECTOR_SIM_ENV_FILE names the file of a world that runs already; then none is started.
"""

import os
import pathlib
import shlex
import signal
import subprocess
import time

import pytest

DEFAULT = "cargo run --release -q -p protector-sim --example world --"
ROOT = pathlib.Path(__file__).resolve().parents[2]


def read_env(path):
    lines = pathlib.Path(path).read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line)


@pytest.fixture(scope="session")
def sim_env(tmp_path_factory):
    """Addresses and credentials of the world, as a dictionary."""
    running = os.environ.get("PROTECTOR_SIM_ENV_FILE")
    if running:
        yield read_env(running)
        return
    path = tmp_path_factory.mktemp("sim") / "world.env"
    command = shlex.split(os.environ.get("PROTECTOR_SIM_CMD", DEFAULT))
    # A group of its own, so that a child of cargo's ends with it.
    process = subprocess.Popen(
        [*command, "--env-file", str(path)], cwd=ROOT, start_new_session=True
    )
    try:
        deadline = time.monotonic() + 900  # the first run compiles
        while not path.exists():
            assert process.poll() is None, f"the simulator ended with {process.returncode}"
            assert time.monotonic() < deadline, "the simulator did not come up"
            time.sleep(0.05)
        yield read_env(path)
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=30)


class Site:
    """One simulated cloud."""

    def __init__(self, env, letter):
        self.env = env
        self.letter = letter
        self.url = self["URL"]
        self.auth_url = self["AUTH_URL"]
        self.region = self["REGION"]

    def __getitem__(self, key):
        return self.env[f"SIM_{self.letter}_{key}"]

    def account(self, user):
        """Arguments of a password login in the user's own project."""
        key = user.upper().replace("-", "_")
        return {
            "auth_url": self.auth_url,
            "username": user,
            "password": self[f"{key}_PASSWORD"],
            "project_name": self[f"{key}_PROJECT"],
            "user_domain_name": "Default",
            "project_domain_name": "Default",
        }

    def connect(self, user):
        """An openstacksdk connection."""
        import openstack

        return openstack.connection.Connection(
            region_name=self.region, app_name="sim-tests", **self.account(user)
        )

    def openstack(self, user, *words, ok=True):
        """Runs the real `openstack` command; gives its parsed JSON (or its error text)."""
        import json
        import sys

        env = {k: v for k, v in os.environ.items() if not k.startswith("OS_")}
        account = self.account(user)
        env.update(
            {
                "OS_AUTH_URL": account["auth_url"],
                "OS_USERNAME": account["username"],
                "OS_PASSWORD": account["password"],
                "OS_PROJECT_NAME": account["project_name"],
                "OS_USER_DOMAIN_NAME": "Default",
                "OS_PROJECT_DOMAIN_NAME": "Default",
                "OS_REGION_NAME": self.region,
                "OS_IDENTITY_API_VERSION": "3",
            }
        )
        command = pathlib.Path(sys.executable).parent / "openstack"
        done = subprocess.run(
            [str(command), *words], env=env, capture_output=True, text=True, timeout=120
        )
        if not ok:
            assert done.returncode != 0, done.stdout
            return done.stderr
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if done.stdout.strip().startswith(("[", "{")) else done.stdout


@pytest.fixture(scope="session")
def site_a(sim_env):
    return Site(sim_env, "A")


@pytest.fixture(scope="session")
def site_b(sim_env):
    return Site(sim_env, "B")


@pytest.fixture
def app(site_a):
    """The tenant's SDK connection."""
    with site_a.connect("app-user") as connection:
        yield connection


@pytest.fixture
def admin(site_a):
    """The administrator's SDK connection."""
    with site_a.connect("admin") as connection:
        yield connection
