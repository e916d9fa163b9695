"""Two Protectors as processes of their own beside the demo's simulated sites, as an operator runs them: they can be killed.

The demo's own group is deleted first; its servers and volumes are protected anew by these two.
"""

import contextlib
import os
import signal
import socket
import subprocess
import time

from demo_world import BIN, PATIENCE, running_demo

MAPPINGS = {
    "network_mapping": {
        "aaa11111-net-primary-web": "bbb22222-net-secondary-web",
        "aaa11111-net-primary-db": "bbb22222-net-secondary-db",
    },
    "flavor_mapping": {"m1.large": "m2.large"},
}
ENDED = ("completed", "failed", "cancelled", "needs_attention")


class Refused(AssertionError):
    """What the API refused, for a test that did not expect it."""


class Service:
    """`protector api`, `engine` or `all-in-one` with a configuration file."""

    def __init__(self, what, conf, environment):
        self.what, self.conf, self.environment = what, conf, environment
        self.process = None

    def start(self):
        assert self.process is None, f"{self.what} of {self.conf} runs"
        log = self.conf.with_suffix(f".{self.what}.log").open("ab")
        command = [str(BIN), self.what, "--config-file", str(self.conf)]
        self.process = subprocess.Popen(command, env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def end(self, how=signal.SIGTERM):
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(timeout=60)
            self.process = None


class Processes:
    """Both Protectors, and a group that they protect."""

    def __init__(self, demo, folder, speed, origin):
        self.demo, self.folder = demo, folder
        self.sessions, self.services, self.urls = {}, {}, {}
        self.group_id = None
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("OS_", "PROTECTOR_"))},
            "NO_COLOR": "1",
            # The demo's time.
            "PROTECTOR_TEST_CLOCK_SPEED": str(speed),
            "PROTECTOR_TEST_CLOCK_ORIGIN": repr(origin),
        }

    def begin(self, letter):
        """API and engine of a site, each a process."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            bind = "127.0.0.1:%d" % free.getsockname()[1]
        home = self.folder / f"protector-{letter}"
        home.mkdir()
        sections = {
            "api": {"bind": bind, "public_endpoint": f"http://{bind}"},
            "database": {"connection": f"sqlite://{home}/protector.sqlite"},
            "secrets": {"key_directory": home / "keys"},
            "oslo_policy": {"policy_file": home / "policy.yaml"},
            "keystone_authtoken": {
                "auth_url": self.demo[f"SITE_{letter}_AUTH_URL"],
                "region_name": self.demo.connection(f"site-{letter.lower()}").config.region_name,
                "username": "protector",
                "password": "protector-password",
                "project_name": "service",
            },
            "flasharray": {"ca_file": self.demo["ARRAY_CA"]},
        }
        lines = []
        for section, options in sections.items():
            lines += [f"[{section}]", *(f"{key} = {value}" for key, value in options.items())]
        conf = home / "protector.conf"
        conf.write_text("\n".join(lines) + "\n")
        self.urls[letter] = f"http://{bind}"
        for what in ("api", "engine"):
            self.services[letter, what] = Service(what, conf, self.environment)
            self.start(letter, what)

    def start(self, letter, what):
        """As `systemctl start protector-<what>`."""
        self.services[letter, what].start()
        if what != "api":
            return
        give_up = time.monotonic() + PATIENCE
        while True:
            with contextlib.suppress(OSError), socket.create_connection(self._address(letter), timeout=1):
                return
            assert time.monotonic() < give_up, f"protector-api of {letter} does not listen"
            time.sleep(0.05)

    def _address(self, letter):
        host, port = self.urls[letter].removeprefix("http://").split(":")
        return host, int(port)

    def end(self, letter, what, how=signal.SIGTERM):
        """Ends a service: SIGTERM as `systemctl stop`, SIGKILL as a power cut."""
        self.services[letter, what].end(how)

    def close(self):
        for service in self.services.values():
            service.end(signal.SIGKILL)

    def session(self, letter, admin=False):
        cloud = f"site-{letter.lower()}" + ("-admin" if admin else "")
        if cloud not in self.sessions:
            self.sessions[cloud] = self.demo.connection(cloud).session
        return self.sessions[cloud]

    def ask(self, letter, method, path, body=None, admin=False):
        """One call below /v1, whatever the answer."""
        headers = {"OpenStack-API-Version": "protector 1.3"}
        session = self.session(letter, admin)
        return session.request(f"{self.urls[letter]}/v1{path}", method, json=body, headers=headers, raise_exc=False)

    def must(self, *call, **options):
        answer = self.ask(*call, **options)
        if answer.status_code >= 300:
            raise Refused(f"{call}: {answer.status_code} {answer.text}")
        return answer.json() if answer.text else None

    def tenant(self, letter, path):
        return f"/{self.demo[f'SITE_{letter}_TENANT_ID']}{path}"

    def of_group(self, letter, path=""):
        return self.tenant(letter, f"/protection-groups/{self.group_id}{path}")

    def act(self, letter, **action):
        """One action, whatever the answer."""
        return self.ask(letter, "POST", self.of_group(letter, "/action"), action)

    def started(self, letter, **action):
        """The id of an action's operation."""
        answer = self.act(letter, **action)
        assert answer.status_code == 202, answer.text
        return answer.json()["operation"]["id"]

    def operation(self, letter, operation):
        return self.must(letter, "GET", self.tenant(letter, f"/operations/{operation}"))["operation"]

    def when(self, letter, operation, fits):
        """The first record that fits."""
        give_up = time.monotonic() + PATIENCE
        while True:
            record = self.operation(letter, operation)
            if fits(record):
                return record
            assert time.monotonic() < give_up, record
            time.sleep(0.05)

    def ended(self, letter, operation):
        return self.when(letter, operation, lambda record: record["status"] in ENDED)

    def complete(self, letter, **action):
        record = self.ended(letter, self.started(letter, **action))
        assert record["status"] == "completed", record
        for other in "AB":
            if self.services[other, "api"].process is not None:
                self.free(other)
        return record

    def free(self, letter):
        """Waits until a site shows that no operation holds the group: the one that did not drive it hears of its end, and
        of the group's, one after the other."""
        give_up = time.monotonic() + 15
        while (holder := self.group(letter)["current_operation_id"]) is not None:
            assert time.monotonic() < give_up, f"{holder} holds the group at {letter}"
            time.sleep(0.05)

    def group(self, letter="A"):
        return self.must(letter, "GET", self.of_group(letter))["protection_group"]

    def servers(self, letter):
        """Names and states, as Nova tells them."""
        connection = self.demo.connection(f"site-{letter.lower()}")
        return sorted((server.name, server.status) for server in connection.compute.servers())

    def protect(self, ways):
        """Sites, tenant mapping, group, policy and members, by the API. `ways`: addresses of Protectors that are not their
        own."""
        demo = self.demo
        ids = {}
        for letter in "AB":
            site = {
                "name": f"site-{letter.lower()}",
                "auth_url": demo[f"SITE_{letter}_AUTH_URL"],
                "region_name": demo.connection(f"site-{letter.lower()}").config.region_name,
                "protector_url": ways.get(letter, self.urls[letter]),
                "username": "protector",
                "password": "protector-password",
                "project_name": "service",
                "is_local": letter == "A",
            }
            ids[letter] = self.must("A", "POST", "/admin/sites", {"site": site}, admin=True)["site"]["id"]
        project = {"project_name": "app", "project_domain_name": "Default"}
        mapping = {f"{end}_{key}": value for end in ("primary", "secondary") for key, value in project.items()}
        mapping.update(primary_site_id=ids["A"], secondary_site_id=ids["B"])
        self.must("A", "POST", "/admin/tenant-mappings", {"tenant_mapping": mapping}, admin=True)
        self.site_ids = ids
        made = self.must("A", "POST", self.tenant("A", "/protection-groups"), {"protection_group": {"name": "beside", **MAPPINGS}})
        self.group_id = made["protection_group"]["id"]
        policy = {"replication_interval": 300, "rpo_minutes": 15}
        for end, letter in (("primary", "A"), ("secondary", "B")):
            policy[f"{end}_fa_url"] = demo[f"SITE_{letter}_ARRAY_URL"]
            policy[f"{end}_fa_api_token"] = demo[f"SITE_{letter}_ARRAY_TOKEN"]
        self.must("A", "POST", self.of_group("A", "/policy"), {"policy": policy})
        for server in demo.connection().compute.servers():
            self.must("A", "POST", self.of_group("A", "/members"), {"member": {"server": server.id}})


@contextlib.contextmanager
def running_processes(folder, speed=20, lay=None):
    """The demo's sites, with two Protectors as processes that protect the application. `lay` makes of their addresses
    those under which the other one finds them."""
    origin = time.time()
    with running_demo(folder, speed=speed) as demo:
        protector = demo.protector()
        protector.delete_protection_group(demo["PG_ID"])
        processes = Processes(demo, folder, speed, origin)
        try:
            for letter in "AB":
                processes.begin(letter)
            processes.protect(lay(processes.urls) if lay else {})
            yield processes
        finally:
            processes.close()
