#!/usr/bin/env python3
"""py-amqp as its users (kombu among them) use it."""
import socket
import unittest

import amqp

from harness import BrokerCase, fresh


class PyAmqp(BrokerCase):
    def connect(self, **options):
        conn = amqp.Connection("%s:%d" % self.broker.addr, userid="guest",
                               password=options.pop("password", "guest"), **options)
        conn.connect()
        self.addCleanup(lambda: conn.connected and conn.close())
        return conn

    def test_publish_consume(self):
        conn, name, got = self.connect(confirm_publish=True), fresh(), []
        channel = conn.channel()
        channel.exchange_declare(name, "direct", durable=True, auto_delete=False)
        channel.queue_declare(name, durable=True, auto_delete=False)
        channel.queue_bind(name, name, "key")
        for number in range(50):
            channel.basic_publish_confirm(amqp.Message(
                "m %d" % number, delivery_mode=2, application_headers={"n": number}),
                exchange=name, routing_key="key")

        def on_message(message):
            got.append((message.body, message.headers["n"]))
            channel.basic_ack(message.delivery_tag)
        channel.basic_qos(0, 10, False)
        tag = channel.basic_consume(name, callback=on_message)
        while len(got) < 50:
            conn.drain_events(timeout=10)
        self.assertEqual(got, [("m %d" % n, n) for n in range(50)])
        channel.basic_cancel(tag)
        channel.queue_delete(name)
        channel.exchange_delete(name)

    def test_transaction(self):
        conn, name = self.connect(), fresh()
        channel = conn.channel()
        channel.queue_declare(name, durable=True, auto_delete=False)
        channel.tx_select()
        for end in (channel.tx_rollback, channel.tx_commit):
            channel.basic_publish(amqp.Message(end.__name__, delivery_mode=2), routing_key=name)
            end()
        self.assertEqual(channel.basic_get(name, no_ack=True).body, "tx_commit")
        self.assertIsNone(channel.basic_get(name))
        channel.queue_delete(name)

    def test_rpc(self):
        """A request, and its reply straight to the channel that asked."""
        conn, queue, got = self.connect(), fresh(), []
        client, server = conn.channel(), self.connect().channel()
        server.queue_declare(queue, auto_delete=True)

        def on_request(message):
            server.basic_publish(
                amqp.Message(message.body.upper(), correlation_id=message.correlation_id),
                routing_key=message.reply_to)
            server.basic_ack(message.delivery_tag)
        server.basic_consume(queue, callback=on_request)
        client.basic_consume("amq.rabbitmq.reply-to", no_ack=True, callback=got.append)
        for text in ("one", "two"):
            client.basic_publish(amqp.Message(text, reply_to="amq.rabbitmq.reply-to",
                                              correlation_id=text), routing_key=queue)
            server.connection.drain_events(timeout=10)
            conn.drain_events(timeout=10)
        self.assertEqual([(m.correlation_id, m.body) for m in got],
                         [("one", "ONE"), ("two", "TWO")])

    def test_get_reject_recover(self):
        channel, name = self.connect().channel(), fresh()
        channel.queue_declare(name)
        channel.basic_publish(amqp.Message("one"), routing_key=name)
        first = channel.basic_get(name)
        channel.basic_reject(first.delivery_tag, requeue=True)
        again = channel.basic_get(name)
        self.assertTrue(again.delivery_info["redelivered"])
        channel.basic_recover(requeue=True)
        last = channel.basic_get(name, no_ack=True)
        self.assertEqual(last.body, "one")
        self.assertIsNone(channel.basic_get(name))
        self.assertEqual(channel.queue_purge(name), 0)
        channel.queue_delete(name)

    def test_returned(self):
        conn, returned = self.connect(), []
        channel = conn.channel()
        channel.events["basic_return"].add(lambda *args: returned.append(args))
        channel.basic_publish(amqp.Message("lost"), routing_key=fresh(), mandatory=True)
        while not returned:
            conn.drain_events(timeout=10)
        self.assertEqual(returned[0][0].reply_code if hasattr(returned[0][0], "reply_code")
                         else returned[0][0], 312)

    def test_errors(self):
        conn = self.connect()
        with self.assertRaises(amqp.NotFound):
            conn.channel().queue_declare("never-there", passive=True)
        channel, name = conn.channel(), fresh()
        channel.queue_declare(name, durable=False)
        with self.assertRaises(amqp.PreconditionFailed):
            channel.queue_declare(name, durable=True)
        with self.assertRaises((amqp.AccessRefused, OSError)):
            self.connect(password="wrong")
        with self.assertRaises(amqp.NotAllowed):
            self.connect(virtual_host="nope")

    def test_heartbeat(self):
        """kombu's way: heartbeat_tick() between drains keeps the connection up."""
        conn = self.connect(heartbeat=2)
        channel, name = conn.channel(), fresh()
        for _ in range(6):
            conn.heartbeat_tick(rate=2)
            try:
                conn.drain_events(timeout=1)
            except socket.timeout:
                pass
        channel.queue_declare(name, exclusive=True)

    def test_large(self):
        channel, name = self.connect().channel(), fresh()
        channel.queue_declare(name, exclusive=True)
        body = "ü" * 700000
        channel.basic_publish(amqp.Message(body, content_encoding="utf-8"), routing_key=name)
        self.assertTrue(channel.basic_get(name, no_ack=True).body == body)


if __name__ == "__main__":
    unittest.main()
