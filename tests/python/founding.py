"""The founding document's curl examples: `founding_examples.txt` is its text, verbatim.

Only hosts, ids and tokens differ from what a person would paste; what the document leaves to that person (credentials of
site B) is a file in a home folder, as there. Status codes come from a `.curlrc` in the same folder.
"""

import json
import pathlib
import re
import shlex

TEXT = pathlib.Path(__file__).with_name("founding_examples.txt").read_text()
OPERATION = re.compile(r"op-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
# What a person reads between commands and answers: neither of both.
PROSE = re.compile(r"^(Expected response|Example \d|[A-Z][a-z]+ .*[.:]$|When retain_primary)")


def token_and_tenant():
    """The lines that come before all examples."""
    return TEXT.split("Example 1 ")[0].split("\n", 1)[1]


def example(number):
    """The text of one example, without its heading."""
    _, rest = TEXT.split(f"Example {number} — ")
    return re.split(r"\nExample \d — ", rest)[0].split("\n", 1)[1]


def commands(number):
    """What is to be pasted into a shell, block by block: all lines between prose and prose."""
    blocks, block, in_answer = [], [], False
    for line in [*example(number).splitlines(), "Expected response:"]:
        if PROSE.match(line):
            in_answer = line.startswith("Expected response")
            blocks.append("\n".join(block))
            block = []
        elif not in_answer:
            block.append(line)
    return [block for block in blocks if "curl" in block]


def answers(number):
    """The documented answers, parsed."""
    decoder, found = json.JSONDecoder(), []
    for rest in re.split(r"^Expected response[^\n]*:\n", example(number), flags=re.MULTILINE)[1:]:
        found.append(decoder.raw_decode(rest)[0])
    return found


# Of every failover, failback and drill, in this order.
STAGES = answers(6)[-1]["operation"]["steps_completed"]


def home(demo, folder):
    """A home folder as the document has it in mind: credentials for site B, and a curl that tells the status code."""
    folder.mkdir(exist_ok=True)
    (folder / ".curlrc").write_text('write-out = "\\n%{http_code}"\n')
    account = {
        "OS_USERNAME": "app-user",
        "OS_PASSWORD": "app-password",
        "OS_PROJECT_NAME": "app",
        "OS_USER_DOMAIN_NAME": "Default",
        "OS_PROJECT_DOMAIN_NAME": "Default",
        "OS_IDENTITY_API_VERSION": "3",
    }
    lines = [f"export {key}={shlex.quote(value)}" for key, value in account.items()]
    (folder / "site-b-openrc").write_text("\n".join(["unset OS_CLOUD", *lines]) + "\n")
    return folder


def paste(demo, home, script, **variables):
    """Runs a documented block; gives status code and body of its last answer."""
    hosts = {
        "http://site-a-controller:8788": demo["SITE_A_API_URL"],
        "http://site-b-controller:8788": demo["SITE_B_API_URL"],
        "http://site-b-controller:5000/v3": demo["SITE_B_AUTH_URL"],
    }
    for documented, real in hosts.items():
        script = script.replace(documented, real)
    printed = demo.bash(script, HOME=str(home), **variables)
    body, code = printed.rstrip().rsplit("\n", 1)
    return int(code), json.loads(body)


def alike(demo, documented, actual, at="answer"):
    """The answer has the documented fields with the documented values; ids and times by their form."""
    if isinstance(documented, dict):
        assert isinstance(actual, dict), f"{at}: {actual}"
        # Not their order: the document has two of them.
        missing = set(documented) - set(actual)
        assert not missing, f"{at}: {missing} are documented, but it has {list(actual)}"
        for key, value in documented.items():
            alike(demo, value, actual[key], f"{at}.{key}")
    elif documented == "op-456abc78-..." or documented == "op-999def00-...":
        assert OPERATION.fullmatch(actual), f"{at}: {actual}"
    elif documented in ("site-a-uuid", "site-b-uuid"):
        assert actual == demo[f"SITE_{documented[5].upper()}_SITE_ID"], f"{at}: {actual}"
    elif isinstance(documented, str) and INSTANT.fullmatch(documented):
        assert INSTANT.fullmatch(actual), f"{at}: {actual}"
    elif at.endswith(".status") and documented == "running":
        # "returns an operation record with status pending or running".
        assert actual in ("pending", "running"), f"{at}: {actual}"
    elif at.endswith(".progress") and 0 < documented < 100:
        assert 0 < actual < 100, f"{at}: {actual}"
    else:
        assert actual == documented, f"{at}: {actual}, documented is {documented}"
