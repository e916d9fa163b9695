"""A site's Protector engine as a process: killed at a moment of our choice, and started again."""
import os
import signal
import subprocess
import time

STATE = os.environ["LAB_STATE"]


class Engine:
    def __init__(self, letter):
        self.root = os.path.join(STATE, letter)
        self.pid_file = os.path.join(self.root, "run", "protector-engine.pid")

    def pid(self):
        with open(self.pid_file) as f:
            return int(f.read())

    def kill(self):
        """SIGKILL, and only after it is gone this returns."""
        pid = self.pid()
        os.kill(pid, signal.SIGKILL)
        for _ in range(500):
            try:
                os.waitpid(pid, os.WNOHANG)
            except ChildProcessError:
                pass
            try:
                os.kill(pid, 0)
            except ProcessLookupError:
                return
            time.sleep(0.01)
        raise AssertionError("engine %d does not die" % pid)

    def start(self, lease_seconds=None):
        # A shorter lease than the default, so that 50 deaths are not 50 times 20 seconds of waiting.
        env = dict(os.environ)
        if lease_seconds:
            env.update(OS_ENGINE__LEASE_SECONDS=str(lease_seconds), OS_ENGINE__HEARTBEAT_SECONDS="1")
        etc = os.path.join(self.root, "etc", "protector")
        with open(os.path.join(self.root, "log", "protector-engine.out"), "ab") as log:
            child = subprocess.Popen([etc + "/bin/protector-engine", "--config-file", etc + "/protector.conf"],
                                     stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=env, start_new_session=True)
        with open(self.pid_file, "w") as f:
            f.write(str(child.pid))
