#!/usr/bin/env python3
"""Several vhosts: apart from one another, with any names, and there again after each start."""
import json
import os
import tempfile
import unittest

from pika import spec

from harness import Broker, needs_own_broker
from wire import Raw

B, Q, X, C = spec.Basic, spec.Queue, spec.Exchange, spec.Connection
KEPT = spec.BasicProperties(delivery_mode=2)
NAMES = ["/", "a", "tenant/b", "with blanks and : colons", "ünïcödé \u2603", "../../x", "%2F",
         "v" * 255]


@needs_own_broker
class Vhosts(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        with tempfile.NamedTemporaryFile("w", suffix=".json", delete=False) as f:
            json.dump({
                "vhosts": [{"name": n} for n in NAMES],
                "permissions": [{"user": "guest", "vhost": n, "configure": ".*", "write": ".*",
                                 "read": ".*"} for n in NAMES]}, f)
        cls.path = f.name
        cls.broker = Broker(["--set", "load_definitions=" + f.name])

    @classmethod
    def tearDownClass(cls):
        cls.broker.__exit__(None, None, None)
        os.unlink(cls.path)

    def opened(self, vhost):
        conn = self.broker.raw(vhost=vhost)
        conn.channel(1)
        self.addCleanup(conn.kill)
        return conn

    def get(self, conn, queue):
        conn.cast(1, B.Get(queue=queue))
        method = conn.expect_one_of(1, (B.GetOk, B.GetEmpty))
        if isinstance(method, B.GetEmpty):
            return None
        conn.cast(1, B.Ack(method.delivery_tag))
        return conn.content(1, method).body

    def test_apart_and_kept(self):
        for name in NAMES:
            conn = self.opened(name)
            conn.rpc(1, Q.Declare(queue="q", durable=True))
            conn.rpc(1, Q.Bind(queue="q", exchange="amq.direct", routing_key="k"))
            conn.rpc(1, spec.Confirm.Select())
            for body in (b"first", name.encode()):
                conn.publish(1, "amq.direct", "k", body, KEPT)
            while conn.expect(1, B.Ack).delivery_tag != 2:
                pass
        for name in NAMES:
            conn = self.opened(name)
            self.assertEqual(self.get(conn, "q"), b"first")
            conn.close()  # What was taken is settled for good then.
        self.broker.kill9()
        self.broker.args = []  # All of it is in the store.
        self.broker.start()
        for name in NAMES:
            conn = self.opened(name)
            self.assertEqual(self.get(conn, "q"), name.encode())
            self.assertIsNone(self.get(conn, "q"))
            conn.rpc(1, Q.Delete(queue="q"))

    def test_unknown(self):
        for name in ("nope", "", "A", "a ", "v" * 254):
            conn = Raw(self.broker.addr)
            self.addCleanup(conn.kill)
            conn.start_ok()
            conn.expect(0, C.Tune)
            conn.cast(0, C.TuneOk(2047, 131072, 0))
            conn.cast(0, C.Open(name))
            conn.expect_close(0, 530, 10, 40)

    def test_a_kind_that_crashes_for_ever(self):
        """Without its store the node lets nobody in whom it cannot know; the program goes on."""
        broker = Broker(["--set", "debug.crash_in_init=access_hash"])
        self.addCleanup(broker.__exit__, None, None, None)
        broker.raw().close()
        for kind in ("node", "node_store"):
            broker = Broker(["--set", "debug.crash_in_init=" + kind], start=False)
            self.addCleanup(broker.__exit__, None, None, None)
            broker.start()
            self.assertEqual(broker.http("GET", "/api/overview")[0], 401)
            self.assertEqual(broker.stop(), 0)


if __name__ == "__main__":
    unittest.main()
