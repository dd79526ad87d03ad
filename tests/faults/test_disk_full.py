#!/usr/bin/env python3
"""A disk that is full: publishers wait, queues drain, and all goes on when there is room.

On a small file system in memory, where one may be mounted.
"""
import os
import shutil
import subprocess
import tempfile
import unittest

from pika import spec

from harness import Broker, needs_own_broker, wait_for
from wire import DEADLINE

B, Q, C = spec.Basic, spec.Queue, spec.Connection
KEPT = spec.BasicProperties(delivery_mode=2)
CAN = {"connection.blocked": True}
MB = 1000 * 1000
COUNT = 200


@needs_own_broker
class DiskFull(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="warren-full-")
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=160m", "tmpfs", self.dir],
                              capture_output=True, check=False)
        if done.returncode:
            self.skipTest("no file system may be mounted here")
        self.addCleanup(subprocess.run, ["umount", "-l", self.dir], check=False)
        self.data, self.filler = os.path.join(self.dir, "data"), os.path.join(self.dir, "filler")

    def free(self):
        at = os.statvfs(self.dir)
        return at.f_bavail * at.f_frsize

    def has_ballast(self):
        return os.path.exists(os.path.join(self.data, "ballast"))

    def opened(self, broker, **options):
        conn = broker.raw(**options)
        conn.channel(1)
        return conn

    def publish(self, broker):
        conn = self.opened(broker)
        conn.rpc(1, Q.Declare(queue="q", durable=True))
        conn.rpc(1, spec.Confirm.Select())
        conn.gather()
        for n in range(COUNT):
            conn.publish(1, "", "q", b"%d " % n + b"x" * 20000, KEPT)
        conn.flush()
        tag = 0
        while tag < COUNT:
            tag = max(tag, conn.expect(1, B.Ack).delivery_tag)

    def fill(self):
        """At once all but one MB, so that what is given up is not eaten as well."""
        with open(self.filler, "wb") as f:
            os.posix_fallocate(f.fileno(), 0, self.free() - MB)

    def drain(self, broker):
        conn = self.opened(broker)
        for n in range(COUNT):
            conn.cast(1, B.Get(queue="q"))
            message = conn.content(1, conn.expect(1, B.GetOk, 3 * DEADLINE))
            self.assertEqual(int(message.body.split()[0]), n)
            conn.cast(1, B.Ack(message.tag))
        conn.close()  # its answer says that the acks are durable

    def test_it_drains_and_goes_on(self):
        with Broker(["--set", "disk_free_limit.absolute=40MB", "--set", "disk_ballast=16MB"],
                    data=self.data) as broker:
            wait_for(self.has_ballast, "the ballast")
            self.publish(broker)
            self.fill()
            wait_for(lambda: not self.has_ballast(), "the ballast's end")
            blocked = self.opened(broker, capabilities=CAN)
            blocked.publish(1, "", "nobody", b"")
            self.assertEqual(blocked.expect(0, C.Blocked, 3 * DEADLINE).reason, "low on disk")
            self.drain(broker)
            os.unlink(self.filler)
            blocked.expect(0, C.Unblocked, 3 * DEADLINE)
            wait_for(self.has_ballast, "the ballast again")
            conn = self.opened(broker)
            self.assertEqual(conn.rpc(1, Q.Declare(queue="q", passive=True)).message_count, 0)
            self.publish(broker)

    def test_a_start_on_a_full_disk(self):
        """Killed when it is full, with the ballast still there: it starts, and drains."""
        args = ["--set", "disk_free_limit.absolute=40MB", "--set", "disk_ballast=16MB"]
        with Broker(args, data=self.data) as broker:
            wait_for(self.has_ballast, "the ballast")
            self.publish(broker)
            broker.kill9()
            self.fill()
            self.assertTrue(self.has_ballast())
            broker.start()
            wait_for(lambda: not self.has_ballast(), "the ballast's end")
            self.drain(broker)
            broker.kill9()
            os.unlink(self.filler)
            broker.start()
            conn = self.opened(broker)
            self.assertEqual(conn.rpc(1, Q.Declare(queue="q", passive=True)).message_count, 0)


if __name__ == "__main__":
    unittest.main()
