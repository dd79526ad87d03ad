#!/usr/bin/env python3
"""The dashboard's files and the streams of events that it reads."""
import base64
import http.client
import json
import unittest
import urllib.parse

from pika import spec

from harness import DEADLINE, BrokerCase, fresh, needs_own_broker


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

    def test_what_is_refused(self):
        for query, status in (("every=0", 400), ("every=61", 400), ("every=x", 400),
                              ("vhost=none&queue=q", 404), ("queue=q", 404)):
            got = self.broker.http("GET", "/api/warren/events?" + query)[0]
            self.assertEqual(got, status, query)
        self.assertEqual(self.broker.http("GET", "/api/warren/events", user=None)[0], 401)

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
