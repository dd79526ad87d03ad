#!/usr/bin/env python3
"""Each kind of process killed for real, by a failed CHECK and by a SIGSEGV: what its clients see.

POST /api/debug/crash {"process": pid or registered name, "how": "check"|"segv"} does it, where the
broker was started with --set debug.crash=true. The connections of the test are watched under load.
"""
import socket
import threading
import unittest

from pika import spec

import harness
from harness import Broker, BrokerCase, fresh, needs_own_broker, wait_for
from wire import DEADLINE, Eof, Raw

B, Q, X = spec.Basic, spec.Queue, spec.Exchange
KEPT = spec.BasicProperties(delivery_mode=2)
HOW = ("check", "segv")


class Load(threading.Thread):
    """A neighbour's traffic through its own queue: publish, confirm, deliver, ack, in order."""

    def __init__(self, addr):
        super().__init__(daemon=True)
        self.conn, self.queue, self.done, self.rounds = Raw(addr).open(), fresh("load"), False, 0
        self.fault = None
        conn = self.conn
        conn.channel(1)
        conn.channel(2)
        conn.rpc(1, Q.Declare(queue=self.queue, durable=True))
        conn.rpc(1, spec.Confirm.Select())
        conn.rpc(2, B.Consume(queue=self.queue))
        self.start()

    def run(self):
        try:
            while not self.done:
                self.one_round()
        except Exception as e:  # pylint: disable=broad-except
            self.fault = e

    def one_round(self):
        self.rounds += 1
        body = b"%d" % self.rounds
        self.conn.publish(1, "", self.queue, body, KEPT)
        want = {1, 2}
        while want:
            channel, method = self.conn.next_method(2 * DEADLINE)
            want.discard(channel)
            if channel == 2:
                got = self.conn.content(2, method)
                if got.body != body:
                    raise AssertionError("%s instead of %s" % (got.body, body))
                self.conn.cast(2, B.Ack(got.tag))
            elif not isinstance(method, B.Ack):
                raise AssertionError("no ack but %s" % method)

    def stop(self):
        """Fails if the neighbour noticed anything; else how many messages it had through."""
        before = self.rounds
        wait_for(lambda: self.fault or self.rounds > before + 5, "more traffic of the neighbour")
        self.done = True
        self.join(3 * DEADLINE)
        if self.fault:
            raise AssertionError("the neighbour saw: %r" % self.fault)
        self.conn.close()


class CrashCase(BrokerCase):
    broker_args = ("--set", "debug.crash=true")

    def processes(self, kind):
        return {p["pid"]: p for p in self.broker.get("/api/processes") if p["kind"] == kind}

    def find(self, kind, word=""):
        """The one process of that kind whose name holds the word."""
        found = [p for p in self.processes(kind).values() if word in p["name"]]
        self.assertEqual(len(found), 1, (kind, word, [p["name"] for p in found]))
        return found[0]

    def new_process(self, kind, work):
        """The process of that kind that work() starts, and what work() gives."""
        before = set(self.processes(kind))
        value = work()
        fresh_ones = [p for pid, p in self.processes(kind).items() if pid not in before]
        self.assertEqual(len(fresh_ones), 1, kind)
        return fresh_ones[0], value

    def crash(self, process, how):
        status, value = self.broker.http("POST", "/api/debug/crash",
                                         {"process": process["pid"], "how": how})
        self.assertIn(status, (200, 202, 204), value)

    def restarted(self, kind, word, old):
        """Waits until a successor stands in the listing, with its restart and the reason."""
        def seen():
            rows = [p for p in self.processes(kind).values()
                    if word in p["name"] and p["pid"] != old["pid"]]
            return rows and rows[0]
        new = wait_for(seen, "a new " + kind)
        self.assertGreater(new["restarts"], old["restarts"])
        self.assertTrue(new["last_crash"], new)

    def both_ways(self, one):
        for how in HOW:
            with self.subTest(how):
                load = Load(self.broker.addr)
                one(how)
                load.stop()
                self.assertIsNone(self.broker.proc.poll())


@needs_own_broker
class Connection(CrashCase):
    def test_connection(self):
        """Its socket closes, its exclusive queue goes, what it held goes back marked."""
        def one(how):
            watcher, shared, own = self.opened(), fresh(), fresh()
            watcher.rpc(1, Q.Declare(queue=shared, durable=True))
            process, conn = self.new_process("connection", self.raw)
            conn.channel(1)
            conn.rpc(1, Q.Declare(queue=own, exclusive=True))
            conn.rpc(1, B.Consume(queue=shared))
            for n in range(5):
                watcher.publish(1, "", shared, b"%d" % n, KEPT)
                self.assertEqual(conn.message(1).body, b"%d" % n)
            self.crash(process, how)
            conn.expect_eof()
            watcher.rpc(1, B.Consume(queue=shared))
            for n in range(5):
                got = watcher.message(1)
                self.assertEqual((got.body, got.redelivered), (b"%d" % n, True))
            watcher.rpc(1, Q.Declare(queue=own, exclusive=True))
            watcher.rpc(1, Q.Delete(queue=shared))
        self.both_ways(one)


@needs_own_broker
class Channel(CrashCase):
    def test_channel(self):
        """channel.close 541 on it alone; its number may be used again; what it held goes back."""
        def one(how):
            conn, queue = self.opened(), fresh()
            conn.rpc(1, Q.Declare(queue=queue, durable=True))
            process, _ = self.new_process("channel", lambda: conn.channel(2))
            conn.rpc(2, B.Consume(queue=queue))
            for n in range(5):
                conn.publish(1, "", queue, b"%d" % n, KEPT)
                self.assertEqual(conn.message(2).body, b"%d" % n)
            self.crash(process, how)
            conn.expect_close(2, 541)
            conn.channel(2)
            conn.rpc(2, B.Consume(queue=queue))
            for n in range(5):
                got = conn.message(2)
                self.assertEqual((got.body, got.redelivered), (b"%d" % n, True))
                conn.cast(2, B.Ack(got.tag))
            conn.rpc(2, spec.Channel.Close(200, "", 0, 0))
            self.assertEqual(conn.rpc(1, Q.Delete(queue=queue)).message_count, 0)
        self.both_ways(one)


@needs_own_broker
class Queue(CrashCase):
    def test_durable(self):
        """Consumers stay subscribed; what they hold stays theirs; the rest comes in order."""
        def one(how):
            conn, taker, queue = self.opened(), self.opened(), fresh()
            conn.rpc(1, Q.Declare(queue=queue, durable=True))
            conn.rpc(1, spec.Confirm.Select())
            for n in range(1, 101):
                conn.publish(1, "", queue, b"%d" % n, KEPT)
            self.assertEqual(len(self.confirms(conn, 1, 100)), 100)
            taker.rpc(1, B.Qos(prefetch_count=10))
            taker.rpc(1, B.Consume(queue=queue))
            held = [taker.message(1) for _ in range(10)]
            process = self.find("queue", queue)
            conn.gather()
            for n in range(101, 201):
                conn.publish(1, "", queue, b"%d" % n, KEPT)
            conn.flush()
            self.crash(process, how)
            acked = self.confirms(conn, 101, 200)
            self.restarted("queue", queue, process)
            for message in held:
                taker.cast(1, B.Ack(message.tag))
            got = self.take_until(taker, max(acked | {100}))
            numbers = [int(m.body) for m in got]
            self.assertEqual(numbers, sorted(set(numbers)))
            self.assertFalse((set(range(11, 101)) | acked) - set(numbers))
            conn.rpc(1, Q.Delete(queue=queue))
        self.both_ways(one)

    def confirms(self, conn, first, last):
        """The tags that were acked, once each of first..last has its ack or nack."""
        acked, open_tags = set(), set(range(first, last + 1))
        while open_tags:
            method = conn.expect_one_of(1, (B.Ack, B.Nack))
            tags = {t for t in open_tags if t <= method.delivery_tag} if method.multiple \
                else {method.delivery_tag}
            open_tags -= tags
            if isinstance(method, B.Ack):
                acked |= tags
        return acked

    def take_until(self, taker, last):
        got = []
        while not got or int(got[-1].body) < last:
            got.append(taker.message(1))
            taker.cast(1, B.Ack(got[-1].tag))
        return got

    def test_acks_before_close(self):
        """What was acked before channel.close-ok does not come again, wherever the acks were."""
        def one(how):
            count = 300
            for _ in range(4):
                conn, queue = self.opened(), fresh()
                conn.rpc(1, Q.Declare(queue=queue, durable=True))
                conn.rpc(1, spec.Confirm.Select())
                for n in range(count):
                    conn.publish(1, "", queue, b"%d" % n, KEPT)
                self.assertEqual(len(self.confirms(conn, 1, count)), count)
                conn.channel(2)
                conn.rpc(2, B.Consume(queue=queue))
                tags = [conn.message(2).tag for _ in range(count)]
                process = self.find("queue", queue)
                crash = threading.Thread(target=self.crash, args=(process, how))
                crash.start()
                for tag in tags:
                    conn.cast(2, B.Ack(tag))
                conn.rpc(2, spec.Channel.Close(200, "", 0, 0))
                crash.join()
                self.assertEqual(conn.rpc(1, Q.Declare(queue=queue, passive=True)).message_count, 0)
                conn.rpc(1, Q.Delete(queue=queue))
                conn.close()
        self.both_ways(one)

    def test_transient(self):
        """A non-durable and an exclusive queue come back empty, with consumers and bindings."""
        def one(how):
            for options in ({}, {"exclusive": True}):
                conn, queue = self.opened(), fresh()
                conn.rpc(1, Q.Declare(queue=queue, **options))
                conn.rpc(1, Q.Bind(queue=queue, exchange="amq.direct", routing_key=queue))
                conn.rpc(1, B.Consume(queue=queue, no_ack=True))
                process = self.find("queue", queue)
                self.crash(process, how)
                self.restarted("queue", queue, process)
                for exchange in ("", "amq.direct"):
                    conn.publish(1, exchange, queue, b"after")
                    self.assertEqual(conn.message(1).body, b"after")
                conn.close()
        self.both_ways(one)


@needs_own_broker
class Elders(CrashCase):
    def test_exchange(self):
        """Nobody sees anything: its routes serve meanwhile, and it has them all afterwards."""
        def one(how):
            conn, exchange, queue = self.opened(), fresh("x"), fresh()
            conn.rpc(1, X.Declare(exchange=exchange, type="direct"))
            conn.rpc(1, Q.Declare(queue=queue, exclusive=True))
            conn.rpc(1, Q.Bind(queue=queue, exchange=exchange, routing_key="a"))
            conn.rpc(1, B.Consume(queue=queue, no_ack=True))
            process = self.find("exchange", exchange)
            self.crash(process, how)
            for n in range(50):
                conn.publish(1, exchange, "a", b"%d" % n, mandatory=True)
                self.assertEqual(conn.message(1).body, b"%d" % n)
            self.restarted("exchange", exchange, process)
            conn.rpc(1, Q.Bind(queue=queue, exchange=exchange, routing_key="b"))
            conn.rpc(1, Q.Unbind(queue=queue, exchange=exchange, routing_key="a"))
            conn.publish(1, exchange, "a", b"unbound")
            conn.publish(1, exchange, "b", b"bound")
            self.assertEqual(conn.message(1).body, b"bound")
            conn.rpc(1, X.Delete(exchange=exchange))
        self.both_ways(one)

    def test_registry(self):
        """A call takes a little longer; all topology is known afterwards, transient too."""
        def one(how):
            conn, other, names = self.opened(), self.opened(), [fresh() for _ in range(3)]
            for name, options in zip(names, ({"durable": True}, {}, {"exclusive": True})):
                conn.rpc(1, Q.Declare(queue=name, **options))
                conn.rpc(1, Q.Bind(queue=name, exchange="amq.direct", routing_key=names[0]))
            process = self.find("registry")
            self.crash(process, how)
            added = fresh()
            conn.rpc(1, Q.Declare(queue=added, durable=True))
            self.restarted("registry", "", process)
            conn.publish(1, "amq.direct", names[0], b"to all three")
            for name, options in zip(names, ({"durable": True}, {}, {"exclusive": True})):
                ok = conn.rpc(1, Q.Declare(queue=name, **options))
                self.assertEqual(ok.message_count, 1, name)
            other.cast(1, Q.Declare(queue=names[2], exclusive=True))
            other.expect_close(1, 405)
            other.channel(1)
            other.cast(1, Q.Declare(queue=names[0], durable=False))
            other.expect_close(1, 406)
            for name in names + [added]:
                conn.rpc(1, Q.Delete(queue=name))
        self.both_ways(one)

    def test_store(self):
        """Confirms and declares wait, then go on; nothing that was confirmed goes."""
        kept = []

        def one(how):
            conn, queue = self.opened(), fresh("kept")
            kept.append(queue)
            conn.rpc(1, Q.Declare(queue=queue, durable=True))
            conn.rpc(1, spec.Confirm.Select())
            process = self.find("store", "/")
            for n in range(200):
                conn.publish(1, "", queue, b"%d" % n, KEPT)
                if n == 100:
                    self.crash(process, how)
            confirmed = 0
            while confirmed < 200:
                confirmed = max(confirmed, conn.expect(1, B.Ack, 2 * DEADLINE).delivery_tag)
            self.restarted("store", "/", process)
            added = fresh()
            conn.rpc(1, Q.Declare(queue=added, durable=True))
            conn.rpc(1, Q.Delete(queue=added))
            conn.close()
        self.both_ways(one)
        self.broker.kill9()
        self.broker.start()
        conn = self.opened()
        for queue in kept:
            for n in range(200):
                conn.cast(1, B.Get(queue=queue, no_ack=True))
                self.assertEqual(conn.message(1, B.GetOk).body, b"%d" % n)
            self.assertEqual(conn.rpc(1, Q.Delete(queue=queue)).message_count, 0)

    def test_listener(self):
        """New connections wait a moment; the port is the same; those that are there go on."""
        def one(how):
            conn, process = self.opened(), self.find("listener")
            self.crash(process, how)
            self.restarted("listener", "", process)

            def connect():
                try:
                    return Raw(self.broker.addr).open()
                except (OSError, Eof):
                    return None
            wait_for(connect, "a new connection").close()
            conn.silent()
        self.both_ways(one)

    def test_log_says_it(self):
        """A crash report has the name, the reason and a backtrace."""
        conn, queue = self.opened(), fresh()
        conn.rpc(1, Q.Declare(queue=queue))
        process = self.find("queue", queue)
        self.crash(process, "segv")
        self.restarted("queue", queue, process)
        log = wait_for(lambda: "crash" in self.broker.log() and self.broker.log(), "a report")
        self.assertIn(queue, log)
        self.assertRegex(log, "SIGSEGV|segmentation fault")
        conn.rpc(1, Q.Delete(queue=queue))


class ParkedCase(CrashCase):
    """A store or registry that crashes too often is parked, and its vhost is down for a while."""

    def crash_until_parked(self, kind):
        def parked():
            rows = list(self.processes(kind).values())
            if rows:
                self.broker.http("POST", "/api/debug/crash",
                                 {"process": rows[0]["pid"], "how": "check"})
            return "is down" in self.broker.log()
        wait_for(parked, "a parked " + kind, step=0.005)

    def goes_down(self, kind):
        conn, queue = self.opened(), fresh()
        conn.channel(2)
        conn.rpc(1, Q.Declare(queue=queue, durable=True))
        conn.rpc(1, spec.Confirm.Select())
        conn.publish(1, "", queue, b"kept", KEPT)
        conn.expect(1, B.Ack)
        self.crash_until_parked(kind)
        for _ in range(2):
            channel, method = conn.next_method()
            self.assertIsInstance(method, spec.Channel.Close)
            self.assertEqual(method.reply_code, 541)
            self.assertIn("vhost '/' is down: " + kind, method.reply_text)
            conn.cast(channel, spec.Channel.CloseOk())

        def up():
            conn.cast(3, spec.Channel.Open())
            method = conn.expect_one_of(3, (spec.Channel.OpenOk, spec.Channel.Close))
            if isinstance(method, spec.Channel.Close):
                self.assertEqual(method.reply_code, 541)
                conn.cast(3, spec.Channel.CloseOk())
                return False
            return True
        wait_for(up, "a vhost that is up again", step=0.05)
        conn.rpc(3, Q.Declare(queue=queue, durable=True))
        conn.cast(3, B.Get(queue=queue, no_ack=True))
        self.assertEqual(conn.message(3, B.GetOk).body, b"kept")
        conn.rpc(3, Q.Delete(queue=queue))
        self.opened().close()


@needs_own_broker
class ParkedStore(ParkedCase):
    def test_store(self):
        self.goes_down("store")


@needs_own_broker
class ParkedRegistry(ParkedCase):
    def test_registry(self):
        self.goes_down("registry")


@needs_own_broker
class InInit(unittest.TestCase):
    """A kind of process that crashes in init for ever: the node and every neighbour serve on."""

    def start(self, kind):
        broker = Broker(["--set", "debug.crash_in_init=" + kind])
        self.addCleanup(broker.__exit__, None, None, None)
        return broker

    def opened(self, broker):
        conn = broker.raw()
        self.addCleanup(conn.kill)
        conn.channel(1)
        return conn

    def serves(self, conn):
        """A declare, a publish, a delivery on that connection."""
        queue = fresh()
        conn.channel(5)
        conn.rpc(5, Q.Declare(queue=queue, durable=True))
        conn.rpc(5, spec.Confirm.Select())
        conn.publish(5, "", queue, b"m", KEPT)
        conn.expect(5, B.Ack)
        conn.cast(5, B.Get(queue=queue, no_ack=True))
        self.assertEqual(conn.message(5, B.GetOk).body, b"m")
        conn.rpc(5, Q.Delete(queue=queue))
        conn.rpc(5, spec.Channel.Close(200, "", 0, 0))

    def test_those_that_end_the_program(self):
        for kind in ("tables", "access", "log"):
            with self.assertRaises(harness.StartError) as caught:
                self.start(kind)
            self.assertGreater(caught.exception.code, 0, kind)

    def test_queue(self):
        """A parked queue: get, consume and passive declare say 404 and why; delete works."""
        broker = self.start("queue")
        conn = self.opened(broker)
        conn.cast(1, Q.Declare(queue="q", durable=True))
        conn.expect_one_of(1, (Q.DeclareOk, spec.Channel.Close))

        def parked():
            other = broker.raw()
            other.channel(1)
            other.cast(1, Q.Declare(queue="q", passive=True))
            method = other.expect_one_of(1, (Q.DeclareOk, spec.Channel.Close))
            other.kill()
            return isinstance(method, spec.Channel.Close) and method.reply_code == 404
        wait_for(parked, "404 of a parked queue", step=0.2)
        conn = self.opened(broker)
        for method in (B.Get(queue="q"), B.Consume(queue="q")):
            conn.cast(1, method)
            conn.expect_close(1, 404)
            conn.channel(1)
        conn.rpc(1, spec.Confirm.Select())
        conn.publish(1, "", "q", b"m", KEPT)
        conn.expect_one_of(1, (B.Nack,))
        conn.rpc(1, Q.Delete(queue="q"))
        conn.rpc(1, X.Declare(exchange="x", type="direct"))

    def test_exchange(self):
        """The default exchange, queues and messages do without it."""
        broker = self.start("exchange")
        self.serves(self.opened(broker))

    def test_vhost_is_down(self):
        """Without its store or registry a vhost is down: 541 with the reason, not silence."""
        for kind in ("store", "registry"):
            broker = self.start(kind)

            def refused():
                conn = Raw(broker.addr)
                conn.start_ok()
                conn.expect(0, spec.Connection.Tune)
                conn.cast(0, spec.Connection.TuneOk(2047, 131072, 0))
                conn.cast(0, spec.Connection.Open("/"))
                method = conn.expect_one_of(0, (spec.Connection.OpenOk, spec.Connection.Close))
                conn.kill()
                return isinstance(method, spec.Connection.Close) and method
            close = wait_for(refused, "541", step=0.2)
            self.assertEqual(close.reply_code, 541)
            self.assertIn("vhost '/' is down: " + kind, close.reply_text)
            broker.get("/api/overview")

    def test_vhost_state(self):
        """A vhost does without the process that would say that it is down."""
        self.serves(self.opened(self.start("vhost_state")))

    def test_connection(self):
        """Each new socket closes, and the next one is accepted."""
        broker = self.start("connection")
        for _ in range(20):
            self.assertEqual(Raw(broker.addr).expect_eof(), b"")
        broker.get("/api/processes")

    def test_channel(self):
        """541 on the channel; its connection lives."""
        broker = self.start("channel")
        conn = broker.raw()
        for number in (1, 2, 1):
            conn.cast(number, spec.Channel.Open())
            method = conn.expect_one_of(number, (spec.Channel.OpenOk, spec.Channel.Close))
            if isinstance(method, spec.Channel.OpenOk):
                conn.expect_close(number, 541)
            else:
                self.assertEqual(method.reply_code, 541)
                conn.cast(number, spec.Channel.CloseOk())
        conn.close()

    def test_listener(self):
        """Management serves on; the program ends cleanly."""
        port = free_port()
        broker = Broker(["--set", "debug.crash_in_init=listener"], start=False)
        self.addCleanup(broker.remove)
        broker.start_unready(["--mgmt-port", str(port)])
        broker.mgmt = ("127.0.0.1", port)

        def answers():
            try:
                return broker.http("GET", "/api/overview")[0] == 200
            except OSError:
                return False
        wait_for(answers, "management", step=0.1)
        self.assertEqual(broker.stop(), 0)

    def test_mgmt_request(self):
        """A request that dies is a 500; AMQP does not notice."""
        broker = self.start("mgmt_request")
        for _ in range(12):
            self.assertEqual(broker.http("GET", "/api/overview")[0], 500)
        self.serves(self.opened(broker))


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


if __name__ == "__main__":
    unittest.main()
