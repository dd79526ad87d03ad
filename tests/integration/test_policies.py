#!/usr/bin/env python3
"""Policies at living queues and exchanges: which one a thing has, and what follows at once."""
import unittest

from pika import spec

from harness import BrokerCase, fresh, needs_own_broker

B, Q, X = spec.Basic, spec.Queue, spec.Exchange


@needs_own_broker
class Policies(BrokerCase):
    def setUp(self):
        self.vhost = fresh("v")
        self.ask(201, "PUT", "vhosts/" + self.vhost)
        self.conn = self.opened(vhost=self.vhost)

    def tearDown(self):
        self.ask(204, "DELETE", "vhosts/" + self.vhost)

    def ask(self, want, method, path, body=None):
        status, value = self.broker.http(method, "/api/" + path, body)
        self.assertEqual(status, want, (method, path, value))
        return value

    def put(self, name, pattern, definition, kind="policies", want=201, **more):
        return self.ask(want, "PUT", "%s/%s/%s" % (kind, self.vhost, name),
                        dict(more, pattern=pattern, definition=definition))

    def clear(self, name, kind="policies"):
        self.ask(204, "DELETE", "%s/%s/%s" % (kind, self.vhost, name))

    def of(self, queue, kind="queues"):
        shown = self.ask(200, "GET", "%s/%s/%s" % (kind, self.vhost, queue))
        return (shown.get("policy"), shown.get("operator_policy"),
                shown.get("effective_policy_definition"))

    def declare(self, name, **options):
        self.conn.rpc(1, Q.Declare(queue=name, **options))

    def test_which(self):
        """Pattern, apply-to and priority; what is there, and what is made later."""
        self.declare("apple")
        self.declare("banana", durable=True)
        self.put("all", "", {"max-length": 1}, priority=-1)
        self.assertEqual(self.of("apple"), ("all", None, {"max-length": 1}))
        self.put("a", "^a", {"max-length": 2}, **{"apply-to": "queues"})
        self.assertEqual(self.of("apple")[0], "a")
        self.assertEqual(self.of("banana")[0], "all")
        self.declare("avocado", exclusive=True)
        self.assertEqual(self.of("avocado")[0], "a")
        self.put("higher", "pp", {"max-length": 3}, priority=5)
        self.assertEqual(self.of("apple")[0], "higher")
        self.put("higher", "pp", {"max-length": 3}, priority=-5, want=204)
        self.assertEqual(self.of("apple")[0], "a")
        self.put("x", "", {"alternate-exchange": "y"}, priority=9, **{"apply-to": "exchanges"})
        self.assertEqual(self.of("apple")[0], "a")
        self.assertEqual(self.of("amq.topic", "exchanges")[0], "x")
        self.declare("quorum", durable=True, arguments={"x-queue-type": "quorum"})
        self.put("q", "", {"delivery-limit": 3}, priority=9, **{"apply-to": "quorum_queues"})
        self.put("c", "", {"max-length": 4}, priority=9, **{"apply-to": "classic_queues"})
        self.assertEqual((self.of("quorum")[0], self.of("banana")[0]), ("q", "c"))
        for name in ("all", "a", "higher", "x", "q", "c"):
            self.clear(name)
        self.assertEqual(self.of("apple"), (None, None, {}))

    def test_operator(self):
        """Of limits the smaller one stands; else the operator's; else what only one has."""
        self.declare("q")
        self.put("p", "", {"max-length": 5, "message-ttl": 10, "overflow": "drop-head",
                           "dead-letter-exchange": "x"})
        self.put("o", "", {"max-length": 9, "message-ttl": 3, "overflow": "reject-publish",
                           "expires": 1000}, kind="operator-policies", **{"apply-to": "queues"})
        self.assertEqual(self.of("q"), ("p", "o", {
            "max-length": 5, "message-ttl": 3, "overflow": "reject-publish", "expires": 1000,
            "dead-letter-exchange": "x"}))
        self.clear("p")
        self.assertEqual(self.of("q")[:2], (None, "o"))
        self.clear("o", "operator-policies")
        self.assertEqual(self.of("q"), (None, None, {}))

    def routed(self, exchange):
        """Whether a message that fits no binding comes to the queue of the alternate exchange."""
        self.conn.publish(1, exchange, "nowhere", b"?", mandatory=True)
        got = self.conn.expect_one_of(1, (B.Ack, B.Return))
        if isinstance(got, B.Ack):
            return True
        self.conn.content(1, got)
        self.conn.expect(1, B.Ack)
        return False

    def test_alternate_exchange(self):
        """A living exchange gets it at once, and loses it at once."""
        self.conn.rpc(1, spec.Confirm.Select())
        self.declare("lost")
        self.conn.rpc(1, Q.Bind(queue="lost", exchange="amq.fanout"))
        for kind in ("direct", "topic", "headers"):
            self.conn.rpc(1, X.Declare(exchange=kind, type=kind))
            for _ in range(2):
                self.assertFalse(self.routed(kind))
                self.put("ae", "^%s$" % kind, {"alternate-exchange": "amq.fanout"})
                self.assertTrue(self.routed(kind))
                self.clear("ae")
        # The exchange's own argument comes first.
        self.conn.rpc(1, X.Declare(exchange="own", type="topic",
                                   arguments={"alternate-exchange": "nobody"}))
        self.put("ae", "^own$", {"alternate-exchange": "amq.fanout"})
        self.assertFalse(self.routed("own"))

    def test_refused(self):
        for definition, words in (
                ({}, "no policy provided"),
                ({"foo": 1}, "not recognised policy settings"),
                ({"max-length": "a"}, "not a valid maximum length"),
                ({"max-length": -1}, "-1 is not a valid maximum length"),
                ({"max-length": 1.5}, "1.5 is not a valid maximum length"),
                ({"message-ttl": -1}, "-1 is not a valid message TTL"),
                ({"expires": 0}, "0 is not a valid queue expiry"),
                ({"overflow": "zz"}, '<<"zz">> is not a valid overflow value'),
                ({"dead-letter-exchange": 7}, "7 is not a valid dead letter exchange name"),
                ({"alternate-exchange": 7}, "7 is not a valid alternate exchange name"),
                ({"queue-mode": "x"}, "not a valid queue-mode value")):
            self.assertIn(words, self.put("p", "x", definition, want=400)["reason"])
        good = {"max-length": 1}
        for pattern, more, words in (
                ("(", {}, "pattern should be regular expression"),
                (7, {}, "pattern should be a binary but was 7"),
                ("x", {"apply-to": "foo"}, "unrecognised"),
                ("x", {"priority": "high"}, "priority should be a number")):
            self.assertIn(words, self.put("p", pattern, good, want=400, **more)["reason"])
        self.assertIn("not recognised", self.put("o", "x", {"dead-letter-exchange": "x"}, want=400,
                                                 kind="operator-policies")["reason"])
        self.assertEqual(self.ask(200, "GET", "policies/" + self.vhost), [])

    def test_restarts(self):
        """What stands is there after a start, and after a registry's end."""
        self.declare("q", durable=True)
        self.conn.rpc(1, X.Declare(exchange="x", type="topic", durable=True))
        self.put("p", "", {"alternate-exchange": "amq.fanout", "max-length": 7})
        self.broker.kill9()
        self.broker.start()
        self.conn = self.opened(vhost=self.vhost)
        self.assertEqual(self.of("q")[0], "p")
        self.declare("lost")
        self.conn.rpc(1, Q.Bind(queue="lost", exchange="amq.fanout"))
        self.conn.rpc(1, spec.Confirm.Select())
        self.assertTrue(self.routed("x"))

    def test_import(self):
        """A file's policies, with keys of elsewhere, come to what is there."""
        self.declare("q")
        self.ask(204, "POST", "definitions/" + self.vhost, {"policies": [
            {"name": "p", "pattern": "q", "apply-to": "all", "priority": 0,
             "definition": {"ha-mode": "all", "some-plugin": "x", "max-length": 3}}]})
        self.assertEqual(self.of("q"), ("p", None, {"ha-mode": "all", "some-plugin": "x",
                                                    "max-length": 3}))


if __name__ == "__main__":
    unittest.main()
