#!/usr/bin/env python3
"""Declares, binds and deletes sent one behind the other without waiting for any answer."""
import unittest

from pika import spec

from harness import EXTERNAL, BrokerCase, fresh, wait_for
from wire import frame, METHOD

B, Q, X, CH = spec.Basic, spec.Queue, spec.Exchange, spec.Channel
N = 300


class Pipeline(BrokerCase):
    def send(self, conn, *methods):
        conn.gather()
        for method in methods:
            conn.cast(1, method)
        conn.flush()

    def count(self, conn, queue):
        return conn.rpc(1, Q.Declare(queue=queue, passive=True)).message_count

    def is_there(self, queue):
        conn = self.opened()
        conn.cast(1, Q.Declare(queue=queue, passive=True))
        return isinstance(conn.expect_one_of(1, (Q.DeclareOk, CH.Close)), Q.DeclareOk)

    def test_answers_in_order(self):
        """Some are answered after a commit, some at once."""
        conn, queue, x = self.opened(), fresh(), fresh("x")
        self.send(conn, Q.Declare(queue=queue, durable=True),
                  X.Declare(exchange=x, type="topic"),
                  Q.Declare(queue=queue + "-t"),
                  Q.Bind(queue=queue, exchange="amq.direct", routing_key=queue),
                  Q.Bind(queue=queue + "-t", exchange="amq.direct", routing_key=queue),
                  Q.Bind(queue=queue + "-t", exchange=x, routing_key="#"),
                  Q.Unbind(queue=queue, exchange="amq.direct", routing_key=queue),
                  B.Qos(prefetch_count=1),
                  Q.Declare(queue=queue, passive=True),
                  Q.Delete(queue=queue + "-t"),
                  X.Delete(exchange=x),
                  Q.Declare(queue=queue + "-t", durable=True))
        self.assertEqual(conn.expect(1, Q.DeclareOk).queue, queue)
        conn.expect(1, X.DeclareOk)
        self.assertEqual(conn.expect(1, Q.DeclareOk).queue, queue + "-t")
        for answer in (Q.BindOk, Q.BindOk, Q.BindOk, Q.UnbindOk, B.QosOk, Q.DeclareOk, Q.DeleteOk,
                       X.DeleteOk):
            conn.expect(1, answer)
        self.assertEqual(conn.expect(1, Q.DeclareOk).queue, queue + "-t")

    def test_publish_sees_all_before_it(self):
        for nowait in (False, True):
            conn, queue = self.opened(), fresh()
            conn.gather()
            conn.cast(1, Q.Declare(queue=queue, durable=True, nowait=nowait))
            for i in range(N):
                conn.cast(1, Q.Bind(queue=queue, exchange="amq.topic", nowait=nowait,
                                    routing_key="%s.%d" % (queue, i)))
            for i in range(N):
                conn.publish(1, "amq.topic", "%s.%d" % (queue, i), b"m")
            conn.flush()
            if not nowait:
                conn.expect(1, Q.DeclareOk)
                for _ in range(N):
                    conn.expect(1, Q.BindOk)
            self.assertEqual(self.count(conn, queue), N)

    def test_nothing_behind_an_error(self):
        """What came before it is answered and done, what comes behind it is not."""
        mistakes = (Q.Declare(queue=fresh("none"), passive=True),
                    Q.Bind(queue=fresh("none"), exchange="amq.direct"),
                    Q.Bind(queue=fresh("none"), exchange="", routing_key="k"),
                    Q.Declare(queue="amq.not-allowed"),
                    X.Declare(exchange="", type="direct"),
                    X.Delete(exchange="amq.topic"),
                    Q.Declare(queue="", passive=True))
        for mistake in mistakes:
            conn, queue = self.opened(), fresh()
            binds = [Q.Bind(queue=queue, exchange="amq.direct", routing_key="%s-%d" % (queue, i))
                     for i in range(20)]
            self.send(conn, Q.Declare(queue=queue, durable=True), *binds, mistake,
                      Q.Declare(queue=queue + "-behind", durable=True),
                      Q.Delete(queue=queue))
            conn.expect(1, Q.DeclareOk)
            for _ in binds:
                conn.expect(1, Q.BindOk)
            got = conn.expect(1, CH.Close)
            self.assertIn(got.reply_code, (403, 404), mistake)
            conn.cast(1, CH.CloseOk())
            conn.channel(1)
            self.assertEqual(self.count(conn, queue), 0)
            self.assertFalse(self.is_there(queue + "-behind"), mistake)

    def test_bad_frame_behind_binds(self):
        """Found before the binds are done, told after them."""
        conn, queue = self.opened(), fresh()
        conn.gather()
        conn.cast(1, Q.Declare(queue=queue, durable=True))
        for i in range(20):
            conn.cast(1, Q.Bind(queue=queue, exchange="amq.direct", routing_key="k%d" % i))
        table = b"\x00\x00\x00\x03\x01a?"  # a field of no known type
        name = bytes([len(queue)]) + queue.encode()
        conn.send(frame(METHOD, 1, b"\x00\x32\x00\x14\x00\x00" + name + b"\x0aamq.direct\x01k\x00"
                        + table))
        conn.flush()
        conn.expect(1, Q.DeclareOk)
        for _ in range(20):
            conn.expect(1, Q.BindOk)
        self.assertIn(conn.expect(0, spec.Connection.Close).reply_code, (501, 502))

    def test_last_declared(self):
        """An empty name means the queue of the declare just before, whatever its name will be."""
        conn, key = self.opened(), fresh("key")
        conn.gather()
        for i in range(3):
            conn.cast(1, Q.Declare(queue="", exclusive=True))
            conn.cast(1, Q.Bind(queue="", exchange="amq.direct", routing_key="%s-%d" % (key, i)))
        conn.cast(1, B.Consume(queue="", consumer_tag="c", no_ack=True))
        for i in range(3):
            conn.publish(1, "amq.direct", "%s-%d" % (key, i), b"%d" % i)
        conn.flush()
        for _ in range(3):
            conn.expect(1, Q.DeclareOk)
            conn.expect(1, Q.BindOk)
        conn.expect(1, B.ConsumeOk)
        self.assertEqual(conn.message(1).body, b"2")

    def test_close_behind(self):
        conn, queue = self.opened(), fresh()
        conn.gather()
        conn.cast(1, Q.Declare(queue=queue, durable=True))
        for i in range(N):
            conn.cast(1, Q.Bind(queue=queue, exchange="amq.direct", routing_key="k%d" % i))
        conn.cast(1, CH.Close(200, "", 0, 0))
        conn.flush()
        conn.expect(1, Q.DeclareOk)
        for _ in range(N):
            conn.expect(1, Q.BindOk)
        conn.expect(1, CH.CloseOk)

    def test_connection_dies_behind(self):
        """All that came before the end of the stream is carried out."""
        conn, queue = self.opened(), fresh()
        conn.gather()
        for i in range(N):
            conn.cast(1, Q.Declare(queue="%s-%d" % (queue, i), durable=True, nowait=True))
        conn.flush()
        conn.kill()
        wait_for(lambda: self.is_there("%s-%d" % (queue, N - 1)), "the last of the queues")
        for i in range(0, N, 50):
            self.assertTrue(self.is_there("%s-%d" % (queue, i)))

    def test_deletes(self):
        conn, queue = self.opened(), fresh()
        conn.gather()
        for i in range(N):
            conn.cast(1, Q.Declare(queue="%s-%d" % (queue, i), durable=True))
        for i in range(N):
            conn.cast(1, Q.Delete(queue="%s-%d" % (queue, i)))
        conn.flush()
        for answer in (Q.DeclareOk, Q.DeleteOk):
            for _ in range(N):
                conn.expect(1, answer)
        self.assertFalse(self.is_there("%s-%d" % (queue, N - 1)))

    def test_acks_pass(self):
        """An ack behind binds is not held back by them, nor lost."""
        conn, queue = self.opened(), fresh()
        conn.rpc(1, Q.Declare(queue=queue))
        conn.rpc(1, B.Qos(prefetch_count=1))
        conn.rpc(1, B.Consume(queue=queue, consumer_tag="c"))
        for body in (b"1", b"2"):
            conn.publish(1, "", queue, body)
        tag = conn.message(1).tag
        conn.gather()
        for i in range(N):
            conn.cast(1, Q.Bind(queue=queue, exchange="amq.direct", nowait=True,
                                routing_key="%s-%d" % (queue, i)))
        conn.cast(1, B.Ack(tag))
        conn.flush()
        self.assertEqual(conn.message(1).body, b"2")


@unittest.skipIf(EXTERNAL, "its registry is not ours to kill")
class Killed(BrokerCase):
    broker_args = ("--set", "debug.crash=true")

    def crash_registry(self):
        def is_killed():
            body = {"process": "registry:/", "how": "check"}
            return self.broker.http("POST", "/api/debug/crash", body)[0] < 300
        wait_for(is_killed, "the registry's process")

    def test_registry_dies(self):
        """What had no answer is asked again, in order."""
        for _ in range(3):
            conn, queue = self.opened(), fresh()
            conn.gather()
            conn.cast(1, Q.Declare(queue=queue, durable=True))
            for i in range(N):
                conn.cast(1, Q.Bind(queue=queue, exchange="amq.topic", routing_key="k%d" % i))
                conn.cast(1, Q.Declare(queue="%s-%d" % (queue, i % 7), durable=i % 2 == 0))
                conn.cast(1, Q.Delete(queue="%s-%d" % (queue, i % 7)))
            conn.flush()
            self.crash_registry()
            conn.expect(1, Q.DeclareOk)
            for i in range(N):
                conn.expect(1, Q.BindOk)
                self.assertEqual(conn.expect(1, Q.DeclareOk).queue, "%s-%d" % (queue, i % 7))
                conn.expect(1, Q.DeleteOk)
            conn.publish(1, "amq.topic", "k%d" % (N - 1), b"m")
            ok = conn.rpc(1, Q.Declare(queue=queue, passive=True))
            self.assertEqual(ok.message_count, 1)
            conn.rpc(1, Q.Delete(queue=queue))


if __name__ == "__main__":
    unittest.main()
