#!/usr/bin/env python3
"""Queues, exchanges, bindings and messages by HTTP: what is made, refused, listed and taken."""
import unittest
import urllib.parse

from pika import spec

from harness import BrokerCase, fresh, needs_own_broker, wait_for


def quote(name):
    return urllib.parse.quote(name, safe="")


class Case(BrokerCase):
    def ask(self, method, path, body=None, status=200):
        got, value = self.broker.http(method, "/api/" + path, body)
        self.assertEqual(got, status, (method, path, body, value))
        return value

    def queue(self, **body):
        name = fresh("a/b %")
        path = "queues/%2F/" + quote(name)
        self.ask("PUT", path, body, 201)
        return name, path

    def publish(self, key, payload="hello", exchange="amq.default", encoding="string", **props):
        return self.ask("POST", "exchanges/%%2F/%s/publish" % quote(exchange), {
            "properties": props, "routing_key": key, "payload": payload,
            "payload_encoding": encoding})

    def take(self, path, count=10, ackmode="ack_requeue_true", encoding="auto", **more):
        body = dict({"count": count, "ackmode": ackmode, "encoding": encoding}, **more)
        return self.ask("POST", path + "/get", body)


@needs_own_broker
class Topology(Case):
    def test_queue(self):
        name, path = self.queue(durable=True, arguments={"x-max-length": 5, "x-y": {"z": [1.5]}})
        got = self.ask("GET", path)
        self.assertEqual((got["name"], got["durable"], got["auto_delete"], got["arguments"]),
                         (name, True, False, {"x-max-length": 5, "x-y": {"z": [1.5]}}))
        self.ask("PUT", path, {"durable": "true",
                               "arguments": {"x-max-length": 5, "x-y": {"z": [1.5]}}}, 204)
        why = self.ask("PUT", path, {"durable": False}, 400)
        self.assertEqual(why["error"], "bad_request")
        self.assertIn("inequivalent arg 'durable'", why["reason"])
        self.publish(name)
        self.assertIn("not empty", self.ask("DELETE", path + "?if-empty=true", None, 400)["reason"])
        self.ask("DELETE", path, None, 204)
        self.ask("DELETE", path, None, 404)
        self.ask("GET", path, None, 404)

    def test_queue_in_use(self):
        name, path = self.queue()
        conn = self.opened()
        conn.rpc(1, spec.Basic.Consume(queue=name))
        self.assertIn("in use", self.ask("DELETE", path + "?if-unused=true", None, 400)["reason"])
        self.ask("DELETE", path, None, 204)

    def test_exclusive_queue(self):
        conn, name = self.opened(), fresh()
        conn.rpc(1, spec.Queue.Declare(queue=name, exclusive=True))
        for method, path, body in (
                ("DELETE", "", None), ("DELETE", "/contents", None),
                ("POST", "/get", {"count": 1, "ackmode": "ack_requeue_true", "encoding": "auto"})):
            why = self.ask(method, "queues/%2F/" + name + path, body, 400)
            self.assertIn("exclusive", why["reason"])

    def test_bad_bodies(self):
        path = "queues/%2F/" + fresh()
        deep = {}
        for _ in range(200):
            deep = {"a": deep}
        for body in ([], 5, "x", {"durable": "maybe"}, {"durable": 7}, {"arguments": 5},
                     {"arguments": {"x" * 300: 1}}, {"arguments": {"a": deep}},
                     {"arguments": {"x-max-length": "a"}}):
            self.assertEqual(self.ask("PUT", path, body, 400)["error"], "bad_request")
        for bad in ("x" * 256, "%ff", "a%0Ab"):
            self.ask("PUT", "queues/%2F/" + bad, {}, 400)
        self.ask("PUT", "queues/%2F/a%00b", {}, 404)
        self.ask("PUT", "queues/no-such-vhost/q", {}, 404)
        self.assertEqual(self.ask("PUT", "queues/%2F/amq.q", {}, 401)["error"], "not_authorised")

    def test_exchange(self):
        name = fresh("x")
        path = "exchanges/%2F/" + name
        self.ask("PUT", path, {"type": "topic", "durable": True, "internal": True}, 201)
        self.ask("PUT", path, {"type": "topic", "durable": True, "internal": True}, 204)
        self.assertIn("'type'", self.ask("PUT", path, {"type": "fanout"}, 400)["reason"])
        self.assertIn("unknown", self.ask("PUT", path + "2", {"type": "nope"}, 400)["reason"])
        got = self.ask("GET", path)
        self.assertEqual((got["type"], got["durable"], got["internal"]), ("topic", True, True))
        names = [x["name"] for x in self.ask("GET", "exchanges/%2F")]
        for one in (name, "", "amq.topic"):
            self.assertEqual(names.count(one), 1, names)
        self.ask("DELETE", path, None, 204)
        self.ask("DELETE", path, None, 404)
        for one in ("amq.default", "amq.direct"):
            self.ask("GET", "exchanges/%2F/" + one)
            self.ask("DELETE", "exchanges/%2F/" + one, None, 401)

    def test_bindings(self):
        name, path = self.queue()
        between = "bindings/%2F/e/amq.topic/q/" + quote(name)
        keys = {}
        for body in ({}, {"routing_key": "a.#"}, {"routing_key": "x/y ~"},
                     {"routing_key": "a.#", "arguments": {"x": 1}}):
            self.ask("POST", between, body, 201)
            self.ask("POST", between, body, 201)
        for one in self.ask("GET", between):
            self.assertEqual((one["source"], one["destination"], one["destination_type"]),
                             ("amq.topic", name, "queue"))
            keys[one["properties_key"]] = (one["routing_key"], one["arguments"])
        self.assertEqual(len(keys), 4)
        self.assertEqual((keys["~"], keys["a.%23"]), (("", {}), ("a.#", {})))
        self.assertEqual(keys["x%2Fy+%7E"], ("x/y ~", {}))
        self.assertIn(("a.#", {"x": 1}), keys.values())
        of_queue = self.ask("GET", path + "/bindings")
        self.assertEqual(sorted(one["source"] for one in of_queue), [""] + 4 * ["amq.topic"])
        for listed in ("bindings", "bindings/%2F", "exchanges/%2F/amq.topic/bindings/source"):
            found = [b for b in self.ask("GET", listed)
                     if b["destination"] == name and b["source"]]
            self.assertEqual(len(found), 4)
        for key in keys:
            self.assertEqual(self.ask("GET", between + "/" + quote(key))["properties_key"], key)
            self.ask("DELETE", between + "/" + quote(key), None, 204)
            self.ask("DELETE", between + "/" + quote(key), None, 404)
        self.assertEqual(self.ask("GET", between), [])
        self.assertEqual(self.ask("GET", "bindings/%2F/e/no-such/q/" + quote(name)), [])

    def test_binding_of_headers_exchange_is_listed_once(self):
        name, _ = self.queue()
        between = "bindings/%2F/e/amq.headers/q/" + quote(name)
        self.ask("POST", between, {"arguments": {"x-match": "any", "a": 1, "b": 2, "c": 3}}, 201)
        self.assertEqual(len(self.ask("GET", between)), 1)

    def test_binding_of_exchanges(self):
        name = fresh("x")
        self.ask("PUT", "exchanges/%2F/" + name, {"type": "fanout"}, 201)
        between = "bindings/%%2F/e/amq.direct/e/%s" % name
        self.ask("POST", between, {"routing_key": "k"}, 201)
        got = self.ask("GET", "exchanges/%%2F/%s/bindings/destination" % name)
        self.assertEqual([(b["source"], b["routing_key"], b["destination_type"]) for b in got],
                         [("amq.direct", "k", "exchange")])
        why = self.ask("POST", "bindings/%2F/e/amq.direct/e/no-such", {"routing_key": "k"}, 404)
        self.assertIn("no exchange 'no-such'", why["reason"])
        self.ask("POST", "bindings/%2F/e/amq.direct/e/no-such", {"routing_key": "k" * 256}, 400)
        self.ask("DELETE", "exchanges/%%2F/%s?if-unused=true" % name, None, 204)


@needs_own_broker
class Messages(Case):
    def test_publish_and_get(self):
        name, path = self.queue(durable=True)
        self.assertEqual(self.publish(name, delivery_mode=2, headers={"a": [1, {"b": None}]},
                                      priority=3, timestamp=5, app_id="é"), {"routed": True})
        self.assertEqual(self.publish(fresh("nowhere")), {"routed": False})
        self.publish(name, "//4=", encoding="base64")
        for _ in range(2):
            one, two = self.take(path)
            self.assertEqual((one["payload"], one["payload_encoding"], one["message_count"]),
                             ("hello", "string", 1))
            self.assertEqual(one["properties"], {
                "delivery_mode": 2, "headers": {"a": [1, {"b": None}]}, "priority": 3,
                "timestamp": 5, "app_id": "é"})
            self.assertEqual((two["payload"], two["payload_encoding"], two["payload_bytes"]),
                             ("//4=", "base64", 2))
        self.assertTrue(one["redelivered"])
        one, = self.take(path, 1, "reject_requeue_true", truncate=2)
        self.assertEqual((one["payload"], one["payload_bytes"]), ("he", 5))
        one, = self.take(path, 1, "ack_requeue_false", "base64")
        self.assertEqual((one["payload"], one["exchange"], one["routing_key"]),
                         ("aGVsbG8=", "", name))
        self.assertEqual(len(self.take(path, 5, "reject_requeue_false")), 1)
        self.assertEqual(self.take(path), [])

    def test_purge(self):
        name, path = self.queue()
        for _ in range(3):
            self.publish(name)
        self.ask("DELETE", path + "/contents", None, 204)
        wait_for(lambda: self.ask("GET", path)["messages"] == 0, "an empty queue")
        self.ask("DELETE", "queues/%2F/no-such/contents", None, 404)
        self.ask("POST", path + "/actions", {"action": "sync"}, 204)
        self.ask("POST", path + "/actions", {"action": "dance"}, 400)

    def test_large_message(self):
        name, path = self.queue()
        self.publish(name, "x" * 300000)
        self.publish(name, "y")
        self.assertEqual([m["payload_bytes"] for m in self.take(path)], [300000, 1])

    def test_copies(self):
        names = [self.queue()[0] for _ in range(3)]
        self.publish(names[0], headers={"CC": [names[1]], "BCC": [names[2]], "a": 1})
        for name in names:
            got, = self.take("queues/%2F/" + quote(name))
            self.assertEqual(got["properties"], {"headers": {"CC": [names[1]], "a": 1}})

    def test_bad_requests(self):
        name, path = self.queue()
        good = {"properties": {}, "routing_key": name, "payload": "x", "payload_encoding": "string"}
        for change in ({"payload_encoding": "rot13"}, {"payload_encoding": None},
                       {"payload": "a", "payload_encoding": "base64"},
                       {"payload": "a===", "payload_encoding": "base64"}, {"payload": 5},
                       {"routing_key": "k" * 256}, {"properties": {"priority": "x"}},
                       {"properties": {"priority": 256}}, {"properties": {"headers": 5}},
                       {"properties": {"delivery_mode": 3}}, {"properties": {"expiration": "x"}},
                       {"properties": {"app_id": "x" * 256}}, {"properties": {"timestamp": -1}},
                       {"properties": {"user_id": "root"}}, {"properties": {"headers": {"CC": 5}}}):
            self.ask("POST", "exchanges/%2F/amq.default/publish", dict(good, **change), 400)
        why = self.ask("POST", "exchanges/%2F/no-such/publish", good, 400)
        self.assertIn("404 NOT_FOUND", why["reason"])
        get = {"count": 1, "ackmode": "ack_requeue_true", "encoding": "auto"}
        for change in ({"count": "x"}, {"count": -1}, {"count": 1.5}, {"ackmode": "maybe"},
                       {"encoding": "rot13"}, {"ackmode": None}, {"truncate": "x"}):
            self.ask("POST", path + "/get", dict(get, **change), 400)
        self.ask("POST", "queues/%2F/no-such/get", get, 404)
        self.assertEqual(self.take(path), [])


@needs_own_broker
class Lists(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for n in range(25):
            cls.broker.http("PUT", "/api/queues/%%2F/list-%02d" % n,
                            {"durable": n % 2 == 0, "arguments": {"x-n": 25 - n}})

    def names(self, query):
        got = self.ask("GET", "queues?" + query)
        return [q["name"] for q in (got["items"] if isinstance(got, dict) else got)]

    def test_order(self):
        ordered = ["list-%02d" % n for n in range(25)]
        self.assertEqual(self.names(""), ordered)
        self.assertEqual(self.names("sort_reverse=true"), ordered[::-1])
        self.assertEqual(self.names("sort=arguments.x-n"), ordered[::-1])
        self.assertEqual(self.names("sort=name&sort_reverse=true"), ordered[::-1])
        self.assertEqual(self.names("sort=no.such.field"), ordered)
        self.assertEqual(self.names("sort=durable"), ordered[1::2] + ordered[::2])

    def test_pages(self):
        got = self.ask("GET", "queues/%2F?page=2&page_size=10&name=LIST-&sort=name")
        self.assertEqual([q["name"] for q in got["items"]],
                         ["list-%02d" % n for n in range(10, 20)])
        del got["items"]
        self.assertEqual(got, {"page": 2, "page_size": 10, "page_count": 3, "item_count": 10,
                               "filtered_count": 25, "total_count": 25})
        self.assertEqual(len(self.names("page=3&page_size=10")), 5)
        self.assertEqual(self.names("page=1&use_regex=true&name=%5Elist-.%5B3-4%5D%24"),
                         ["list-03", "list-04", "list-13", "list-14", "list-23", "list-24"])
        self.assertEqual(self.names("page=1&pagination=false&use_regex=true&name=%5Elist-07%24"),
                         ["list-07"])
        self.assertEqual(self.ask("GET", "queues?page=1&name=zzz")["page_count"], 0)

    def test_bad_queries(self):
        for query, error in (("page=9", "page_out_of_range"), ("page=0", None), ("page=-1", None),
                             ("page=1&page_size=501", "invalid_pagination_parameters"),
                             ("page=1&page_size=0", None), ("page=x", "bad_request"),
                             ("page=1&page_size=%s" % ("9" * 30), "bad_request"),
                             ("page=%s" % ("9" * 18), "page_out_of_range"),
                             ("name=(&use_regex=true", "bad_request"),
                             ("sort=%00", "bad_request"), ("columns=%ff", "bad_request")):
            got = self.ask("GET", "queues?" + query, None, 400)
            self.assertEqual(got["error"], error or "invalid_pagination_parameters", query)

    def test_columns(self):
        got = self.ask("GET", "queues?columns=name,arguments.x-n,no.such,message_stats.publish"
                              "&page=1&page_size=1")
        self.assertEqual(got["items"], [{"name": "list-00", "arguments": {"x-n": 25},
                                         "message_stats": {"publish": 0}}])
        self.assertEqual(self.ask("GET", "queues/%2F/list-01?columns=name,durable"),
                         {"name": "list-01", "durable": False})

    def test_stats_are_left_out(self):
        one = self.ask("GET", "queues?disable_stats=true")[0]
        self.assertNotIn("messages", one)
        self.assertNotIn("message_stats", one)
        one = self.ask("GET", "queues?disable_stats=true&enable_queue_totals=true")[0]
        self.assertEqual(one["messages"], 0)
        self.assertNotIn("message_stats", one)


if __name__ == "__main__":
    unittest.main()
