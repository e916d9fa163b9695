"""Making calls and keeping what came back, by name: for `contract_calls.py`.

An outcome is a status, the types of the fields that the adapters read, the name of an error's envelope, and the state in
which a thing ended.
"""

import time

import requests

PATIENCE = 180


def fields(prefix, *lists):
    return [f"{prefix}.{field}" for text in lists for words in text for field in words.split()]


def at(body, path):
    """What stands at a path whose parts are separated by dots; names may have dots themselves. KeyError: nothing."""
    if path == "":
        return body
    if isinstance(body, list):
        head, _, rest = path.partition(".")
        if int(head) >= len(body):
            raise KeyError(path)
        return at(body[int(head)], rest)
    if not isinstance(body, dict):
        raise KeyError(path)
    for key in sorted(body, key=len, reverse=True):
        if path == key:
            return body[key]
        if path.startswith(key + "."):
            return at(body[key], path[len(key) + 1 :])
    raise KeyError(path)


def kind(value):
    if value is None:
        return "null"
    names = {bool: "boolean", int: "number", float: "number", str: "text", list: "list", dict: "object"}
    return names[type(value)]


def shape(body, wanted):
    """path -> type, or "absent"."""
    found = {}
    for path in wanted:
        try:
            found[path] = kind(at(body, path))
        except KeyError:
            found[path] = "absent"
    return found


def envelope(body):
    """How a service wraps an error: the outermost keys, and where its sentence stands."""
    if not isinstance(body, dict):
        return "none"
    [name] = list(body) if len(body) == 1 else [",".join(sorted(body))]
    inner = body.get(name)
    sentence = isinstance(inner, dict) and isinstance(inner.get("message"), str) and inner["message"] != ""
    return f"{name}.message" if sentence else name


class Wire:
    """One cloud: Keystone's address and an administrator."""

    def __init__(self, auth_url, admin_password, *, ca=None, volume_type="replicated"):
        self.root = auth_url.rstrip("/")
        self.ca, self.volume_type = ca or True, volume_type
        self.http = requests.Session()
        self.admin_password = admin_password
        self.outcomes, self.tokens, self.catalog = {}, {}, {}
        self._cleanup = []

    # -- the wire

    def call(self, method, url, who="tenant", headers=None, body=None):
        token = {"X-Auth-Token": self.tokens[who]} if who else {}
        return self.http.request(method, url, headers={**token, **(headers or {})}, json=body, verify=self.ca, timeout=60)

    def record(self, name, answer, wanted=(), **states):
        """Keeps what came back; gives its body."""
        assert name not in self.outcomes, name
        try:
            body = answer.json()
        except ValueError:
            body = None
        outcome = {"status": answer.status_code}
        if answer.status_code >= 400:
            outcome["error"] = envelope(body)
        elif wanted:
            outcome["fields"] = shape(body, wanted)
        outcome.update(states)
        self.outcomes[name] = outcome
        return body

    def do(self, name, method, url, wanted=(), **options):
        return self.record(name, self.call(method, url, **options), wanted)

    def await_state(self, name, url, key, ends, headers):
        """Which states a thing goes through, without repeats, until one of `ends` or until it is gone."""
        seen, give_up = [], time.monotonic() + PATIENCE
        while True:
            answer = self.call("GET", url, headers=headers)
            state = "gone" if answer.status_code == 404 else at(answer.json(), key)
            if [state] != seen[-1:]:
                seen.append(state)
            if state in ends:
                break
            assert time.monotonic() < give_up, f"{name}: {seen}"
            time.sleep(0.2)
        # How long each lasts is the machine's affair; a look may miss a short one. The end is what counts.
        self.outcomes[name] = {"end": state}
        return state

    def url(self, *types):
        for wanted in types:
            if wanted in self.catalog:
                return self.catalog[wanted]
        raise AssertionError(f"none of {types} is in the catalog")

    # -- log-in

    def login(self, user, password, project=None, trust=None):
        scope = {"OS-TRUST:trust": {"id": trust}} if trust else {"project": {"name": project, "domain": {"name": "Default"}}}
        body = {
            "auth": {
                "identity": {
                    "methods": ["password"],
                    "password": {"user": {"name": user, "domain": {"name": "Default"}, "password": password}},
                },
                "scope": scope,
            }
        }
        return self.call("POST", f"{self.root}/auth/tokens", who=None, body=body)

    def later(self, method, url, who="tenant", headers=None, until_gone=False):
        """Removes what a run made, also one that ended early."""

        def undo():
            give_up = time.monotonic() + 60
            while True:
                answer = self.call(method, url, who=who, headers=headers)
                is_done = answer.status_code == 404 if until_gone else answer.status_code not in (400, 409)
                if is_done or time.monotonic() > give_up:
                    return
                time.sleep(0.5)

        self._cleanup.append(undo)
