#!/usr/bin/env python3
"""Frames that should not be: each ends its connection with the protocol's code, nobody else's."""
import struct
import unittest
from urllib.parse import quote

from pika import spec

import wire
from harness import EXTERNAL, BrokerCase, fresh, wait_for
from wire import (BODY, DEADLINE, HEAD, HEARTBEAT, METHOD, content_header, frame, method_frame,
                  raw_method)

B, C = spec.Basic, spec.Connection
PUBLISH = B.Publish(exchange="", routing_key="nowhere")


def publish(rest):
    return method_frame(1, PUBLISH) + rest


def head(size=1, **options):
    return wire.content_header(1, size, **options)


SHORT = raw_method(1, 50, 10, b"\0\0\x09queue")

# (what, bytes sent after channel 1 was opened, code, class, method); None: not looked at.
MISUSES = [
    ("frame end", frame(METHOD, 1, b"\0\x14\0\x14\x01", b"\xcf"), 501, 0, 0),
    ("frame end of a heartbeat", frame(HEARTBEAT, 0, b"", b"\0"), 501, 0, 0),
    ("too large, by its head alone", struct.pack(">BHI", METHOD, 1, 200000), 501, 0, 0),
    ("4 GiB", struct.pack(">BHI", BODY, 1, 0xffffffff), 501, 0, 0),
    ("type 0", frame(0, 1, b""), 501, 0, 0),
    ("type 4", frame(4, 1, b"abc"), 501, 0, 0),
    ("type 255", frame(255, 0, b""), 501, 0, 0),
    ("heartbeat with payload", frame(HEARTBEAT, 0, b"x"), 501, 0, 0),
    ("heartbeat on a channel", frame(HEARTBEAT, 1, b""), 505, 0, 0),
    ("header instead of a method", head(), 505, 0, 0),
    ("body instead of a method", frame(BODY, 1, b"x"), 505, 0, 0),
    ("header on an unopened channel", content_header(9, 0), 505, 0, 0),
    ("body on an unopened channel", frame(BODY, 9, b"x"), 505, 0, 0),
    ("method instead of a header", publish(method_frame(1, B.Qos(0, 1, False))), 505, 60, 40),
    ("body instead of a header", publish(frame(BODY, 1, b"x")), 505, 60, 40),
    ("header for another class", publish(head(class_id=50)), 505, None, None),
    ("method instead of a body", publish(head() + method_frame(1, B.Qos(0, 1, False))), 505,
     60, 40),
    ("header instead of a body", publish(head() + head()), 505, 60, 40),
    ("truncated arguments", SHORT, 501, 50, 10),
    ("server's method", method_frame(1, B.Deliver("t", 1, False, "", "k")) + head(0), 503, 60, 60),
    ("server's method -ok", method_frame(1, spec.Queue.DeclareOk("q", 0, 0)), 503, 50, 11),
    ("channel's method on channel 0", method_frame(0, B.Qos(0, 1, False)), 504, 60, 10),
    ("channel.open on channel 0", method_frame(0, spec.Channel.Open()), 504, 20, 10),
    ("method on an unopened channel", method_frame(3, B.Qos(0, 1, False)), 504, 60, 10),
    ("second channel.open", method_frame(1, spec.Channel.Open()), 504, 20, 10),
    ("flow-ok of nothing", method_frame(1, spec.Channel.FlowOk(True)), 503, 20, 21),
    ("start-ok again", method_frame(0, spec.Connection.StartOk({}, "PLAIN", "\0guest\0guest", "")),
     504, 10, 11),
    ("tune-ok again", method_frame(0, spec.Connection.TuneOk(1, 4096, 0)), 504, 10, 31),
    ("connection.open again", method_frame(0, spec.Connection.Open("/")), 504, 10, 40),
    ("connection.close-ok of nothing", method_frame(0, spec.Connection.CloseOk()), 504, 10, 51),
    ("server's method on channel 0", method_frame(0, spec.Connection.Blocked("x")), 504, 10, 60),
    ("-ok of the server on channel 0", raw_method(0, 10, 71), 504, 10, 71),
    ("immediate", method_frame(1, B.Publish(exchange="", routing_key="x", immediate=True))
     + head(0), 540, 60, 40),
    ("prefetch size", method_frame(1, B.Qos(prefetch_size=1)), 540, 60, 10),
    ("flow off", method_frame(1, spec.Channel.Flow(active=False)), 540, 20, 20),
]
# Here RabbitMQ 3.10 closes the socket without a word, or does nothing at all.
SAID_BY_WARREN = [
    ("weight", publish(head(weight=1)), 505, None, None),
    ("unknown class", raw_method(1, 99, 10), 503, None, None),
    ("unknown method", raw_method(1, 50, 99), 503, None, None),
    ("unknown class on channel 0", raw_method(0, 99, 10), 503, None, None),
    ("unknown method on channel 0", raw_method(0, 10, 99), 503, None, None),
    ("field table with an unknown type",
     raw_method(1, 50, 10, b"\0\0\x01q\x02\0\0\0\x03\x01k!"), 501, 50, 10),
    ("field table longer than its frame",
     raw_method(1, 50, 10, b"\0\0\x01q\x02\0\0\x03\x03\x01kt"), 501, 50, 10),
    ("body longer than declared", publish(head(3) + frame(BODY, 1, b"abcd")), 501, None, None),
    ("second body frame too long",
     publish(head(3) + frame(BODY, 1, b"ab") + frame(BODY, 1, b"cd")), 501, None, None),
    ("empty payload of a method", frame(METHOD, 1, b""), 501, None, None),
    ("method id cut", frame(METHOD, 1, b"\0\x14\0"), 501, None, None),
    ("properties cut short",
     publish(frame(HEAD, 1, struct.pack(">HHQH", 60, 0, 1, 0x8000) + b"\xff")), 501, None, None),
    ("header cut short", publish(frame(HEAD, 1, b"\0\x3c\0\0")), 501, None, None),
]


class Frames(BrokerCase):
    def check(self, cases):
        for what, data, code, class_id, method_id in cases:
            with self.subTest(what):
                neighbour = self.opened()
                conn = self.opened()
                conn.send(data)
                conn.expect_close(0, code, class_id, method_id)
                conn.expect_eof()
                neighbour.silent()
                neighbour.kill()

    def test_misuse(self):
        self.check(MISUSES)

    @unittest.skipIf(EXTERNAL, "RabbitMQ drops the connection instead")
    def test_said_by_warren(self):
        self.check(SAID_BY_WARREN)

    def test_split_anywhere(self):
        """Frames may come in any pieces, also one byte at a time."""
        conn, queue = self.opened(), fresh()
        conn.rpc(1, spec.Queue.Declare(queue=queue, auto_delete=True))
        conn.gather()
        conn.publish(1, "", queue, b"0123456789" * 3, spec.BasicProperties(type="t"))
        conn.publish(1, "", queue, b"")
        conn.cast(1, B.Consume(queue=queue, no_ack=True))
        data, conn.out = b"".join(conn.out), None
        for at in range(len(data)):
            conn.send(data[at:at + 1])
        conn.expect(1, B.ConsumeOk)
        self.assertEqual(conn.message(1).body, b"0123456789" * 3)
        self.assertEqual(conn.message(1).body, b"")

    def test_interleaved_contents(self):
        """Each channel has its own content under way."""
        conn, queue = self.opened(), fresh()
        conn.channel(2)
        conn.rpc(1, spec.Queue.Declare(queue=queue, auto_delete=True))
        publish_on = B.Publish(exchange="", routing_key=queue)
        for data in (method_frame(1, publish_on), method_frame(2, publish_on),
                     wire.content_header(2, 4), wire.content_header(1, 6), frame(BODY, 1, b"one"),
                     frame(BODY, 2, b"tw"), frame(BODY, 2, b"o!"), frame(BODY, 1, b"one")):
            conn.send(data)
        conn.rpc(1, B.Consume(queue=queue, no_ack=True))
        self.assertEqual({conn.message(1).body for _ in range(2)}, {b"oneone", b"two!"})

    def test_empty_body_frames(self):
        """A body frame may be empty, also where the body is not whole yet."""
        if EXTERNAL:
            self.skipTest("RabbitMQ takes an empty frame for nothing")
        conn, queue = self.opened(), fresh()
        conn.rpc(1, spec.Queue.Declare(queue=queue, auto_delete=True))
        conn.send(method_frame(1, B.Publish(exchange="", routing_key=queue)) + head(2)
                  + frame(BODY, 1, b"") + frame(BODY, 1, b"a") + frame(BODY, 1, b"")
                  + frame(BODY, 1, b"b"))
        conn.rpc(1, B.Consume(queue=queue, no_ack=True))
        self.assertEqual(conn.message(1).body, b"ab")

    def test_frame_of_frame_max(self):
        """frame_max counts the whole frame; a payload of frame_max - 8 is the largest."""
        conn, queue = self.opened(frame_max=4096), fresh()
        conn.rpc(1, spec.Queue.Declare(queue=queue, auto_delete=True))
        conn.publish(1, "", queue, b"x" * 4088)
        conn.rpc(1, B.Consume(queue=queue, no_ack=True))
        self.assertEqual(len(conn.message(1).body), 4088)
        conn.publish(1, "", queue, b"y" * 4089)
        self.assertEqual(len(conn.message(1).body), 4089)

    def test_after_connection_close(self):
        """After its own close the broker ignores all but close and close-ok."""
        conn = self.opened()
        conn.send(method_frame(0, B.Qos(0, 1, False)))
        conn.expect(0, spec.Connection.Close)
        conn.cast(1, B.Qos(0, 1, False))
        conn.cast(7, spec.Channel.Open())
        conn.publish(1, "", "x", b"y")
        conn.cast(0, spec.Connection.CloseOk())
        self.assertEqual(conn.expect_eof(), b"")

    def test_both_close(self):
        """A close that crosses the broker's own is answered."""
        conn = self.opened()
        conn.gather()
        conn.send(method_frame(0, B.Qos(0, 1, False)))
        conn.cast(0, spec.Connection.Close(200, "", 0, 0))
        conn.flush()
        conn.expect(0, spec.Connection.Close)
        conn.expect(0, spec.Connection.CloseOk)

    def test_flow_on(self):
        conn = self.opened()
        self.assertTrue(conn.rpc(1, spec.Channel.Flow(active=True)).active)

    def test_many_threads_of_garbage(self):
        """Seeded random bytes after a good handshake: the broker serves on."""
        import random
        from harness import SEED
        print("seed", SEED)
        rng = random.Random(SEED)
        watcher = self.opened()
        for _ in range(60):
            conn = self.opened()
            try:
                for _ in range(rng.randrange(1, 6)):
                    kind = rng.choice((METHOD, HEAD, BODY, HEARTBEAT, rng.randrange(256)))
                    channel = rng.choice((0, 1, 1, 1, rng.randrange(65536)))
                    ids = struct.pack(">HH", rng.choice((10, 20, 30, 40, 50, 60, 85, 90)),
                                      rng.randrange(0, 130))
                    payload = rng.choice((b"", ids)) + rng.randbytes(rng.randrange(40))
                    conn.send(frame(kind, channel, payload))
            except OSError:
                pass
            conn.kill()
        watcher.silent()


class Channels(BrokerCase):
    def test_one_dies_alone(self):
        """A channel error ends that channel; what it had unacked goes back; the others go on."""
        conn, queue = self.opened(), fresh()
        conn.channel(2)
        conn.rpc(2, spec.Queue.Declare(queue=queue))
        conn.publish(2, "", queue, b"m")
        conn.rpc(1, B.Consume(queue=queue))
        self.assertFalse(conn.message(1).redelivered)
        conn.cast(1, spec.Queue.Declare(queue="never-there", passive=True))
        conn.expect_close(1, 404, 50, 10, "NOT_FOUND - no queue 'never-there' in vhost '/'")
        conn.cast(2, B.Get(queue=queue))
        again = conn.message(2, B.GetOk)
        self.assertTrue(again.redelivered)
        self.assertEqual(conn.rpc(2, spec.Queue.Delete(queue=queue)).message_count, 0)

    def test_ignored_until_close_ok(self):
        """Until close-ok comes, what is sent on the channel is dropped; then it may be opened."""
        conn, queue = self.opened(), fresh()
        conn.rpc(1, spec.Queue.Declare(queue=queue))
        conn.cast(1, spec.Queue.Declare(queue="never-there", passive=True))
        conn.expect(1, spec.Channel.Close)
        conn.publish(1, "", queue, b"lost")
        conn.cast(1, spec.Queue.Declare(queue=queue))
        conn.cast(1, spec.Channel.CloseOk())
        conn.channel(1)
        ok = conn.rpc(1, spec.Queue.Declare(queue=queue, passive=True))
        self.assertEqual(ok.message_count, 0)
        conn.rpc(1, spec.Queue.Delete(queue=queue))

    def test_close_in_the_middle_of_a_content(self):
        """channel.close in the middle of a content: its close-ok, or an unexpected frame."""
        conn = self.opened()
        conn.send(publish(head(10) + frame(BODY, 1, b"abc")))
        conn.cast(1, spec.Channel.Close(200, "", 0, 0))
        got = conn.next_method()[1]
        self.assertIsInstance(got, (spec.Channel.CloseOk, spec.Connection.Close))

    def test_reopened(self):
        conn = self.opened()
        for _ in range(50):
            conn.rpc(1, spec.Channel.Close(200, "", 0, 0))
            conn.channel(1)

    def test_many(self):
        conn, queue = self.raw(), fresh()
        for number in range(1, 301):
            conn.cast(number, spec.Channel.Open())
        answers = [conn.next_method() for _ in range(300)]
        self.assertEqual(sorted(number for number, _ in answers), list(range(1, 301)))
        conn.rpc(1, spec.Queue.Declare(queue=queue, auto_delete=True))
        for number in range(1, 301):
            conn.publish(number, "", queue, b"%d" % number)
        for number in range(1, 301):
            conn.rpc(number, spec.Channel.Close(200, "", 0, 0))
        conn.channel(1)
        conn.rpc(1, B.Consume(queue=queue, no_ack=True))
        got = {conn.message(1).body for _ in range(300)}
        self.assertEqual(got, {b"%d" % n for n in range(1, 301)})

    def test_open_while_closing(self):
        """Whoever did not answer the broker's close cannot open the channel anew."""
        conn = self.opened()
        conn.cast(1, spec.Queue.Declare(queue=fresh(), passive=True))
        conn.expect(1, spec.Channel.Close)
        conn.cast(1, spec.Channel.Open())
        conn.expect_close(0, 504, 20, 10, "second 'channel.open' seen")

    def test_closed_twice(self):
        """Each close is answered, whether they cross the first answer or not."""
        conn = self.opened()
        conn.gather()
        for _ in range(3):
            conn.cast(1, spec.Channel.Close(200, "", 0, 0))
        conn.flush()
        for _ in range(3):
            conn.expect(1, spec.Channel.CloseOk)
        conn.channel(1)

    def test_soft_error_on_channel_0(self):
        conn = self.raw()
        conn.cast(0, spec.Channel.Close(200, "", 0, 0))
        got = conn.expect(0, spec.Connection.Close)
        self.assertIn(got.reply_code, (503, 504))


class Endings(BrokerCase):
    """What is on its way behind a close must not reset the socket before its answer is read."""

    def whole_end(self, conn):
        """All that comes until the end of the stream, which must be no reset."""
        conn.sock.settimeout(DEADLINE)
        data = bytes(conn.buf)
        while True:
            piece = conn.sock.recv(1 << 16)
            if not piece:
                return data
            data += piece

    def test_bytes_behind_close(self):
        junk = method_frame(1, spec.Basic.Publish(exchange="", routing_key="nowhere")) * 4000
        for _ in range(5):
            conn = self.opened()
            conn.cast(0, C.Close(200, "bye", 0, 0))
            for _ in range(8):
                conn.send(junk)
            self.assertEqual(self.whole_end(conn), method_frame(0, C.CloseOk()))

    def test_bytes_behind_an_error(self):
        junk = b"\xff" * 65536
        conn = self.opened()
        for _ in range(16):
            conn.send(junk)
        self.assertTrue(self.whole_end(conn).startswith(b"\x01\0\0"))

    def test_who_does_not_close(self):
        """Its process goes soon all the same."""
        conn = self.opened()
        name = "%s:%d -> %s:%d" % (conn.sock.getsockname() + conn.sock.getpeername())
        conn.cast(0, C.Close(200, "bye", 0, 0))
        conn.expect(0, C.CloseOk)
        conn.expect_eof()
        if not EXTERNAL:
            path = "/api/processes/" + quote(name)
            wait_for(lambda: self.broker.http("GET", path)[0] == 404, "the connection's end")


if __name__ == "__main__":
    unittest.main()
