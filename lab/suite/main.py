"""The whole suite; see ../test."""
import argparse
import sys
import traceback

from checks import Checks, say
from labsite import Site
from quick import Quick


def main():
    ask = argparse.ArgumentParser(prog="lab/test")
    ask.add_argument("--full", action="store_true", help="kills, faults and 100 servers, too")
    ask.add_argument("--only", nargs="+", metavar="PART", help="these parts of the quick pass only, after prepare")
    given = ask.parse_args()
    c = Checks()
    quick = Quick(c, Site("a"), Site("b"))
    parts = quick.parts()
    wanted = [p for p in parts if not given.only or p == "prepare" or p in given.only]
    try:
        for part in wanted:
            parts[part]()
    except SystemExit:
        say("stopped: what follows needs what failed")
    except Exception:
        c.that(False, "the step ends", traceback.format_exc())
    return c.summary()


sys.exit(main())
