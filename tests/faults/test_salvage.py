#!/usr/bin/env python3
"""One vhost's store is damaged: it is down with the reason, others serve, and it is salvaged."""
import glob
import json
import os
import subprocess
import tempfile
import unittest

from pika import spec

from harness import BIN, Broker, needs_own_broker, wait_for
from wire import DEADLINE

B, Q = spec.Basic, spec.Queue
KEPT = spec.BasicProperties(delivery_mode=2)
PAGE, COUNT = 8192, 300
VHOSTS = ("ill", "well")


def salvage(data, vhost):
    return subprocess.run([BIN, "--salvage", vhost, "--data-dir", data], capture_output=True,
                          text=True, timeout=6 * DEADLINE, check=False)


@needs_own_broker
class Salvage(unittest.TestCase):
    def setUp(self):
        fd, path = tempfile.mkstemp(prefix="warren-vhosts-", suffix=".json")
        self.addCleanup(os.unlink, path)
        with os.fdopen(fd, "w", encoding="utf-8") as f:
            json.dump({"vhosts": [{"name": name} for name in VHOSTS],
                       "users": [{"name": "guest", "password": "guest", "tags": "administrator"}],
                       "permissions": [{"user": "guest", "vhost": name, "configure": ".*",
                                        "write": ".*", "read": ".*"} for name in VHOSTS]}, f)
        self.broker = Broker(["--set", "load_definitions=" + path])
        self.addCleanup(self.broker.remove)
        self.dirs = {}
        for vhost in VHOSTS:
            self.fill(vhost)
        for path in glob.glob(self.broker.data + "/vhost-*/store.sqlite*"):
            with open(path, "rb") as f:
                data = f.read()
            for vhost in VHOSTS:
                if b"body of " + vhost.encode() in data:
                    self.dirs[vhost] = os.path.dirname(path)
        self.assertEqual(set(self.dirs), set(VHOSTS))

    def opened(self, vhost):
        conn = self.broker.raw(vhost=vhost)
        self.addCleanup(conn.kill)
        conn.channel(1)
        return conn

    def fill(self, vhost):
        conn = self.opened(vhost)
        conn.rpc(1, Q.Declare(queue="q", durable=True))
        conn.rpc(1, spec.Confirm.Select())
        conn.gather()
        for n in range(COUNT):
            conn.publish(1, "", "q", b"%d body of %s " % (n, vhost.encode()) + b"x" * 8000, KEPT)
        conn.flush()
        tag = 0
        while tag < COUNT:
            tag = max(tag, conn.expect(1, B.Ack).delivery_tag)

    def take_all(self, vhost):
        conn, got = self.opened(vhost), []
        while True:
            conn.cast(1, B.Get(queue="q"))
            method = conn.expect_one_of(1, (B.GetOk, B.GetEmpty))
            if isinstance(method, B.GetEmpty):
                conn.kill()
                return got
            body = conn.content(1, method).body
            number, rest = body.split(b" ", 1)
            self.assertEqual(rest, b"body of %s " % vhost.encode() + b"x" * 8000)
            got.append(int(number))

    def damage(self, with_bodies):
        """The broker stops in order, so all is in the one file; then a page of it is noise."""
        self.assertEqual(self.broker.stop(), 0)
        with open(os.path.join(self.dirs["ill"], "store.sqlite"), "r+b") as f:
            data, at = f.read(), 0
            if with_bodies:
                pages = [n for n in range(0, len(data), PAGE) if b"x" * 4000 in data[n:n + PAGE]]
                at = pages[len(pages) // 2]
            f.seek(at)
            f.write(os.urandom(PAGE))

    def told_down(self):
        def seen():
            try:
                conn = self.broker.raw(vhost="ill")
            except AssertionError as e:
                return "541" in str(e) and str(e)
            conn.kill()
            return None
        return wait_for(seen, "541 for the damaged vhost", 6 * DEADLINE)

    def test_a_damaged_page(self):
        """A page of bodies: all else is kept, and said."""
        self.damage(True)
        done = salvage(self.broker.data, "ill")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("kept: ", done.stdout)
        kept = int(done.stdout.split("definitions, ")[1].split()[0])
        self.assertEqual(len(glob.glob(self.dirs["ill"] + ".damaged-1")), 1)
        self.broker.start()
        got = self.take_all("ill")
        self.assertEqual(got, sorted(set(got)))
        self.assertEqual(len(got), kept)
        self.assertGreater(len(got), COUNT // 2)
        self.assertLess(len(got), COUNT)
        self.assertEqual(self.take_all("well"), list(range(COUNT)))
        self.assertEqual(self.broker.stop(), 0)

    def test_the_first_page(self):
        """Nothing can be read: that is said, and the other vhost serves."""
        self.damage(False)
        self.broker.start()
        text = self.told_down()
        self.assertIn("vhost 'ill' is down: store: ", text)
        self.assertEqual(self.take_all("well"), list(range(COUNT)))
        parked = json.dumps(self.broker.get("/api/processes"))
        self.assertIn("not a database", parked)
        self.backed_up()
        done = salvage(self.broker.data, "ill")
        self.assertEqual(done.returncode, 1)
        self.assertIn("nothing of ", done.stderr)
        done = salvage(self.broker.data, "well")
        self.assertEqual(done.returncode, 1)
        self.assertIn("in use", done.stderr)
        done = salvage(self.broker.data, "no-such-vhost")
        self.assertEqual(done.returncode, 1)
        self.assertIn("has no store", done.stderr)
        self.assertEqual(self.broker.stop(), 0)

    def backed_up(self):
        """A backup meanwhile has all the others, and says what it has not."""
        with tempfile.TemporaryDirectory(prefix="warren-backup-") as where:
            copy, new = os.path.join(where, "copy"), os.path.join(where, "new")
            path = "/api/warren/backup"
            self.assertEqual(self.broker.http("POST", path, {"directory": copy})[0], 204)
            got = wait_for(lambda: (s := self.broker.get(path))["state"] != "running" and s,
                           "end of the backup", 6 * DEADLINE)
            self.assertEqual((got["state"], got["vhosts_missing"]), ("done", 1), got)
            self.assertIn("ill: ", got["missing"])
            done = subprocess.run([BIN, "--restore", copy, "--data-dir", new], text=True,
                                  capture_output=True, timeout=6 * DEADLINE, check=False)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertIn("vhost ill: not in this backup", done.stdout)
            with Broker(data=new) as broker:
                mine, self.broker = self.broker, broker
                self.assertEqual(self.take_all("well"), list(range(COUNT)))
                conn = self.opened("ill")
                conn.rpc(1, Q.Declare(queue="q", durable=True))
                conn.kill()
                self.broker = mine

    def test_nothing_is_damaged(self):
        self.assertEqual(self.broker.stop(), 0)
        for vhost in ("well", ""):
            done = salvage(self.broker.data, vhost)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertNotIn("lost", done.stdout)
        self.broker.start()
        self.assertEqual(self.take_all("well"), list(range(COUNT)))
        self.assertEqual(self.broker.stop(), 0)


if __name__ == "__main__":
    unittest.main()
