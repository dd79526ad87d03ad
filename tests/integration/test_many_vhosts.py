#!/usr/bin/env python3
"""Many vhosts: each has its store, and what the node has is divided among them."""
import json
import os
import tempfile
import unittest

from pika import spec

from harness import SLOW, Broker, needs_own_broker, wait_for
from wire import DEADLINE

B, Q = spec.Basic, spec.Queue
KEPT = spec.BasicProperties(delivery_mode=2)
COUNT = 150 if SLOW == 1 else 40
MIB = 1 << 20


def definitions():
    names = ["v%d" % n for n in range(COUNT)]
    return {"vhosts": [{"name": name} for name in names],
            "users": [{"name": "guest", "password": "guest", "tags": "administrator"}],
            "permissions": [{"user": "guest", "vhost": name, "configure": ".*", "write": ".*",
                             "read": ".*"} for name in names]}


@needs_own_broker
class ManyVhosts(unittest.TestCase):
    def setUp(self):
        fd, self.file = tempfile.mkstemp(prefix="warren-vhosts-", suffix=".json")
        self.addCleanup(os.unlink, self.file)
        with os.fdopen(fd, "w", encoding="utf-8") as f:
            json.dump(definitions(), f)

    def use(self, broker, vhost):
        conn = broker.raw(vhost=vhost)
        conn.channel(1)
        conn.rpc(1, Q.Declare(queue="q", durable=True))
        conn.rpc(1, spec.Confirm.Select())
        conn.publish(1, "", "q", b"m", KEPT)
        conn.expect(1, B.Ack, 3 * DEADLINE)
        conn.cast(1, B.Get(queue="q", no_ack=True))
        self.assertEqual(conn.content(1, conn.expect(1, B.GetOk)).body, b"m")

    def store(self, broker, vhost):
        pid = [p["pid"] for p in broker.get("/api/processes") if p["name"] == "store:" + vhost]
        return broker.get("/api/processes/" + pid[0])["inspect"]

    def check_bounds(self, broker):
        base = "/proc/%d" % broker.proc.pid
        self.assertLess(len(os.listdir(base + "/fd")), 2 * COUNT + 100)
        with open(base + "/status", encoding="ascii") as f:
            kib = [int(line.split()[1]) for line in f if line.startswith("VmRSS")][0]
        if SLOW == 1:
            self.assertLess(kib / 1024, 150 + COUNT / 2)

    def test_start_and_use(self):
        with Broker(["--set", "load_definitions=" + self.file, "--set", "store.wal=%d" %
                     (COUNT * 3 * MIB)]) as broker:
            for _ in range(2):
                for vhost in ("v0", "v%d" % (COUNT // 2), "v%d" % (COUNT - 1)):
                    self.use(broker, vhost)
                self.check_bounds(broker)
                # All, and the node's own.
                wait_for(lambda: 2 * MIB < self.store(broker, "v0")["wal_share"] <= 3 * MIB,
                         "the share of one of so many")
                broker.stop()
                broker.start()


if __name__ == "__main__":
    unittest.main()
