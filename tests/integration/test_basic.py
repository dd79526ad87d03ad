#!/usr/bin/env python3
"""Publishing, consuming, getting, settling, qos, confirms."""
import os
import time
import unittest

from pika import spec

import wire
from harness import EXTERNAL, BrokerCase, fresh, wait_for
from wire import BODY, frame, method_frame

B, Q = spec.Basic, spec.Queue


class BasicCase(BrokerCase):
    def with_queue(self, *bodies, **options):
        conn, name = self.opened(), fresh()
        conn.rpc(1, Q.Declare(queue=name, auto_delete=True, **options))
        for body in bodies:
            conn.publish(1, "", name, body)
        return conn, name

    def consume(self, conn, queue, channel=1, **options):
        return conn.rpc(channel, B.Consume(queue=queue, **options)).consumer_tag

    def get(self, conn, queue, no_ack=False, channel=1):
        """The message, or None where the queue is empty."""
        if EXTERNAL:
            time.sleep(0.02)
        conn.cast(channel, B.Get(queue=queue, no_ack=no_ack))
        method = conn.next_method()[1]
        return conn.content(channel, method) if isinstance(method, B.GetOk) else None

    def bodies(self, conn, count, channel=1):
        return [conn.message(channel).body for _ in range(count)]


class Publish(BasicCase):
    def test_properties_pass_unchanged(self):
        conn, name = self.with_queue()
        props = spec.BasicProperties(
            content_type="text/plain", content_encoding="utf-8", delivery_mode=2, priority=7,
            correlation_id="c" * 255, reply_to="r", expiration="100000", message_id="m",
            timestamp=1 << 40, type="t", user_id="guest", app_id="a", cluster_id="k",
            headers={"s": "text", "b": True, "i": 1 << 40, "n": None, "l": [1, "two", {"x": 3}],
                     "t": {"deep": {"er": -5}}})
        conn.publish(1, "", name, b"body", props)
        self.consume(conn, name, no_ack=True)
        got = conn.message(1)
        self.assertEqual(got.props, props)
        self.assertEqual((got.body, got.method.exchange, got.method.routing_key),
                         (b"body", "", name))

    def test_unknown_property_bits(self):
        """Flag bits without a meaning, and the second word of flags, do not hurt."""
        conn, name = self.with_queue()
        conn.send(method_frame(1, B.Publish(exchange="", routing_key=name))
                  + frame(wire.HEAD, 1, b"\0\x3c\0\0" + b"\0" * 7 + b"\x01" + b"\0\0")
                  + frame(BODY, 1, b"x"))
        self.consume(conn, name, no_ack=True)
        self.assertEqual(conn.message(1).body, b"x")

    def test_sizes(self):
        """Bodies of every size about the limits, in order, whole."""
        sizes = [0, 1, 4087, 4088, 4089, 32767, 32768, 32769, 65536, 131063, 131064, 131065,
                 1 << 20, 0, 20 << 20, 3]
        conn, name = self.with_queue()
        taker = self.opened(frame_max=4096)
        self.consume(taker, name, no_ack=True)
        noise = os.urandom(1 << 20)
        for size in sizes:
            body = (noise * (size // len(noise) + 1))[:size]
            conn.publish(1, "", name, body)
            self.assertTrue(taker.message(1).body == body, size)

    def test_large_held(self):
        """Large messages wait in the queue, also durable ones, and come out of a get."""
        conn, name = self.opened(), fresh()
        conn.rpc(1, Q.Declare(queue=name, durable=True))
        conn.rpc(1, spec.Confirm.Select())
        noise = os.urandom(1 << 20)
        for _ in range(8):
            conn.publish(1, "", name, noise, spec.BasicProperties(delivery_mode=2))
        confirmed = 0
        while confirmed < 8:
            confirmed = conn.expect(1, B.Ack).delivery_tag
        for left in range(7, -1, -1):
            got = self.get(conn, name, no_ack=True)
            self.assertTrue(got.body == noise)
            self.assertEqual(got.method.message_count, left)
        conn.rpc(1, Q.Delete(queue=name))

    def test_too_large(self):
        """Over max_message_size (128 MiB): 406 on the channel; its connection goes on."""
        if EXTERNAL:
            self.skipTest("RabbitMQ 3.10 takes the whole body first")
        conn = self.opened()
        conn.channel(2)
        conn.send(method_frame(1, B.Publish(exchange="", routing_key="x"))
                  + wire.content_header(1, (128 << 20) + 1))
        conn.expect_close(1, 406, 60, 40)
        conn.channel(1)
        conn.silent()

    def test_mandatory(self):
        conn = self.opened()
        props = spec.BasicProperties(message_id="id", headers={"a": 1})
        for exchange, key in (("", fresh()), ("amq.direct", fresh())):
            conn.publish(1, exchange, key, b"body", props, mandatory=True)
            got = conn.message(1, B.Return)
            self.assertEqual((got.method.reply_code, got.method.reply_text, got.method.exchange,
                              got.method.routing_key), (312, "NO_ROUTE", exchange, key))
            self.assertEqual((got.body, got.props), (b"body", props))
        conn.publish(1, "", fresh(), b"dropped")
        conn.silent()

    def test_missing_exchange(self):
        conn = self.opened()
        conn.publish(1, "nope", "k", b"m")
        conn.expect_close(1, 404, 60, 40, "NOT_FOUND - no exchange 'nope' in vhost '/'")

    def test_refused_properties(self):
        conn, name = self.with_queue()
        for refused in ({"expiration": "soon"}, {"expiration": "-1"}, {"user_id": "somebody"}):
            props = spec.BasicProperties(**refused)
            conn.publish(1, "", name, b"m", props)
            conn.expect_close(1, 406, 60, 40)
            conn.channel(1)
        conn.rpc(1, Q.Delete(queue=name))


class Confirms(BasicCase):
    def confirmed(self, conn, count, channel=1):
        """Waits until tags 1..count are all acked, each once."""
        seen = set()
        while len(seen) < count:
            ack = conn.expect(channel, B.Ack)
            tags = {ack.delivery_tag}
            if ack.multiple:
                tags = set(range(1, ack.delivery_tag + 1)) - seen
            self.assertFalse(tags & seen)
            seen |= tags
        self.assertEqual(seen, set(range(1, count + 1)))

    def test_each_kind(self):
        """Unroutable, transient, persistent to durable and to transient queues: all are acked."""
        for durable in (False, True):
            for mode in (1, 2):
                conn, name = self.opened(), fresh()
                conn.rpc(1, Q.Declare(queue=name, durable=durable))
                conn.rpc(1, spec.Confirm.Select())
                props = spec.BasicProperties(delivery_mode=mode)
                for number in range(100):
                    conn.publish(1, "", name if number % 3 else "nowhere", b"m", props)
                self.confirmed(conn, 100)
                self.assertEqual(conn.rpc(1, Q.Delete(queue=name)).message_count, 66)

    def test_select_again(self):
        conn, name = self.with_queue()
        conn.publish(1, "", name, b"before")
        conn.rpc(1, spec.Confirm.Select())
        conn.rpc(1, spec.Confirm.Select())
        conn.publish(1, "", name, b"after")
        self.confirmed(conn, 1)
        conn.rpc(1, Q.Delete(queue=name))

    def test_return_before_ack(self):
        conn = self.opened()
        conn.rpc(1, spec.Confirm.Select())
        for number in range(1, 20):
            conn.publish(1, "", "nowhere", b"%d" % number, mandatory=True)
        returned = acked = 0
        while acked < 19:
            method = conn.next_method()[1]
            if isinstance(method, B.Return):
                returned += 1
                self.assertEqual(conn.content(1, method).body, b"%d" % returned)
            else:
                acked = method.delivery_tag
                self.assertGreaterEqual(returned, acked)

    @unittest.skipIf(EXTERNAL, "RabbitMQ may confirm both at once")
    def test_no_ack_around_a_return(self):
        """Also of messages that are read in one go: clients count acks and returns."""
        conn = self.opened()
        conn.rpc(1, spec.Confirm.Select())
        conn.gather()
        conn.publish(1, "", "nowhere", b"m")
        conn.publish(1, "", "nowhere", b"m", mandatory=True)
        conn.flush()
        ack = conn.expect(1, B.Ack)
        self.assertEqual((ack.delivery_tag, ack.multiple), (1, False))
        conn.message(1, B.Return)
        ack = conn.expect(1, B.Ack)
        self.assertEqual((ack.delivery_tag, ack.multiple), (2, False))

    def test_per_channel(self):
        conn, name = self.with_queue()
        conn.channel(2)
        for channel in (1, 2):
            conn.rpc(channel, spec.Confirm.Select())
        for channel in (2, 1, 2):
            conn.publish(channel, "", name, b"m")
        acks = {1: 0, 2: 0}
        while acks != {1: 1, 2: 2}:
            channel, method = conn.next_method()
            self.assertIsInstance(method, B.Ack)
            acks[channel] = max(acks[channel], method.delivery_tag)
        conn.rpc(1, Q.Delete(queue=name))

    def test_settled_before_written(self):
        """A consumer that acks at once does not keep the confirm away."""
        conn, name = self.opened(), fresh()
        conn.rpc(1, Q.Declare(queue=name, durable=True))
        taker = self.opened()
        self.consume(taker, name)
        conn.rpc(1, spec.Confirm.Select())
        for number in range(1, 201):
            conn.publish(1, "", name, b"m", spec.BasicProperties(delivery_mode=2))
            taker.cast(1, B.Ack(taker.message(1).tag))
            self.assertEqual(conn.expect(1, B.Ack).delivery_tag, number)
        conn.rpc(1, Q.Delete(queue=name))

    def test_queue_deleted_meanwhile(self):
        """What waits for its confirm in a queue that is deleted is acked."""
        conn, other, name = self.opened(), self.opened(), fresh()
        conn.rpc(1, spec.Confirm.Select())
        sent = 0
        for _ in range(10):
            other.rpc(1, Q.Declare(queue=name, durable=True))
            for _ in range(50):
                conn.publish(1, "", name, b"m", spec.BasicProperties(delivery_mode=2))
                sent += 1
            other.rpc(1, Q.Delete(queue=name))
        self.confirmed(conn, sent)


class Consume(BasicCase):
    def test_order(self):
        conn, name = self.with_queue(*[b"%d" % n for n in range(500)])
        tag = self.consume(conn, name, no_ack=True)
        self.assertTrue(tag.startswith("amq.ctag-"), tag)
        for number in range(500):
            got = conn.message(1)
            self.assertEqual((got.body, got.tag, got.redelivered),
                             (b"%d" % number, number + 1, False))
            self.assertEqual(got.method.consumer_tag, tag)

    def test_tag_reuse(self):
        conn, name = self.with_queue()
        self.consume(conn, name, consumer_tag="t")
        conn.cast(1, B.Consume(queue=name, consumer_tag="t"))
        conn.expect_close(0, 530, 60, 20, "NOT_ALLOWED - attempt to reuse consumer tag 't'")

    def test_tags_are_per_channel(self):
        conn, name = self.with_queue()
        conn.channel(2)
        self.consume(conn, name, consumer_tag="t")
        self.consume(conn, name, consumer_tag="t", channel=2)

    def test_cancel(self):
        conn, name = self.with_queue()
        self.assertEqual(conn.rpc(1, B.Cancel("unknown")).consumer_tag, "unknown")
        self.consume(conn, name, consumer_tag="stay")
        conn.rpc(1, B.Qos(prefetch_count=1))
        self.consume(conn, name, consumer_tag="go")
        conn.rpc(1, B.Cancel("stay"))
        for number in range(5):
            conn.publish(1, "", name, b"%d" % number)
        first = conn.message(1)
        self.assertEqual(first.method.consumer_tag, "go")
        # What it has may still be acked; nothing more comes after cancel-ok.
        conn.rpc(1, B.Cancel("go"))
        conn.cast(1, B.Ack(first.tag))
        conn.silent()

    def test_cancel_keeps_unacked(self):
        conn, name = self.opened(), fresh()
        conn.rpc(1, Q.Declare(queue=name))
        conn.publish(1, "", name, b"m")
        self.consume(conn, name, consumer_tag="t")
        tag = conn.message(1).tag
        conn.rpc(1, B.Cancel("t"))
        self.assertIsNone(self.get(conn, name))
        conn.cast(1, B.Nack(tag, requeue=True))
        self.assertTrue(self.get(conn, name).redelivered)
        conn.rpc(1, Q.Delete(queue=name))

    def test_no_wait(self):
        conn, name = self.with_queue(b"m")
        conn.cast(1, B.Consume(queue=name, consumer_tag="t", nowait=True))
        self.assertEqual(conn.message(1).method.consumer_tag, "t")
        conn.cast(1, B.Cancel("t", nowait=True))
        conn.silent()

    def test_exclusive_consumer(self):
        conn, name = self.with_queue()
        other = self.opened()
        self.consume(conn, name, exclusive=True, consumer_tag="t")
        other.cast(1, B.Consume(queue=name))
        other.expect_close(1, 403, 60, 20, "in exclusive use")
        conn.rpc(1, Q.Declare(queue=name, passive=True))
        other.channel(1)
        conn.delete_queue(name)

    def test_exclusive_refused(self):
        conn, name = self.with_queue()
        self.consume(conn, name)
        conn.cast(1, B.Consume(queue=name, exclusive=True))
        conn.expect_close(1, 403, 60, 20, "in exclusive use")

    def test_round_robin(self):
        """Consumers with room get their turns, one by one."""
        conn, name = self.with_queue()
        takers = [self.opened() for _ in range(4)]
        for taker in takers:
            self.consume(taker, name)
        for _ in range(40):
            conn.publish(1, "", name, b"m")
        for taker in takers:
            self.bodies(taker, 10)
            taker.silent()

    def test_two_consumers_of_a_channel(self):
        conn, name = self.with_queue()
        tags = {self.consume(conn, name, no_ack=True) for _ in range(2)}
        for _ in range(10):
            conn.publish(1, "", name, b"m")
        self.assertEqual({conn.message(1).method.consumer_tag for _ in range(10)}, tags)


class Qos(BasicCase):
    def test_consumer_limit(self):
        conn, name = self.with_queue(*[b"%d" % n for n in range(10)])
        conn.rpc(1, B.Qos(prefetch_count=3))
        self.consume(conn, name)
        first = [conn.message(1) for _ in range(3)]
        conn.silent()
        conn.cast(1, B.Ack(first[1].tag))
        self.assertEqual(conn.message(1).body, b"3")
        conn.silent()
        conn.cast(1, B.Ack(first[2].tag, multiple=True))
        self.assertEqual(self.bodies(conn, 2), [b"4", b"5"])
        conn.silent()

    def test_new_consumers_only(self):
        """qos counts for consumers made after it, each with a window of its own."""
        conn, name = self.with_queue()
        conn.rpc(1, B.Qos(prefetch_count=1))
        self.consume(conn, name, consumer_tag="one")
        conn.rpc(1, B.Qos(prefetch_count=2))
        self.consume(conn, name, consumer_tag="two")
        for _ in range(10):
            conn.publish(1, "", name, b"m")
        tags = sorted(conn.message(1).method.consumer_tag for _ in range(3))
        self.assertEqual(tags, ["one", "two", "two"])
        conn.silent()

    def test_shared_by_the_channel(self):
        """qos global: all consumers of the channel together; more of it is in test_qos."""
        conn, name = self.with_queue()
        conn.rpc(1, B.Qos(prefetch_count=3, global_qos=True))
        for _ in range(2):
            self.consume(conn, name)
        for _ in range(10):
            conn.publish(1, "", name, b"m")
        got = [conn.message(1) for _ in range(3)]
        conn.silent()
        conn.cast(1, B.Ack(got[2].tag, multiple=True))
        self.bodies(conn, 3)
        conn.silent()

    def test_get_and_no_ack_are_not_limited(self):
        conn, name = self.with_queue(*[b"m"] * 6)
        conn.rpc(1, B.Qos(prefetch_count=1))
        for _ in range(3):
            self.assertIsNotNone(self.get(conn, name))
        self.consume(conn, name, no_ack=True)
        self.bodies(conn, 3)

    def test_zero_is_unlimited(self):
        conn, name = self.with_queue(*[b"m"] * 3000)
        conn.rpc(1, B.Qos(prefetch_count=0))
        self.consume(conn, name)
        self.bodies(conn, 3000)


class Settle(BasicCase):
    def test_refused_tags(self):
        for method in (B.Ack(1), B.Ack(0), B.Nack(7), B.Reject(1), B.Ack(5, multiple=True),
                       B.Nack(5, multiple=True)):
            conn = self.opened()
            conn.cast(1, method)
            ids = divmod(method.INDEX, 65536)
            conn.expect_close(1, 406, ids[0], ids[1], "PRECONDITION_FAILED - unknown delivery tag")
            conn.kill()

    def test_twice(self):
        conn, name = self.with_queue(b"m")
        tag = self.get(conn, name).tag
        conn.cast(1, B.Ack(tag))
        conn.cast(1, B.Ack(tag))
        conn.expect_close(1, 406, 60, 80)

    def test_other_channel(self):
        conn, name = self.with_queue(b"m")
        conn.channel(2)
        conn.cast(2, B.Ack(self.get(conn, name).tag))
        conn.expect_close(2, 406, 60, 80)

    def test_all(self):
        """Tag 0 with multiple is all there is, also nothing."""
        conn, name = self.with_queue(*[b"m"] * 5)
        conn.cast(1, B.Ack(0, multiple=True))
        for _ in range(5):
            self.get(conn, name)
        conn.cast(1, B.Ack(0, multiple=True))
        conn.cast(1, B.Nack(0, multiple=True))
        conn.silent()
        self.assertIsNone(self.get(conn, name))

    def test_multiple(self):
        conn, name = self.with_queue(*[b"%d" % n for n in range(6)])
        tags = [self.get(conn, name).tag for _ in range(6)]
        conn.cast(1, B.Ack(tags[1]))
        conn.cast(1, B.Ack(tags[2], multiple=True))
        conn.cast(1, B.Nack(tags[4], multiple=True, requeue=True))
        self.assertEqual([self.get(conn, name).body for _ in range(2)], [b"3", b"4"])
        self.assertIsNone(self.get(conn, name))

    def test_back_to_its_place(self):
        """Returned messages come again before the later ones, in their order, with their mark."""
        conn, name = self.with_queue(*[b"%d" % n for n in range(6)])
        tags = [self.get(conn, name).tag for _ in range(4)]
        for number in (2, 0, 1):
            conn.cast(1, B.Reject(tags[number], requeue=True))
        got = [self.get(conn, name) for _ in range(5)]
        self.assertEqual([g.body for g in got], [b"0", b"1", b"2", b"4", b"5"])
        self.assertEqual([g.redelivered for g in got], [True, True, True, False, False])

    def test_dropped(self):
        conn, name = self.with_queue(b"1", b"2", b"3")
        conn.cast(1, B.Reject(self.get(conn, name).tag, requeue=False))
        conn.cast(1, B.Nack(self.get(conn, name).tag, requeue=False))
        self.assertEqual(self.get(conn, name).body, b"3")
        self.assertIsNone(self.get(conn, name))

    def test_get(self):
        conn, name = self.with_queue(b"1", b"2")
        got = self.get(conn, name, no_ack=True)
        self.assertEqual((got.body, got.method.message_count, got.redelivered), (b"1", 1, False))
        self.assertEqual(self.get(conn, name).method.message_count, 0)
        self.assertIsNone(self.get(conn, name))

    def test_recover(self):
        conn, name = self.with_queue(b"1", b"2")
        for _ in range(2):
            self.get(conn, name)
        conn.rpc(1, B.Recover(requeue=True))
        got = [self.get(conn, name) for _ in range(2)]
        self.assertEqual([(g.body, g.redelivered) for g in got], [(b"1", True), (b"2", True)])
        conn.cast(1, B.Recover(requeue=False))
        conn.expect_close(0, 540, 60, 110)

    def test_death_returns_all(self):
        """A channel that closes, a connection that closes or vanishes: all comes back in order."""
        watcher, name = self.opened(), fresh()
        watcher.rpc(1, Q.Declare(queue=name))
        for number in range(20):
            watcher.publish(1, "", name, b"%d" % number)
        ends = (lambda c: c.rpc(1, spec.Channel.Close(200, "", 0, 0)), lambda c: c.close(),
                lambda c: c.kill())
        for end in ends:
            conn = self.opened()
            self.consume(conn, name)
            self.assertEqual(self.bodies(conn, 20), [b"%d" % n for n in range(20)])
            end(conn)
            wait_for(lambda: watcher.rpc(1, Q.Declare(queue=name, passive=True)).message_count
                     == 20, "20 messages back")
        for number in range(20):
            got = self.get(watcher, name)
            self.assertEqual((got.body, got.redelivered), (b"%d" % number, True))
        watcher.rpc(1, Q.Delete(queue=name))

    def test_requeued_go_to_the_waiting(self):
        conn, name = self.with_queue(b"m")
        taker = self.opened()
        self.consume(conn, name, consumer_tag="t")
        tag = conn.message(1).tag
        self.consume(taker, name)
        conn.rpc(1, B.Cancel("t"))
        conn.cast(1, B.Reject(tag, requeue=True))
        self.assertTrue(taker.message(1).redelivered)


class Stress(BasicCase):
    def test_many_queues_one_turn(self):
        """Publishes to many queues in one write: each queue has its own, in order."""
        conn = self.opened()
        names = [conn.rpc(1, Q.Declare(queue=fresh(), exclusive=True)).queue for _ in range(20)]
        conn.gather()
        for number in range(50):
            for name in names:
                conn.publish(1, "", name, b"%d" % number)
        conn.flush()
        for name in names:
            conn.channel(2)
            self.consume(conn, name, no_ack=True, channel=2)
            self.assertEqual(self.bodies(conn, 50, channel=2), [b"%d" % n for n in range(50)])
            conn.rpc(2, spec.Channel.Close(200, "", 0, 0))

    def test_window_ends_with_a_large_message(self):
        """The last message of an output window is larger than it: more comes all the same."""
        conn, name = self.with_queue()
        sizes = [1000] * 500 + [4 << 20] + [1000] * 50
        for size in sizes:
            conn.publish(1, "", name, bytes(size))
        self.assertEqual(conn.rpc(1, Q.Declare(queue=name, passive=True)).message_count, len(sizes))
        self.consume(conn, name)
        self.assertEqual([len(body) for body in self.bodies(conn, len(sizes))], sizes)

    def test_slow_reader(self):
        """A consumer that does not read holds nobody up and loses nothing."""
        conn, name = self.with_queue()
        slow = self.opened()
        self.consume(slow, name, no_ack=True)
        other = fresh()
        conn.rpc(1, Q.Declare(queue=other, exclusive=True))
        for _ in range(400):
            conn.publish(1, "", name, b"x" * 100000)
        conn.publish(1, "", other, b"through")
        self.assertEqual(wait_for(lambda: self.get(conn, other, no_ack=True), "a message").body,
                         b"through")
        for _ in range(400):
            self.assertEqual(len(slow.message(1).body), 100000)

    def test_does_not_read_its_confirms(self):
        """Who publishes and reads nothing is held back, not fed; read, all is there."""
        conn, name = self.with_queue()
        conn.rpc(1, spec.Confirm.Select())
        conn.gather()
        for _ in range(20000):
            conn.publish(1, "", name, b"m")
        conn.flush()
        confirmed = 0
        while confirmed < 20000:
            confirmed = max(confirmed, conn.expect(1, B.Ack).delivery_tag)


if __name__ == "__main__":
    unittest.main()
