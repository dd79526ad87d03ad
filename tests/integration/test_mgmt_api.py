#!/usr/bin/env python3
"""The management port's own rules: bounds, headers, the tree, and requests whose process dies."""
import base64
import http.client
import json
import socket
import unittest
import urllib.parse

from pika import spec

from harness import DEADLINE, Broker, BrokerCase, fresh, needs_own_broker, wait_for

LOGIN = "Basic " + base64.b64encode(b"guest:guest").decode()


def ask(broker, method, path, body=None, headers=(), conn=None):
    """(response, body) of one request; conn: a connection that is kept."""
    own = conn or http.client.HTTPConnection(*broker.mgmt, timeout=DEADLINE)
    try:
        own.request(method, path, body, dict({"Authorization": LOGIN}, **dict(headers)))
        answer = own.getresponse()
        return answer, answer.read()
    finally:
        if not conn:
            own.close()


def crash(broker, process, how="check"):
    try:
        return broker.http("POST", "/api/debug/crash", {"process": process, "how": how})[0]
    except (OSError, http.client.HTTPException):
        return None  # It was the listener itself.


@needs_own_broker
class Api(BrokerCase):
    broker_args = ("--set", "management.http.max_body_size=1MiB")

    def test_headers(self):
        for path, status in (("/api/overview", 200), ("/nothing", 404)):
            answer, body = ask(self.broker, "GET", path)
            self.assertEqual(answer.status, status)
            self.assertEqual(answer.headers["Content-Type"], "application/json")
            self.assertEqual(answer.headers["X-Content-Type-Options"], "nosniff")
            self.assertEqual(answer.headers["Cache-Control"], "no-store")
            self.assertIn("default-src 'none'", answer.headers["Content-Security-Policy"])
            self.assertEqual(answer.headers["Content-Length"], str(len(body)))

    def test_index_and_methods(self):
        for path in ("/api", "/api/", "/api/index.html"):
            answer, body = ask(self.broker, "GET", path, headers={"Authorization": ""})
            self.assertEqual((answer.status, answer.headers["Content-Type"]),
                             (200, "text/html; charset=utf-8"))
            self.assertIn(b"<td>/api/queues/<i>name</i>/<i>name</i></td><td> GET PUT DELETE</td>",
                          body)
            self.assertNotIn(b"debug", body)
        for path, allow in (("/api/queues", "GET, HEAD"),
                            ("/api/queues/%2F/q", "GET, HEAD, PUT, DELETE")):
            for method, status, more in (("PATCH", 405, ""), ("OPTIONS", 200, ", OPTIONS")):
                answer, _ = ask(self.broker, method, path)
                self.assertEqual((answer.status, answer.headers["Allow"]), (status, allow + more))
            answer, body = ask(self.broker, "HEAD", path)
            self.assertEqual((answer.status, body), (404 if path[-1] == "q" else 200, b""))
        self.assertEqual(ask(self.broker, "OPTIONS", "/api/nothing")[0].status, 404)

    def test_publishes_are_counted(self):
        name = fresh()
        self.broker.http("PUT", "/api/exchanges/%2F/" + name, {"type": "fanout"})
        self.broker.http("PUT", "/api/queues/%2F/" + name, {})
        self.broker.http("POST", "/api/bindings/%%2F/e/%s/q/%s" % (name, name), {})

        def total():
            return self.broker.get("/api/overview")["message_stats"].get("publish", 0)

        before = total()
        for _ in range(3):
            answer = self.broker.http("POST", "/api/exchanges/%2F/" + name + "/publish", {
                "properties": {}, "routing_key": "", "payload": "x", "payload_encoding": "string"})
            self.assertEqual(answer, (200, {"routed": True}))
        stats = self.broker.get("/api/exchanges/%2F/" + name)["message_stats"]
        self.assertEqual((stats["publish_in"], stats["publish_out"]), (3, 3))
        self.assertEqual(total() - before, 3)

    def test_files(self):
        """The dashboard is open to all, and loads nothing from elsewhere."""
        answer, body = ask(self.broker, "GET", "/", headers={"Authorization": ""})
        self.assertEqual((answer.status, answer.headers["Content-Type"]),
                         (200, "text/html; charset=utf-8"))
        self.assertIn(b"Warren", body)
        self.assertTrue(answer.headers["Content-Security-Policy"].startswith("default-src 'self';"))
        tag = answer.headers["ETag"]
        again, body = ask(self.broker, "GET", "/index.html", headers={"If-None-Match": tag})
        self.assertEqual((again.status, again.headers["ETag"], body), (304, tag, b""))
        for path in ("/../index.html", "/%2e%2e/index.html", "/..%2findex.html", "//index.html",
                     "/index.html%00", "/index.html/x", "/INDEX.HTML"):
            self.assertEqual(ask(self.broker, "GET", path)[0].status, 404, path)

    def test_pages_of_other_sites(self):
        good = "https://monitor.example:8443"
        with Broker(["--set", "management.cors.allow_origins.1=" + good]) as broker:
            for origin, allowed in ((good, True), ("https://evil.example", False)):
                answer, _ = ask(broker, "OPTIONS", "/api/queues/%2F/q",
                                headers={"Origin": origin, "Authorization": "",
                                         "Access-Control-Request-Method": "PUT"})
                self.assertEqual(answer.status, 200)
                self.assertEqual(answer.headers.get("Access-Control-Allow-Origin"),
                                 origin if allowed else None)
                self.assertEqual("PUT" in answer.headers.get("Access-Control-Allow-Methods", ""),
                                 allowed)
                answer, _ = ask(broker, "PUT", "/api/queues/%2F/q", "{}", {"Origin": origin})
                self.assertEqual(answer.status, 201 if allowed else 403)
                self.assertEqual("Access-Control-Allow-Origin" in answer.headers, allowed)

    def test_slow_requests_are_cut(self):
        """A request that comes a byte at a time has the same time as any other."""
        with Broker(["--set", "management.tcp.request_timeout=300"]) as broker:
            for start in (b"", b"GET /api/overview HTTP/1.1\r\nX: ",
                          b"POST /api/queues HTTP/1.1\r\nContent-Length: 100000\r\n\r\n"):
                with socket.create_connection(broker.mgmt, timeout=DEADLINE) as sock:
                    sock.sendall(start)

                    def is_cut(sock=sock):
                        try:
                            sock.sendall(b"x")
                            sock.settimeout(0.05)
                            return not sock.recv(100)
                        except socket.timeout:
                            return False
                        except OSError:
                            return True
                    wait_for(is_cut, "the end of the connection", step=0.05)

    def test_login_is_asked_for(self):
        answer, _ = ask(self.broker, "GET", "/api/overview", headers={"Authorization": "Bearer x"})
        self.assertEqual((answer.status, answer.headers["WWW-Authenticate"]),
                         (401, 'Basic realm="RabbitMQ Management"'))

    def test_head(self):
        answer, body = ask(self.broker, "HEAD", "/api/queues")
        self.assertEqual((answer.status, body), (200, b""))
        self.assertGreater(int(answer.headers["Content-Length"]), 0)

    def test_method_not_allowed(self):
        answer, body = ask(self.broker, "DELETE", "/api/queues")
        self.assertEqual((answer.status, answer.headers["Allow"]), (405, "GET, HEAD"))
        self.assertEqual(json.loads(body)["error"], "method_not_allowed")

    def test_bounds(self):
        self.assertEqual(ask(self.broker, "POST", "/api/queues", b"x" * (1 << 20))[0].status, 405)
        # What is too much is refused when it is announced, so none of it is sent.
        for head in ("Content-Length: %d\r\n\r\n" % ((1 << 20) + 1),
                     "Transfer-Encoding: chunked\r\n\r\n%x\r\n" % ((1 << 20) + 1)):
            with socket.create_connection(self.broker.mgmt, timeout=DEADLINE) as sock:
                sock.sendall(("POST /api/queues HTTP/1.1\r\nHost: x\r\n" + head).encode())
                self.assertIn(b" 413 ", sock.makefile("rb").readline(), head)
        with socket.create_connection(self.broker.mgmt, timeout=DEADLINE) as sock:
            sock.sendall(b"POST /api/queues HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n"
                         b"Content-Length: 3\r\n\r\n{}x")
            self.assertIn(b" 400 ", sock.makefile("rb").readline())
        for size, status in ((15000, 200), (17000, 431)):
            answer, _ = ask(self.broker, "GET", "/api/queues", headers={"X-Long": "x" * size})
            self.assertEqual(answer.status, status, size)
        self.assertEqual(ask(self.broker, "GET", "/api/" + "x" * 8000)[0].status, 404)

    def test_kept_connection(self):
        conn = http.client.HTTPConnection(*self.broker.mgmt, timeout=DEADLINE)
        self.addCleanup(conn.close)
        for method in ("GET", "HEAD", "POST", "GET"):
            status = 405 if method == "POST" else 200
            self.assertEqual(ask(self.broker, method, "/api/queues", conn=conn)[0].status, status)

    def test_client_that_leaves(self):
        """Answers to those who are gone go nowhere."""
        request = "GET /api/processes HTTP/1.1\r\nAuthorization: %s\r\n\r\n" % LOGIN
        for _ in range(50):
            with socket.create_connection(self.broker.mgmt, timeout=DEADLINE) as sock:
                sock.sendall(request.encode() * 3)
        self.broker.get("/api/overview")

        def requests():
            return [p for p in self.broker.get("/api/processes") if p["kind"] == "mgmt_request"]
        wait_for(lambda: len(requests()) == 1, "all requests but this one to end")

    def test_client_that_leaves_a_long_answer(self):
        """What nobody waits for any more is not gone on with: it would take minutes."""
        vhost = fresh("left")
        self.assertEqual(self.broker.http("PUT", "/api/vhosts/" + vhost)[0], 201)
        conn = self.broker.raw(vhost=vhost)
        conn.channel(1)
        for i in range(20000):
            conn.cast(1, spec.Queue.Declare(queue="q%d" % i, nowait=True))
        conn.rpc(1, spec.Queue.Declare(queue="last"))
        request = "GET /api/queues/%s HTTP/1.1\r\nAuthorization: %s\r\n\r\n" % (vhost, LOGIN)
        for _ in range(150):
            with socket.create_connection(self.broker.mgmt, timeout=DEADLINE) as sock:
                sock.sendall(request.encode())


        def jobs():
            return self.broker.get("/api/processes/mgmt_http")["inspect"]["jobs"]
        wait_for(lambda: jobs() == 1, "all requests but this one to end")
        conn.close()
        self.assertEqual(self.broker.http("DELETE", "/api/vhosts/" + vhost)[0], 204)

    def test_queue_paths(self):
        conn, name = self.opened(), fresh("a/b %ü")
        conn.rpc(1, spec.Queue.Declare(queue=name, arguments={"x-a": [1, {"b": None}], "x-ü": "é"}))
        got = self.broker.get("/api/queues/%2F/" + urllib.parse.quote(name, safe=""))
        self.assertEqual((got["name"], got["state"], got["type"]), (name, "running", "classic"))
        self.assertEqual(got["arguments"], {"x-a": [1, {"b": None}], "x-ü": "é"})
        self.assertIn(name, [q["name"] for q in self.broker.get("/api/queues/%2F")])
        self.assertEqual(self.broker.http("GET", "/api/queues/no-such-vhost")[0], 404)
        self.assertEqual(self.broker.http("GET", "/api/queues/%2F/no-such-queue")[0], 404)

    def test_tree(self):
        rows = self.broker.get("/api/processes")
        seen = set()
        for row in rows:
            self.assertTrue(row["parent"] is None or row["parent"] in seen, row)
            seen.add(row["pid"])
        roots = self.broker.get("/api/processes?nested=true")
        self.assertEqual([root["name"] for root in roots], ["root"])
        names = [child["name"] for child in roots[0]["children"]]
        self.assertIn("vhosts", names)
        self.assertNotIn("mgmt_http", names)

    def test_one_process(self):
        row = self.broker.get("/api/processes/mgmt_http")
        self.assertEqual(row["inspect"]["port"], self.broker.mgmt[1])
        self.assertEqual(self.broker.get("/api/processes/" + row["pid"])["name"], "mgmt_http")
        for name in ("nobody", "0.0.99", "%00", "..."):
            self.assertEqual(self.broker.http("GET", "/api/processes/" + name)[0], 404, name)


@needs_own_broker
class Crashes(BrokerCase):
    broker_args = ("--set", "debug.crash=true")

    def test_orders(self):
        for body in (None, "x", [], {}, {"process": "mgmt_http"}, {"how": "check"},
                     {"process": "mgmt_http", "how": "gently"}, {"process": 1, "how": "check"},
                     {"process": "x" * 300, "how": "check"}):
            status, value = self.broker.http("POST", "/api/debug/crash", body)
            self.assertEqual((status, value["error"]), (400, "bad_request"), body)
        self.assertEqual(crash(self.broker, "nobody"), 404)

    def test_foreign_page(self):
        order = json.dumps({"process": "nobody", "how": "check"})
        for origin, status in (("http://evil.example", 403), ("null", 403),
                               ("http://%s:%d" % self.broker.mgmt, 404)):
            answer, _ = ask(self.broker, "POST", "/api/debug/crash", order, {"Origin": origin})
            self.assertEqual(answer.status, status, origin)
        self.assertEqual(ask(self.broker, "GET", "/api/queues", None,
                             {"Origin": "http://evil.example"})[0].status, 200)

    def test_listener_comes_back(self):
        """On the same port, and it tells what its last run died of."""
        for n, how in enumerate(("check", "segv", "stack"), 1):
            crash(self.broker, "mgmt_http", how)

            def row():
                try:
                    return self.broker.get("/api/processes/mgmt_http")
                except (OSError, http.client.HTTPException):
                    return None
            got = wait_for(lambda: (row() or {"restarts": 0})["restarts"] >= n and row(),
                           "the listener")
            self.assertTrue(got["last_crash"], got)


@needs_own_broker
class BrokenRequests(unittest.TestCase):
    def test_each_is_answered(self):
        """Every request's process crashes in init; its client is told so, and the broker lives."""
        with Broker(["--set", "debug.crash_in_init=mgmt_request"]) as broker:
            for _ in range(20):
                status, value = broker.http("GET", "/api/overview")
                self.assertEqual((status, value["error"]), (500, "internal_server_error"))

    def test_parked_is_listed(self):
        with Broker(["--set", "debug.crash_in_init=queue"]) as broker:
            conn, name = broker.raw(), fresh()
            self.addCleanup(conn.kill)
            conn.channel(1)
            conn.cast(1, spec.Queue.Declare(queue=name))

            def parked():
                return [p for p in broker.get("/api/processes") if p["state"] == "parked"]
            row = wait_for(parked, "a parked queue")[0]
            self.assertEqual(row["parent"], broker.get("/api/processes/queues:%2F")["pid"])
            self.assertIsNone(row["pid"])
            self.assertTrue(row["last_crash"], row)
            self.assertGreaterEqual(row["restarts"], 5)
            queue = broker.get("/api/queues/%2F/" + name)
            self.assertEqual(queue["state"], "down")
            self.assertTrue(queue["reason"], queue)


if __name__ == "__main__":
    unittest.main()
