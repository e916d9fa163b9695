"""The whole suite; see ../test."""
import argparse
import sys
import traceback

from checks import Checks, say
from labsite import Site
from backend_down import BackendDown
from driver import Driver
from faults import Faults
from hundred import Hundred, Plain
from kills import Kills
from midway import Midway
from quick import Quick
from versions import versions


def many(quick, given):
    hundred = Hundred(quick, given.servers)
    hundred.run()
    names = list(hundred.app.servers)
    Plain(quick, names, 20).run()
    Plain(quick, names[:given.one_by_one or None], 1).run()


def main():
    ask = argparse.ArgumentParser(prog="lab/test")
    ask.add_argument("--full", action="store_true", help="kills, faults and 100 servers, too")
    ask.add_argument("--only", nargs="+", metavar="PART", help="these parts only, after prepare")
    ask.add_argument("--kills", type=int, default=50, metavar="N", help="engine kills of the full pass (default: 50)")
    ask.add_argument("--trips", type=int, default=5, metavar="N", help="round trips through faults (default: 5)")
    ask.add_argument("--servers", type=int, default=100, metavar="N", help="of the many, in 10 groups (default: 100)")
    ask.add_argument("--one-by-one", type=int, metavar="N", help="servers of the plain script without threads (default: all)")
    ask.add_argument("--rate", type=float, default=0.03, help="share of exchanges that a fault meets (default: 0.03)")
    ask.add_argument("--seed", type=int, default=1, help="of random moments and faults (default: 1)")
    given = ask.parse_args()
    c = Checks()
    quick = Quick(c, Site("a"), Site("b"))
    say("versions:", ", ".join(versions()))
    parts = {"prepare": quick.prepare, "driver": Driver(quick).run, **quick.parts()}
    full = {"backend-down": BackendDown(quick).run,
            "dead-midway": Midway(quick).run,
            "kills": Kills(quick, given.kills, given.seed).run,
            "faults": Faults(quick, given.trips, given.rate, given.seed).run,
            "plain-3": lambda: [Plain(quick, list(quick.app.servers), n).run() for n in (1, 20)],
            "hundred": lambda: many(quick, given)}
    parts.update({n: p for n, p in full.items() if given.full or n in (given.only or [])})
    wanted = [p for p in parts if not given.only or p in given.only or p == "prepare" and given.only != ["hundred"]]
    try:
        for part in wanted:
            parts[part]()
    except SystemExit:
        say("stopped: what follows needs what failed")
    except Exception:
        c.that(False, "the step ends", traceback.format_exc())
    return c.summary()


sys.exit(main())
