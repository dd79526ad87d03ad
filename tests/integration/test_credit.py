#!/usr/bin/env python3
"""Credit: whatever clients do not read, or send too fast, memory stays bounded and others go on."""
import os
import select
import threading
import time
import unittest

from pika import spec

import wire
from harness import EXTERNAL, BrokerCase, fresh, wait_for
from wire import DEADLINE, SLOW, frame, method_frame

B, C, Q = spec.Basic, spec.Confirm, spec.Queue
MIB = 1 << 20
ROOM = 64 * MIB * (8 if SLOW > 1 else 1)  # a sanitizer keeps what is freed


def message(channel, key, body, mode=1):
    return (method_frame(channel, B.Publish(exchange="", routing_key=key))
            + wire.content_header(channel, len(body), spec.BasicProperties(delivery_mode=mode))
            + frame(wire.BODY, channel, body))


@unittest.skipIf(EXTERNAL, "the memory of our own broker is looked at")
class Credit(BrokerCase):
    def resident(self):
        with open("/proc/%d/statm" % self.broker.proc.pid, encoding="ascii") as f:
            return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def queue(self, **options):
        name = fresh()
        self.opened().rpc(1, Q.Declare(queue=name, **options))
        self.addCleanup(self.remove, name)
        return name

    def remove(self, name):
        self.opened().delete_queue(name)

    def depth(self, conn, queue):
        return conn.rpc(1, Q.Declare(queue=queue, passive=True)).message_count

    def pour(self, conn, data, most=256 * MIB, patience=1.0):
        """Sends data again and again without reading until the broker takes no more; how much."""
        sent, at, until = 0, 0, time.monotonic() + patience * SLOW
        conn.sock.setblocking(False)
        try:
            while sent < most and time.monotonic() < until:
                try:
                    n = conn.sock.send(data[at:])
                except BlockingIOError:
                    select.select([], [conn.sock], [], 0.02)
                    continue
                sent, at = sent + n, (at + n) % len(data)
                until = time.monotonic() + patience * SLOW
        finally:
            conn.sock.setblocking(True)
        if at:
            conn.send(data[at:])
        return sent

    def shared(self, conn):
        """Lets two threads send; what one of them sends stays together."""
        lock, send = threading.Lock(), conn.send

        def locked(data):
            with lock:
                send(data)
        conn.send = locked
        return conn

    def start(self, act):
        thread = threading.Thread(target=act)
        thread.start()
        self.addCleanup(thread.join, DEADLINE)
        return thread

    def test_publisher_and_consumer_on_one_socket(self):
        """Both directions of one connection are full, and both go on."""
        for mode, durable in ((1, False), (2, True)):
            queue, conn, count = self.queue(durable=durable), self.shared(self.opened()), 20000
            before, to_ack, seen, confirmed = self.resident(), 0, 0, 0
            conn.channel(2)
            conn.rpc(2, C.Select())
            conn.rpc(1, B.Qos(prefetch_count=50))
            conn.rpc(1, B.Consume(queue=queue))
            self.start(lambda c=conn, q=queue, m=mode: [
                c.send(message(2, q, b"%06d" % n + b"x" * 500, m)) for n in range(count)])
            while seen < count or confirmed < count:
                channel, method = conn.next_method(DEADLINE)
                if channel == 2:
                    confirmed = max(confirmed, method.delivery_tag)
                    continue
                got = conn.content(1, method)
                self.assertEqual(got.body[:6], b"%06d" % seen)
                seen, to_ack = seen + 1, to_ack + 1
                if to_ack == 25 or seen == count:
                    conn.cast(1, B.Ack(got.tag, multiple=True))
                    to_ack = 0
            self.assertLess(self.resident() - before, ROOM)
            conn.close()

    def test_never_reads_its_deliveries(self):
        """A consumer that never reads holds what its window allows, not what the queue has."""
        queue, count, body = self.queue(durable=True), 1500, b"x" * 65536
        slow = self.opened()
        slow.rpc(1, B.Consume(queue=queue, no_ack=True))
        before, put = self.resident(), self.opened()
        put.rpc(1, C.Select())
        for number in range(count):
            put.publish(1, "", queue, body, spec.BasicProperties(delivery_mode=2))
        confirmed = 0
        while confirmed < count:
            confirmed = max(confirmed, put.expect(1, B.Ack).delivery_tag)
        self.assertGreater(self.depth(put, queue), count // 2)
        self.assertLess(self.resident() - before, ROOM)
        for _ in range(count):
            self.assertEqual(len(slow.message(1).body), len(body))

    def test_never_reads_its_confirms(self):
        """Confirms that nobody reads are gathered into few; and others go on."""
        queue, conn = self.queue(), self.opened()
        conn.rpc(1, C.Select())
        before = self.resident()
        self.pour(conn, message(1, "nowhere", b"") * 500, most=64 * MIB)
        self.assertLess(self.resident() - before, ROOM)
        other = self.opened()
        other.publish(1, "", queue, b"through")
        other.rpc(1, B.Consume(queue=queue))
        self.assertEqual(other.message(1).body, b"through")
        conn.kill()

    def test_firehose_with_a_slow_consumer(self):
        """A queue takes all in; what it has of persistent messages lies on the disk."""
        queue, body, times = self.queue(durable=True), b"f" * 16000, 250
        taker, most, taken = self.opened(), 0, 0
        taker.rpc(1, B.Qos(prefetch_count=1))
        taker.rpc(1, B.Consume(queue=queue))
        before, data = self.resident(), message(1, queue, body, 2) * 16
        hoses = [self.start(lambda c=self.opened(): [c.send(data) for _ in range(times)])
                 for _ in range(2)]
        while any(hose.is_alive() for hose in hoses):
            taker.cast(1, B.Ack(taker.message(1).tag))
            taken += 1
            most = max(most, self.resident() - before)
            time.sleep(0.01)
        conn = self.opened()
        wait_for(lambda: self.depth(conn, queue) + taken + 1 >= 2 * times * 16, "all messages")
        self.assertGreater(taken, 10)
        self.assertLess(most, ROOM + 16 * MIB)  # 128 MB went in

    def test_slow_consumer_hurts_nobody(self):
        """A full window of one consumer is nothing to another one of the same queue."""
        queue, count = self.queue(), 600
        stuck, quick, put = self.opened(), self.opened(), self.opened()
        for conn in (stuck, quick):
            conn.rpc(1, B.Consume(queue=queue, no_ack=True))
        self.start(lambda: [put.publish(1, "", queue, b"s" * 50000) for _ in range(count)])
        for _ in range(count // 2):
            quick.message(1)

    def test_a_thousand_channels(self):
        """All publish and consume over one socket: each gets through, and memory is bounded."""
        channels, each, before = 1000, 20, self.resident()
        conn, queues = self.shared(self.raw()), [fresh() for _ in range(10)]
        conn.send(b"".join(method_frame(n, spec.Channel.Open()) for n in range(1, channels + 1)))
        for _ in range(channels):
            conn.next_method()
        for queue in queues:
            conn.rpc(1, Q.Declare(queue=queue, exclusive=True))
        conn.send(b"".join(method_frame(n, B.Qos(prefetch_count=3))
                           + method_frame(n, B.Consume(queue=queues[n % 10], consumer_tag="t"))
                           for n in range(1, channels + 1)))
        for _ in range(2 * channels):
            conn.next_method()
        self.start(lambda: [conn.send(message(n, queues[n % 10], b"m" * 500))
                            for _ in range(each) for n in range(1, channels + 1)])
        seen = [0] * (channels + 1)
        for _ in range(channels * each):
            channel, method = conn.next_method()
            conn.cast(channel, B.Ack(conn.content(channel, method).tag))
            seen[channel] += 1
        self.assertGreater(min(seen[1:]), 0)
        self.assertLess(self.resident() - before, 2 * ROOM)
        conn.close()


if __name__ == "__main__":
    unittest.main()
