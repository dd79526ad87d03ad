#!/usr/bin/env python3
"""Requests that mean harm: none crashes a process, is reflected, or keeps a connection for long."""
import base64
import json
import re
import resource
import socket
import unittest

from harness import DEADLINE, SLOW, Broker, BrokerCase, needs_own_broker, wait_for

LOGIN = b"Authorization: Basic " + base64.b64encode(b"guest:guest") + b"\r\n"
SCRIPT = b"<script>alert(1)</script>"

LINES = [
    b"GET /api/queues/%2F/" + SCRIPT, b"GET /" + SCRIPT, b"GET /api/" + SCRIPT,
    b"GET /api/queues?page=1&use_regex=true&name=(" + SCRIPT + b"&sort=" + SCRIPT,
    b"GET /api/queues?page=99999999999999999999", b"GET /api/queues?page=%00",
    b"GET /api/queues?page=1&page_size=-1", b"GET /api/queues?columns=" + b"a." * 3000,
    b"GET /api/queues?name=(a%2B)%2B%24&use_regex=true", b"GET /api/queues?sort=" + b"." * 6000,
    b"GET /../../etc/passwd", b"GET /%2e%2e/%2e%2e/etc/passwd", b"GET //etc/passwd",
    b"GET /..%5c..%5cetc", b"GET http://evil/api/overview", b"GET *", b"OPTIONS *",
    b"GET /api/queues/%", b"GET /api/queues/%zz", b"GET /api/queues/%2F/%00",
    b"GET /api/queues/%ff", b"TRACE /", b"PROPFIND /", b"get /api/overview", b"CONNECT x:1",
    b"PATCH /api/queues", b"GET /api/bindings/%2F/e/%00/q/x/%00", b"GET /api/vhosts/%00",
    b"GET /api/bindings/%2F/e/x/q/x/%00", b"GET /api/users/%00", b"GET /api/nodes/%00",
    b"GET /api/channels/%00", b"GET /api/processes/%00", b"DELETE /api/processes/0.0.0",
    b"DELETE /api/connections/%00", b"GET /api/overview?msg_rates_age=-1&msg_rates_incr=-1",
    b"GET /api/overview?lengths_age=99999999999999999999&lengths_incr=0",
    b"GET /api/health/checks/port-listener/99999999999999999999",
]

HEADERS = [
    b"Content-Length: -1", b"Content-Length: x", b"Content-Length: 99999999999999999999999",
    b"Content-Length: 2\r\nContent-Length: 3", b"Transfer-Encoding: gzip",
    b"Transfer-Encoding: chunked\r\nContent-Length: 2", b"Transfer-Encoding: chunked, chunked",
    b"X: " + b"a" * 20000, b"X", b": x", b"X:\0y", b"X-A: b\r\n" * 500 + b"X: y",
    b"Upgrade: websocket\r\nConnection: Upgrade", b"Authorization: Basic \xff\xff",
]

# What a proxy in front may read as another request.
UNCLEAR = [
    b"Content-Length: 2\r\nContent-Length: 2", b"Content-Length: 2, 2", b"Content-Length: +2",
    b"Content-Length:\r\n 2", b"Content-Length: 0x2", b"Content-Length: 2 2",
    b"Content-Length : 2", b"Content-Length: 2\r\nTransfer-Encoding : chunked",
    b"Content-Length: 2\r\nTransfer-Encoding: identity", b"Content-Length: 2\r\n: x",
    b"Content-Length: 2\r\nHost: y", b"Content-Length: 2\r\nAuthorization: Basic eDp5",
    b"Content-Length: 2\r\nX\tY: z", b"Content-Length: 2\r\nX(Y): z",
]

BODIES = [
    b"", b"{", b"[]", b"null", b"5", b'{"a":1,"a":2}', b'{"durable":1e999}', b"[" * 100000,
    b'{"a":' * 5000 + b"1" + b"}" * 5000, b'{"durable":"\xff"}', b"\0", b"\xef\xbb\xbf{}",
    b'{"arguments":{"x":99999999999999999999999999}}', b'{"arguments":{"\\u0000":1}}',
    b'{"arguments":{"x":"\\u0000"}}', b'{"arguments":{"x":"\\ud800"}}',
    b'{"arguments":' + b'{"a":' * 70 + b"1" + b"}" * 71,
]

PATHS = [
    b"PUT /api/queues/%2F/hq", b"PUT /api/exchanges/%2F/hx", b"PUT /api/users/hu",
    b"POST /api/bindings/%2F/e/amq.direct/q/hq", b"POST /api/exchanges/%2F/amq.default/publish",
    b"POST /api/queues/%2F/hq/get", b"PUT /api/vhosts/hv", b"PUT /api/permissions/%2F/hu",
    b"PUT /api/topic-permissions/%2F/hu", b"PUT /api/policies/%2F/hp",
    b"PUT /api/parameters/vhost-limits/%2F/hp", b"PUT /api/global-parameters/hp",
    b"POST /api/definitions", b"PUT /api/vhost-limits/%2F/max-queues", b"PUT /api/cluster-name",
    b"PUT /api/user-limits/guest/max-channels", b"POST /api/users/bulk-delete",
    b"POST /api/queues/%2F/hq/actions", b"POST /api/warren/backup", b"POST /api/debug/crash",
]

MEMBERS = ["durable", "arguments", "type", "routing_key", "properties", "payload", "count",
           "payload_encoding", "ackmode", "encoding", "truncate", "password", "password_hash",
           "tags", "configure", "pattern", "definition", "priority", "apply-to", "value", "name",
           "users", "limits", "directory", "process"]
VALUES = [-1, 1.5, None, "", [], {}, "x" * 300, "\0", 9223372036854775807]
GOOD = {"properties": {}, "routing_key": "hq", "payload": "x", "payload_encoding": "string",
        "count": 1, "ackmode": "ack_requeue_true", "encoding": "auto", "configure": ".*",
        "write": ".*", "read": ".*", "password": "x", "tags": "", "pattern": "x",
        "definition": {}, "value": 1, "name": "x"}


def read_all(sock):
    """What comes until the end, also when the end is abrupt."""
    data = b""
    try:
        while more := sock.recv(65536):
            data += more
    except ConnectionResetError:
        pass
    return data


@needs_own_broker
class Hostile(BrokerCase):
    broker_args = ("--set", "debug.crash=true",
                   "--set", "management.tcp.request_timeout=%d" % (2000 * SLOW))

    def setUp(self):
        self.sock = None
        self.addCleanup(self.drop)

    def drop(self):
        if self.sock:
            self.sock.close()
        self.sock = None

    def read_answer(self):
        """(status line, body) of one answer; (b"", b"") when the connection ends instead."""
        data = b""
        while b"\r\n\r\n" not in data:
            more = self.sock.recv(65536)
            if not more:
                return b"", b""
            data += more
        head, body = data.split(b"\r\n\r\n", 1)
        length = 0
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        while len(body) < length:
            more = self.sock.recv(65536)
            if not more:
                break
            body += more
        if b"connection: close" in head.lower():
            self.drop()
        return head.split(b"\r\n")[0], body

    def ask(self, line, headers=b"", body=b""):
        """The status, on a connection that is kept as long as the broker keeps it."""
        for _ in range(3):
            try:
                if not self.sock:
                    self.sock = socket.create_connection(self.broker.mgmt, timeout=DEADLINE)
                self.sock.sendall(line + b" HTTP/1.1\r\nHost: x\r\n" + LOGIN + headers +
                                  b"\r\n" + body)
                status, text = self.read_answer()
            except (BrokenPipeError, ConnectionResetError):
                status, text = b"", b""
            if status:
                break
            self.drop()
        self.assertNotIn(b" 500 ", status, (line, headers, body[:200], text))
        self.assertNotIn(SCRIPT, text, line)
        return status

    def test_lines(self):
        for line in LINES:
            self.assertTrue(self.ask(line), line)
            self.drop()

    def test_headers(self):
        for header in HEADERS:
            self.ask(b"PUT /api/queues/%2F/hq", header + b"\r\n", b"{}")
            self.drop()
        for header in HEADERS[:7]:
            self.assertRegex(self.ask(b"PUT /api/queues/%2F/hq", header + b"\r\n", b"{}"),
                             b" 4..|^$", header)
            self.drop()

    def test_bodies(self):
        for path in PATHS:
            for body in BODIES:
                self.assertTrue(self.ask(path, b"Content-Length: %d\r\n" % len(body), body),
                                (path, body[:100]))

    def test_members(self):
        for path in PATHS:
            # A password takes its time to be hashed.
            for member in ("password", "tags") if b"users/" in path else MEMBERS:
                for value in VALUES:
                    body = json.dumps(dict(GOOD, **{member: value})).encode()
                    self.assertTrue(self.ask(path, b"Content-Length: %d\r\n" % len(body), body),
                                    (path, member, value))

    def test_unclear_heads(self):
        """Each is refused, and nothing behind it is taken for a request."""
        behind = b"GET /api/whoami HTTP/1.1\r\nHost: x\r\n" + LOGIN + b"\r\n"
        for headers in UNCLEAR:
            with self.subTest(headers=headers), \
                    socket.create_connection(self.broker.mgmt, timeout=DEADLINE) as sock:
                sock.sendall(b"PUT /api/queues/%2F/unclear HTTP/1.1\r\nHost: x\r\n" + LOGIN +
                             headers + b"\r\n\r\n{}" + behind)
                self.assertRegex(read_all(sock), rb"\AHTTP/1.1 400 (?s:(?!HTTP/1).)*\Z")
        self.assertEqual(self.broker.http("GET", "/api/queues/%2F/unclear")[0], 404)

    def test_behind_good_ones(self):
        """What is ahead of a refused request is answered, nothing behind it is."""
        good = b"GET /api/whoami HTTP/1.1\r\nHost: x\r\n" + LOGIN + b"\r\n"
        chunked = (b"PUT /api/queues/%2F/unclear HTTP/1.1\r\nHost: x\r\n" + LOGIN +
                   b"Transfer-Encoding: chunked\r\n\r\n")
        for bad, status in ((b"hello\r\n\r\n", b"400"), (b"FOO / HTTP/1.1\r\n", b"501"),
                            (b"GET / HTTP/3.0\r\n", b"505"),
                            (b"GET http://[/ HTTP/1.1\r\n", b"400"),
                            (b"GET /" + b"a" * 20000, b"414"), (chunked + b"+2\r\n{}\r\n", b"400"),
                            (chunked + b"2 x\r\n{}\r\n0\r\n\r\n", b"400")):
            for n, in_parts in ((0, False), (1, False), (3, False), (2, True)):
                with self.subTest(bad=bad[:80], n=n), \
                        socket.create_connection(self.broker.mgmt, timeout=DEADLINE) as sock:
                    if in_parts:
                        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                        for i in range(0, len(good * n + bad), 50):
                            sock.sendall((good * n + bad)[i:i + 50])
                    sock.sendall(b"" if in_parts else good * n + bad + good)
                    answer = read_all(sock)
                    self.assertEqual(re.findall(rb"HTTP/1.1 (\d+)", answer),
                                     [b"200"] * n + [status])
                    self.assertNotIn(b"text/html", answer)
                    self.assertIn(b"nosniff", answer.split(b"HTTP/1.1 " + status)[1])
        self.assertEqual(self.broker.http("GET", "/api/queues/%2F/unclear")[0], 404)

    def test_dropped(self):
        """Extensions and trailers of chunks mean nothing, and no line ahead of a request does."""
        with socket.create_connection(self.broker.mgmt, timeout=DEADLINE) as sock:
            sock.sendall(b"\r\n\r\nPUT /api/queues/%2F/dropped HTTP/1.1\r\nHost: x\r\n" + LOGIN +
                         b"Transfer-Encoding: chunked\r\n\r\n2;a=\"b\"\r\n{}\r\n0\r\n"
                         b"Authorization: nobody\r\n\r\n"
                         b"DELETE /api/queues/%2F/dropped HTTP/1.1\r\nHost: x\r\n" + LOGIN +
                         b"Connection: close\r\n\r\n")
            self.assertEqual(re.findall(rb"HTTP/1.1 (\d+)", read_all(sock)), [b"201", b"204"])

    def test_refused_while_it_sends(self):
        """Whoever is refused early can read why, though the rest of the body is on its way."""
        with socket.create_connection(self.broker.mgmt, timeout=DEADLINE) as sock:
            sock.sendall(b"POST /api/definitions HTTP/1.1\r\nHost: x\r\n" + LOGIN +
                         b"Content-Length: 9999999999\r\n\r\n" + b"x" * 300000)
            self.assertIn(b" 413 ", read_all(sock).split(b"\r\n")[0])

    def test_connect(self):
        """No tunnel, and no connection that stays open behind the answer."""
        for target in b"example.com:443", b"/api/overview", b"*":
            with socket.create_connection(self.broker.mgmt, timeout=DEADLINE) as sock:
                sock.sendall(b"CONNECT " + target + b" HTTP/1.1\r\nHost: x\r\n" + LOGIN + b"\r\n")
                answer = read_all(sock)
            self.assertRegex(answer, rb"\AHTTP/1.1 405 (?s:(?!HTTP/1).)*method_not_allowed")
            self.assertIn(b"nosniff", answer)

    def test_no_host(self):
        for version, status in (b"1.1", b"400"), (b"1.0", b"200"):
            with socket.create_connection(self.broker.mgmt, timeout=DEADLINE) as sock:
                sock.sendall(b"GET /api/whoami HTTP/" + version + b"\r\n" + LOGIN + b"\r\n")
                self.assertEqual(read_all(sock).split(b" ")[1], status)

    def test_many_slow_ones(self):
        """They are cut, and others are served meanwhile."""
        socks = [socket.create_connection(self.broker.mgmt, timeout=DEADLINE) for _ in range(200)]
        for sock in socks:
            self.addCleanup(sock.close)
            sock.sendall(b"GET /api/overview HTTP/1.1\r\nX: ")
            sock.setblocking(False)
        self.broker.get("/api/overview")

        def are_cut():
            for sock in list(socks):
                try:
                    sock.send(b"x")
                    if not sock.recv(100):
                        socks.remove(sock)
                except BlockingIOError:
                    pass
                except OSError:
                    socks.remove(sock)
            return not socks
        wait_for(are_cut, "the end of all of them", 3 * DEADLINE, 0.1)

    def tearDown(self):
        found = [p for p in self.broker.get("/api/processes") if p["last_crash"]]
        self.assertEqual(found, [])


@needs_own_broker
class Flood(unittest.TestCase):
    def test_more_connections_than_there_may_be(self):
        """Those that say nothing make room for whoever asks."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 4096)), hard))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        with Broker(["--set", "management.tcp.request_timeout=60000"]) as broker:
            socks = []
            try:
                for _ in range(1100):
                    sock = socket.create_connection(broker.mgmt, timeout=DEADLINE)
                    socks.append(sock)
                self.assertEqual(broker.http("GET", "/api/overview")[0], 200)
            finally:
                for sock in socks:
                    sock.close()
            self.assertEqual(broker.http("GET", "/api/overview")[0], 200)


if __name__ == "__main__":
    unittest.main()
