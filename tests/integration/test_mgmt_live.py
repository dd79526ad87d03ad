#!/usr/bin/env python3
"""The dashboard's files and the streams of events that it reads."""
import base64
import http.client
import itertools
import json
import unittest
import urllib.parse

from pika import spec

from harness import DEADLINE, BrokerCase, fresh, needs_own_broker, wait_for
from wire import method_frame


def open_stream(broker, path, user="guest", password="guest"):
    """(connection, response)"""
    conn = http.client.HTTPConnection(*broker.mgmt, timeout=DEADLINE)
    token = base64.b64encode(("%s:%s" % (user, password)).encode()).decode()
    conn.request("GET", path, headers={"Authorization": "Basic " + token})
    return conn, conn.getresponse()


def events(response):
    """(name, data) one after the other."""
    name = None
    for line in iter(response.readline, b""):
        key, _, value = line.decode().rstrip("\n").partition(": ")
        if key == "event":
            name = value
        elif key == "data":
            yield name, json.loads(value)


@needs_own_broker
class Live(BrokerCase):
    broker_args = ("--set", "collect_statistics_interval=200")

    def stream(self, path):
        conn, answer = open_stream(self.broker, path)
        self.addCleanup(conn.close)
        self.assertEqual(answer.status, 200)
        self.assertEqual(answer.headers["Content-Type"], "text/event-stream")
        return events(answer)

    def test_totals_and_queue(self):
        conn, name = self.opened(), fresh("live <é>")
        conn.rpc(1, spec.Queue.Declare(queue=name))
        stream = self.stream("/api/warren/events?" + urllib.parse.urlencode(
            {"every": 1, "vhost": "/", "queue": name}))
        kind, totals = next(stream)
        self.assertEqual(kind, "totals")
        self.assertGreater(totals["object_totals"]["queues"], 0)
        self.assertGreater(totals["object_totals"]["connections"], 0)
        self.assertGreater(totals["memory"]["limit"], totals["memory"]["used"])
        self.assertEqual(totals["alarms"], [])
        kind, queue = next(stream)
        self.assertEqual((kind, queue["state"], queue["messages"]), ("queue", "running", 0))
        for _ in range(3):
            conn.publish(1, "", name, b"x")
        while queue["messages_ready"] < 3:
            kind, data = next(stream)
            queue = data if kind == "queue" else queue
        self.assertEqual(queue["message_stats"]["publish"], 3)

    def test_totals_of_many_queues(self):
        """They are counted in many turns, and anew each time."""
        conn, prefix = self.opened(), fresh("counted")
        for i in range(3000):
            conn.cast(1, spec.Queue.Declare(queue=prefix + str(i), nowait=True))
        conn.rpc(1, spec.Queue.Declare(queue=prefix))
        expected = self.broker.get("/api/overview")["object_totals"]
        self.assertGreater(expected["queues"], 3000)
        stream = self.stream("/api/warren/events?every=1")
        for _ in range(3):
            _, totals = next(stream)
            for key in ("queues", "exchanges"):
                self.assertEqual(totals["object_totals"][key], expected[key], key)

    def test_why_a_queue_does_not_move(self):
        conn, name = self.opened(), fresh("why")
        path = "/api/queues/%%2F/%s/why" % name
        conn.rpc(1, spec.Queue.Declare(queue=name))
        why = self.broker.get(path)
        self.assertEqual((why["is_moving"], why["reasons"], why["oldest"]), (False, [], None))
        for _ in range(3):
            conn.publish(1, "", name, b"x")

        def codes():
            return [r["code"] for r in self.broker.get(path)["reasons"]]
        wait_for(lambda: codes() == ["no_consumer"], "that nobody consumes to be said")
        oldest = self.broker.get(path)["oldest"]
        self.assertEqual(oldest["at_least"], False)
        self.assertLess(oldest["age_ms"], DEADLINE * 1000)
        conn.rpc(1, spec.Basic.Qos(prefetch_count=2))
        conn.rpc(1, spec.Basic.Consume(queue=name, consumer_tag="c"))
        wait_for(lambda: codes() == ["prefetch_full"], "the full prefetch to be said")
        wait_for(lambda: not self.broker.get(path)["is_moving"], "the two not to count any more")
        self.assertIn("only consumer", self.broker.get(path)["reasons"][0]["words"])
        conn.send(method_frame(1, spec.Basic.Ack(delivery_tag=2, multiple=True)))
        wait_for(lambda: codes() == [], "nothing to be in the way any more")
        wait_for(lambda: "have not acked" in self.broker.get(path)["verdict"],
                 "what the consumer holds to be said")
        self.assertEqual(self.broker.http("GET", "/api/queues/%2F/no-such/why")[0], 404)

    def test_why_of_a_queue_that_moves(self):
        """A consumer that is full whenever one looks, because it acks at once, stops nothing."""
        conn, name = self.opened(), fresh("moves")
        path = "/api/queues/%%2F/%s/why" % name
        conn.rpc(1, spec.Queue.Declare(queue=name))
        conn.rpc(1, spec.Basic.Qos(prefetch_count=1))
        for _ in range(2):
            conn.publish(1, "", name, b"x")
        conn.rpc(1, spec.Basic.Consume(queue=name, consumer_tag="c"))
        tags = itertools.count(1)

        def verdict():
            """When one more came in, and the one that was out was acked."""
            conn.publish(1, "", name, b"x")
            conn.send(method_frame(1, spec.Basic.Ack(delivery_tag=next(tags))))
            why = self.broker.get(path)
            return why["is_moving"] and why["verdict"] or ""
        wait_for(lambda: "as fast as they are acked" in verdict(), "that it moves to be said")
        reader = self.opened()
        reader.rpc(1, spec.Basic.Consume(queue=name, consumer_tag="reader", no_ack=True))

        def kept_up():
            conn.publish(1, "", name, b"x")
            return "keeps up" in self.broker.get(path)["verdict"]
        wait_for(kept_up, "that it keeps up to be said")
        wait_for(lambda: not self.broker.get(path)["is_moving"], "that it rests to be said")

    def test_log_and_crash_reports(self):
        """A killed process is in the log as it happens, and its report can be asked for."""
        lines = self.stream("/api/warren/log")
        old = self.broker.get("/api/processes/alarms")
        self.assertEqual(self.broker.http("DELETE", "/api/processes/" + old["pid"])[0], 204)
        told = next(line for _, line in lines if line["text"].startswith("crash of alarms"))
        self.assertEqual(told["level"], "error")
        reports = self.broker.get("/api/warren/crashes?process=alarms")
        self.assertEqual([r["id"] for r in reports], [told["id"]])
        self.assertIn("killed by the management API", reports[0]["text"])
        self.assertEqual(self.broker.get("/api/warren/crashes?process=nobody"), [])

        def runs_again():
            status, now = self.broker.http("GET", "/api/processes/alarms")
            return status == 200 and now["pid"] != old["pid"]
        wait_for(runs_again, "another run of it")
        # Whoever reads on from a line gets what follows it.
        again = self.stream("/api/warren/log?since=%d" % (told["id"] - 1))
        self.assertEqual(next(again)[1], told)

    def test_kills_that_are_refused(self):
        root = self.broker.get("/api/processes")[0]["pid"]
        for name, status in ((root, 400), ("nobody", 404), ("0.0.99", 404)):
            self.assertEqual(self.broker.http("DELETE", "/api/processes/" + name)[0], status, name)

    def test_what_is_refused(self):
        for query, status in (("every=0", 400), ("every=61", 400), ("every=x", 400),
                              ("vhost=none&queue=q", 404), ("queue=q", 404)):
            got = self.broker.http("GET", "/api/warren/events?" + query)[0]
            self.assertEqual(got, status, query)
        for path in ("events", "log", "crashes"):
            self.assertEqual(self.broker.http("GET", "/api/warren/" + path, user=None)[0], 401)
        self.assertEqual(self.broker.http("GET", "/api/warren/log?since=-1")[0], 400)

    def test_files(self):
        for path, kind in (("/", "text/html"), ("/base.css", "text/css"),
                           ("/js/main.js", "text/javascript"), ("/lib/chart.js", "text/javascript"),
                           ("/mark.svg", "image/svg+xml")):
            conn = http.client.HTTPConnection(*self.broker.mgmt, timeout=DEADLINE)
            self.addCleanup(conn.close)
            conn.request("GET", path)
            answer = conn.getresponse()
            self.assertGreater(len(answer.read()), 100, path)
            self.assertEqual(answer.headers["Content-Type"].split(";")[0], kind)
            policy = answer.headers["Content-Security-Policy"]
            self.assertIn("default-src 'self'", policy)
            self.assertNotIn("unsafe", policy)


if __name__ == "__main__":
    unittest.main()
