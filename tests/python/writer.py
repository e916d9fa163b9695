"""A guest that never stops writing, and what a volume must hold afterwards: exactly one point of all that it wrote.

Volumes are known by server and device, which are the same at both sites. Writing goes through the simulated cloud's door:
it needs a running guest, an attached volume and a connection at the array, and nothing else.
"""

import json
import threading
import time
import urllib.error
import urllib.request


def door(demo, letter, path, body=None):
    """The simulated cloud's door; status and parsed body."""
    request = urllib.request.Request(
        f"{demo[f'SITE_{letter}_CLOUD_URL']}/_sim/{path}",
        data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, json.loads(answer.read() or b"null")
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read() or b"null")


def disks(demo, letter):
    """(server's name, device) -> (server's id, volume's id), of all servers of the tenant at a site; a drill's by the
    name of what it rehearses."""
    with demo.connection(f"site-{letter.lower()}") as connection:
        names = {server.id: server.name.removesuffix("-drill") for server in connection.compute.servers()}
        found = {}
        for volume in connection.block_storage.volumes():
            for attached in volume.attachments:
                key = (names[attached["server_id"]], attached["device"])
                found[key] = (attached["server_id"], volume.id)
        return found


def contents(demo, letter):
    """What the disks at a site hold, oldest first."""
    held = {}
    for key, (_, volume) in disks(demo, letter).items():
        status, body = door(demo, letter, f"content?volume={volume}")
        assert status == 200, body
        held[key] = body["stamps"]
    return held


class Writer:
    """Writes to one disk after the other at a site, from `with` to its end; `log` has what was acknowledged, in order."""

    def __init__(self, demo, letter, name):
        self.demo, self.letter, self.name = demo, letter, name
        self.disks = disks(demo, letter)
        self.log, self.times, self.refused = [], [], 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._write, daemon=True)

    def __enter__(self):
        self.before = contents(self.demo, self.letter)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        self._stop.set()
        self._thread.join(timeout=30)

    def wrote(self, count):
        """Waits until so many more writes are acknowledged."""
        wanted, give_up = len(self.log) + count, time.monotonic() + 30
        while len(self.log) < wanted:
            assert time.monotonic() < give_up, f"{self.name} cannot write"
            time.sleep(0.01)

    def _write(self):
        number = 0
        while not self._stop.is_set():
            for key, (server, volume) in self.disks.items():
                number += 1
                stamp = f"{self.name} {number}"
                status, _ = door(self.demo, self.letter, "write", {"server": server, "volume": volume, "stamp": stamp})
                if status == 204:
                    self.log.append((key, stamp))
                    self.times.append(time.time())
                else:
                    self.refused += 1
            # Not a load test.
            self._stop.wait(0.01)

    def point(self, held):
        """How many of its writes are held, which must be the first ones of all disks together: one moment."""
        last_held, first_missing = -1, len(self.log)
        assert set(held) == set(self.disks), f"{set(held)} are not the disks of {set(self.disks)}"
        for key, stamps in held.items():
            before = self.before[key]
            assert stamps[: len(before)] == before, f"{key} does not hold what was there before"
            mine = [at for at, (disk, _) in enumerate(self.log) if disk == key]
            kept = stamps[len(before) :]
            assert kept == [self.log[at][1] for at in mine[: len(kept)]], f"{key} holds something that was never written in that order"
            if kept:
                last_held = max(last_held, mine[len(kept) - 1])
            if len(kept) < len(mine):
                first_missing = min(first_missing, mine[len(kept)])
        assert last_held < first_missing, f"two moments: write {last_held} is held, the earlier {first_missing} is not"
        return first_missing

    def nothing_lost(self, held):
        """All that was acknowledged is there, and nothing else."""
        assert len(self.log) > len(self.disks), "it wrote"
        assert self.point(held) == len(self.log), f"{len(self.log) - self.point(held)} writes are lost"
