#!/usr/bin/env python3
"""What outlives the program: a kill -9 and a clean stop."""
import signal
import unittest

from pika import spec

from harness import Broker, fresh, needs_own_broker, wait_for

B, Q, X = spec.Basic, spec.Queue, spec.Exchange
KEPT = spec.BasicProperties(delivery_mode=2)


def publish_confirmed(conn, queue, bodies, props=KEPT, exchange=""):
    """Publishes on channel 1, which is in confirm mode anew, and waits for all confirms."""
    conn.rpc(1, spec.Channel.Close(200, "", 0, 0))
    conn.channel(1)
    conn.rpc(1, spec.Confirm.Select())
    for body in bodies:
        conn.publish(1, exchange, queue, body, props)
    confirmed = 0
    while confirmed < len(bodies):
        confirmed = max(confirmed, conn.expect(1, B.Ack).delivery_tag)


def take_all(conn, queue, no_ack=True):
    """All messages of a queue by basic.get: [(body, redelivered)]."""
    out = []
    while True:
        conn.cast(1, B.Get(queue=queue, no_ack=no_ack))
        method = conn.next_method()[1]
        if isinstance(method, B.GetEmpty):
            return out
        got = conn.content(1, method)
        out.append((got.body, got.redelivered))


@needs_own_broker
class Durability(unittest.TestCase):
    def opened(self, broker):
        conn = broker.raw()
        self.addCleanup(conn.kill)
        conn.channel(1)
        return conn

    def missing(self, conn, method):
        conn.cast(1, method)
        conn.expect_close(1, 404)
        conn.channel(1)

    def test_first_message(self):
        """Confirmed and not acked is there after a kill, in order; what was delivered is marked."""
        with Broker() as broker:
            conn = self.opened(broker)
            conn.rpc(1, Q.Declare(queue="tasks", durable=True))
            publish_confirmed(conn, "tasks", [b"%d" % n for n in range(200)])
            conn.rpc(1, B.Qos(prefetch_count=50))
            conn.rpc(1, B.Consume(queue="tasks", consumer_tag="t"))
            got = [conn.message(1) for _ in range(50)]
            self.assertEqual([m.body for m in got], [b"%d" % n for n in range(50)])
            conn.rpc(1, B.Cancel("t"))
            for message in got[:30]:
                conn.cast(1, B.Ack(message.tag))
            conn.rpc(1, spec.Channel.Close(200, "", 0, 0))  # Its -ok says that the acks are kept.
            conn.channel(1)
            for n in range(30, 50):
                conn.cast(1, B.Get(queue="tasks"))
                self.assertEqual(conn.message(1, B.GetOk).body, b"%d" % n)
            broker.kill9()
            broker.start()
            conn = self.opened(broker)
            ok = conn.rpc(1, Q.Declare(queue="tasks", durable=True))
            self.assertEqual(ok.message_count, 170)
            got = take_all(conn, "tasks")
            self.assertEqual([body for body, _ in got], [b"%d" % n for n in range(30, 200)])
            self.assertTrue(all(flag for _, flag in got[:20]))
            conn.close()

    def test_clean_stop(self):
        with Broker() as broker:
            conn = self.opened(broker)
            conn.rpc(1, Q.Declare(queue="tasks", durable=True))
            publish_confirmed(conn, "tasks", [b"%d" % n for n in range(100)])
            conn.cast(1, B.Get(queue="tasks"))
            conn.message(1, B.GetOk)
            broker.proc.send_signal(signal.SIGTERM)
            conn.expect_close(0, 320)
            self.assertEqual(broker.stop(), 0)
            broker.start()
            got = take_all(self.opened(broker), "tasks")
            self.assertEqual([body for body, _ in got], [b"%d" % n for n in range(100)])
            self.assertTrue(got[0][1])

    def test_unconfirmed_acks_within_their_time(self):
        """An ack needs no answer: a commit with it begins 10 ms after it at the latest."""
        with Broker() as broker:
            conn = self.opened(broker)
            conn.rpc(1, Q.Declare(queue="tasks", durable=True))
            publish_confirmed(conn, "tasks", [b"%d" % n for n in range(20)])
            for _ in range(10):
                conn.cast(1, B.Get(queue="tasks"))
                conn.cast(1, B.Ack(conn.message(1, B.GetOk).tag))
            conn.rpc(1, B.Qos(prefetch_count=1))
            # The rule's own time, and a generous one for the machine.
            with self.assertRaises(TimeoutError):
                conn.recv_any(0.5)
            broker.kill9()
            broker.start()
            conn = self.opened(broker)
            self.assertEqual(conn.rpc(1, Q.Declare(queue="tasks", passive=True)).message_count, 10)

    def test_taken_without_ack_and_closed(self):
        """What was taken with no-ack is gone for good once close-ok has come, by get or consume."""
        with Broker() as broker:
            for n in range(20):
                queue = "taken-%d" % n
                conn = self.opened(broker)
                conn.rpc(1, Q.Declare(queue=queue, durable=True))
                publish_confirmed(conn, queue, [b"a", b"b"])
                if n % 2:
                    conn.rpc(1, B.Consume(queue=queue, consumer_tag="t", no_ack=True))
                    self.assertEqual([conn.message(1).body for _ in range(2)], [b"a", b"b"])
                else:
                    self.assertEqual([b for b, _ in take_all(conn, queue)], [b"a", b"b"])
                conn.rpc(1, spec.Channel.Close(200, "", 0, 0))
            broker.kill9()
            broker.start()
            conn = self.opened(broker)
            for n in range(20):
                self.assertEqual(take_all(conn, "taken-%d" % n), [])

    def test_acked_and_connection_closed(self):
        """connection.close-ok says that the acks of all its channels are kept."""
        with Broker() as broker:
            conn = self.opened(broker)
            for n in range(8):
                conn.rpc(1, Q.Declare(queue="acked-%d" % n, durable=True))
                publish_confirmed(conn, "acked-%d" % n, [b"a", b"b", b"c"])
            for n in range(8):
                conn.channel(2 + n)
                for _ in range(3):
                    conn.cast(2 + n, B.Get(queue="acked-%d" % n))
                    got = conn.message(2 + n, B.GetOk)
                conn.cast(2 + n, B.Ack(got.tag - 1, multiple=True))
            conn.rpc(0, spec.Connection.Close(200, "", 0, 0))
            broker.kill9()
            broker.start()
            conn = self.opened(broker)
            for n in range(8):
                self.assertEqual(take_all(conn, "acked-%d" % n), [(b"c", True)])

    def test_topology(self):
        """Durable things and bindings between them stay; the rest is gone."""
        for end in (Broker.kill9, Broker.stop):
            with Broker() as broker:
                conn = self.opened(broker)
                conn.rpc(1, X.Declare(exchange="xd", type="direct", durable=True))
                conn.rpc(1, X.Declare(exchange="xt", type="direct"))
                conn.rpc(1, Q.Declare(queue="qd", durable=True, arguments={"x-max-priority": 3}))
                conn.rpc(1, Q.Declare(queue="qt"))
                conn.rpc(1, Q.Declare(queue="qe", durable=True, exclusive=True))
                for exchange in ("xd", "xt", "amq.direct"):
                    for queue in ("qd", "qt", "qe"):
                        conn.rpc(1, Q.Bind(queue=queue, exchange=exchange, routing_key="k"))
                conn.rpc(1, Q.Bind(queue="qd", exchange="xd", routing_key="gone"))
                conn.rpc(1, Q.Unbind(queue="qd", exchange="xd", routing_key="gone"))
                end(broker)
                broker.start()
                conn = self.opened(broker)
                conn.rpc(1, X.Declare(exchange="xd", type="direct", durable=True))
                conn.rpc(1, Q.Declare(queue="qd", durable=True, arguments={"x-max-priority": 3}))
                for method in (X.Declare(exchange="xt", type="direct", passive=True),
                               Q.Declare(queue="qt", passive=True),
                               Q.Declare(queue="qe", passive=True)):
                    self.missing(conn, method)
                conn.cast(1, Q.Declare(queue="qd", durable=False))
                conn.expect_close(1, 406)
                conn.channel(1)
                for exchange, key in (("xd", "k"), ("amq.direct", "k"), ("xd", "gone")):
                    conn.publish(1, exchange, key, exchange.encode())
                self.assertEqual(take_all(conn, "qd"), [(b"xd", False), (b"amq.direct", False)])

    def test_transient_messages(self):
        """Transient messages in a durable queue are gone, persistent ones beside them stay."""
        with Broker() as broker:
            conn = self.opened(broker)
            conn.rpc(1, Q.Declare(queue="q", durable=True))
            for n in range(10):
                publish_confirmed(conn, "q", [b"%d" % n], KEPT if n % 2 else None)
            broker.kill9()
            broker.start()
            got = [body for body, _ in take_all(self.opened(broker), "q")]
            self.assertEqual(got, [b"%d" % n for n in range(1, 10, 2)])

    def test_deleted_stays_deleted(self):
        """After delete-ok and purge-ok nothing comes back, nor into a queue of the same name."""
        with Broker() as broker:
            conn = self.opened(broker)
            for name in ("again", "gone", "purged"):
                conn.rpc(1, Q.Declare(queue=name, durable=True))
                publish_confirmed(conn, name, [b"old"] * 50)
            conn.rpc(1, Q.Delete(queue="gone"))
            conn.rpc(1, Q.Delete(queue="again"))
            conn.rpc(1, Q.Declare(queue="again", durable=True))
            publish_confirmed(conn, "again", [b"new"])
            self.assertEqual(conn.rpc(1, Q.Purge(queue="purged")).message_count, 50)
            publish_confirmed(conn, "purged", [b"new"])
            broker.kill9()
            broker.start()
            conn = self.opened(broker)
            self.missing(conn, Q.Declare(queue="gone", passive=True))
            for name in ("again", "purged"):
                self.assertEqual([body for body, _ in take_all(conn, name)], [b"new"], name)

    def test_large_and_many_queues(self):
        """Bodies larger than a segment, and one message in many queues."""
        with Broker() as broker:
            conn = self.opened(broker)
            names = [fresh() for _ in range(10)]
            for name in names:
                conn.rpc(1, Q.Declare(queue=name, durable=True))
                conn.rpc(1, Q.Bind(queue=name, exchange="amq.direct", routing_key="all"))
            bodies = [bytes([n]) * size for n, size in enumerate((0, 1, 300000, 70, 3 << 20, 9))]
            publish_confirmed(conn, "all", bodies, exchange="amq.direct")
            broker.kill9()
            broker.start()
            conn = self.opened(broker)
            for name in names:
                self.assertTrue([body for body, _ in take_all(conn, name)] == bodies)

    def test_again_and_again(self):
        """Twenty kills with a few messages each; nothing piles up and nothing goes."""
        with Broker() as broker:
            expected = []
            for life in range(20):
                conn = self.opened(broker)
                conn.rpc(1, Q.Declare(queue="q", durable=True))
                bodies = [b"%d-%d" % (life, n) for n in range(20)]
                publish_confirmed(conn, "q", bodies)
                expected += bodies
                for _ in range(10):
                    conn.cast(1, B.Get(queue="q"))
                    got = conn.message(1, B.GetOk)
                    self.assertEqual(got.body, expected.pop(0))
                    conn.cast(1, B.Ack(got.tag))
                conn.rpc(1, spec.Channel.Close(200, "", 0, 0))
                broker.kill9()
                broker.start()
            got = [body for body, _ in take_all(self.opened(broker), "q")]
            self.assertEqual(got, expected)

    def test_back_within_a_second(self):
        """A broker killed with a backlog listens again at once: bodies are not read at a start."""
        with Broker() as broker:
            conn = self.opened(broker)
            conn.rpc(1, Q.Declare(queue="q", durable=True))
            publish_confirmed(conn, "q", [b"x" * 1000] * 20000)
            broker.kill9()
            broker.start()
            conn = self.opened(broker)
            wait_for(lambda: conn.rpc(1, Q.Declare(queue="q", durable=True)).message_count == 20000,
                     "the backlog")


if __name__ == "__main__":
    unittest.main()
