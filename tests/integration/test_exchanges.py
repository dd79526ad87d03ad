#!/usr/bin/env python3
"""Every type of exchange, exchanges bound to others, alternates, CC and BCC, as pika sees them."""
import unittest

import pika
from pika.exceptions import ChannelClosedByBroker, NackError, UnroutableError

from harness import EXTERNAL, Broker, BrokerCase, fresh, needs_own_broker, wait_for


def connect(broker):
    return pika.BlockingConnection(pika.ConnectionParameters(*broker.addr, heartbeat=0))


class Case(BrokerCase):
    def setUp(self):
        self.conn = connect(self.broker)
        self.addCleanup(lambda: self.conn.is_open and self.conn.close())
        self.ch = self.conn.channel()
        self.ch.confirm_delivery()

    def exchange(self, kind, **options):
        name = fresh("x")
        options.setdefault("auto_delete", False)
        self.ch.exchange_declare(name, kind, **options)
        if not options["auto_delete"]:
            self.addCleanup(self.delete, name)
        return name

    def delete(self, exchange):
        if self.conn.is_open:
            self.conn.channel().exchange_delete(exchange)

    def queue(self, *bindings):
        """An exclusive queue bound by (exchange, key[, arguments])."""
        name = self.ch.queue_declare("", exclusive=True).method.queue
        for exchange, key, *args in bindings:
            self.ch.queue_bind(name, exchange, key, args[0] if args else None)
        return name

    def put(self, exchange, key="", headers=None, mandatory=False, body=b"m"):
        self.ch.basic_publish(exchange, key, body, pika.BasicProperties(headers=headers), mandatory)

    def is_routed(self, exchange, key="", headers=None):
        try:
            self.put(exchange, key, headers, mandatory=True)
            return True
        except UnroutableError:
            return False

    def take(self, queue):
        """What is in the queue, which is confirmed and so there."""
        got = []
        while True:
            method, props, body = self.ch.basic_get(queue, auto_ack=True)
            if method is None:
                return got
            got.append((method, props, body))

    def count(self, queue):
        return len(self.take(queue))

    def refused(self, code, act, text=""):
        ch = self.conn.channel()
        with self.assertRaises(ChannelClosedByBroker) as e:
            act(ch)
        self.assertEqual(e.exception.reply_code, code)
        self.assertIn(text, e.exception.reply_text)

    def exists(self, exchange):
        ch = self.conn.channel()
        try:
            ch.exchange_declare(exchange, passive=True)
            ch.close()
            return True
        except ChannelClosedByBroker as e:
            self.assertEqual(e.reply_code, 404)
            return False


class Types(Case):
    def test_direct(self):
        x = self.exchange("direct")
        q, other = self.queue((x, "a"), (x, "b")), self.queue((x, "a"))
        for key, n, m in (("a", 1, 1), ("b", 1, 0), ("A", 0, 0)):
            self.put(x, key)
            self.assertEqual((self.count(q), self.count(other)), (n, m), key)

    def test_fanout(self):
        x = self.exchange("fanout")
        queues = [self.queue((x, str(i)), (x, "")) for i in range(5)]
        self.put(x, "whatever")
        self.assertEqual([self.count(q) for q in queues], [1] * 5)

    def test_topic(self):
        x = self.exchange("topic")
        cases = {"a.*": ("a.b", "a."), "#": ("", "a", "a.b.c", "a.b", "a.", "a.x.y.b", "b"),
                 "a.#.b": ("a.b", "a.x.y.b"), "*": ("a", "b"), "*.*": ("a.b", "a."),
                 "a.b.c": ("a.b.c",), "#.b": ("a.b", "a.x.y.b", "b"), "": ("",)}
        queues = {pattern: self.queue((x, pattern)) for pattern in cases}
        for key in cases["#"]:
            self.put(x, key)
            for pattern, q in queues.items():
                self.assertEqual(self.count(q), key in cases[pattern], (pattern, key))
        self.ch.queue_unbind(queues["#"], x, "#")
        self.put(x, "a.b")
        self.assertEqual(self.count(queues["#"]), 0)
        self.assertEqual(self.count(queues["a.*"]), 1)

    @needs_own_broker  # RabbitMQ does not come back from these.
    def test_topic_against_bombs(self):
        x = self.exchange("topic")
        patterns = [".".join(["#.a"] * n) for n in range(1, 60)]
        patterns += [".".join(["#"] * 100), ".".join(["#", "*"] * 50)]
        q = self.queue(*((x, p) for p in patterns))
        for _ in range(20):
            self.put(x, ".".join(["a"] * 127))
        self.assertEqual(self.count(q), 20)

    def test_headers(self):
        x = self.exchange("headers")
        both = {"a": 1, "b": "two"}
        queues = {
            "default": self.queue((x, "", both)),
            "all": self.queue((x, "", dict(both, **{"x-match": "all"}))),
            "any": self.queue((x, "", dict(both, **{"x-match": "any"}))),
            "presence": self.queue((x, "", {"a": None})),
            "nothing": self.queue((x, "", {"x-match": "any"})),
            "everything": self.queue((x, "")),
            "with x": self.queue((x, "", {"x-match": "any-with-x", "x-k": 1})),
            "all with x": self.queue((x, "", {"x-match": "all-with-x", "a": 1, "x-k": 1})),
            "without x": self.queue((x, "", {"x-match": "all", "a": 1, "x-k": 1})),
        }
        for headers, want in (
                (both, {"default", "all", "any", "presence", "everything", "without x"}),
                ({"a": 1}, {"any", "presence", "everything", "without x"}),
                ({"a": "1"}, {"presence", "everything"}),
                ({"b": "two"}, {"any", "everything"}),
                ({"x-k": 1}, {"with x", "everything"}),
                ({"a": 1, "x-k": 1}, {"any", "presence", "everything", "with x", "all with x",
                                      "without x"}),
                (None, {"everything"})):
            self.put(x, "k", headers)
            self.assertEqual({name for name, q in queues.items() if self.count(q)}, want, headers)
        for wrong in ("some", 1):
            self.refused(406, lambda ch, w=wrong: ch.queue_bind(queues["all"], x, "",
                                                                {"x-match": w}), "x-match")

    def test_predeclared(self):
        for name, kind in (("amq.direct", "direct"), ("amq.fanout", "fanout"),
                           ("amq.topic", "topic"), ("amq.headers", "headers"),
                           ("amq.match", "headers")):
            self.ch.exchange_declare(name, kind, durable=True)
            self.ch.exchange_declare(name, passive=True)
        q = self.queue(("amq.topic", "a.#"), ("amq.match", "", {"a": 1}))
        self.put("amq.topic", "a.b.c")
        self.put("amq.match", "", {"a": 1})
        self.assertEqual(self.count(q), 2)
        self.assertTrue(self.exists("amq.rabbitmq.trace"))
        self.refused(403, lambda ch: (ch.basic_publish("amq.rabbitmq.trace", "a", b""),
                                      ch.queue_declare("", exclusive=True)))

    def test_unknown_type(self):
        if not EXTERNAL:
            self.refused(406, lambda ch: ch.exchange_declare(fresh("x"), "nonsense"), "nonsense")


class Bindings(Case):
    def test_exchange_to_exchange(self):
        first, second = self.exchange("topic"), self.exchange("fanout")
        q = self.queue((second, ""))
        self.ch.exchange_bind(second, first, "a.#")
        self.put(first, "a.b")
        self.put(first, "b")
        self.assertEqual(self.count(q), 1)
        self.ch.exchange_unbind(second, first, "a.#")
        self.put(first, "a.b")
        self.assertEqual(self.count(q), 0)
        self.ch.exchange_unbind(second, first, "a.#")  # What is not there is unbound.

    def test_ring(self):
        ring = [self.exchange("fanout") for _ in range(4)]
        q = self.queue(*((x, "") for x in ring))
        for i, x in enumerate(ring):
            self.ch.exchange_bind(ring[i - 1], x)
            self.ch.exchange_bind(x, x)
        for x in ring:
            self.put(x)
            self.assertEqual(self.count(q), 1)

    def test_refusals(self):
        x = self.exchange("fanout")
        self.refused(404, lambda ch: ch.exchange_bind(x, fresh("no")))
        self.refused(404, lambda ch: ch.exchange_bind(fresh("no"), x))
        self.refused(403, lambda ch: ch.exchange_bind(x, ""))
        self.refused(403, lambda ch: ch.exchange_bind("", x))

    def test_delete_takes_bindings_of_both_ends(self):
        first, middle, last = (self.exchange("fanout") for _ in range(3))
        q = self.queue((last, ""))
        self.ch.exchange_bind(middle, first)
        self.ch.exchange_bind(last, middle)
        self.assertTrue(self.is_routed(first))
        self.ch.exchange_delete(middle)
        self.assertFalse(self.is_routed(first))
        self.ch.exchange_declare(middle, "fanout")
        self.assertFalse(self.is_routed(first))
        self.assertFalse(self.is_routed(middle))
        self.assertEqual(self.count(q), 1)

    def test_if_unused(self):
        x, y = self.exchange("fanout"), self.exchange("fanout")
        self.ch.exchange_bind(y, x)
        self.refused(406, lambda ch: ch.exchange_delete(x, if_unused=True))
        self.ch.exchange_delete(y, if_unused=True)  # It is a destination only.
        self.ch.exchange_delete(x, if_unused=True)

    def test_auto_delete(self):
        x = self.exchange("direct", auto_delete=True)
        self.assertTrue(self.exists(x))  # Not before something was bound.
        q = self.queue((x, "a"), (x, "b"))
        self.ch.queue_unbind(q, x, "a")
        self.assertTrue(self.exists(x))
        self.ch.queue_unbind(q, x, "b")
        self.assertFalse(self.exists(x))
        x = self.exchange("topic", auto_delete=True)
        q = self.queue((x, "#"))
        self.ch.queue_delete(q)
        self.assertFalse(self.exists(x))

    def test_auto_delete_in_a_line(self):
        line = [self.exchange("fanout", auto_delete=True) for _ in range(30)]
        for a, b in zip(line, line[1:]):
            self.ch.exchange_bind(b, a)
        q = self.queue((line[-1], ""))
        self.put(line[0])
        self.assertEqual(self.count(q), 1)
        self.ch.queue_delete(q)
        wait_for(lambda: not self.exists(line[0]), "end of the first exchange")
        self.assertFalse(self.exists(line[15]))

    def test_one_copy(self):
        x, y = self.exchange("topic"), self.exchange("direct")
        q = self.queue((x, "a.b"), (x, "a.*"), (x, "#"), (x, "*.b"), (y, "a.b"), (y, "c"))
        self.ch.exchange_bind(y, x, "#")
        self.put(x, "a.b", {"CC": ["c", "a.x"], "BCC": ["a.y"]})
        self.assertEqual(self.count(q), 1)


class Alternates(Case):
    def alternate(self, kind, name):
        return self.exchange(kind, arguments={"alternate-exchange": name})

    def test_chain(self):
        last = self.exchange("fanout")
        middle = self.alternate("direct", last)
        first = self.alternate("topic", middle)
        q, m, f = self.queue((last, "")), self.queue((middle, "m")), self.queue((first, "f.#"))
        for key, want in (("f.x", (1, 0, 0)), ("m", (0, 1, 0)), ("z", (0, 0, 1))):
            self.put(first, key, mandatory=True)  # Through an alternate it is routed.
            self.assertEqual((self.count(f), self.count(m), self.count(q)), want, key)

    def test_ring_and_missing(self):
        names = [fresh("x") for _ in range(3)]
        for i, name in enumerate(names):
            self.ch.exchange_declare(name, "direct",
                                     arguments={"alternate-exchange": names[i - 1]})
            self.addCleanup(self.delete, name)
        self.assertFalse(self.is_routed(names[0], "k"))
        q = self.queue((names[1], "k"))
        self.assertTrue(self.is_routed(names[0], "k"))
        self.assertEqual(self.count(q), 1)
        self.assertFalse(self.is_routed(self.alternate("fanout", fresh("no"))))

    def test_not_used_when_bound_to_an_exchange(self):
        last, empty = self.exchange("fanout"), self.exchange("fanout")
        first = self.alternate("fanout", last)
        q = self.queue((last, ""))
        self.ch.exchange_bind(empty, first)
        self.assertFalse(self.is_routed(first))
        self.assertEqual(self.count(q), 0)

    def test_arguments(self):
        name = fresh("x")
        self.refused(406, lambda ch: ch.exchange_declare(
            name, "direct", arguments={"alternate-exchange": 5}), "alternate-exchange")
        x = self.alternate("direct", "amq.fanout")
        self.ch.exchange_declare(x, "direct", arguments={"alternate-exchange": "amq.fanout"})
        self.refused(406, lambda ch: ch.exchange_declare(x, "direct"), "alternate-exchange")
        self.refused(406, lambda ch: ch.exchange_declare(x, "topic", arguments={
            "alternate-exchange": "amq.fanout"}), "type")


class Keys(Case):
    def test_cc_and_bcc(self):
        x = self.exchange("direct")
        queues = [self.queue((x, k)) for k in ("a", "b", "c", "d")]
        headers = {"CC": ["b"], "BCC": ["c", "a"], "z": "kept"}
        self.put(x, "a", headers, body=b"body")
        for q in queues[:3]:
            (method, props, body), = self.take(q)
            self.assertEqual((method.routing_key, body), ("a", b"body"))
            self.assertEqual(props.headers, {"CC": ["b"], "z": "kept"})
        self.assertEqual(self.count(queues[3]), 0)

    def test_on_the_default_exchange(self):
        a, b = self.queue(), self.queue()
        self.put("", a, {"CC": [b, a]})
        self.put("", "nobody", {"BCC": [b]}, mandatory=True)
        self.assertEqual((self.count(a), self.count(b)), (1, 2))

    def test_large_body(self):
        x = self.exchange("topic")
        q = self.queue((x, "k.#"))
        body = bytes(range(256)) * 1000
        self.put(x, "other", {"BCC": ["k.1"]}, body=body)
        (_, props, got), = self.take(q)
        self.assertEqual((got, props.headers), (body, {}))

    def test_no_arrays(self):
        for name in ("CC", "BCC"):
            with self.subTest(name):
                ch = self.conn.channel()
                ch.confirm_delivery()
                with self.assertRaises((ChannelClosedByBroker, NackError)) as e:
                    ch.basic_publish("amq.direct", "a", b"", pika.BasicProperties(
                        headers={name: "a"}))
                self.assertEqual(e.exception.reply_code, 406)

    def test_internal(self):
        inner = self.exchange("fanout", internal=True)
        outer = self.exchange("fanout")
        q = self.queue((inner, ""))
        self.ch.exchange_bind(inner, outer)
        self.put(outer)
        self.assertEqual(self.count(q), 1)
        self.refused(403, lambda ch: (ch.basic_publish(inner, "", b""),
                                      ch.queue_declare("", exclusive=True)), "internal")


@needs_own_broker
class Durable(unittest.TestCase):
    def test_all_are_back_after_a_kill(self):
        with Broker() as broker:
            conn = connect(broker)
            ch = conn.channel()
            for name, kind, args in (("t", "topic", {"alternate-exchange": "f"}),
                                     ("h", "headers", None), ("f", "fanout", None)):
                ch.exchange_declare(name, kind, durable=True, arguments=args)
            for q in "abc":
                ch.queue_declare(q, durable=True)
            ch.queue_bind("a", "t", "x.*.#")
            ch.queue_bind("b", "h", "", {"x-match": "any", "k": 1, "l": 2})
            ch.queue_bind("c", "f")
            ch.exchange_bind("h", "t", "to.h")
            ch.exchange_bind("t", "f", "gone")
            ch.exchange_unbind("t", "f", "gone")
            ch.exchange_declare("deleted", "topic", durable=True)
            ch.exchange_bind("deleted", "t", "#")
            ch.exchange_delete("deleted")
            broker.kill9()
            broker.start()
            conn = connect(broker)
            ch = conn.channel()
            ch.confirm_delivery()
            for key, headers, want in (("x.y", None, "a"), ("to.h", {"l": 2}, "b"),
                                       ("other", None, "c"), ("to.h", None, "")):
                try:
                    ch.basic_publish("t", key, b"", pika.BasicProperties(headers=headers), True)
                except UnroutableError:
                    self.assertEqual(want, "")
                for q in "abc":
                    got = ch.basic_get(q, auto_ack=True)[0]
                    self.assertEqual(got is not None, q == want, (key, q))
            conn.close()


if __name__ == "__main__":
    unittest.main()
