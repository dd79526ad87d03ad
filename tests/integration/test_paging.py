#!/usr/bin/env python3
"""What need not last goes to the disk when memory runs low, and is gone with the program."""
import os
import unittest

from pika import spec

from harness import SLOW, OwnBrokers, fresh, needs_own_broker, wait_for

B, Q, P = spec.Basic, spec.Queue, spec.BasicProperties
MIB = 1 << 20
KIB = 1 << 10


def resident(broker):
    with open(f"/proc/{broker.proc.pid}/status", encoding="utf-8") as status:
        return next(int(line.split()[1]) * KIB for line in status if line.startswith("VmRSS"))


def on_disk(broker):
    """Bytes of the largest store: what was paged, and more."""
    return max(sum(os.path.getsize(os.path.join(where, file)) for file in files)
               for where, _, files in os.walk(broker.data))


def body(n, size):
    return b"%010d" % n + bytes(size - 10)


@needs_own_broker
class Paging(OwnBrokers):
    def publish(self, conn, queue, numbers, size, persistent=lambda _: False):
        """Confirmed, a thousand at a time."""
        for n in numbers:
            mode = P(delivery_mode=2 if persistent(n) else 1)
            conn.publish(1, "", queue, body(n, size), mode)
            self.tag += 1
            self.waiting.add(self.tag)
            if self.tag % 1000 == 0 or n == numbers[-1]:
                self.confirmed(conn)

    def confirmed(self, conn):
        while self.waiting:
            method = conn.next_method()[1]
            self.assertIsInstance(method, B.Ack)
            tag = method.delivery_tag
            self.waiting -= {t for t in self.waiting if t <= tag} if method.multiple else {tag}

    def drain(self, conn, queue, numbers):
        """All of them, in order, and none that anybody has seen before."""
        conn.rpc(1, B.Qos(prefetch_count=500))
        conn.rpc(1, B.Consume(queue=queue))
        for n in numbers:
            got = conn.message(1)
            self.assertEqual(int(got.body[:10]), n)
            self.assertFalse(got.method.redelivered)
            if n % 100 == 99 or n == numbers[-1]:
                conn.cast(1, B.Ack(delivery_tag=got.method.delivery_tag, multiple=True))
        self.assertEqual(conn.rpc(1, Q.Declare(queue=queue, passive=True)).message_count, 0)

    def confirming(self, broker):
        conn = self.opened(broker)
        conn.rpc(1, spec.Confirm.Select())
        self.tag, self.waiting = 0, set()
        return conn

    @unittest.skipIf(SLOW > 1, "a sanitizer's own memory counts too")
    def test_more_than_memory(self):
        """Twice the limit and more in a queue that is not durable: no alarm, and all comes back."""
        broker = self.start("vm_memory_high_watermark.absolute=128MiB",
                            "vm_memory_high_watermark_paging_ratio=0.25")
        conn, queue, n, size = self.confirming(broker), fresh(), 36000, 8 * KIB
        conn.rpc(1, Q.Declare(queue=queue))
        most = 0
        for first in range(0, n, 3000):
            self.publish(conn, queue, range(first, first + 3000), size)
            most = max(most, resident(broker))
        self.assertLess(most, 160 * MIB)
        self.assertGreater(on_disk(broker), 100 * MIB)
        self.drain(self.opened(broker), queue, range(n))
        self.assertNotIn("memory alarm", broker.log())

    def test_gone_with_the_program(self):
        broker = self.start("vm_memory_high_watermark.absolute=4GiB",
                            "vm_memory_high_watermark_paging_ratio=0.0001")
        conn, lasting, passing, n = self.confirming(broker), fresh(), fresh(), 2000
        conn.rpc(1, Q.Declare(queue=lasting, durable=True))
        conn.rpc(1, Q.Declare(queue=passing))
        self.publish(conn, lasting, range(n), 4 * KIB, lambda i: i % 4 == 0)
        self.publish(conn, passing, range(n, 2 * n), 4 * KIB)
        wait_for(lambda: on_disk(broker) > 12 * MIB, "most of it on disk")
        broker.kill9()
        broker.start()
        conn = self.opened(broker)
        self.assertEqual(conn.rpc(1, Q.Declare(queue=lasting, passive=True)).message_count, n // 4)
        conn.rpc(1, Q.Declare(queue=passing))
        self.assertEqual(conn.rpc(1, Q.Declare(queue=passing, passive=True)).message_count, 0)
        conn.rpc(1, B.Consume(queue=lasting, no_ack=True, consumer_tag="c"))
        for i in range(0, n, 4):
            self.assertEqual(int(conn.message(1).body[:10]), i)
        conn.rpc(1, B.Cancel(consumer_tag="c"))
        # What an earlier program left is cleared away, and its place is used again or given back.
        conn = self.confirming(broker)
        self.publish(conn, lasting, range(100), 4 * KIB)
        self.drain(self.opened(broker), lasting, range(100))

    def test_purge_and_delete(self):
        broker = self.start("vm_memory_high_watermark.absolute=4GiB",
                            "vm_memory_high_watermark_paging_ratio=0.0001")
        conn, queue, n = self.confirming(broker), fresh(), 3000
        conn.rpc(1, Q.Declare(queue=queue))
        self.publish(conn, queue, range(n), 4 * KIB)
        wait_for(lambda: on_disk(broker) > 8 * MIB, "most of it on disk")
        self.assertEqual(conn.rpc(1, Q.Purge(queue=queue)).message_count, n)
        self.publish(conn, queue, range(n, 2 * n), 4 * KIB)
        self.assertEqual(conn.rpc(1, Q.Delete(queue=queue)).message_count, n)
        conn.rpc(1, Q.Declare(queue=queue))
        self.publish(conn, queue, range(2 * n, 3 * n), 4 * KIB)
        self.drain(self.opened(broker), queue, range(2 * n, 3 * n))


if __name__ == "__main__":
    unittest.main()
