#!/usr/bin/env python3
"""A prefetch that all consumers of a channel share, over all their queues."""
import random
import unittest

from pika import spec

from harness import EXTERNAL, SEED, BrokerCase, fresh, wait_for

B, Q = spec.Basic, spec.Queue


class Shared(BrokerCase):
    def setUp(self):
        self.put = self.opened()

    def queue(self, count=0, **options):
        name = fresh()
        self.put.rpc(1, Q.Declare(queue=name, **options))
        self.addCleanup(self.remove, name)
        self.fill(name, count)
        return name

    def remove(self, name):
        conn = self.broker.raw()
        conn.channel(1)
        conn.delete_queue(name)
        conn.kill()

    def fill(self, queue, count):
        for number in range(count):
            self.put.publish(1, "", queue, b"%d" % number)
        self.put.silent()

    def limited(self, limit, *queues, **options):
        conn = self.opened()
        conn.rpc(1, B.Qos(prefetch_count=limit, global_qos=True))
        for queue in queues:
            conn.cast(1, B.Consume(queue=queue, consumer_tag=queue, nowait=True, **options))
        return conn

    def take(self, conn, count):
        return [conn.message(1) for _ in range(count)]

    def test_over_queues(self):
        one, two = self.queue(10), self.queue(10)
        conn = self.limited(3, one, two)
        got = self.take(conn, 3)
        conn.silent()
        conn.cast(1, B.Ack(got[-1].tag, multiple=True))
        self.take(conn, 3)
        conn.silent()

    def test_turns(self):
        """One permit goes round: a long queue does not keep the other waiting."""
        one, two = self.queue(300), self.queue(300)
        conn = self.limited(1, one, two)
        seen = []

        def step():
            got = conn.message(1)
            seen.append(got.method.consumer_tag)
            conn.cast(1, B.Ack(got.tag))

        while len(set(seen)) < 2:  # from here on both consumers are there
            step()
        seen.clear()
        for _ in range(20):
            step()
        self.assertGreaterEqual(min(seen.count(one), seen.count(two)), 3 if EXTERNAL else 9)

    def test_idle_queue_keeps_nothing(self):
        """What an empty queue cannot use, another one gets."""
        one, two = self.queue(1), self.queue()
        conn = self.limited(4, one, two)
        self.take(conn, 1)
        self.fill(two, 10)
        self.assertEqual([m.method.consumer_tag for m in self.take(conn, 3)], [two] * 3)
        conn.silent()

    def test_with_a_limit_of_the_consumer(self):
        one, two = self.queue(10), self.queue(10)
        conn = self.opened()
        conn.rpc(1, B.Qos(prefetch_count=2))
        conn.rpc(1, B.Qos(prefetch_count=3, global_qos=True))
        conn.rpc(1, B.Consume(queue=one, consumer_tag="a"))
        self.take(conn, 2)
        conn.silent()
        conn.rpc(1, B.Consume(queue=two, consumer_tag="b"))
        self.assertEqual(conn.message(1).method.consumer_tag, "b")
        conn.silent()

    def test_changed_while_consumers_run(self):
        name = self.queue(40)
        conn = self.limited(2, name)
        got = self.take(conn, 2)
        conn.rpc(1, B.Qos(prefetch_count=5, global_qos=True))
        got += self.take(conn, 3)
        conn.silent()
        conn.rpc(1, B.Qos(prefetch_count=2, global_qos=True))
        for number in range(3):  # five are out: nothing comes until there are less than two
            conn.cast(1, B.Ack(got[number].tag))
            conn.silent()
        conn.cast(1, B.Ack(got[3].tag))
        got += self.take(conn, 1)
        conn.silent()
        conn.rpc(1, B.Qos(prefetch_count=0, global_qos=True))
        self.take(conn, 34)
        conn.silent()

    def test_set_while_messages_are_out(self):
        name = self.queue(10)
        conn = self.opened()
        conn.rpc(1, B.Qos(prefetch_count=4))
        conn.rpc(1, B.Consume(queue=name))
        got = self.take(conn, 4)
        conn.rpc(1, B.Qos(prefetch_count=2, global_qos=True))
        for number in range(2):
            conn.cast(1, B.Ack(got[number].tag))
        conn.silent()
        conn.cast(1, B.Ack(got[2].tag))
        self.take(conn, 1)
        conn.silent()

    def test_not_for_get(self):
        name = self.queue(20)
        conn = self.limited(1, name)
        self.take(conn, 1)
        for _ in range(3):
            conn.cast(1, B.Get(queue=name))
            conn.content(1, conn.expect(1, B.GetOk))
        conn.silent()

    def test_stops_those_without_acks(self):
        """They do not count against a full limit, but wait until it is not full."""
        name, free = self.queue(2), self.queue(20)
        conn = self.limited(1, name)
        got = self.take(conn, 1)[0]
        conn.rpc(1, B.Consume(queue=free, no_ack=True, consumer_tag="free"))
        conn.silent()
        conn.cast(1, B.Ack(got.tag))
        seen = {name: 0, "free": 0}
        while seen != {name: 1, "free": 20}:
            got = conn.message(1)
            seen[got.method.consumer_tag] += 1
            if got.method.consumer_tag == name:
                conn.cast(1, B.Ack(got.tag))

    def test_two_consumers_of_a_queue(self):
        """One permit goes round among them too."""
        name = self.queue()
        conn = self.opened()
        conn.rpc(1, B.Qos(prefetch_count=1, global_qos=True))
        for tag in ("a", "b", "c"):
            conn.rpc(1, B.Consume(queue=name, consumer_tag=tag))
        self.fill(name, 9)
        tags = []
        for _ in range(9):
            got = conn.message(1)
            tags.append(got.method.consumer_tag)
            conn.cast(1, B.Ack(got.tag))
        self.assertEqual({tag: tags.count(tag) for tag in "abc"}, {"a": 3, "b": 3, "c": 3})

    def test_of_the_channel_alone(self):
        name = self.queue(10)
        conn = self.limited(1, name)
        self.take(conn, 1)
        conn.channel(2)
        conn.rpc(2, B.Consume(queue=name))
        for _ in range(9):
            conn.message(2)

    def test_given_back(self):
        """Requeued, cancelled, and recovered messages free the limit as acks do."""
        name = self.queue(6)
        conn = self.limited(2, name)
        got = self.take(conn, 2)
        conn.cast(1, B.Nack(got[0].tag, requeue=True))
        self.assertTrue(self.take(conn, 1)[0].method.redelivered)
        conn.cast(1, B.Recover(requeue=True))
        seen = 0
        while seen < 2:
            method = conn.next_method()[1]
            if isinstance(method, B.Deliver):
                conn.content(1, method)
                seen += 1
        conn.rpc(1, B.Cancel(name))
        conn.rpc(1, B.Consume(queue=name, consumer_tag="again"))
        conn.silent()  # what the first one got is still out
        conn.cast(1, B.Ack(0, multiple=True))
        self.take(conn, 2)
        conn.silent()

    def test_queue_deleted(self):
        """The permits of a queue that goes are free again."""
        gone, stays = self.queue(10), self.queue(10)
        conn = self.limited(4, gone)
        self.take(conn, 4)
        self.put.cast(1, Q.Delete(queue=gone))
        self.put.expect(1, Q.DeleteOk)
        conn.expect(1, B.Cancel)
        conn.cast(1, B.Ack(0, multiple=True))
        conn.rpc(1, B.Consume(queue=stays))
        self.take(conn, 4)
        conn.silent()

    def test_random(self):
        """Limits and acks at random: never more out than may be, and all come through."""
        dice, counts = random.Random(SEED), [7, 0, 40, 100, 1]
        queues = [self.queue(count) for count in counts]
        conn, out, limit, left = self.limited(3, *queues), [], 3, sum(counts)
        while left > 0 or out:
            if left > 0 and len(out) < limit:
                out.append(conn.message(1).tag)
                left -= 1
            elif dice.random() < 0.1:
                conn.silent()
            elif dice.random() < 0.1:
                limit = dice.randrange(1, 6)
                conn.cast(1, B.Qos(prefetch_count=limit, global_qos=True))
                conn.expect(1, B.QosOk)
            else:
                conn.cast(1, B.Ack(out.pop(dice.randrange(len(out)))))


@unittest.skipIf(EXTERNAL, "its queues are not ours to kill")
class Killed(BrokerCase):
    broker_args = ("--set", "debug.crash=true")

    def kill_queue(self, name):
        def is_killed():
            for row in self.broker.get("/api/processes"):
                if row["kind"] == "queue" and row["name"] == name:
                    body = {"process": row["pid"], "how": "check"}
                    return self.broker.http("POST", "/api/debug/crash", body)[0] < 300
            return False
        wait_for(is_killed, "the queue's process")

    def test_queues_die(self):
        """Permits die with a queue's process, and what its clients hold still counts."""
        conn, put, queues = self.opened(), self.opened(), [fresh(), fresh()]
        put.rpc(1, spec.Confirm.Select())
        for queue in queues:
            put.rpc(1, Q.Declare(queue=queue, durable=True))
        for queue in queues:
            for _ in range(100):
                put.publish(1, "", queue, b"m", spec.BasicProperties(delivery_mode=2))
        seen = set()
        while len(seen) < 200:
            ack = put.expect(1, B.Ack)
            seen |= set(range(1, ack.delivery_tag + 1)) if ack.multiple else {ack.delivery_tag}
        conn.rpc(1, B.Qos(prefetch_count=4, global_qos=True))
        for queue in queues:
            conn.cast(1, B.Consume(queue=queue, consumer_tag=queue, nowait=True))
        out, acked = [conn.message(1).tag for _ in range(4)], 0
        while acked < 200:
            if acked in (20, 90):
                self.kill_queue(queues[acked == 90])
            conn.silent()
            conn.cast(1, B.Ack(out.pop(0)))
            acked += 1
            if acked + len(out) < 200:
                out.append(conn.message(1).tag)
        conn.silent()
        for queue in queues:
            self.assertEqual(put.rpc(1, Q.Declare(queue=queue, passive=True)).message_count, 0)


if __name__ == "__main__":
    unittest.main()
