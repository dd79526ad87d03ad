#!/usr/bin/env python3
"""Limits that hold without anybody setting them, and those that an operator sets."""
import json
import select
import socket
import struct
import tempfile
import time
import unittest
from urllib.parse import quote

from pika import spec

import wire
from harness import EXTERNAL, BrokerCase, OwnBrokers, fresh, wait_for
from wire import SLOW, Raw, frame, method_frame, raw_method

ROOM = (64 << 20) * (8 if SLOW > 1 else 1)  # a sanitizer keeps what is freed
B, C, Q, X = spec.Basic, spec.Connection, spec.Queue, spec.Exchange


def nested(depth, inner=b""):
    """A field table of tables in tables."""
    for _ in range(depth):
        inner = b"\x01tF" + struct.pack(">I", len(inner)) + inner
    return struct.pack(">I", len(inner)) + inner


def resident(broker, what="VmRSS"):
    """Bytes of memory that the broker has; VmSize: that it has asked for."""
    with open("/proc/%d/status" % broker.proc.pid, encoding="ascii") as f:
        for line in f:
            if line.startswith(what + ":"):
                return int(line.split()[1]) << 10
    raise AssertionError("no " + what)


@unittest.skipIf(EXTERNAL, "limits of our own")
class Defaults(BrokerCase):
    def test_table_depth(self):
        """64 levels are read, more are refused, however they come."""
        for depth, is_fine in ((60, True), (64, False), (2000, False)):
            table = nested(depth)
            for data in (raw_method(1, 50, 10, b"\0\0\0\x08" + table),
                         method_frame(1, B.Publish(exchange="", routing_key="nowhere"))
                         + frame(wire.HEAD, 1, struct.pack(">HHQH", 60, 0, 0, 0x2000) + table)):
                conn = self.opened()
                conn.send(data)
                if is_fine:
                    if b"nowhere" not in data:
                        conn.expect(1, Q.DeclareOk)
                    conn.rpc(1, B.Qos())
                    conn.close()
                else:
                    conn.expect_close(0, 502)

    def test_table_depth_before_login(self):
        conn = self.connect()
        conn.expect(0, C.Start)
        conn.send(frame(wire.METHOD, 0, struct.pack(">HH", 10, 11) + nested(400)
                        + b"\x05PLAIN\0\0\0\x0c\0guest\0guest\x05en_US"))
        conn.expect_eof()

    def test_arrays_of_nothing(self):
        """An array of many elements without a size costs what it takes on the wire."""
        voids = b"\x01aA" + struct.pack(">I", 100000) + b"V" * 100000
        conn, before = self.opened(), resident(self.broker)
        for _ in range(20):
            conn.send(method_frame(1, B.Publish(exchange="", routing_key="nowhere"))
                      + frame(wire.HEAD, 1, struct.pack(">HHQH", 60, 0, 0, 0x2000)
                              + struct.pack(">I", len(voids)) + voids))
        conn.rpc(1, B.Qos())
        self.assertLess(resident(self.broker) - before, ROOM)

    def test_declared_size_takes_no_memory(self):
        """A body of 100 MB that never comes."""
        before = resident(self.broker)
        for _ in range(8):
            conn = self.opened()
            conn.send(method_frame(1, B.Publish(exchange="", routing_key="nowhere"))
                      + wire.content_header(1, 100 << 20) + frame(wire.BODY, 1, b"x" * 1000))
            conn.silent()
        self.assertLess(resident(self.broker) - before, ROOM)

    def test_names(self):
        """255 bytes are a name; a shortstr cannot say more."""
        conn, name = self.opened(), fresh().ljust(255, "n")
        self.assertEqual(conn.rpc(1, Q.Declare(queue=name)).queue, name)
        conn.rpc(1, X.Declare(exchange=name, type="direct", auto_delete=True))
        conn.rpc(1, Q.Bind(queue=name, exchange=name, routing_key="k" * 255))
        conn.publish(1, name, "k" * 255, b"m")
        conn.rpc(1, B.Consume(queue=name, consumer_tag="t" * 255))
        got = conn.message(1)
        self.assertEqual((len(got.method.consumer_tag), len(got.method.exchange),
                          len(got.method.routing_key)), (255, 255, 255))
        conn.delete_queue(name)

    def test_who_has_not_logged_in(self):
        """No frame of more than 4 KiB, and not many small ones."""
        before = resident(self.broker)
        for _ in range(200):
            conn = self.connect()
            conn.send(frame(wire.METHOD, 0, struct.pack(">HH", 10, 11) + b"\0" * 4000)[:-1])
        self.assertLess(resident(self.broker) - before, ROOM)


@unittest.skipIf(EXTERNAL, "limits of our own")
class Chosen(OwnBrokers):
    def test_message_size(self):
        """Refused when it is declared, before a byte of the body."""
        broker = self.start("max_message_size=1000")
        conn = self.opened(broker)
        conn.publish(1, "", "nowhere", b"x" * 1000, mandatory=True)
        conn.message(1, B.Return)
        conn.send(method_frame(1, B.Publish(exchange="", routing_key="nowhere"))
                  + wire.content_header(1, 1001))
        conn.expect_close(1, 406, 60, 40,
                          "message size 1001 is larger than configured max size 1000")
        conn.channel(1)
        conn.publish(1, "", "nowhere", b"x" * 5000)  # the body that follows is no error of its own
        conn.expect_close(1, 406, 60, 40)
        conn.channel(1)
        conn.silent()

    def test_header_bytes(self):
        """A table of a megabyte, if frames may be so large, and not more."""
        broker = self.start("frame_max=4194304")
        for size, is_fine in ((900 << 10, True), (1100 << 10, False)):
            conn = self.opened(broker, frame_max=4 << 20)
            entry = b"\x01kS" + struct.pack(">I", size) + b"x" * size
            conn.send(method_frame(1, B.Publish(exchange="", routing_key="nowhere"))
                      + frame(wire.HEAD, 1, struct.pack(">HHQH", 60, 0, 0, 0x2000)
                              + struct.pack(">I", len(entry)) + entry))
            if is_fine:
                conn.rpc(1, B.Qos())
            else:
                conn.expect_close(0, 502)

    def test_channels(self):
        broker = self.start("channel_max=5")
        conn = broker.raw(channel_max=5)
        for number in range(1, 6):
            conn.channel(number)
        conn.cast(6, spec.Channel.Open())
        conn.expect_close(0, 530, 20, 10)

    def test_consumers(self):
        broker = self.start("consumer_max_per_channel=3")
        conn, queue = self.opened(broker), fresh()
        conn.rpc(1, Q.Declare(queue=queue))
        for _ in range(3):
            tag = conn.rpc(1, B.Consume(queue=queue)).consumer_tag
        conn.rpc(1, B.Cancel(tag))
        conn.rpc(1, B.Consume(queue=queue))
        conn.channel(2)
        conn.rpc(2, B.Consume(queue=queue))
        conn.cast(1, B.Consume(queue=queue))
        conn.expect_close(0, 530, 60, 20, "reached maximum (3) of consumers per channel")

    def test_unacked(self):
        """No more are given than may be out, whatever the client asks for; acks let it go on."""
        broker = self.start("channel_max_unacked=4")
        conn, queue = self.opened(broker), fresh()
        conn.rpc(1, Q.Declare(queue=queue))
        for _ in range(20):
            conn.publish(1, "", queue, b"m")
        conn.rpc(1, B.Consume(queue=queue))
        last = [conn.message(1) for _ in range(4)][-1]
        conn.silent()
        conn.rpc(1, B.Qos(prefetch_count=100, global_qos=True))
        conn.silent()
        conn.cast(1, B.Ack(last.tag, multiple=True))
        got = [conn.message(1) for _ in range(4)]
        conn.rpc(1, B.Qos(prefetch_count=2, global_qos=True))
        conn.cast(1, B.Ack(got[-1].tag, multiple=True))
        for _ in range(2):
            conn.message(1)
        conn.silent()

    def test_unacked_gets(self):
        """Messages that were got count too, and leave less to consumers."""
        broker = self.start("channel_max_unacked=4")
        conn, queue = self.opened(broker), fresh()
        conn.rpc(1, Q.Declare(queue=queue))
        for i in range(20):
            conn.publish(1, "", queue, b"%d" % i)
        got = []
        for _ in range(3):
            conn.cast(1, B.Get(queue=queue))
            got.append(conn.message(1, B.GetOk))
        conn.rpc(1, B.Consume(queue=queue))
        conn.message(1)
        conn.silent()
        conn.cast(1, B.Get(queue=queue, no_ack=True))  # needs no ack: is not counted
        conn.message(1, B.GetOk)
        conn.cast(1, B.Ack(got[0].tag))
        conn.message(1)
        conn.cast(1, B.Get(queue=queue))
        conn.expect_close(1, 406, 60, 70, "reached maximum (4) of unacknowledged messages")

    def test_declared_sizes_reserve_no_memory(self):
        """Large bodies on many channels, of which next to nothing comes."""
        broker = self.start()
        conn, numbers = broker.raw(), range(1, 101)
        for number in numbers:
            conn.channel(number)
        before = resident(broker, "VmSize")
        conn.gather()
        for number in numbers:
            conn.send(method_frame(number, B.Publish(exchange="", routing_key="nowhere"))
                      + wire.content_header(number, 128 << 20) + frame(wire.BODY, number, b"x"))
        conn.flush()
        conn.silent()
        self.assertLess(resident(broker, "VmSize") - before, 16 * ROOM)

    def test_bodies_that_grow(self):
        """Bodies on two channels at a time, each in many frames, come whole."""
        broker = self.start()
        conn, queue = self.opened(broker), fresh()
        conn.channel(2)
        conn.rpc(1, Q.Declare(queue=queue))
        parts = [[bytes([n, i & 255, i >> 8]) * 40000 for i in range(170)] for n in (1, 2)]
        for n in (1, 2):
            conn.send(method_frame(n, B.Publish(exchange="", routing_key=queue))
                      + wire.content_header(n, sum(map(len, parts[n - 1]))))
        for pair in zip(*parts):
            for n in (1, 2):
                conn.send(frame(wire.BODY, n, pair[n - 1]))
        conn.rpc(1, B.Consume(queue=queue, no_ack=True))
        bodies = {conn.message(1).body for _ in (1, 2)}
        self.assertEqual(bodies, {b"".join(p) for p in parts})

    def test_connections(self):
        broker = self.start("connection_max=3", "default_limits.vhosts.max_connections=infinity")
        conns = [broker.raw() for _ in range(3)]
        self.refused_to_open(broker, "connection refused: node connection limit (3) is reached")
        conns.pop().close()
        conns.append(broker.raw())
        conns.pop().kill()  # without a word
        wait_for(lambda: self.may_open(broker), "room after a connection's end")

    def may_open(self, broker):
        conn = Raw(broker.addr)
        self.addCleanup(conn.kill)
        conn.start_ok()
        conn.expect(0, C.Tune)
        conn.cast(0, C.TuneOk(2047, 131072, 0))
        conn.cast(0, C.Open("/"))
        return isinstance(conn.expect_one_of(0, (C.OpenOk, C.Close)), C.OpenOk)

    def refused_to_open(self, broker, text, vhost="/", **auth):
        conn = Raw(broker.addr)
        conn.start_ok(**auth)
        conn.expect(0, C.Tune)
        conn.cast(0, C.TuneOk(2047, 131072, 0))
        conn.cast(0, C.Open(vhost))
        conn.expect_close(0, 530, 10, 40, "NOT_ALLOWED - " + text)
        conn.expect_eof()
        conn.kill()

    def test_connections_of_vhosts_and_users(self):
        """By the configuration, or else by definitions; a refusal takes no place."""
        everything = {"configure": ".*", "write": ".*", "read": ".*"}
        definitions = {
            "vhosts": [{"name": name} for name in ("/", "few", "many", "none")],
            "users": [dict({"name": name, "password": name, "tags": ""}, **more) for name, more in (
                ("guest", {}), ("one", {"limits": {"max-connections": 1, "max-channels": 2}}),
                ("all", {"limits": {"max-connections": -1}}))],
            "permissions": [dict(everything, user=user, vhost=vhost)
                            for user in ("guest", "one", "all")
                            for vhost in ("/", "few", "many", "none")],
            "parameters": [{"component": "vhost-limits", "name": "limits", "vhost": vhost,
                            "value": {"max-connections": n, "max-queues": 2}}
                           for vhost, n in (("few", 2), ("many", -1), ("none", 0))]}
        with tempfile.NamedTemporaryFile("w", suffix=".json") as f:
            json.dump(definitions, f)
            f.flush()
            broker = self.start("load_definitions=" + f.name,
                                "default_limits.vhosts.max_connections=4",
                                "default_limits.users.max_connections=5")
        one, everybody = {"user": "one", "password": "one"}, {"user": "all", "password": "all"}
        first = broker.raw(**one)
        for _ in range(3):
            self.refused_to_open(broker, "connection refused for user 'one': user connection limit "
                                 "(1) is reached", **one)
        for _ in range(3):
            broker.raw()
        self.refused_to_open(broker, "access to vhost '/' refused for user 'guest': connection "
                             "limit (4) is reached")
        self.refused_to_open(broker, "access to vhost 'none' refused for user 'all': connection "
                             "limit (0) is reached", "none", **everybody)
        few = [broker.raw(vhost="few", **everybody) for _ in range(2)][0]
        self.refused_to_open(broker, "access to vhost 'few' refused for user 'all': connection "
                             "limit (2) is reached", "few", **everybody)
        for _ in range(2):
            broker.raw(vhost="many")
        self.refused_to_open(broker, "connection refused for user 'guest': user connection limit "
                             "(5) is reached", "many")
        for _ in range(6):
            broker.raw(vhost="many", **everybody)
        for number in (1, 2):
            first.channel(number)
        first.cast(3, spec.Channel.Open())
        first.expect_close(0, 530, 20, 10, "user limit of (2)")
        self.queue_limit(few)

    def queue_limit(self, conn):
        """Two queues; passive and equal declares are no new ones, and a deleted one is none."""
        names = [fresh(), fresh(), fresh()]
        conn.channel(1)
        for name, durable in zip(names[:2], (True, False)):
            conn.rpc(1, Q.Declare(queue=name, durable=durable))
        conn.rpc(1, Q.Declare(queue=names[0], durable=True))
        conn.cast(1, Q.Declare(queue=names[2]))
        conn.expect_close(1, 406, 50, 10, "cannot declare queue '%s': queue limit in vhost 'few' "
                          "(2) is reached" % names[2])
        conn.channel(1)
        conn.rpc(1, Q.Delete(queue=names[1]))
        conn.gather()
        for name in names[1:]:
            conn.cast(1, Q.Declare(queue=name, durable=True))
        conn.flush()
        conn.expect(1, Q.DeclareOk)
        conn.expect_close(1, 406, 50, 10)

    def test_handshakes_of_one_address(self):
        """Who has logged in is not counted."""
        broker = self.start("handshakes_per_address=3")
        open_ones = [broker.raw() for _ in range(4)]
        waiting = [Raw(broker.addr) for _ in range(3)]
        for conn in waiting:
            self.addCleanup(conn.kill)
            conn.expect(0, C.Start)
        late = Raw(broker.addr)
        self.addCleanup(late.kill)
        self.assertEqual(late.expect_eof(), b"")
        waiting.pop().kill()
        wait_for(lambda: self.gets_start(broker), "room after a handshake's end")
        open_ones[0].close()
        wait_for(lambda: "3 connections from its address have not logged in" in broker.log(),
                 "a line of the log")

    def gets_start(self, broker):
        conn = Raw(broker.addr)
        self.addCleanup(conn.kill)
        try:
            conn.expect(0, C.Start)
        except wire.Eof:
            return False
        conn.kill()
        return True

    def test_handshake(self):
        """Who is not done in time is cut off, wherever he stopped."""
        broker = self.start("handshake_timeout=500")
        began, conns = time.monotonic(), []
        for data in (b"", b"AMQP", b"AMQP\0\0\x09\x01"):
            sock = socket.create_connection(broker.addr)
            sock.sendall(data)
            conns.append(sock)
            self.addCleanup(sock.close)
        at_tune = Raw(broker.addr)
        at_tune.start_ok()
        at_tune.expect(0, C.Tune)
        for sock in conns:
            sock.settimeout(wire.DEADLINE)
            while sock.recv(4096):
                pass
            sock.close()
        at_tune.expect_eof()
        self.assertGreater(time.monotonic() - began, 0.4)
        conn, late = broker.raw(), Raw(broker.addr)  # who is done stays
        self.addCleanup(late.kill)
        late.expect(0, C.Start)
        late.expect_eof()
        conn.close()

    def test_output_of_one_that_does_not_read(self):
        """Returns fill a buffer, and then its socket is not read any more."""
        broker = self.start()
        conn, queue = self.opened(broker), fresh()
        conn.rpc(1, Q.Declare(queue=queue))
        before = resident(broker)
        conn.sock.setblocking(False)
        body = method_frame(1, B.Publish(exchange="", routing_key="nowhere", mandatory=True))
        body += wire.content_header(1, 4000) + frame(wire.BODY, 1, b"r" * 4000)
        path = "/api/processes/" + quote("%s:%d -> %s:%d" % (
            conn.sock.getsockname() + conn.sock.getpeername()))
        sent, data = 0, body * 64
        while sent < 256 << 20:
            if select.select([], [conn.sock], [], 0.1)[1]:
                sent += conn.sock.send(data[sent % len(body):])
            elif not broker.get(path)["inspect"]["reads"]:
                break
        self.assertLess(sent, 64 << 20)
        self.assertLess(resident(broker) - before, ROOM)
        other = self.opened(broker)
        wait_for(lambda: other.rpc(1, B.Qos()), "an answer to a neighbour")


if __name__ == "__main__":
    unittest.main()
