#!/usr/bin/env python3
"""A backup of a running broker, and a data directory made from it."""
import json
import os
import shutil
import subprocess
import tempfile
import threading
import unittest

from pika import spec

from harness import BIN, Broker, StartError, needs_own_broker, wait_for
from wire import DEADLINE

B, Q, X = spec.Basic, spec.Queue, spec.Exchange
KEPT = spec.BasicProperties(delivery_mode=2)
PATH = "/api/warren/backup"


def restore(source, target):
    return subprocess.run([BIN, "--restore", source, "--data-dir", target], capture_output=True,
                          text=True, timeout=6 * DEADLINE, check=False)


class Publisher(threading.Thread):
    """Numbers 1, 2, ... into a queue, one confirm awaited after each few."""

    def __init__(self, broker, queue):
        super().__init__(daemon=True)
        self.conn, self.queue = broker.raw(), queue
        self.sent = self.confirmed = 0
        self.done, self.fault = False, None
        self.conn.channel(1)
        self.conn.rpc(1, spec.Confirm.Select())
        self.start()

    def run(self):
        try:
            while not self.done:
                for _ in range(10):
                    self.sent += 1
                    self.conn.publish(1, "", self.queue, b"%d" % self.sent, KEPT)
                while self.confirmed < self.sent:
                    ack = self.conn.expect(1, B.Ack)
                    self.confirmed = max(self.confirmed, ack.delivery_tag)
        except Exception as e:  # pylint: disable=broad-except
            self.fault = e

    def stop(self):
        self.done = True
        self.join(3 * DEADLINE)
        if self.fault:
            raise AssertionError("the publisher saw: %r" % self.fault)


@needs_own_broker
class Backup(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="warren-backup-")
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)
        self.copy, self.new = os.path.join(self.dir, "copy"), os.path.join(self.dir, "new")

    def begin(self, broker, directory):
        return broker.http("POST", PATH, {"directory": directory})

    def backup(self, broker, directory):
        status, value = self.begin(broker, directory)
        self.assertEqual(status, 204, value)
        got = wait_for(lambda: (s := broker.get(PATH))["state"] != "running" and s,
                       "end of the backup", 6 * DEADLINE)
        self.assertEqual((got["state"], got["directory"]), ("done", directory), got)
        self.assertEqual(got["stores_done"], got["stores"])
        self.assertEqual(got["bytes_done"], got["bytes"])
        return got

    def filled(self, broker, count=200, size=20000):
        """A queue of so many messages, and some topology; a connection."""
        conn = broker.raw()
        conn.channel(1)
        conn.rpc(1, Q.Declare(queue="deep", durable=True))
        conn.rpc(1, X.Declare(exchange="ex", type="topic", durable=True))
        conn.rpc(1, Q.Bind(queue="deep", exchange="ex", routing_key="a.#"))
        conn.rpc(1, spec.Confirm.Select())
        conn.gather()
        for n in range(count):
            conn.publish(1, "ex", "a.b", b"%d " % n + b"x" * size, KEPT)
        conn.flush()
        tag = 0
        while tag < count:
            tag = max(tag, conn.expect(1, B.Ack).delivery_tag)
        return conn

    def take_all(self, conn, queue):
        got = []
        while True:
            conn.cast(1, B.Get(queue=queue, no_ack=True))
            method = conn.expect_one_of(1, (B.GetOk, B.GetEmpty))
            if isinstance(method, B.GetEmpty):
                return got
            got.append(conn.content(1, method).body)

    def check_deep(self, conn, count=200):
        got = self.take_all(conn, "deep")
        self.assertEqual([int(body.split()[0]) for body in got], list(range(count)))
        conn.publish(1, "ex", "a.c", b"again", KEPT)
        self.assertEqual(self.take_all(conn, "deep"), [b"again"])

    def test_of_a_broker_at_work(self):
        with Broker() as broker:
            self.assertEqual(broker.get(PATH), {"state": "none"})
            conn = self.filled(broker)
            conn.rpc(1, Q.Declare(queue="live", durable=True))
            publisher = Publisher(broker, "live")
            wait_for(lambda: publisher.confirmed > 100 or publisher.fault, "confirms")
            confirmed = publisher.confirmed
            self.backup(broker, self.copy)
            sent = publisher.sent
            publisher.stop()
        done = restore(self.copy, self.new)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("vhost /: ", done.stdout)
        with Broker(data=self.new) as broker:
            conn = broker.raw()
            conn.channel(1)
            live = [int(body) for body in self.take_all(conn, "live")]
            self.assertEqual(live, list(range(1, len(live) + 1)))
            self.assertGreaterEqual(len(live), confirmed)
            self.assertLessEqual(len(live), sent)
            self.check_deep(conn)
            self.backup(broker, self.copy + "-2")  # and so on

    def test_what_is_refused(self):
        with Broker() as broker:
            for body in (None, {}, {"directory": 5}, {"directory": "relative"}, [],
                         {"directory": "/no-such-place/x"}, {"directory": "/" + "x" * 600},
                         {"directory": broker.data}):
                status, value = broker.http("POST", PATH, body)
                self.assertEqual(status, 400, (body, value))
                self.assertTrue(value["reason"])
            self.assertEqual(broker.get(PATH), {"state": "none"})
            self.assertEqual(broker.http("DELETE", PATH)[0], 405)
            self.filled(broker, 20)
            self.backup(broker, self.copy)
            status, value = self.begin(broker, self.copy)
            self.assertEqual(status, 400)
            self.assertIn("not empty", value["reason"])
        os.mkdir(self.new)
        with open(os.path.join(self.new, "a-file"), "w", encoding="ascii"):
            pass
        self.refused("not empty")
        os.unlink(os.path.join(self.new, "a-file"))
        self.assertEqual(restore(self.copy, self.new).returncode, 0)  # into an empty one
        self.refused("not empty")
        shutil.rmtree(self.new)
        os.rename(os.path.join(self.copy, "manifest.json"), os.path.join(self.dir, "kept"))
        self.refused("no finished backup")
        self.assertFalse(os.path.exists(self.new))
        for text in ("", "{}", '{"warren_backup": 99}', '{"warren_backup": 1, "stores": []}',
                     json.dumps({"warren_backup": 1, "version": "1", "stores": [
                         {"name": "../x", "vhost": "", "bytes": 1, "group": 1, "crc32c": 1}]})):
            with open(os.path.join(self.copy, "manifest.json"), "w", encoding="ascii") as f:
                f.write(text)
            self.refused("manifest.json")
            self.assertFalse(os.path.exists(self.new))

    def refused(self, text):
        done = restore(self.copy, self.new)
        self.assertEqual(done.returncode, 1)
        self.assertIn(text, done.stderr)

    def test_a_damaged_backup(self):
        with Broker() as broker:
            self.filled(broker, 20)
            self.backup(broker, self.copy)
        with open(os.path.join(self.copy, "manifest.json"), encoding="utf-8") as f:
            stores = json.load(f)["stores"]
        name = [s["name"] for s in stores if s["vhost"] == "/"][0]
        with open(os.path.join(self.copy, name, "store.sqlite"), "r+b") as f:
            f.seek(100000)
            byte = f.read(1)
            f.seek(100000)
            f.write(bytes([byte[0] ^ 1]))
        self.refused("not what the manifest says")
        with self.assertRaises(StartError) as caught:
            Broker(data=self.new)
        self.assertIn("did not come to its end", str(caught.exception))

    def test_killed_in_the_midst(self):
        """What was begun is no backup, the broker has all, and the next one succeeds."""
        with Broker() as broker:
            self.filled(broker, 1000, 50000)
            status, value = self.begin(broker, self.copy)
            self.assertEqual(status, 204, value)
            broker.kill9()
            if not os.path.exists(os.path.join(self.copy, "manifest.json")):
                self.refused("no finished backup")
            broker.start()
            self.assertEqual(broker.get(PATH), {"state": "none"})
            self.backup(broker, self.copy + "-2")
            conn = broker.raw()
            conn.channel(1)
            self.check_deep(conn, 1000)
        self.copy += "-2"
        self.assertEqual(restore(self.copy, self.new).returncode, 0)
        with Broker(data=self.new) as broker:
            conn = broker.raw()
            conn.channel(1)
            self.check_deep(conn, 1000)


if __name__ == "__main__":
    unittest.main()
