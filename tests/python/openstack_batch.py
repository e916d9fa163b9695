"""Runs several `openstack` command lines in one process; reads them from standard input, answers JSON.

For what is looked at in bulk: starting the command takes longer than anything that it does. All lines use one cloud:
OpenStackClient keeps its clients for the life of the process.
"""

import contextlib
import io
import json
import logging
import shlex
import sys

from openstackclient import shell


def run(line):
    out, err = io.StringIO(), io.StringIO()
    # Each run configures logging anew, to the standard error that it finds.
    logging.getLogger().handlers.clear()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = shell.main(shlex.split(line))
        except SystemExit as end:
            code = end.code
    return {"line": line, "code": code, "out": out.getvalue(), "err": err.getvalue()}


json.dump([run(line) for line in sys.stdin.read().splitlines() if line], sys.stdout)
