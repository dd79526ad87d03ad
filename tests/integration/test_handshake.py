#!/usr/bin/env python3
"""The way to an open connection, and each way it can go wrong."""
import socket
import struct
import time
import unittest

from pika import spec

import wire
from harness import DEADLINE, EXTERNAL, SLOW, BrokerCase
from wire import HEADER, Eof, method_frame, raw_method

C = spec.Connection


class Header(BrokerCase):
    def test_start(self):
        """0-9-1 and 0-9 are both served as 0-9-1."""
        for header in (HEADER, b"AMQP\x01\x01\x00\x09"):
            start = self.connect(header).expect(0, C.Start)
            self.assertEqual((start.version_major, start.version_minor), (0, 9))
            self.assertIn(b"PLAIN", start.mechanisms.split())
            self.assertIn(b"en_US", start.locales.split())
            props = start.server_properties
            for key in ("product", "version", "platform", "cluster_name"):
                self.assertTrue(props.get(key), key)
            for cap in ("publisher_confirms", "exchange_exchange_bindings", "basic.nack",
                        "consumer_cancel_notify", "connection.blocked", "consumer_priorities",
                        "authentication_failure_close", "per_consumer_qos", "direct_reply_to"):
                self.assertIs(props["capabilities"].get(cap), True, cap)

    def test_mismatch(self):
        """Anything else gets our header and the end of the stream."""
        headers = [b"GET / HT", b"AMQP\0\x01\0\0", b"AMQP\x03\x01\0\0", b"AMQP\0\0\x09\x02",
                   b"\x16\x03\x01\x02\x00\x01\x00\x01", b"\0" * 8]
        if not EXTERNAL:
            headers += [b"AMQP\x01\x01\x08\x00", b"AMQP\x01\x01\x09\x01"]
        for header in headers:
            self.assertEqual(self.connect(header).expect_eof(), HEADER, header)

    def test_in_pieces(self):
        conn = self.connect(b"")
        for byte in HEADER:
            conn.send(bytes([byte]))
        conn.open()
        conn.close()

    def test_all_at_once(self):
        """A client may send its whole handshake before it reads anything."""
        conn = self.connect(b"")
        conn.gather()
        conn.send(HEADER)
        conn.cast(0, C.StartOk({}, "PLAIN", "\0guest\0guest", "en_US"))
        conn.cast(0, C.TuneOk(2047, 131072, 0))
        conn.cast(0, C.Open("/"))
        conn.cast(1, spec.Channel.Open())
        conn.flush()
        for channel, cls in ((0, C.Start), (0, C.Tune), (0, C.OpenOk), (1, spec.Channel.OpenOk)):
            conn.expect(channel, cls)

    def test_gone_in_the_middle(self):
        """A peer that leaves at any byte of the handshake harms nobody."""
        whole = HEADER + wire.method_frame(0, C.StartOk({}, "PLAIN", "\0guest\0guest", "en_US")) \
            + wire.method_frame(0, C.TuneOk(2047, 131072, 0)) + wire.method_frame(0, C.Open("/"))
        for cut in range(0, len(whole), 9):
            self.connect(whole[:cut]).kill()
        self.raw().close()

    def test_handshake_timeout(self):
        """A peer that says nothing is shown out after 10 s."""
        began = time.monotonic()
        self.connect(b"").expect_eof(20 * SLOW)
        self.assertGreater(time.monotonic() - began, 5)


class Login(BrokerCase):
    def closed_after(self, code, **auth):
        """Either a close frame with that code, or only the end."""
        conn = self.connect()
        conn.start_ok(**auth)
        try:
            conn.expect_close(0, code)
        except Eof:
            return
        conn.expect_eof()

    def test_good(self):
        conn = self.raw(locale="xx_YY")
        tune = conn.tune
        self.assertEqual((tune.channel_max, tune.frame_max, tune.heartbeat), (2047, 131072, 60))
        conn.close()

    def test_wrong_said(self):
        for user, password in (("guest", "wrong"), ("nobody", "guest"), ("guest", ""), ("", "")):
            conn = self.connect()
            conn.start_ok(user=user, password=password)
            conn.expect_close(0, 403, 0, 0, "ACCESS_REFUSED - Login was refused using "
                              "authentication mechanism PLAIN")
            conn.expect_eof()

    def test_wrong_unsaid(self):
        """Without the capability a refused client sees only the end."""
        conns = [self.connect() for _ in range(2)]
        for conn, caps in zip(conns, ({}, {"authentication_failure_close": False})):
            conn.start_ok(password="wrong", capabilities=caps)
        for conn in conns:
            self.assertEqual(conn.expect_eof(), b"")

    def test_unknown_mechanism(self):
        self.closed_after(503, mechanism="NOPE")

    def test_malformed_plain(self):
        responses = ("", "guest", "\0guest", "\0\0")
        conns = [self.connect() for _ in responses]
        for conn, response in zip(conns, responses):
            conn.start_ok(response=response)
        for conn in conns:
            conn.expect_eof()

    def test_client_properties_garbage(self):
        """A table that is cut short is the client's error, not ours."""
        conn = self.connect()
        conn.expect(0, C.Start)
        conn.send(wire.raw_method(0, 10, 11, b"\0\0\0\xff\x05abc"))
        conn.expect_eof()
        self.raw().close()


class Tune(BrokerCase):
    def test_refused(self):
        pairs = ((0, 131072), (2048, 131072), (65535, 131072), (2047, 0), (2047, 4095),
                 (2047, 131073))
        conns = [self.connect() for _ in pairs]
        for conn, (channel_max, frame_max) in zip(conns, pairs):
            conn.start_ok()
            conn.expect(0, C.Tune)
            conn.cast(0, C.TuneOk(channel_max, frame_max, 60))
        for conn in conns:
            if not EXTERNAL:
                conn.expect_close(0, 530, 10, 31)
            conn.expect_eof()

    def test_accepted(self):
        for channel_max, frame_max in ((1, 4096), (2047, 131072), (100, 8192)):
            conn = self.opened(channel_max=channel_max, frame_max=frame_max)
            conn.close()

    def test_channel_count(self):
        """The count of open channels is limited, not their numbers."""
        conn = self.opened(channel=9, channel_max=2)
        conn.channel(7)
        conn.cast(8, spec.Channel.Open())
        conn.expect_close(0, 530)

    def test_channel_reused_within_the_limit(self):
        conn = self.raw(channel_max=2)
        for _ in range(5):
            conn.channel(1)
            conn.channel(2)
            for number in (1, 2):
                conn.rpc(number, spec.Channel.Close(200, "", 0, 0))
        conn.close()


class Open(BrokerCase):
    def test_unknown_vhost(self):
        conn = self.connect()
        conn.start_ok()
        conn.expect(0, C.Tune)
        conn.cast(0, C.TuneOk(2047, 131072, 0))
        conn.cast(0, C.Open("nope"))
        conn.expect_close(0, 530, 10, 40, "NOT_ALLOWED - vhost nope not found")
        conn.expect_eof()

    def test_wrong_state(self):
        """A method out of its turn ends the connection before it is open."""
        conn = self.connect()
        conn.expect(0, C.Start)
        conn.cast(0, C.Open("/"))
        conn.expect_eof()
        conn = self.connect()
        conn.start_ok()
        conn.expect(0, C.Tune)
        conn.cast(0, C.Open("/"))
        conn.expect_eof()

    def test_channel_before_open(self):
        conn = self.connect()
        conn.start_ok()
        conn.expect(0, C.Tune)
        conn.cast(0, C.TuneOk(2047, 131072, 0))
        conn.cast(1, spec.Channel.Open())
        conn.expect_close(0, 505)

    def test_large_frame_before_open(self):
        """Who has not logged in may send 4 KiB in a frame, not more."""
        conn = self.connect()
        conn.expect(0, C.Start)
        conn.send(struct.pack(">BHI", 1, 0, 70000) + b"\0" * 100)
        conn.expect_eof()

    def test_close(self):
        conn = self.opened()
        conn.cast(0, C.Close(200, "bye", 0, 0))
        conn.expect(0, C.CloseOk)
        conn.sock.shutdown(socket.SHUT_WR)
        conn.expect_eof()

    def test_several_secrets(self):
        """Each update-secret is answered, in order with what comes behind."""
        conn = self.raw()
        secret = raw_method(0, 10, 70, b"\0\0\0\5guest\1r")
        conn.send(secret * 3 + method_frame(1, spec.Channel.Open()))
        for _ in range(3):
            _, number, payload = conn.recv()
            self.assertEqual((number, payload), (0, b"\0\x0a\0\x47"))
        conn.expect(1, spec.Channel.OpenOk)

    def test_act_as_another(self):
        """An identity to act as is one's own, or none."""
        conn = self.raw(response="guest\0guest\0guest")
        conn.close()
        conn = self.connect()
        conn.start_ok(response="root\0guest\0guest")
        conn.expect_close(0, 403)


class Heartbeat(BrokerCase):
    def test_beats_and_end(self):
        """T = 1: beats come twice in T, and a silent client is cut off after two to three T."""
        conn = self.raw(heartbeat=1)
        began, beats = time.monotonic(), 0
        try:
            while True:
                kind, channel, payload = conn.recv_any(5 * SLOW)
                self.assertEqual((kind, channel, payload), (wire.HEARTBEAT, 0, b""))
                beats += 1
        except Eof:
            pass
        lasted = time.monotonic() - began
        self.assertGreaterEqual(beats, 3)
        self.assertTrue(1.9 < lasted < 4 + 2 * (SLOW - 1), lasted)

    def test_alive(self):
        """Any octets are life: heartbeats, or half a frame."""
        conn = self.raw(heartbeat=1)
        other = self.raw(heartbeat=1)
        slow = wire.method_frame(1, spec.Channel.Open())
        until, at = time.monotonic() + 4.5, 0
        while time.monotonic() < until:
            conn.send(wire.frame(wire.HEARTBEAT, 0, b""))
            if at < len(slow) - 1:
                other.send(slow[at:at + 1])
                at += 1
            conn.recv_any(DEADLINE)
        conn.close()
        other.send(slow[at:])
        other.expect(1, spec.Channel.OpenOk)

    def test_none(self):
        """Heartbeat 0: no beats, and silence is allowed."""
        conn = self.raw(heartbeat=0)
        with self.assertRaises(TimeoutError):
            conn.recv_any(3)
        conn.close()


if __name__ == "__main__":
    unittest.main()
