#!/usr/bin/env python3
"""kombu as its users use it: pools, topic exchanges, simple queues, consumers that come back."""
import socket
import time
import unittest

from kombu import Connection, Consumer, Exchange, Producer, Queue
from kombu.mixins import ConsumerMixin
from kombu.pools import producers

from harness import BrokerCase, fresh


class Kombu(BrokerCase):
    def connect(self, **options):
        conn = Connection("amqp://guest:guest@%s:%d//" % self.broker.addr, **options)
        self.addCleanup(conn.release)
        return conn

    def test_topic(self):
        conn, exchange = self.connect(), Exchange(fresh("x"), "topic", durable=True)
        mail = Queue(fresh(), exchange, "mail.#", durable=True)
        news = Queue(fresh(), exchange, "*.news", durable=True)
        with producers[conn].acquire(block=True) as producer:
            for key in ("mail", "mail.a.b", "mail.news", "x.news", "x.y.news"):
                producer.publish({"key": key}, routing_key=key, exchange=exchange,
                                 declare=[exchange, mail, news], retry=True, serializer="json")
        got = []
        with conn.channel() as channel:
            consumers = [Consumer(channel, queue, callbacks=[
                lambda body, message, q=queue: (got.append((q.name, body["key"])), message.ack())])
                for queue in (mail, news)]
            for consumer in consumers:
                consumer.consume()
            self.drain(conn, lambda: len(got) == 5)
            for consumer, queue in zip(consumers, (mail, news)):
                consumer.cancel()
                queue(channel).delete()
            exchange(channel).delete()
        self.assertEqual(sorted(got), sorted(
            [(mail.name, key) for key in ("mail", "mail.a.b", "mail.news")]
            + [(news.name, key) for key in ("mail.news", "x.news")]))

    def drain(self, conn, is_done):
        deadline = time.monotonic() + 10
        while not is_done() and time.monotonic() < deadline:
            try:
                conn.drain_events(timeout=1)
            except socket.timeout:
                pass
        self.assertTrue(is_done())

    def test_simple_queue(self):
        queue = self.connect().SimpleQueue(fresh())
        for number in range(20):
            queue.put({"n": number}, compression="zlib")
        self.assertEqual(len(queue), 20)
        for number in range(20):
            message = queue.get(timeout=10)
            self.assertEqual(message.payload, {"n": number})
            message.ack()
        with self.assertRaises(queue.Empty):
            queue.get(block=False)
        queue.close()
        queue.queue(self.connect().channel()).delete()

    def test_requeue_and_reject(self):
        conn, queue, seen = self.connect(), Queue(fresh(), auto_delete=True), []

        def on_message(body, message):
            seen.append((body, bool(message.delivery_info["redelivered"])))
            if not message.delivery_info["redelivered"]:
                message.requeue()
            elif body == 1:
                message.reject()
            else:
                message.ack()
        channel = conn.channel()
        queue = queue(channel)
        queue.declare()
        producer = Producer(channel)
        for number in range(3):
            producer.publish(number, routing_key=queue.name)
        with Consumer(channel, queue, callbacks=[on_message], prefetch_count=1):
            self.drain(conn, lambda: len(seen) == 6)
        self.assertEqual(sorted(seen), [(n, again) for n in range(3) for again in (False, True)])

    def test_prefetch_raised_while_it_runs(self):
        """kombu takes basic.qos as the specification has it: for consumers that run too."""
        conn, seen = self.connect(), []
        channel = conn.channel()
        queue = Queue(fresh(), channel=channel, auto_delete=True)
        queue.declare()
        for number in range(9):
            Producer(channel).publish(number, routing_key=queue.name)
        with Consumer(channel, queue, on_message=seen.append, prefetch_count=2) as consumer:
            self.drain(conn, lambda: len(seen) == 2)
            with self.assertRaises(socket.timeout):
                conn.drain_events(timeout=0.3)
            consumer.qos(prefetch_count=5, apply_global=not conn.qos_semantics_matches_spec)
            self.drain(conn, lambda: len(seen) == 5)
            with self.assertRaises(socket.timeout):
                conn.drain_events(timeout=0.3)

    def test_mixin(self):
        conn, queue, got = self.connect(heartbeat=10), Queue(fresh(), auto_delete=True), []
        queue(conn.channel()).declare()

        class Worker(ConsumerMixin):
            connection = conn

            def get_consumers(self, consumer_class, channel):
                return [consumer_class([queue], callbacks=[self.on_task])]

            def on_task(self, body, message):
                got.append(body)
                message.ack()
                self.should_stop = len(got) == 10
        with producers[self.connect()].acquire(block=True) as producer:
            for number in range(10):
                producer.publish(number, routing_key=queue.name)
        Worker().run()
        self.assertEqual(got, list(range(10)))

    def test_confirmed(self):
        conn = self.connect(transport_options={"confirm_publish": True})
        channel = conn.channel()
        queue = Queue(fresh(), channel=channel, durable=True)
        queue.declare()
        for number in range(50):
            Producer(channel).publish(number, routing_key=queue.name, delivery_mode=2)
        self.assertEqual(queue.queue_declare(passive=True).message_count, 50)
        queue.delete()


if __name__ == "__main__":
    unittest.main()
