#!/usr/bin/env python3
"""Statistics: exact counts of what clients did, rates, and closing connections over HTTP."""
import unittest
import urllib.parse

import pika

from harness import Broker, BrokerCase, fresh, needs_own_broker, wait_for

FAST = ("--set", "collect_statistics_interval=200")


def quote(name):
    return urllib.parse.quote(name, safe="")


def without_details(stats):
    return {k: v for k, v in stats.items() if not k.endswith("_details")}


@needs_own_broker
class Stats(BrokerCase):
    broker_args = FAST

    def setUp(self):
        self.conn = pika.BlockingConnection(pika.ConnectionParameters(
            *self.broker.addr, client_properties={"connection_name": "tester \u00fc"}))
        self.channel = self.conn.channel()

    def tearDown(self):
        if self.conn.is_open:
            self.conn.close()

    def get(self, path):
        return self.broker.get("/api/" + path)

    def shown(self, path, **wanted):
        """The object, once its fields are so."""
        def found():
            value = self.get(path)
            stats = dict(value, **value.get("message_stats", {}))
            return value if all(stats.get(k) == v for k, v in wanted.items()) else None
        try:
            return wait_for(found, "%s with %s" % (path, wanted))
        except AssertionError:
            self.fail("%s: wanted %s, is %s" % (path, wanted, self.get(path)))

    def name(self):
        return next(c["name"] for c in self.get("connections")
                    if c.get("user_provided_name") == "tester \u00fc" and
                    c["peer_port"] == self.conn._impl._transport._sock.getsockname()[1])

    def test_counts_are_exact(self):
        before = without_details(self.get("overview")["message_stats"])
        queue, ch = fresh("stats"), self.channel
        self.assertEqual(ch.queue_declare(queue).method.message_count, 0)
        for _ in range(3):
            ch.basic_publish("", queue, b"x")
        ch.basic_publish("", "nobody", b"dropped")
        ch.basic_publish("", "nobody", b"returned", mandatory=True)
        ch.confirm_delivery()
        for _ in range(4):
            ch.basic_publish("amq.direct", "nobody", b"x")
            ch.basic_publish("", queue, b"x")
        self.assertIsNotNone(ch.basic_get(queue, auto_ack=True)[0])
        tag = ch.basic_get(queue)[0].delivery_tag
        ch.basic_ack(tag)
        ch.basic_nack(ch.basic_get(queue)[0].delivery_tag)
        got = []
        ctag = ch.basic_consume(queue, lambda c, m, p, b: got.append(m.delivery_tag))
        while len(got) < 5:
            self.conn.process_data_events(0.05)
        ch.basic_ack(got[-1], multiple=True)
        ch.basic_cancel(ctag)
        self.assertIsNone(ch.basic_get(queue)[0])
        wanted = {"publish": 13, "confirm": 8, "return_unroutable": 1, "drop_unroutable": 5,
                  "deliver": 5, "deliver_no_ack": 0, "get": 2, "get_no_ack": 1, "get_empty": 1,
                  "deliver_get": 8, "redeliver": 1, "ack": 6}
        shown = self.shown("channels/" + quote(self.name() + " (1)"), **wanted)
        self.assertEqual(without_details(shown["message_stats"]), wanted)
        after = without_details(self.get("overview")["message_stats"])
        self.assertEqual({k: after[k] - before[k] for k in wanted}, wanted)
        self.shown("queues/%2F/" + queue, publish=7, deliver_get=8, ack=6, messages=0)

    def test_a_channel(self):
        ch = self.channel
        queue = ch.queue_declare("", exclusive=True).method.queue
        path = "channels/" + quote(self.name() + " (1)")
        self.shown(path, prefetch_count=0, consumer_count=0, confirm=False, transactional=False,
                   state="running", number=1, user="guest", vhost="/")
        ch.basic_qos(prefetch_count=7)
        ch.basic_qos(prefetch_count=9, global_qos=True)
        for _ in range(3):
            ch.basic_publish("", queue, b"x")
        got = []
        ch.basic_consume(queue, lambda c, m, p, b: got.append(m.delivery_tag))
        while len(got) < 3:
            self.conn.process_data_events(0.05)
        shown = self.shown(path, prefetch_count=7, global_prefetch_count=9, consumer_count=1,
                           messages_unacknowledged=3)
        self.assertEqual(shown["connection_details"]["name"], self.name())
        self.assertEqual([(c["queue"]["name"], c["prefetch_count"])
                          for c in shown["consumer_details"]], [(queue, 7)])
        ch.basic_ack(got[0])
        self.shown(path, messages_unacknowledged=2)
        second = self.conn.channel()
        second.tx_select()
        path = "channels/" + quote(self.name() + " (2)")
        second.basic_publish("", queue, b"x")
        second.basic_publish("", queue, b"x")
        second.basic_publish("", "nobody", b"x")
        self.shown(path, transactional=True, messages_uncommitted=3, acks_uncommitted=0,
                   drop_unroutable=0, consumer_details=[], publishes=[], deliveries=[])
        self.shown("exchanges/%2F/amq.direct", incoming=[], outgoing=[])
        self.shown("queues/%2F/" + queue, incoming=[], deliveries=[])
        second.tx_commit()
        self.shown(path, messages_uncommitted=0, publish=3, drop_unroutable=1)
        names = [c["name"] for c in
                 self.get("connections/%s/channels" % quote(self.name()))]
        self.assertEqual(names, [self.name() + " (1)", self.name() + " (2)"])
        second.close()
        wait_for(lambda: self.broker.http("GET", "/api/" + path)[0] == 404, "the channel gone")

    def test_a_connection(self):
        port = self.conn._impl._transport._sock.getsockname()[1]
        path = "connections/" + quote(self.name())
        shown = self.shown(path, channels=1, state="running")
        self.assertEqual(shown["name"], "127.0.0.1:%u -> 127.0.0.1:%u" %
                         (port, self.broker.addr[1]))
        for key, value in {"user": "guest", "vhost": "/", "protocol": "AMQP 0-9-1",
                           "auth_mechanism": "PLAIN", "host": "127.0.0.1",
                           "port": self.broker.addr[1], "peer_host": "127.0.0.1",
                           "peer_port": port, "ssl": False, "channel_max": 2047,
                           "frame_max": 131072, "timeout": 60, "send_pend": 0,
                           "user_provided_name": "tester \u00fc"}.items():
            self.assertEqual(shown[key], value, key)
        self.assertEqual(shown["client_properties"]["product"], "Pika Python Client Library")
        self.assertGreater(shown["recv_oct"], 100)
        self.assertGreater(shown["recv_cnt"], 0)
        before = shown["recv_oct"]
        self.channel.basic_publish("", "nobody", b"x" * 5000)
        more = wait_for(lambda: self.get(path)["recv_oct"] - before, "bytes received")
        self.assertIn(more, range(5000, 5200))
        wait_for(lambda: self.get(path)["recv_oct_details"]["rate"] > 0, "a rate of bytes")
        self.assertIn(self.name(), [c["name"] for c in self.get("vhosts/%2F/connections")])
        self.assertIn(self.name(), [c["name"] for c in self.get("connections/username/guest")])
        self.assertEqual(self.get("connections/username/nobody"), [])

    def test_consumers(self):
        queue = self.channel.queue_declare("", exclusive=True).method.queue
        self.channel.basic_qos(prefetch_count=5)
        tag = self.channel.basic_consume(queue, print, auto_ack=True, exclusive=True,
                                         arguments={"x-priority": 3})

        def mine():
            return [c for c in self.get("consumers/%2F") if c["consumer_tag"] == tag]
        shown = wait_for(mine, "the consumer")[0]
        self.assertEqual(shown["channel_details"]["name"], self.name() + " (1)")
        self.assertEqual(shown["queue"], {"name": queue, "vhost": "/"})
        self.assertEqual(shown["arguments"], {"x-priority": 3})
        self.assertEqual((shown["ack_required"], shown["exclusive"], shown["prefetch_count"]),
                         (False, True, 5))
        self.assertEqual(self.get("queues/%2F/" + queue)["consumer_details"], [shown])
        self.channel.basic_cancel(tag)
        wait_for(lambda: not mine(), "the consumer gone")
        self.assertEqual(self.get("queues/%2F/" + queue)["consumer_details"], [])

    def test_rates_and_samples(self):
        queue = self.channel.queue_declare(fresh("rates")).method.queue
        path = "queues/%2F/" + queue

        def rate():
            self.channel.basic_publish("", queue, b"x")
            return self.get(path)["message_stats"]["publish_details"]["rate"] > 0
        wait_for(rate, "a rate of publishing")
        path += "?msg_rates_age=60&msg_rates_incr=1&lengths_age=60&lengths_incr=1"

        def sampled():
            shown = self.get(path)
            points = shown["message_stats"]["publish_details"]["samples"]
            return len(points) > 2 and points[0]["sample"] == shown["messages"] and shown
        shown = wait_for(sampled, "samples")
        points = shown["messages_details"]["samples"]
        for newer, older in zip(points, points[1:]):
            self.assertGreater(newer["timestamp"], older["timestamp"])
            self.assertGreaterEqual(newer["sample"], older["sample"])
        self.assertEqual(points[0]["sample"], shown["messages"])
        overview = self.get("overview?msg_rates_age=600&msg_rates_incr=5")
        self.assertTrue(overview["message_stats"]["publish_details"]["samples"])
        self.assertEqual(self.broker.http("GET", "/api/overview?msg_rates_age=100000&"
                                          "msg_rates_incr=1")[0], 400)

    def test_churn(self):
        before = self.get("overview")["churn_rates"]
        other = pika.BlockingConnection(pika.ConnectionParameters(*self.broker.addr))
        queue = other.channel().queue_declare("", auto_delete=True).method.queue
        other.channel().queue_declare(queue, passive=True)
        other.channel().queue_delete(queue)
        other.close()
        wanted = {"connection_created": 1, "connection_closed": 1, "channel_created": 3,
                  "channel_closed": 3, "queue_declared": 2, "queue_created": 1, "queue_deleted": 1}

        def changed():
            after = self.get("overview")["churn_rates"]
            return {k: after[k] - before[k] for k in wanted} == wanted
        wait_for(changed, "the churn")

    def test_nodes(self):
        node, = self.get("nodes")
        self.assertEqual(node["name"], self.get("overview")["node"])
        self.assertEqual(self.get("nodes/" + node["name"])["os_pid"], str(self.broker.proc.pid))
        for key in ("mem_used", "mem_limit", "disk_free", "disk_free_limit", "fd_total", "uptime",
                    "proc_used", "sockets_used", "processors"):
            self.assertGreater(node[key], 0, key)
        self.assertFalse(node["mem_alarm"] or node["disk_free_alarm"])
        wait_for(lambda: self.get("nodes")[0]["fd_used"] > 0, "descriptors counted")
        memory = self.get("nodes/%s/memory" % node["name"])["memory"]
        self.assertGreater(memory["connection_readers"], 0)
        self.assertGreater(memory["total"]["rss"], memory["connection_readers"])
        self.assertEqual(
            self.get("nodes/%s/memory/relative" % node["name"])["memory"]["total"], 100)
        self.assertEqual(self.broker.http("GET", "/api/nodes/other")[0], 404)

    def test_the_work_of_the_disk(self):
        names = ("io_write_count", "io_write_bytes", "io_sync_count", "msg_store_write_count",
                 "context_switches")
        before, writes = self.get("nodes")[0], self.get("overview")["message_stats"]["disk_writes"]
        queue = self.channel.queue_declare(fresh("disk"), durable=True).method.queue
        self.channel.confirm_delivery()
        for _ in range(3):
            self.channel.basic_publish("", queue, b"x" * 1000,
                                       pika.BasicProperties(delivery_mode=2))

        def grown():
            node = self.get("nodes")[0]
            return all(node[name] > before[name] for name in names) and node
        node = wait_for(grown, "work counted")
        self.assertGreaterEqual(node["io_write_bytes"] - before["io_write_bytes"], 3000)
        after = self.get("overview")["message_stats"]
        self.assertGreaterEqual(after["disk_writes"] - writes, 3)
        self.assertIn("rate", after["disk_reads_details"])
        for name in ("io_read_avg_time", "io_write_avg_time", "io_sync_avg_time"):
            self.assertIn("rate", node[name + "_details"])
        self.assertGreater(node["io_write_avg_time"], 0)
        self.assertGreaterEqual(node["run_queue"], 0)
        self.assertEqual((node["config_files"], node["log_files"]), ([], ["<stderr>"]))
        self.channel.queue_delete(queue)

    def test_what_a_queue_holds(self):
        queue, ch = self.channel.queue_declare(fresh("holds"), durable=True).method.queue, \
            self.channel
        path = "queues/%2F/" + queue
        self.shown(path, messages=0, consumers=0, consumer_capacity=0, consumer_utilisation=0,
                   head_message_timestamp=None, exclusive_consumer_tag=None, message_bytes=0)
        ch.confirm_delivery()
        for i in range(6):
            ch.basic_publish("", queue, b"x" * (10 + i), pika.BasicProperties(
                delivery_mode=1 + i % 2, timestamp=1000 + i, headers={"long": "y" * 50}))
        ch.basic_get(queue)
        # Bodies alone are counted: 10, 11, ... 15 bytes, every other one persistent.
        shown = self.shown(
            path, messages=6, message_bytes=75, message_bytes_ready=65,
            message_bytes_unacknowledged=10, messages_persistent=3, message_bytes_persistent=39,
            messages_ram=6, messages_ready_ram=5, messages_unacknowledged_ram=1,
            message_bytes_ram=75, messages_paged_out=0, message_bytes_paged_out=0,
            head_message_timestamp=1001)
        self.assertGreater(shown["memory"], 1000)
        ch.basic_get(queue, auto_ack=True)
        self.shown(path, get=1, get_no_ack=1, get_empty=0, deliver_get=2, message_bytes=64,
                   messages_persistent=2, head_message_timestamp=1002)
        ch.queue_purge(queue)
        ch.basic_get(queue)
        self.shown(path, get_empty=1, message_bytes=10, messages_persistent=0, messages_ram=1,
                   head_message_timestamp=None)
        ch.queue_delete(queue)

    def test_capacity_and_exclusive_consumers(self):
        queue, ch = self.channel.queue_declare(fresh("able"), durable=True).method.queue, \
            self.channel
        path = "queues/%2F/" + queue
        ch.basic_qos(prefetch_count=1)
        tag = ch.basic_consume(queue, lambda *args: None, exclusive=True)
        self.shown(path, consumers=1, exclusive_consumer_tag=tag)
        wait_for(lambda: self.get(path)["consumer_utilisation"] > 0.9, "a consumer that could")
        ch.basic_publish("", queue, b"x")  # It is never acked, so the next one has to wait.
        wait_for(lambda: self.get(path)["consumer_capacity"] < 0.1, "a consumer that could not")
        ch.basic_cancel(tag)
        self.shown(path, consumers=0, exclusive_consumer_tag=None, consumer_capacity=0)
        ch.queue_delete(queue)

    def test_a_vhost(self):
        name = fresh("vhost")
        path = "/api/vhosts/" + name
        self.assertEqual(self.broker.http("PUT", path, {})[0], 201)
        conn = wait_for(lambda: self.opened(name), "the vhost open")
        ch = conn.channel()
        ch.queue_declare("q")
        ch.confirm_delivery()
        for _ in range(5):
            ch.basic_publish("", "q", b"x" * 100)
        ch.basic_get("q", auto_ack=True)
        ch.basic_get("q")
        wanted = {"publish": 5, "confirm": 5, "get": 1, "get_no_ack": 1, "deliver_get": 2}
        shown = self.shown("vhosts/" + name, messages=4, messages_ready=3,
                           messages_unacknowledged=1, **wanted)
        self.assertGreater(shown["recv_oct"], 500)
        self.assertGreater(shown["send_oct"], 200)
        self.assertIn("rate", shown["recv_oct_details"])
        conn.close()  # What was counted stays, and what it held is ready again.
        after = self.shown("vhosts/" + name, messages=4, messages_unacknowledged=0, **wanted)
        self.assertGreaterEqual(after["recv_oct"], shown["recv_oct"])
        listed = {v["name"]: v for v in self.get("vhosts")}
        self.assertEqual(listed[name]["message_stats"]["publish"], 5)
        self.assertNotIn("messages", self.get("vhosts?disable_stats=true")[0])
        self.assertEqual(self.broker.http("DELETE", path)[0], 204)

    def opened(self, vhost):
        try:
            return pika.BlockingConnection(pika.ConnectionParameters(*self.broker.addr, vhost))
        except pika.exceptions.AMQPError:
            return None

    def test_closing_a_connection(self):
        path = "/api/connections/" + quote(self.name())
        status = self.broker.http("DELETE", path)[0]
        self.assertEqual(status, 204)
        with self.assertRaises(pika.exceptions.ConnectionClosedByBroker) as closed:
            self.conn.process_data_events(30)
        self.assertEqual((closed.exception.reply_code, closed.exception.reply_text),
                         (320, "CONNECTION_FORCED - Closed via management plugin"))
        wait_for(lambda: self.broker.http("GET", path)[0] == 404, "the connection gone")
        self.assertEqual(self.broker.http("DELETE", path)[0], 404)


@needs_own_broker
class Sampler(unittest.TestCase):
    def test_it_goes_on_after_a_crash(self):
        with Broker(FAST + ("--set", "debug.crash=true")) as broker:
            conn = pika.BlockingConnection(pika.ConnectionParameters(*broker.addr))
            channel = conn.channel()
            channel.queue_declare("q")

            def rate():
                channel.basic_publish("", "q", b"x")
                stats = broker.get("/api/queues/%2F/q")["message_stats"]
                return stats["publish_details"]["rate"] > 0
            wait_for(rate, "a rate")
            self.assertEqual(broker.http("POST", "/api/debug/crash",
                                         {"process": "mgmt_sampler", "how": "check"})[0], 204)

            def is_back():  # Between the two there is none.
                status, found = broker.http("GET", "/api/processes/mgmt_sampler")
                return status == 200 and found["restarts"] == 1
            wait_for(is_back, "the next sampler")

            def samples():
                path = "/api/overview?msg_rates_age=20&msg_rates_incr=1"
                return broker.get(path)["message_stats"]["publish_details"]["samples"]
            n = len(samples())
            wait_for(lambda: len(samples()) > n, "more samples")
            wait_for(rate, "a rate again")
            conn.close()


if __name__ == "__main__":
    unittest.main(verbosity=2)
