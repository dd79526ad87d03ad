#!/usr/bin/env python3
"""Low on memory or disk: who publishes is blocked and told so, who consumes goes on."""
import time
import unittest

from pika import spec

from harness import SLOW, OwnBrokers, fresh, needs_own_broker, wait_for
from wire import DEADLINE

B, Q, C = spec.Basic, spec.Queue, spec.Connection
CAN = {"connection.blocked": True, "consumer_cancel_notify": True}
MIB = 1 << 20


@needs_own_broker
class Alarms(OwnBrokers):
    def test_low_on_disk(self):
        broker = self.start("disk_free_limit.absolute=4000GiB")
        conn, queue = self.opened(broker, capabilities=CAN), fresh()
        conn.rpc(1, Q.Declare(queue=queue))  # No publish, no block.
        conn.publish(1, "", queue, b"m")
        self.assertEqual(conn.expect(0, C.Blocked).reason, "low on disk")
        # What was read before counts; nothing is read any more.
        other = self.opened(broker)
        wait_for(lambda: other.rpc(1, Q.Declare(queue=queue, passive=True)).message_count,
                 "the message that was under way")
        conn.cast(1, Q.Delete(queue=queue))
        with self.assertRaises(TimeoutError):
            conn.recv(timeout=0.5)
        other.rpc(1, B.Consume(queue=queue, no_ack=True))
        self.assertEqual(other.message(1).body, b"m")

    def test_not_told(self):
        """A client that would not understand is blocked without a word."""
        broker = self.start("disk_free_limit.absolute=4000GiB")
        conn, queue = self.opened(broker, capabilities={}), fresh()
        conn.rpc(1, Q.Declare(queue=queue))
        conn.publish(1, "", queue, b"m")
        other = self.opened(broker)
        wait_for(lambda: other.rpc(1, Q.Declare(queue=queue, passive=True)).message_count, "m")
        conn.cast(1, Q.Declare(queue=queue))
        with self.assertRaises(TimeoutError):
            conn.recv(timeout=0.5)

    def test_heartbeats(self):
        """A blocked client whose heartbeats are not read is not taken for dead."""
        broker = self.start("disk_free_limit.absolute=4000GiB")
        conn, queue = self.opened(broker, capabilities=CAN, heartbeat=1), fresh()
        conn.rpc(1, Q.Declare(queue=queue))
        conn.publish(1, "", queue, b"m")
        conn.expect(0, C.Blocked)
        end = time.monotonic() + 5
        beats = 0
        while time.monotonic() < end:
            kind, _, _ = conn.recv_any(timeout=DEADLINE)
            beats += kind == 8
        self.assertGreater(beats, 5)

    @unittest.skipIf(SLOW > 1, "a sanitizer's own memory counts too")
    def test_low_on_memory_and_clear(self):
        """Publishers stop near the watermark; when consumers have drained, they go on."""
        broker = self.start("vm_memory_high_watermark.absolute=160MiB",
                            "vm_memory_high_watermark_paging_ratio=2")
        conn, queue = self.opened(broker, capabilities=CAN), fresh()
        conn.rpc(1, Q.Declare(queue=queue))
        body = bytes(MIB // 16)
        conn.rpc(1, spec.Confirm.Select())
        for _ in range(16 * 1000):
            conn.publish(1, "", queue, body)
            _, method = conn.next_method()
            if isinstance(method, C.Blocked):
                break
        else:
            self.fail("a thousand MiB and no alarm")
        other = self.opened(broker)
        other.rpc(1, Q.Purge(queue=queue))
        # And the confirm of what was under way, before or after.
        told = {type(conn.next_method()[1]) for _ in range(2)}
        self.assertEqual(told, {C.Unblocked, B.Ack})
        conn.rpc(1, Q.Purge(queue=queue))
        conn.publish(1, "", queue, b"again")
        conn.expect(1, B.Ack)
        conn.cast(1, B.Get(queue=queue, no_ack=True))
        self.assertEqual(conn.message(1, B.GetOk).body, b"again")

    def test_its_process_crashes(self):
        broker = self.start("debug.crash_in_init=alarms")
        conn = self.opened(broker, capabilities=CAN)
        conn.rpc(1, Q.Declare(queue="q"))
        conn.publish(1, "", "q", b"m")
        conn.rpc(1, Q.Delete(queue="q"))


if __name__ == "__main__":
    unittest.main()
