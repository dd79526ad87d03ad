#!/usr/bin/env python3
"""The management port: who may ask, and what is told."""
import socket
import unittest

from pika import spec

from harness import BrokerCase, DEADLINE, fresh, needs_own_broker, wait_for

B, Q = spec.Basic, spec.Queue
PATHS = ("/api/overview", "/api/queues", "/api/processes")


@needs_own_broker
class Mgmt(BrokerCase):
    def test_login(self):
        for path in PATHS:
            for user, password in ((None, ""), ("guest", "wrong"), ("nobody", "guest"), ("", "")):
                status, value = self.broker.http("GET", path, user=user, password=password)
                self.assertEqual(status, 401, (path, user))
                self.assertEqual(value["error"], "not_authorized")

    def test_not_found(self):
        for path in ("/api/nothing", "/api/x/", "/api/queues/%2F/no-such-queue/x",
                     "/api/overview/x"):
            for user in "guest", None:
                status, value = self.broker.http("GET", path, user=user)
                self.assertEqual((status, value["error"]), (404, "Object Not Found"), path)
        for user in "guest", None:
            self.assertEqual(self.broker.http("POST", "/api/queues", {}, user=user)[0], 405)

    def test_overview(self):
        value = self.broker.get("/api/overview")
        self.assertEqual(value["product_name"].lower(), "warren")
        for key in ("product_version", "object_totals", "queue_totals", "listeners", "node"):
            self.assertIn(key, value)
        ports = {listener["port"] for listener in value["listeners"]}
        self.assertIn(self.broker.addr[1], ports)

    def test_queues(self):
        conn, name = self.opened(), fresh('q"<b>ü')
        conn.rpc(1, Q.Declare(queue=name, durable=True))
        for _ in range(5):
            conn.publish(1, "", name, b"12345")
        conn.rpc(1, B.Qos(prefetch_count=2))
        conn.rpc(1, B.Consume(queue=name))
        for _ in range(2):
            conn.message(1)

        def seen():
            found = [q for q in self.broker.get("/api/queues") if q["name"] == name]
            self.assertEqual(len(found), 1)
            got = found[0]
            return got["messages_ready"] == 3 and got
        got = wait_for(seen, "three ready messages")
        self.assertEqual((got["vhost"], got["durable"], got["exclusive"], got["auto_delete"]),
                         ("/", True, False, False))
        self.assertEqual((got["messages"], got["messages_unacknowledged"], got["consumers"]),
                         (5, 2, 1))
        conn.delete_queue(name)
        self.assertNotIn(name, [q["name"] for q in self.broker.get("/api/queues")])

    def test_processes(self):
        conn, name = self.opened(), fresh()
        conn.rpc(1, Q.Declare(queue=name))
        processes = self.broker.get("/api/processes")
        fields = {"name", "kind", "pid", "state", "mailbox", "heap", "messages_handled", "restarts",
                  "last_crash"}
        for process in processes:
            self.assertFalse(fields - set(process), process)
        kinds = {process["kind"] for process in processes}
        self.assertLessEqual({"tables", "log", "registry", "store", "listener", "connection",
                              "channel", "queue", "exchange", "supervisor"}, kinds)
        names = [process["name"] for process in processes if process["kind"] == "queue"]
        self.assertTrue([n for n in names if name in n], names)
        self.assertEqual(len({p["pid"] for p in processes}), len(processes))

    def test_methods_and_bodies(self):
        for method, path in (("DELETE", "/api/overview"), ("POST", "/api/queues"),
                             ("PUT", "/api/processes")):
            status, _ = self.broker.http(method, path, {"a": 1})
            self.assertIn(status, (400, 404, 405), (method, path))

    def test_debug_is_off(self):
        status, _ = self.broker.http("POST", "/api/debug/crash",
                                     {"process": "registry", "how": "check"})
        self.assertIn(status, (403, 404, 405))

    def test_garbage(self):
        """What is no HTTP harms neither the port nor the broker."""
        for data in (b"\0" * 100, b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"A" * 100000,
                     b"POST /api/overview HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n",
                     b"GET /" + b"%" * 300 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
                     b"AMQP\0\0\x09\x01"):
            with socket.create_connection(self.broker.mgmt, timeout=DEADLINE) as sock:
                try:
                    sock.sendall(data)
                except OSError:
                    pass
        self.broker.get("/api/overview")


if __name__ == "__main__":
    unittest.main()
