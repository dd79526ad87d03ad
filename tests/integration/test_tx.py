#!/usr/bin/env python3
"""Transactions: what tx.commit does and tx.rollback does not, and that it is all or nothing."""
import unittest

from pika import spec

from harness import Broker, BrokerCase, fresh, needs_own_broker

B, Q, X, T = spec.Basic, spec.Queue, spec.Exchange, spec.Tx
KEPT = spec.BasicProperties(delivery_mode=2)


class TxCase(BrokerCase):
    def transactional(self, **options):
        conn = self.opened(**options)
        conn.rpc(1, T.Select())
        return conn

    def queue(self, conn, **options):
        name = fresh()
        conn.rpc(1, Q.Declare(queue=name, **options))
        if not options.get("exclusive"):
            self.addCleanup(lambda: self.opened().delete_queue(name))
        return name

    def count(self, conn, queue):
        return conn.rpc(1, Q.Declare(queue=queue, passive=True)).message_count

    def get(self, conn, queue, no_ack=False):
        conn.cast(1, B.Get(queue=queue, no_ack=no_ack))
        return conn.message(1, B.GetOk)

    def bodies(self, conn, queue):
        out = []
        while True:
            conn.cast(1, B.Get(queue=queue, no_ack=True))
            method = conn.next_method()[1]
            if isinstance(method, B.GetEmpty):
                return out
            out.append(conn.content(1, method).body)


class Publishing(TxCase):
    def test_commit_shows_all(self):
        """Nothing is seen before the commit, all of it in order when commit-ok has come."""
        other = self.opened()
        for kinds in (({"durable": True}, {"durable": True}), ({}, {}), ({"durable": True}, {}),
                      ({"durable": True},)):
            for props in (KEPT, None):
                with self.subTest(kinds=kinds, props=props):
                    conn = self.transactional()
                    queues = [self.queue(conn, **kind) for kind in kinds]
                    for n in range(50):
                        conn.publish(1, "", queues[n % len(queues)], b"%d" % n, props)
                    self.assertEqual([self.count(conn, queue) for queue in queues],
                                     [0] * len(queues))
                    conn.rpc(1, T.Commit())
                    for at, queue in enumerate(queues):
                        self.assertEqual(self.bodies(other, queue),
                                         [b"%d" % n for n in range(at, 50, len(queues))])
                    conn.close()

    def test_kept_and_not_kept_in_order(self):
        conn = self.transactional()
        queue = self.queue(conn, durable=True)
        for n in range(20):
            conn.publish(1, "", queue, b"%d" % n, KEPT if n % 3 else None)
        conn.rpc(1, T.Commit())
        self.assertEqual(self.bodies(conn, queue), [b"%d" % n for n in range(20)])

    def test_rollback(self):
        conn = self.transactional()
        queue = self.queue(conn, durable=True)
        for _ in range(3):
            conn.publish(1, "", queue, b"dropped", KEPT)
            conn.rpc(1, T.Rollback())
        conn.rpc(1, T.Commit())
        conn.publish(1, "", queue, b"taken", KEPT)
        conn.rpc(1, T.Commit())
        self.assertEqual(self.bodies(conn, queue), [b"taken"])

    def test_end_without_commit(self):
        """Closed, or gone: nothing was published, and what was acked is given to others."""
        for end in (lambda c: c.rpc(1, spec.Channel.Close(200, "", 0, 0)), lambda c: c.close(),
                    lambda c: c.kill()):
            conn, other = self.transactional(), self.opened()
            queue = self.queue(other, durable=True)
            other.publish(1, "", queue, b"old", KEPT)
            other.rpc(1, B.Qos())
            conn.cast(1, B.Ack(self.get(conn, queue).tag))
            conn.publish(1, "", queue, b"new", KEPT)
            conn.rpc(1, B.Qos())
            end(conn)
            other.rpc(1, B.Consume(queue=queue))
            got = other.message(1)
            self.assertEqual((got.body, got.redelivered), (b"old", True))
            other.silent()

    def test_all_at_once(self):
        """Sent without waiting: acks and publishes belong to the transaction that they stand in."""
        for options in ({"durable": True}, {}):
            conn, other = self.opened(), self.opened()
            queue, target = (self.queue(conn, **options) for _ in range(2))
            for n in range(4):
                conn.publish(1, "", queue, b"%d" % n, KEPT)
            for _ in range(4):
                self.get(conn, queue)
            conn.gather()
            conn.publish(1, "", target, b"before", KEPT)
            for step, end in enumerate((T.Select(), T.Commit(), T.Rollback(), T.Commit(),
                                        spec.Channel.Close(200, "", 0, 0))):
                conn.cast(1, end)
                if step < 4:
                    conn.cast(1, B.Ack(step + 1))
                    conn.publish(1, "", target, b"%d" % step, KEPT)
            conn.flush()
            for answer in (T.SelectOk, T.CommitOk, T.RollbackOk):
                conn.expect(1, answer)
            conn.expect(1, T.CommitOk)
            conn.expect(1, spec.Channel.CloseOk)
            self.assertEqual(self.bodies(other, target), [b"before", b"0", b"2"])
            self.assertEqual(self.bodies(other, queue), [b"1", b"3"])

    def test_returned_at_commit(self):
        conn = self.transactional()
        queue = self.queue(conn)
        conn.publish(1, "", fresh(), b"nowhere", mandatory=True)
        conn.publish(1, "", queue, b"somewhere", mandatory=True)
        conn.silent()
        conn.cast(1, T.Commit())
        self.assertEqual(conn.message(1, B.Return).body, b"nowhere")
        conn.expect(1, T.CommitOk)
        conn.publish(1, "", fresh(), b"nowhere", mandatory=True)
        conn.rpc(1, T.Rollback())
        conn.rpc(1, T.Commit())
        conn.silent()

    def test_refused_at_once(self):
        """Checks are those of any publish, when it comes; the channel closes, nothing is done."""
        conn = self.transactional()
        queue = self.queue(conn)
        conn.publish(1, "", queue, b"dropped")
        conn.publish(1, fresh(), "k", b"to no exchange")
        conn.expect_close(1, 404)
        conn.channel(1)
        self.assertEqual(self.count(conn, queue), 0)

    def test_routed_when_published(self):
        """A queue bound later gets nothing; one that was deleted since is not missed."""
        conn = self.transactional()
        queues = [self.queue(conn, durable=True) for _ in range(3)]
        exchange = fresh("x")
        conn.rpc(1, X.Declare(exchange=exchange, type="fanout", auto_delete=True))
        for queue in queues[:2]:
            conn.rpc(1, Q.Bind(queue=queue, exchange=exchange))
        conn.publish(1, exchange, "", b"m", KEPT)
        conn.rpc(1, Q.Bind(queue=queues[2], exchange=exchange))
        conn.rpc(1, Q.Delete(queue=queues[0]))
        conn.rpc(1, T.Commit())
        self.assertEqual(self.bodies(conn, queues[1]), [b"m"])
        self.assertEqual(self.bodies(conn, queues[2]), [])
        conn.rpc(1, Q.Delete(queue=queues[1]))
        conn.publish(1, "", queues[2], b"m", KEPT)
        conn.rpc(1, Q.Delete(queue=queues[2]))
        conn.rpc(1, T.Commit())

    def test_deleted_beside_the_commit(self):
        """A queue that goes at any moment of the commit takes its own part with it alone."""
        other = self.opened()
        for durable in [True, False] * 30:
            conn = self.transactional()
            kept, gone = self.queue(conn, durable=True), fresh()
            other.rpc(1, Q.Declare(queue=gone, durable=durable))
            for queue in (gone, kept):
                conn.publish(1, "", queue, b"m", KEPT)
            conn.rpc(1, B.Qos())
            other.cast(1, Q.Delete(queue=gone))
            conn.cast(1, T.Commit())
            conn.expect(1, T.CommitOk)
            other.expect(1, Q.DeleteOk)
            self.assertEqual(self.bodies(other, kept), [b"m"])
            conn.close()

    def test_direct_reply(self):
        asker, server = self.opened(), self.transactional()
        asker.rpc(1, B.Consume(queue="amq.rabbitmq.reply-to", no_ack=True))
        queue = self.queue(server)
        asker.publish(1, "", queue, b"ask", spec.BasicProperties(reply_to="amq.rabbitmq.reply-to"))
        asker.rpc(1, B.Qos())
        question = self.get(server, queue)
        server.publish(1, "", question.props.reply_to, b"answer")
        server.rpc(1, B.Qos())
        asker.silent()
        server.rpc(1, T.Commit())
        self.assertEqual(asker.message(1).body, b"answer")

    def test_large(self):
        """More than a window, and more than a turn: ten thousand into two queues."""
        conn, other = self.transactional(), self.opened()
        queues = [self.queue(conn, durable=True), self.queue(conn)]
        conn.gather()
        for n in range(5000):
            for queue in queues:
                conn.publish(1, "", queue, b"%d" % n, KEPT)
        conn.flush()
        conn.rpc(1, T.Commit())
        for queue in queues:
            other.rpc(1, B.Consume(queue=queue, no_ack=True))
            self.assertEqual([other.message(1).body for _ in range(5000)],
                             [b"%d" % n for n in range(5000)])


class Settling(TxCase):
    def filled(self, conn, count, **options):
        queue = self.queue(conn, **options)
        for n in range(count):
            conn.publish(1, "", queue, b"%d" % n, KEPT)
        return queue

    def test_acks(self):
        """Unacked until the commit: rolled back, they can be acked again."""
        for options in ({"durable": True}, {}):
            other = self.opened()
            queue = self.filled(other, 6, **options)
            other.rpc(1, B.Qos())
            conn = self.transactional()
            tags = [self.get(conn, queue).tag for _ in range(6)]
            for tag in tags[:2]:
                conn.cast(1, B.Ack(tag))
            conn.rpc(1, T.Rollback())
            conn.cast(1, B.Ack(tags[1]))
            conn.cast(1, B.Ack(tags[3], multiple=True))
            conn.rpc(1, T.Commit())
            conn.cast(1, B.Nack(tags[4], requeue=True))
            conn.cast(1, B.Reject(tags[5], requeue=False))
            conn.rpc(1, B.Qos())
            self.assertEqual(self.count(other, queue), 0)
            conn.rpc(1, T.Commit())
            self.assertEqual(self.count(other, queue), 1)
            got = self.get(other, queue)
            self.assertEqual((got.body, got.redelivered), (b"4", True))
            conn.close()
            self.assertEqual(self.count(other, queue), 0)

    def test_twice(self):
        """Acked is acked, before the commit as well: 406 at once."""
        for first in (B.Ack(1), B.Ack(0, multiple=True), B.Nack(1)):
            conn = self.transactional()
            queue = self.filled(conn, 2)
            conn.rpc(1, T.Commit())
            self.get(conn, queue)
            conn.cast(1, first)
            conn.cast(1, B.Ack(1))
            conn.expect_close(1, 406, 60, 80, "unknown delivery tag 1")
            conn.channel(1)
            self.assertEqual(self.count(conn, queue), 2)

    def test_all_of_several_queues(self):
        """multiple, over queues of both kinds, together with what is published."""
        conn = self.transactional()
        queues = [self.filled(conn, 3, durable=n % 2 == 0) for n in range(4)]
        conn.rpc(1, T.Commit())
        for queue in queues:
            for _ in range(3):
                self.get(conn, queue)
        conn.cast(1, B.Ack(0, multiple=True))
        conn.publish(1, "", queues[0], b"next", KEPT)
        conn.rpc(1, T.Commit())
        conn.cast(1, B.Ack(0, multiple=True))
        conn.rpc(1, spec.Channel.Close(200, "", 0, 0))
        conn.channel(1)
        self.assertEqual([self.count(conn, queue) for queue in queues], [1, 0, 0, 0])

    def test_prefetch(self):
        """What is acked counts until the commit, for a consumer's and for a shared prefetch."""
        for shared in (False, True):
            conn, other = self.transactional(), self.opened()
            queue = self.filled(other, 6, durable=True)
            conn.rpc(1, B.Qos(prefetch_count=2, global_qos=shared))
            conn.rpc(1, B.Consume(queue=queue))
            got = [conn.message(1) for _ in range(2)]
            conn.cast(1, B.Ack(got[1].tag, multiple=True))
            conn.silent()
            conn.rpc(1, T.Rollback())
            conn.silent()
            conn.cast(1, B.Ack(got[1].tag, multiple=True))
            conn.cast(1, T.Commit())
            bodies = []
            while len(bodies) < 3:
                method = conn.expect_one_of(1, (T.CommitOk, B.Deliver))
                is_ok = isinstance(method, T.CommitOk)
                bodies.append(b"ok" if is_ok else conn.content(1, method).body)
            self.assertEqual(sorted(bodies), [b"2", b"3", b"ok"])
            conn.close()

    def test_recover(self):
        """Requeues what no transaction has acked, at once."""
        conn = self.transactional()
        queue = self.filled(conn, 3, durable=True)
        conn.rpc(1, T.Commit())
        for _ in range(3):
            self.get(conn, queue)
        conn.cast(1, B.Ack(2))
        conn.rpc(1, B.Recover(requeue=True))
        self.assertEqual(self.count(conn, queue), 2)
        conn.rpc(1, T.Commit())
        self.assertEqual(self.bodies(conn, queue), [b"0", b"2"])


@needs_own_broker
class Bounds(TxCase):
    broker_args = ("--set", "transaction_max_operations=10",
                   "--set", "transaction_max_bytes=100000")

    def test_operations(self):
        conn = self.transactional()
        queue = self.queue(conn)
        for _ in range(2):
            for _ in range(10):
                conn.publish(1, "", queue, b"m")
            conn.rpc(1, T.Commit())
        for _ in range(11):
            conn.publish(1, "", queue, b"m")
        conn.expect_close(1, 406, 60, 40, "more than the 10 operations")
        conn.channel(1)
        self.assertEqual(self.count(conn, queue), 20)

    def test_acks(self):
        conn = self.opened()
        queue = self.queue(conn)
        for _ in range(11):
            conn.publish(1, "", queue, b"m")
        conn.rpc(1, T.Select())
        for _ in range(11):
            self.get(conn, queue)
        conn.cast(1, B.Ack(0, multiple=True))
        conn.expect_close(1, 406, 60, 80, "more than the 10 operations")

    def test_bytes(self):
        conn = self.transactional()
        queue = self.queue(conn)
        conn.publish(1, "", queue, b"m" * 60000)
        conn.rpc(1, T.Rollback())
        conn.publish(1, "", queue, b"m" * 60000)
        conn.publish(1, "", queue, b"m" * 60000)
        conn.expect_close(1, 406, 60, 40, "more than the 100000 bytes")


@needs_own_broker
class Ends(unittest.TestCase):
    def opened(self, broker):
        conn = broker.raw()
        self.addCleanup(conn.kill)
        conn.channel(1)
        return conn

    def test_kill(self):
        """After a kill all of what was committed is there, in each queue, and nothing else."""
        with Broker() as broker:
            conn = self.opened(broker)
            queues = [fresh() for _ in range(3)]
            for queue in queues:
                conn.rpc(1, Q.Declare(queue=queue, durable=True))
            conn.rpc(1, T.Select())
            for n in range(10):
                for queue in queues:
                    conn.publish(1, "", queue, b"%d" % n, KEPT)
                conn.rpc(1, T.Commit())
            for queue in queues:
                conn.cast(1, B.Get(queue=queue))
                conn.cast(1, B.Ack(conn.message(1, B.GetOk).tag))
            conn.publish(1, "", queues[0], b"10", KEPT)
            conn.rpc(1, T.Commit())
            for queue in queues:
                conn.cast(1, B.Get(queue=queue))
                conn.cast(1, B.Ack(conn.message(1, B.GetOk).tag))
                conn.publish(1, "", queue, b"never", KEPT)
            conn.rpc(1, B.Qos())
            broker.kill9()
            broker.start()
            conn = self.opened(broker)
            for at, queue in enumerate(queues):
                conn.rpc(1, B.Consume(queue=queue, no_ack=True))
                for n in range(1, 11 if at == 0 else 10):
                    self.assertEqual(conn.message(1).body, b"%d" % n)
            conn.silent()


if __name__ == "__main__":
    unittest.main()
