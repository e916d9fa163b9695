"""The curl lines of the founding document: cut out of its text, which the tests of the simulated sites paste as well."""

import pathlib
import sys

sys.path.append(str(pathlib.Path(__file__).resolve().parents[2] / "tests/python"))

from founding import commands  # noqa: E402

[FAILOVER] = commands(1)
_, CLEANUP = commands(3)
[FAILBACK] = commands(4)
[SYNC] = commands(5)
[POLL] = commands(6)

# The document's examples of these two map its web network only and no flavor; this group has two networks and other flavors.
FORCED = FAILOVER.replace("site-a-controller", "site-b-controller").replace('"force": false', '"force": true')
DRILL = FAILOVER.replace('"force": false', '"retain_primary": true')
