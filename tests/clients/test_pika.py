#!/usr/bin/env python3
"""pika as its users use it: BlockingConnection and SelectConnection."""
import unittest

import pika
from pika.exceptions import (AMQPConnectionError, ChannelClosedByBroker, ConnectionClosedByBroker,
                             ProbableAuthenticationError, UnroutableError)

from harness import BrokerCase, fresh

KEPT = pika.BasicProperties(delivery_mode=2, content_type="text/plain", headers={"n": 1})


class PikaCase(BrokerCase):
    def parameters(self, password="guest", **options):
        host, port = self.broker.addr
        return pika.ConnectionParameters(
            host, port, credentials=pika.PlainCredentials("guest", password), **options)


class Blocking(PikaCase):
    def connect(self, **options):
        conn = pika.BlockingConnection(self.parameters(**options))
        self.addCleanup(lambda: conn.is_open and conn.close())
        return conn

    def test_work_queue(self):
        """The tutorial's work queue: durable, persistent, prefetch 1, ack each."""
        conn, name, got = self.connect(), fresh(), []
        channel = conn.channel()
        channel.queue_declare(name, durable=True)
        channel.confirm_delivery()
        for number in range(50):
            channel.basic_publish("", name, b"task %d" % number, KEPT, mandatory=True)
        channel.basic_qos(prefetch_count=1)

        def on_message(ch, method, props, body):
            self.assertEqual((props.delivery_mode, props.headers), (2, {"n": 1}))
            got.append(body)
            ch.basic_ack(method.delivery_tag)
            if len(got) == 50:
                ch.stop_consuming()
        channel.basic_consume(name, on_message)
        channel.start_consuming()
        self.assertEqual(got, [b"task %d" % n for n in range(50)])
        self.assertEqual(channel.queue_declare(name, passive=True).method.message_count, 0)
        channel.queue_delete(name)

    def test_transaction(self):
        """tx_select, tx_commit and tx_rollback over two queues, with what was got before."""
        conn = self.connect()
        channel, names = conn.channel(), [fresh(), fresh()]
        for name in names:
            channel.queue_declare(name, durable=True)
        channel.basic_publish("", names[0], b"first", KEPT)
        channel.tx_select()
        for end in (channel.tx_rollback, channel.tx_commit):
            method, _, body = channel.basic_get(names[0])
            self.assertEqual(body, b"first")
            channel.basic_ack(method.delivery_tag)
            for name in names:
                channel.basic_publish("", name, end.__name__.encode(), KEPT)
            end()
            if end == channel.tx_rollback:
                channel.basic_nack(method.delivery_tag, requeue=True)
                channel.tx_commit()
        left = [[body for _, _, body in iter(lambda name=name: channel.basic_get(name, True),
                                             (None, None, None))] for name in names]
        self.assertEqual(left, [[b"tx_commit"], [b"tx_commit"]])
        with self.assertRaises(ChannelClosedByBroker) as caught:
            channel.confirm_delivery()
        self.assertEqual(caught.exception.reply_code, 406)
        channel = conn.channel()
        for name in names:
            channel.queue_delete(name)

    def test_routing(self):
        """The tutorial's direct exchange with queues that the broker names."""
        conn = self.connect()
        channel, exchange = conn.channel(), fresh("logs")
        channel.exchange_declare(exchange, "direct")
        queues = {}
        for severity in ("info", "warning", "error"):
            name = channel.queue_declare("", exclusive=True).method.queue
            channel.queue_bind(name, exchange, severity)
            queues[severity] = name
        for severity in queues:
            channel.basic_publish(exchange, severity, severity.encode())
        for severity, name in queues.items():
            _, _, body = channel.basic_get(name, auto_ack=True)
            self.assertEqual(body, severity.encode())
        channel.exchange_delete(exchange)

    def test_rpc(self):
        """The tutorial's RPC: a reply queue, correlation ids."""
        server, client, name = self.connect(), self.connect(), fresh("rpc")
        serving = server.channel()
        serving.queue_declare(name, auto_delete=True)

        def on_request(ch, method, props, body):
            ch.basic_publish("", props.reply_to, body * 2,
                             pika.BasicProperties(correlation_id=props.correlation_id))
            ch.basic_ack(method.delivery_tag)
        serving.basic_consume(name, on_request)
        channel, answers = client.channel(), {}
        reply_to = channel.queue_declare("", exclusive=True).method.queue
        channel.basic_consume(reply_to, lambda ch, m, p, b: answers.update({p.correlation_id: b}),
                              auto_ack=True)
        for number in range(20):
            props = pika.BasicProperties(reply_to=reply_to, correlation_id=str(number))
            channel.basic_publish("", name, b"%d" % number, props)
            while str(number) not in answers:
                server.process_data_events(0.01)
                client.process_data_events(0.01)
        self.assertEqual(answers, {str(n): (b"%d" % n) * 2 for n in range(20)})

    def test_direct_reply_to(self):
        conn = self.connect()
        client, server, queue, got = conn.channel(), conn.channel(), fresh(), []
        server.queue_declare(queue, auto_delete=True)

        def on_request(ch, method, props, body):
            ch.basic_publish("", props.reply_to, body[::-1],
                             pika.BasicProperties(correlation_id=props.correlation_id))
            ch.basic_ack(method.delivery_tag)
        server.basic_consume(queue, on_request)
        client.basic_consume("amq.rabbitmq.reply-to", lambda *a: got.append(a[3]), auto_ack=True)
        for text in ("abc", "xyz"):
            client.basic_publish("", queue, text,
                                 pika.BasicProperties(reply_to="amq.rabbitmq.reply-to"))
        while len(got) < 2:
            conn.process_data_events(time_limit=10)
        self.assertEqual(got, [b"cba", b"zyx"])

    def test_prefetch_of_the_channel(self):
        conn = self.connect()
        channel, queues, out = conn.channel(), [fresh(), fresh()], []
        for queue in queues:
            channel.queue_declare(queue, auto_delete=True)
            for _ in range(5):
                channel.basic_publish("", queue, b"m")
        channel.basic_qos(prefetch_count=3, global_qos=True)
        for queue in queues:
            channel.basic_consume(queue, lambda c, m, p, b: out.append(m.delivery_tag))
        seen = 0
        while seen < 10:
            conn.process_data_events(time_limit=0.2)
            self.assertLessEqual(len(out), 3)
            seen += len(out)
            for tag in out:
                channel.basic_ack(tag)
            out.clear()

    def test_generator(self):
        conn, name = self.connect(), fresh()
        channel = conn.channel()
        channel.queue_declare(name)
        for number in range(10):
            channel.basic_publish("", name, b"%d" % number)
        got = []
        for method, _, body in channel.consume(name, inactivity_timeout=10):
            self.assertIsNotNone(method)
            got.append(body)
            channel.basic_ack(method.delivery_tag)
            if len(got) == 7:
                break
        channel.cancel()
        self.assertEqual(got, [b"%d" % n for n in range(7)])
        channel.queue_delete(name)

    def test_unroutable(self):
        channel = self.connect().channel()
        channel.confirm_delivery()
        with self.assertRaises(UnroutableError) as caught:
            channel.basic_publish("", fresh(), b"lost", mandatory=True)
        self.assertEqual(caught.exception.messages[0].body, b"lost")

    def test_errors(self):
        conn = self.connect()
        channel = conn.channel()
        with self.assertRaises(ChannelClosedByBroker) as caught:
            channel.queue_declare("never-there", passive=True)
        self.assertEqual(caught.exception.reply_code, 404)
        channel = conn.channel()
        name = channel.queue_declare("", exclusive=True).method.queue
        with self.assertRaises(ChannelClosedByBroker) as caught:
            self.connect().channel().basic_get(name)
        self.assertEqual(caught.exception.reply_code, 405)
        with self.assertRaises(ProbableAuthenticationError):
            self.connect(password="wrong")
        with self.assertRaises((ConnectionClosedByBroker, AMQPConnectionError)):
            self.connect(virtual_host="nope")

    def test_negotiation(self):
        conn = self.connect(heartbeat=5, frame_max=4096, channel_max=3)
        channel, name = conn.channel(), fresh()
        channel.queue_declare(name, auto_delete=True)
        channel.basic_publish("", name, b"x" * 100000)
        self.assertEqual(len(channel.basic_get(name)[2]), 100000)
        channel.queue_delete(name)

    def test_from_url(self):
        host, port = self.broker.addr
        conn = pika.BlockingConnection(
            pika.URLParameters("amqp://guest:guest@%s:%d/%%2F?heartbeat=30" % (host, port)))
        conn.close()


class Select(PikaCase):
    def test_publish_and_consume(self):
        """Callbacks all the way: open, declare, confirm, consume, cancel, close."""
        name, total = fresh(), 200
        seen = {"bodies": [], "confirmed": 0, "closed": None}

        def on_open(conn):
            conn.channel(on_open_callback=on_channel)

        def on_channel(channel):
            channel.queue_declare(name, durable=True, callback=lambda _: on_declared(channel))

        def on_declared(channel):
            channel.confirm_delivery(on_confirm, callback=lambda _: on_confirming(channel))

        def on_confirm(frame):
            tag = frame.method.delivery_tag
            seen["confirmed"] = tag if frame.method.multiple else seen["confirmed"] + 1

        def on_confirming(channel):
            for number in range(total):
                channel.basic_publish("", name, b"%d" % number, KEPT)
            channel.basic_qos(prefetch_count=10)
            channel.basic_consume(name, on_message, consumer_tag="t")

        def on_message(channel, method, _props, body):
            seen["bodies"].append(body)
            channel.basic_ack(method.delivery_tag)
            if len(seen["bodies"]) == total:
                channel.basic_cancel("t", callback=lambda _: channel.queue_delete(
                    name, callback=lambda _: channel.connection.close()))

        def on_closed(conn, reason):
            seen["closed"] = reason
            conn.ioloop.stop()
        conn = pika.SelectConnection(self.parameters(), on_open_callback=on_open,
                                     on_close_callback=on_closed,
                                     on_open_error_callback=on_closed)
        conn.ioloop.start()
        self.assertEqual(seen["bodies"], [b"%d" % n for n in range(total)])
        self.assertEqual(seen["confirmed"], total)
        self.assertEqual(seen["closed"].reply_code, 200)


if __name__ == "__main__":
    unittest.main()
