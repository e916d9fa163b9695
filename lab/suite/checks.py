"""Counts checks, prints what was wrong with each that fails."""
import time

T0 = time.time()


def say(*words):
    print("%7.1fs" % (time.time() - T0), *words, flush=True)


class Checks:
    def __init__(self):
        self.passed, self.failed, self.times = 0, [], []
        self.step = "start"

    def begin(self, step):
        self.step = step
        say("==", step)

    def that(self, ok, what, wrong=""):
        """One check; `wrong` says what was there in place of what must be."""
        if ok:
            self.passed += 1
        else:
            self.failed.append("%s: %s: %s" % (self.step, what, wrong))
            say("FAIL", what, "--", wrong)
        return ok

    def equal(self, got, want, what):
        return self.that(got == want, what, "must be %r, is %r" % (want, got))

    def took(self, what, seconds):
        self.times.append((what, seconds))
        say("   %s: %.1f s" % (what, seconds))

    def summary(self):
        say("%d checks, %d passed, %d failed" % (
            self.passed + len(self.failed), self.passed, len(self.failed)))
        for line in self.failed:
            print("  FAILED", line)
        return 1 if self.failed else 0
