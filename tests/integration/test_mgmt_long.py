#!/usr/bin/env python3
"""Answers too long to be kept as a whole: they come as fast as their client takes them."""
import base64
import http.client
import json
import os
import socket
import unittest
import urllib.parse

from pika import spec

from harness import DEADLINE, BrokerCase, needs_own_broker, wait_for

QUEUES = 5000  # more than sockets and their buffers hold: 6 MB
HELD = 40
# What ASan keeps of freed memory, to find who still uses it, would be taken for the broker's.
if "ASAN_OPTIONS" in os.environ:
    os.environ["ASAN_OPTIONS"] += ":quarantine_size_mb=4:thread_local_quarantine_size_kb=64"
LOGIN = {"Authorization": "Basic " + base64.b64encode(b"guest:guest").decode()}


def resident(pid):
    with open("/proc/%d/status" % pid) as f:
        for line in f:
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
    return 0


@needs_own_broker
class Long(BrokerCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        conn = cls.broker.raw()
        conn.channel(1)
        for i in range(QUEUES):
            declare = spec.Queue.Declare(queue="long%05d" % i, nowait=i + 1 < QUEUES)
            conn.cast(1, declare)
        conn.expect(1, spec.Queue.DeclareOk)
        conn.close()

    def begin(self, path):
        """A client that has asked, and reads no more than the head: (connection, answer)."""
        conn = http.client.HTTPConnection(*self.broker.mgmt, timeout=DEADLINE)
        self.addCleanup(conn.close)
        conn.sock = socket.socket()
        conn.sock.settimeout(DEADLINE)
        conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        conn.sock.connect(self.broker.mgmt)
        conn.request("GET", path, headers=LOGIN)
        return conn, conn.getresponse()

    def requests(self):
        """The pids of requests that go on, without those that ask here."""
        pids = [{p["pid"] for p in self.broker.get("/api/processes")
                 if p["kind"] == "mgmt_request"} for _ in range(2)]
        return pids[0] & pids[1]

    def wait_for_none(self):
        wait_for(lambda: not self.requests(), "the requests end")

    def test_whole_and_in_order(self):
        names = ["long%05d" % i for i in range(QUEUES)]
        for path, key, wanted in (
                ("/api/queues", "name", names), ("/api/bindings", "destination", None),
                ("/api/queues?sort=name&sort_reverse=true&columns=name,state,durable,type", "name",
                 names[::-1])):
            _, answer = self.begin(path)
            self.assertEqual(answer.headers["Transfer-Encoding"], "chunked")
            self.assertEqual(answer.headers["Content-Type"], "application/json")
            found = [row[key] for row in json.loads(answer.read())]
            self.assertEqual(found if wanted else sorted(found), wanted or names)
        queues = self.broker.get("/api/definitions")["queues"]
        self.assertEqual(sorted(q["name"] for q in queues), names)
        self.assertGreater(len(self.broker.get("/api/processes")), QUEUES)

    def test_metrics(self):
        _, answer = self.begin("/metrics/per-object")
        self.assertIn("version=0.0.4", answer.headers["Content-Type"])
        samples = [line for line in answer.read().decode().split("\n")
                   if line.startswith("rabbitmq_queue_messages_ready{")]
        self.assertEqual(len(samples), QUEUES)
        self.assertIn('rabbitmq_queue_messages_ready{vhost="/",queue="long00000"} 0', samples)

    def test_one_connection_for_many(self):
        conn = http.client.HTTPConnection(*self.broker.mgmt, timeout=DEADLINE)
        self.addCleanup(conn.close)
        for path in ("/api/queues", "/api/overview", "/metrics/per-object", "/api/queues"):
            conn.request("GET", path, headers=LOGIN)
            self.assertGreater(len(conn.getresponse().read()), 1000)
        conn.request("HEAD", "/api/queues", headers=LOGIN)
        self.assertEqual(conn.getresponse().read(), b"")
        conn.request("GET", "/api/whoami", headers=LOGIN)
        self.assertEqual(json.loads(conn.getresponse().read())["name"], "guest")
        self.wait_for_none()

    def test_old_protocol(self):
        for kept in ("", "Connection: keep-alive\r\n"):
            with socket.create_connection(self.broker.mgmt, timeout=DEADLINE) as sock:
                head = "GET /api/queues HTTP/1.0\r\n%sAuthorization: %s\r\n\r\n"
                sock.sendall((head % (kept, LOGIN["Authorization"])).encode())
                data = b"".join(iter(lambda s=sock: s.recv(65536), b""))
            head, body = data.split(b"\r\n\r\n", 1)
            self.assertNotIn(b"ontent-length", head.lower())
            self.assertEqual(len(json.loads(body)), QUEUES)

    def test_who_reads_nothing_costs_little(self):
        before = resident(self.broker.proc.pid)
        clients = [self.begin("/metrics/per-object") for _ in range(HELD)]
        self.assertEqual(len(self.requests()), HELD)  # they wait for their clients
        held = resident(self.broker.proc.pid) - before
        size = len(clients[0][1].read())
        self.assertLess(held, HELD * size // 3, size)
        for conn, answer in clients[1:]:
            answer.close()
            conn.close()
        self.wait_for_none()

    def test_cut_short(self):
        _, answer = self.begin("/api/queues")
        pid, = self.requests()
        status, _ = self.broker.http("DELETE", "/api/processes/" + urllib.parse.quote(pid))
        self.assertEqual(status, 204)
        with self.assertRaises((http.client.IncompleteRead, ConnectionError)):
            answer.read()
        self.wait_for_none()


if __name__ == "__main__":
    unittest.main()
