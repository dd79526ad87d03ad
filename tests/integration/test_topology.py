#!/usr/bin/env python3
"""Queues, exchanges and bindings: declare, delete, purge, bind and their refusals."""
import time
import unittest

from pika import spec

from harness import EXTERNAL, BrokerCase, fresh

B, Q, X = spec.Basic, spec.Queue, spec.Exchange


def declare(exchange, kind="direct", **options):
    return X.Declare(exchange=exchange, type=kind, **options)


class Topology(BrokerCase):
    def refused(self, method, code, text=None, prepare=None):
        """The method gets a channel error of its own class and method."""
        conn = self.opened()
        if prepare:
            prepare(conn)
        conn.cast(1, method)
        ids = divmod(method.INDEX, 65536)
        conn.expect_close(1, code, ids[0], ids[1], text)
        conn.channel(1)
        conn.kill()

    def queue(self, conn, name=None, **options):
        return conn.rpc(1, Q.Declare(queue=fresh() if name is None else name, **options)).queue

    def put(self, conn, queue, *bodies, **options):
        for body in bodies:
            conn.publish(1, "", queue, body, **options)

    def count(self, conn, queue):
        if EXTERNAL:
            time.sleep(0.05)  # RabbitMQ's counts overtake the publishes before them.
        ok = conn.rpc(1, Q.Declare(queue=queue, passive=True))
        return ok.message_count, ok.consumer_count


class Queues(Topology):
    def test_declare(self):
        conn, name = self.opened(), fresh()
        for durable in (True, False):
            ok = conn.rpc(1, Q.Declare(queue=name, durable=durable))
            self.assertEqual((ok.queue, ok.message_count, ok.consumer_count), (name, 0, 0))
            again = conn.rpc(1, Q.Declare(queue=name, durable=durable))
            self.assertEqual(again.queue, name)
            self.assertEqual(conn.rpc(1, Q.Delete(queue=name)).message_count, 0)

    def test_named_by_server(self):
        conn = self.opened()
        first, second = self.queue(conn, ""), self.queue(conn, "")
        self.assertTrue(first.startswith("amq.gen-"), first)
        self.assertNotEqual(first, second)
        # "" now means the second one.
        self.put(conn, second, b"a", b"b")
        self.assertEqual(conn.rpc(1, Q.Purge(queue="")).message_count, 2)
        self.put(conn, second, b"c")
        conn.cast(1, B.Get(queue=""))
        self.assertEqual(conn.message(1, B.GetOk).body, b"c")
        conn.rpc(1, Q.Bind(queue="", exchange="amq.direct", routing_key="k"))
        conn.rpc(1, B.Consume(queue=""))
        conn.delete_queue("")
        conn.kill()
        self.opened().rpc(1, Q.Delete(queue=first))

    def test_last_declared_is_the_channels(self):
        conn = self.opened()
        name = self.queue(conn, fresh())
        self.assertEqual(conn.rpc(1, Q.Purge(queue="")).message_count, 0)
        conn.channel(2)
        conn.cast(2, Q.Purge(queue=""))
        conn.expect_close(2, 404, 50, 30, "no previously declared queue")
        conn.rpc(1, Q.Delete(queue=name))

    def test_no_name_no_queue(self):
        for method in (Q.Bind(queue="", exchange="amq.direct"), Q.Purge(queue=""),
                       Q.Unbind(queue="", exchange="amq.direct"), Q.Delete(queue=""),
                       B.Consume(queue=""), B.Get(queue="")):
            self.refused(method, 404, "no previously declared queue")
        self.refused(Q.Declare(queue="", passive=True), 404)

    def test_missing(self):
        for method in (Q.Declare(queue="nope", passive=True), Q.Purge(queue="nope"),
                       Q.Bind(queue="nope", exchange="amq.direct"), B.Consume(queue="nope"),
                       B.Get(queue="nope"), Q.Declare(queue="nope", passive=True, nowait=True)):
            self.refused(method, 404, "NOT_FOUND - no queue 'nope' in vhost '/'")

    def test_delete_missing(self):
        conn = self.opened()
        self.assertEqual(conn.rpc(1, Q.Delete(queue=fresh())).message_count, 0)

    def test_reserved(self):
        self.refused(Q.Declare(queue="amq.mine"), 403)

    def test_inequivalent(self):
        conn = self.opened()
        name = self.queue(conn, durable=True)
        self.refused(Q.Declare(queue=name, durable=False), 406, "inequivalent arg 'durable'")
        self.refused(Q.Declare(queue=name, durable=True, auto_delete=True), 406,
                     "inequivalent arg 'auto_delete'")
        self.queue(conn, name, durable=True, arguments={"x-of-nobody": 1})
        conn.rpc(1, Q.Delete(queue=name))

    def test_passive_counts(self):
        conn = self.opened()
        name = self.queue(conn)
        self.put(conn, name, b"1", b"2", b"3")
        self.assertEqual(self.count(conn, name), (3, 0))
        conn.cast(1, B.Get(queue=name))
        self.assertEqual(conn.message(1, B.GetOk).method.message_count, 2)
        self.assertEqual(self.count(conn, name), (2, 0))
        conn.rpc(1, B.Qos(prefetch_count=1))
        conn.rpc(1, B.Consume(queue=name))
        conn.message(1)
        self.assertEqual(self.count(conn, name), (1, 1))
        # Passive says what is there, whatever else the method says.
        ok = conn.rpc(1, Q.Declare(queue=name, passive=True, durable=True, auto_delete=True))
        self.assertEqual(ok.message_count, 1)
        conn.delete_queue(name)

    def test_purge(self):
        conn = self.opened()
        name = self.queue(conn)
        self.put(conn, name, b"1", b"2", b"3")
        conn.cast(1, B.Get(queue=name))
        tag = conn.message(1, B.GetOk).tag
        self.assertEqual(conn.rpc(1, Q.Purge(queue=name)).message_count, 2)
        self.assertEqual(self.count(conn, name)[0], 0)
        conn.cast(1, B.Reject(tag, requeue=True))
        self.assertEqual(self.count(conn, name)[0], 1)
        self.assertEqual(conn.rpc(1, Q.Delete(queue=name)).message_count, 1)

    def test_delete_conditions(self):
        conn = self.opened()
        name = self.queue(conn)
        self.put(conn, name, b"1")
        self.assertEqual(self.count(conn, name)[0], 1)
        self.refused(Q.Delete(queue=name, if_empty=True), 406)
        conn.rpc(1, B.Consume(queue=name, no_ack=True))
        conn.message(1)
        self.refused(Q.Delete(queue=name, if_unused=True), 406)
        conn.delete_queue(name, if_empty=True)
        self.refused(Q.Declare(queue=name, passive=True), 404)

    def test_consumer_told_of_delete(self):
        conn, other = self.opened(), self.opened()
        name = self.queue(conn)
        other.rpc(1, B.Consume(queue=name, consumer_tag="mine"))
        self.put(conn, name, b"m")
        tag = other.message(1).tag
        conn.rpc(1, Q.Delete(queue=name))
        self.assertEqual(other.expect(1, B.Cancel).consumer_tag, "mine")
        other.cast(1, B.Ack(tag))  # Void, but a tag that the client really has.
        other.silent()

    def test_nowait(self):
        conn, name = self.opened(), fresh()
        conn.cast(1, Q.Declare(queue=name, nowait=True))
        conn.cast(1, Q.Bind(queue=name, exchange="amq.direct", routing_key=name, nowait=True))
        conn.publish(1, "amq.direct", name, b"m")
        self.assertEqual(self.count(conn, name)[0], 1)
        conn.cast(1, Q.Purge(queue=name, nowait=True))
        self.assertEqual(self.count(conn, name)[0], 0)
        conn.cast(1, Q.Delete(queue=name, nowait=True))
        conn.silent()
        self.refused(Q.Declare(queue=name, passive=True), 404)

    def test_exclusive(self):
        conn = self.opened()
        name = self.queue(conn, exclusive=True)
        for method in (Q.Declare(queue=name, exclusive=True), Q.Declare(queue=name),
                       Q.Declare(queue=name, passive=True), Q.Purge(queue=name),
                       Q.Bind(queue=name, exchange="amq.direct"), Q.Delete(queue=name),
                       B.Consume(queue=name), B.Get(queue=name)):
            self.refused(method, 405, "RESOURCE_LOCKED")
        other = self.opened()
        other.publish(1, "", name, b"from another")
        other.silent()
        conn.rpc(1, B.Consume(queue=name, no_ack=True))
        self.assertEqual(conn.message(1).body, b"from another")
        # Its own connection may use it from any channel.
        conn.channel(2)
        conn.rpc(2, Q.Declare(queue=name, exclusive=True))
        conn.close()
        self.refused(Q.Declare(queue=name, passive=True), 404)

    def test_exclusive_goes_with_its_connection(self):
        """Also a connection that just vanishes; a new owner may declare the name at once."""
        name = fresh()
        for _ in range(10):
            conn = self.opened()
            self.queue(conn, name, exclusive=True)
            self.put(conn, name, b"m")
            conn.close()
        if not EXTERNAL:
            for _ in range(10):
                conn = self.opened()
                self.queue(conn, name, exclusive=True)
                conn.kill()

    def test_auto_delete(self):
        conn = self.opened()
        name = self.queue(conn, auto_delete=True)
        self.put(conn, name, b"1")
        conn.cast(1, B.Get(queue=name, no_ack=True))
        conn.message(1, B.GetOk)
        self.assertEqual(self.count(conn, name), (0, 0))
        for tag in ("a", "b"):
            conn.rpc(1, B.Consume(queue=name, consumer_tag=tag))
        conn.rpc(1, B.Cancel("a"))
        self.assertEqual(self.count(conn, name), (0, 1))
        conn.rpc(1, B.Cancel("b"))
        self.refused(Q.Declare(queue=name, passive=True), 404)

    def test_bad_arguments(self):
        for arguments in ({"x-message-ttl": -1}, {"x-expires": 0}, {"x-max-length": -1},
                          {"x-queue-type": "no-such-type"}, {"x-message-ttl": "soon"}):
            self.refused(Q.Declare(queue=fresh(), arguments=arguments), 406, "PRECONDITION_FAILED")

    def test_names(self):
        conn = self.opened()
        for name in (fresh("q" * 200), fresh("ünïcode ✓"), fresh("spa ce/and%2F.#*")):
            self.assertEqual(self.queue(conn, name), name)
            self.put(conn, name, b"m")
            self.assertEqual(conn.rpc(1, Q.Delete(queue=name)).message_count, 1)
        name = fresh()
        self.assertEqual(self.queue(conn, name + "\r\n"), name)
        conn.rpc(1, Q.Delete(queue=name))


class Exchanges(Topology):
    def exchange(self, conn, **options):
        name = fresh("x")
        conn.rpc(1, declare(name, **options))
        return name

    def test_predeclared(self):
        conn = self.opened()
        conn.rpc(1, declare("amq.direct", passive=True))
        conn.rpc(1, declare("amq.direct", durable=True))

    def test_declare_delete(self):
        conn = self.opened()
        name = self.exchange(conn, durable=True)
        conn.rpc(1, declare(name, durable=True))
        conn.rpc(1, declare(name, passive=True))
        conn.rpc(1, X.Delete(exchange=name))
        conn.rpc(1, X.Delete(exchange=name))
        self.refused(declare(name, passive=True), 404,
                     "NOT_FOUND - no exchange '%s' in vhost '/'" % name)

    def test_refusals(self):
        conn = self.opened()
        name, queue = self.exchange(conn), self.queue(conn)
        table = [
            (declare("amq.mine"), 403), (X.Delete(exchange="amq.direct"), 403),
            (declare(""), 403), (declare("", passive=True), 403),
            (X.Delete(exchange=""), 403),
            (Q.Bind(queue=queue, exchange=""), 403), (Q.Unbind(queue=queue, exchange=""), 403),
            (declare("nope", passive=True), 404),
            (declare("nope", passive=True, nowait=True), 404),
            (Q.Bind(queue=queue, exchange="nope"), 404),
            (declare(name, durable=True), 406),
            (declare(name, auto_delete=True), 406),
            (declare(name, internal=True), 406),
        ]
        if not EXTERNAL:
            table.append((declare(fresh("x"), kind="nope"), 406))
        for method, code in table:
            self.refused(method, code)
        conn.rpc(1, X.Delete(exchange=name))
        conn.rpc(1, Q.Delete(queue=queue))

    def test_inequivalent_text(self):
        conn = self.opened()
        name = self.exchange(conn)
        self.refused(declare(name, durable=True), 406,
                     "inequivalent arg 'durable' for exchange '%s' in vhost '/': received 'true'"
                     " but current is 'false'" % name)

    def test_direct(self):
        conn = self.opened()
        name = self.exchange(conn)
        one, two = self.queue(conn, exclusive=True), self.queue(conn, exclusive=True)
        for queue, key in ((one, "a"), (two, "a"), (two, "b"), (two, "b")):
            conn.rpc(1, Q.Bind(queue=queue, exchange=name, routing_key=key))
        for key in ("a", "b", "c", "A", "", "a.b"):
            conn.publish(1, name, key, key.encode())
        self.assertEqual((self.count(conn, one)[0], self.count(conn, two)[0]), (1, 2))
        conn.cast(1, B.Get(queue=one))
        got = conn.message(1, B.GetOk)
        self.assertEqual((got.body, got.method.exchange, got.method.routing_key), (b"a", name, "a"))
        conn.rpc(1, Q.Unbind(queue=two, exchange=name, routing_key="b"))
        conn.publish(1, name, "b", b"nowhere")
        self.assertEqual(self.count(conn, two)[0], 2)

    def test_unbind_missing(self):
        conn = self.opened()
        name, queue = self.exchange(conn), self.queue(conn, exclusive=True)
        conn.rpc(1, Q.Unbind(queue=queue, exchange=name, routing_key="never"))
        conn.rpc(1, Q.Unbind(queue=queue, exchange="nope", routing_key="never"))

    def test_delete_if_unused(self):
        conn = self.opened()
        name, queue = self.exchange(conn), self.queue(conn)
        conn.rpc(1, Q.Bind(queue=queue, exchange=name, routing_key="k"))
        self.refused(X.Delete(exchange=name, if_unused=True), 406, "in use")
        conn.rpc(1, Q.Delete(queue=queue))  # Its bindings go with it.
        conn.rpc(1, X.Delete(exchange=name, if_unused=True))

    def test_auto_delete(self):
        conn = self.opened()
        name, queue = self.exchange(conn, auto_delete=True), self.queue(conn)
        conn.rpc(1, declare(name, passive=True))
        for key in ("a", "b"):
            conn.rpc(1, Q.Bind(queue=queue, exchange=name, routing_key=key))
        conn.rpc(1, Q.Unbind(queue=queue, exchange=name, routing_key="a"))
        conn.rpc(1, declare(name, passive=True))
        conn.rpc(1, Q.Delete(queue=queue))
        self.refused(declare(name, passive=True), 404)

    def test_internal(self):
        conn = self.opened()
        name = self.exchange(conn, internal=True)
        conn.publish(1, name, "k", b"m")
        conn.expect_close(1, 403, 60, 40)

    def test_bind_is_seen_by_all(self):
        """After bind-ok a publish on any other connection is routed by it, every time."""
        conn, other = self.opened(), self.opened()
        other.rpc(1, spec.Confirm.Select())
        name, queue = self.exchange(conn), self.queue(conn, exclusive=True)
        for number in range(100):
            conn.rpc(1, Q.Bind(queue=queue, exchange=name, routing_key=str(number)))
            other.publish(1, name, str(number), b"m", mandatory=True)
            other.expect(1, B.Ack)
        self.assertEqual(self.count(conn, queue)[0], 100)

    def test_exchange_gone_queue_stays(self):
        conn = self.opened()
        name, queue = self.exchange(conn), self.queue(conn, exclusive=True)
        conn.rpc(1, Q.Bind(queue=queue, exchange=name, routing_key="k"))
        conn.publish(1, name, "k", b"m")
        conn.rpc(1, X.Delete(exchange=name))
        self.assertEqual(self.count(conn, queue)[0], 1)
        conn.publish(1, name, "k", b"m")
        conn.expect_close(1, 404, 60, 40)

    def test_default_exchange(self):
        """Each queue is bound to it under its name, from its declare to its delete."""
        conn, name = self.opened(), fresh()
        conn.publish(1, "", name, b"early", mandatory=True)
        self.assertEqual(conn.message(1, B.Return).method.reply_code, 312)
        self.queue(conn, name)
        conn.publish(1, "", name, b"in time", mandatory=True)
        self.assertEqual(conn.rpc(1, Q.Delete(queue=name)).message_count, 1)
        conn.publish(1, "", name, b"late", mandatory=True)
        self.assertEqual(conn.message(1, B.Return).body, b"late")

    def test_access_request(self):
        """An old client's access.request (30.10) is answered with a ticket."""
        from wire import raw_method
        conn = self.opened()
        conn.send(raw_method(1, 30, 10, b"\x01/\x1f"))
        kind, channel, payload = conn.recv()
        self.assertEqual((kind, channel, payload[:4]), (1, 1, b"\0\x1e\0\x0b"))


if __name__ == "__main__":
    unittest.main()
