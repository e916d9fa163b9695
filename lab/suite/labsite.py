"""One site as its users see it: cloud by openstacksdk, array by py-pure-client, Protector by curl and by the CLI."""
import json
import os
import re
import ssl
import subprocess
import time
import urllib.parse
import urllib.request

import openstack
from pypureclient import flasharray

STATE = os.environ["LAB_STATE"]
VENV = os.environ["VENV"]
SECRETS = dict(line.strip().split("=", 1)
               for line in open(STATE + "/secrets.env") if "=" in line)
API = "OpenStack-API-Version: protector "
ENDED = {"completed", "failed", "cancelled", "needs_attention"}


class Refused(Exception):
    def __init__(self, status, body):
        super().__init__("HTTP %s %s" % (status, body))
        self.status, self.body = status, body


class Site:
    def __init__(self, letter):
        self.letter, self.n = letter, {"a": 1, "b": 2}[letter]
        self.ip = "127.0.%d.1" % self.n
        self.name = "site-" + letter
        self.protector = "http://%s:%d8788" % (self.ip, self.n)
        self.array_at = "%s:%d8443" % (self.ip, self.n)
        self.array_token = SECRETS["ARRAY_TOKEN_" + letter]
        self._token = {}
        self.connect()

    def connect(self):
        self.tenant = openstack.connect(self.name)
        self.admin = openstack.connect(self.name + "-admin")
        self._token, self._array = {}, None

    @property
    def array(self):
        if self._array is None:
            self._array = flasharray.Client(
                target=self.array_at, api_token=self.array_token,
                verify_ssl=True, ssl_cert=STATE + "/tls/array.crt")
        return self._array

    def door(self, method, path, **query):
        """The simulated array's door for tests: what guests write and what volumes hold."""
        ctx = ssl.create_default_context(cafile=STATE + "/tls/array.crt")
        url = "https://%s/_sim/%s?%s" % (self.array_at, path, urllib.parse.urlencode(query))
        return urllib.request.urlopen(urllib.request.Request(url, method=method), context=ctx).read()

    def dump(self):
        return json.loads(self.door("GET", "dump"))

    def token(self, cloud=None, old=600):
        """Token and project as the documentation's first lines get them."""
        cloud = cloud or self.name
        kept = self._token.get(cloud)
        if not kept or time.time() - kept[0] > old:
            def issue(field):
                return run([VENV + "/bin/openstack", "--os-cloud", cloud, "token", "issue",
                            "-f", "value", "-c", field]).strip()
            self._token[cloud] = kept = (time.time(), issue("id"), issue("project_id"))
        return kept[1:]

    def call(self, method, path, body=None, cloud=None, version="1.3", fine=True):
        """A request by curl; `{tenant}` in the path is the tenant's project."""
        token, project = self.token(cloud)
        words = ["curl", "-s", "-m", "300", "-w", "\n%{http_code}", "-X", method,
                 self.protector + path.replace("{tenant}", project),
                 "-H", "X-Auth-Token: " + token, "-H", "Content-Type: application/json",
                 "-H", API + version]
        if body is not None:
            words += ["-d", json.dumps(body)]
        text, _, status = run(words).rpartition("\n")
        data = json.loads(text) if text.strip() else {}
        if fine and not status.startswith("2"):
            raise Refused(status, text)
        return data if fine else (int(status), data)

    def documented(self, lines, **values):
        """The founding document's curl lines as they stand, with the variables that they name."""
        token, project = self.token()
        env = dict(os.environ, TOKEN=token, TENANT_ID=project, **values)
        lines = re.sub(r"http://site-[ab]-controller:8788", self.protector, lines)
        return json.loads(run(["bash", "-c", lines], env=env))

    def cli(self, *words, fine=True):
        """`openstack protector ...` as the tenant; gives standard output."""
        cmd = [VENV + "/bin/openstack", "--os-cloud", self.name, "protector", *words]
        done = subprocess.run(cmd, capture_output=True, text=True)
        if fine and done.returncode:
            raise Refused(done.returncode, done.stderr + done.stdout)
        return done.stdout if fine else (done.returncode, done.stdout + done.stderr)

    def operation(self, op):
        return self.call("GET", "/v1/{tenant}/operations/" + op)["operation"]

    def group(self, pg):
        return self.call("GET", "/v1/{tenant}/protection-groups/" + pg)["protection_group"]

    def follow(self, op, patience=1200):
        end, last = time.time() + patience, 0
        while True:
            try:
                got = self.operation(op)
                if got["progress"] < last:
                    raise AssertionError("progress fell from %d to %d" % (last, got["progress"]))
                last = got["progress"]
                if got["status"] in ENDED:
                    return got
            except Refused as error:
                if not error.status.startswith(("000", "503")):
                    raise
            if time.time() > end:
                raise AssertionError("operation %s has not ended after %d s: %s" % (op, patience, got))
            time.sleep(1)


def run(words, env=None):
    done = subprocess.run(words, capture_output=True, text=True, env=env)
    if done.returncode and words[0] != "curl":
        raise Refused(done.returncode, done.stderr + done.stdout)
    return done.stdout
