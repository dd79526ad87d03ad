#!/usr/bin/env python3
"""Metrics as Prometheus reads them: the text's grammar, names and labels, and exact counts."""
import base64
import http.client
import re
import unittest

import pika

from harness import DEADLINE, Broker, BrokerCase, fresh, needs_own_broker, wait_for

NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"')
AMQP = ("protocol",)
BY_TYPE = ("protocol", "queue_type")

# What RabbitMQ's Overview dashboard asks for, with the labels.
GAUGES = {name: () for name in (
    "queue_messages_ready", "queue_messages_unacked", "connections", "channels", "queues",
    "consumers", "erlang_uptime_seconds", "resident_memory_limit_bytes",
    "process_resident_memory_bytes", "disk_space_available_bytes",
    "disk_space_available_limit_bytes", "process_max_fds", "process_open_fds",
    "alarms_memory_used_watermark", "alarms_free_disk_space_watermark",
    "alarms_file_descriptor_limit")}
GAUGES.update({"global_publishers": AMQP, "global_consumers": AMQP})
COUNTERS = {"global_messages_%s_total" % name: AMQP for name in (
    "received", "received_confirm", "confirmed", "routed", "unroutable_dropped",
    "unroutable_returned")}
COUNTERS.update({"global_messages_%s_total" % name: BY_TYPE for name in (
    "delivered", "delivered_consume_auto_ack", "delivered_consume_manual_ack",
    "delivered_get_auto_ack", "delivered_get_manual_ack", "get_empty", "redelivered",
    "acknowledged")})
COUNTERS.update({name + "_total": () for name in (
    "queues_declared", "queues_created", "queues_deleted", "channels_opened", "channels_closed",
    "connections_opened", "connections_closed")})
BOUNDS = ["100.0", "1000.0", "10000.0", "100000.0", "1e+06", "1e+07", "5e+07", "1e+08", "+Inf"]


def unescape(text):
    return re.sub(r"\\(.)", lambda m: "\n" if m.group(1) == "n" else m.group(1), text)


def parse_labels(text):
    labels = {}
    while text:
        found = LABEL.match(text)
        assert found and found.group(1) not in labels, text
        labels[found.group(1)] = unescape(found.group(2))
        text = text[found.end():]
        assert not text or text[0] == ",", text
        text = text[1:]
    return labels


class Metrics(dict):
    """Name to {labels: value}; reads strictly: each metric in one piece, with its type and help."""

    def __init__(self, text):
        super().__init__()
        self.types, self.now = {}, None
        assert text.endswith("\n")
        for line in text[:-1].split("\n"):
            if line.startswith("# TYPE "):
                _, _, self.now, kind = line.split(" ")
                assert NAME.fullmatch(self.now) and self.now not in self.types, line
                assert kind in ("gauge", "counter", "histogram", "untyped"), line
                self.types[self.now] = kind
            elif line.startswith("# HELP "):
                assert line.split(" ")[2] == self.now and len(line.split(" ")) > 3, line
            else:
                self.sample(line)

    def sample(self, line):
        name = NAME.match(line).group(0)
        rest = line[len(name):]
        labels = {}
        if rest[0] == "{":
            end = rest.rindex("} ")
            labels, rest = parse_labels(rest[1:end]), rest[end + 1:]
        base = re.sub("_(bucket|sum|count)$", "", name) \
            if self.types[self.now] == "histogram" else name
        assert base == self.now, line
        key = tuple(sorted(labels.items()))
        values = self.setdefault(name, {})
        assert key not in values, line
        values[key] = float(rest)

    def get_one(self, name, **labels):
        return self[name][tuple(sorted(labels.items()))]

    def total(self, name):
        return sum(self[name].values())


@needs_own_broker
class Prometheus(BrokerCase):
    broker_args = ("--set", "collect_statistics_interval=200")

    def port(self):
        return next(f["port"] for f in self.broker.get("/api/overview")["listeners"]
                    if f["protocol"] == "http/prometheus")

    def ask(self, path, port=None, headers=()):
        conn = http.client.HTTPConnection("127.0.0.1", port or self.port(), timeout=DEADLINE)
        try:
            conn.request("GET", path, headers=dict(headers))
            answer = conn.getresponse()
            return answer, answer.read().decode()
        finally:
            conn.close()

    def metrics(self, path="/metrics"):
        answer, text = self.ask(path)
        self.assertEqual(answer.status, 200, text)
        self.assertTrue(answer.headers["Content-Type"].startswith("text/plain; version=0.0.4"))
        return Metrics(text)

    def connect(self):
        return pika.BlockingConnection(pika.ConnectionParameters(*self.broker.addr))

    def test_names_and_labels(self):
        metrics = self.metrics()
        for kind, names in (("gauge", GAUGES), ("counter", COUNTERS)):
            for name, labels in names.items():
                name = "rabbitmq_" + name
                self.assertEqual(metrics.types.get(name), kind, name)
                for key in metrics[name]:
                    self.assertEqual(tuple(k for k, _ in key), labels, name)
                    self.assertIn(dict(key).get("protocol", "amqp091"), ("amqp091",))
        self.assertEqual(metrics.types["rabbitmq_message_size_bytes"], "histogram")
        self.assertEqual([dict(k)["le"] for k in metrics["rabbitmq_message_size_bytes_bucket"]],
                         BOUNDS)
        info, = metrics["rabbitmq_identity_info"]
        self.assertEqual(sorted(dict(info)), ["rabbitmq_cluster", "rabbitmq_cluster_permanent_id",
                                              "rabbitmq_endpoint", "rabbitmq_node"])
        info, = metrics["rabbitmq_build_info"]
        self.assertTrue({"rabbitmq_version", "erlang_version"} < set(dict(info)))
        kinds = {dict(k)["kind"] for k in metrics["warren_processes"]}
        self.assertLessEqual({"supervisor", "store", "registry", "exchange"}, kinds)
        schedulers = [dict(k)["scheduler"] for k in metrics["warren_scheduler_run_queue"]]
        self.assertEqual(schedulers, [str(i) for i in range(len(schedulers) - 1)] + ["aside"])

    def test_counts(self):
        queue, conn = fresh("metrics"), self.connect()
        before = self.metrics()
        ch = conn.channel()
        ch.queue_declare(queue, durable=True)
        ch.confirm_delivery()
        for size in (50, 5000, 500):
            ch.basic_publish("", queue, b"x" * size, pika.BasicProperties(delivery_mode=2))
        ch.basic_publish("", "nobody", b"")
        ch.basic_get(queue, auto_ack=True)
        ch.basic_ack(ch.basic_get(queue)[0].delivery_tag)
        wanted = {"received": 4, "received_confirm": 4, "confirmed": 4, "routed": 3,
                  "unroutable_dropped": 1, "delivered": 2, "delivered_get_auto_ack": 1,
                  "delivered_get_manual_ack": 1, "acknowledged": 1, "redelivered": 0}

        def counted():
            after = self.metrics()
            got = {k: after.total("rabbitmq_global_messages_%s_total" % k) -
                   before.total("rabbitmq_global_messages_%s_total" % k) for k in wanted}
            return after if got == wanted else None
        after = wait_for(counted, "the counts")

        def size(metrics, le):
            return metrics.get_one("rabbitmq_message_size_bytes_bucket", protocol="amqp091", le=le)
        self.assertEqual([size(after, le) - size(before, le) for le in BOUNDS[:4]], [2, 3, 4, 4])
        self.assertEqual(after.total("rabbitmq_message_size_bytes_sum") -
                         before.total("rabbitmq_message_size_bytes_sum"), 5550)
        self.assertEqual(after.total("rabbitmq_global_publishers"), 1)
        self.assertEqual(after.total("rabbitmq_connections"), 1)
        self.assertGreater(after.total("warren_store_groups_total"),
                           before.total("warren_store_groups_total"))
        self.assertGreater(after.total("rabbitmq_io_sync_ops_total"), 0)
        self.assertEqual(after.total("warren_store_commit_seconds_count"),
                         after.total("warren_store_groups_total"))
        steps = after["warren_store_step_seconds_count"]
        self.assertEqual({dict(labels)["kind"] for labels in steps},
                         {"log", "checkpoint", "vacuum", "compaction", "trim", "backup"})
        conn.close()

        def gone():
            end = self.metrics()
            return end if end.total("rabbitmq_global_publishers") == 0 else None
        end = wait_for(gone, "no publisher")
        for name in after:  # What has gone takes nothing of what was counted with it.
            if after.types.get(name) == "counter" and not name.startswith("rabbitmq_queue_"):
                self.assertGreaterEqual(end.total(name), after.total(name), name)

    def test_objects(self):
        queue, conn = fresh("q\"u\\e \u00fc"), self.connect()
        channel = conn.channel()
        channel.queue_declare(queue)
        channel.basic_publish("", queue, b"12345")

        def found():
            metrics = self.metrics("/metrics/per-object")
            return metrics if metrics.get_one("rabbitmq_queue_messages_ready", vhost="/",
                                              queue=queue) == 1 else None
        metrics = wait_for(found, "the queue's message")
        self.assertGreaterEqual(
            metrics.get_one("rabbitmq_queue_messages_bytes", vhost="/", queue=queue), 5)
        port = conn._impl._transport._sock.getsockname()[1]
        name = "127.0.0.1:%u -> 127.0.0.1:%u" % (port, self.broker.addr[1])
        self.assertEqual(metrics.get_one("rabbitmq_connection_channels", vhost="/",
                                         connection=name), 1)
        self.assertEqual(metrics.get_one("rabbitmq_channel_messages_published_total", vhost="/",
                                         channel=name + " (1)"), 1)
        conn.close()

    def test_families(self):
        conn = self.connect()
        queue = conn.channel().queue_declare("", exclusive=True).method.queue
        coarse = self.metrics("/metrics/detailed?family=queue_coarse_metrics&family=vhost_status")
        self.assertEqual(coarse.get_one("rabbitmq_detailed_queue_messages", vhost="/",
                                        queue=queue), 0)
        self.assertEqual(coarse.get_one("rabbitmq_cluster_vhost_status", vhost="/"), 1)
        names = {n for n in coarse if n.startswith("rabbitmq_detailed_")}
        self.assertEqual(names, {"rabbitmq_detailed_queue_messages" + s
                                 for s in ("", "_ready", "_unacked")})
        other = self.metrics("/metrics/detailed?family=queue_coarse_metrics&vhost=nowhere")
        self.assertNotIn("rabbitmq_detailed_queue_messages", other)
        self.assertIn("rabbitmq_identity_info",
                      self.metrics("/metrics/detailed?family=no_such_family"))
        exchanges = self.metrics("/metrics/detailed?family=exchange_names&vhost=%2F")
        self.assertEqual(exchanges.get_one("rabbitmq_cluster_exchange_name", vhost="/",
                                           exchange="amq.topic", type="topic"), 1)
        self.assertGreater(self.metrics("/metrics/memory-breakdown").get_one(
            "warren_memory_heap_bytes", kind="connection"), 0)
        conn.close()

    def test_families_of_many_queues(self):
        """More than a request's process writes in one turn."""
        channel = self.connect().channel()
        for _ in range(200):
            channel.queue_declare("", exclusive=True)
        families = ("queue_coarse_metrics", "queue_delivery_metrics", "exchange_metrics")
        metrics = self.metrics("/metrics/detailed?" + "&".join("family=" + f for f in families))
        self.assertGreaterEqual(len(metrics["rabbitmq_detailed_queue_messages"]), 200)
        channel.connection.close()

    def test_what_is_where(self):
        for path in ("/", "/api/overview", "/api/queues", "/metrics/other", "/index.html"):
            self.assertEqual(self.ask(path)[0].status, 404, path)
        mgmt = self.broker.mgmt[1]
        self.assertEqual(self.ask("/metrics", mgmt)[0].status, 401)
        login = "Basic " + base64.b64encode(b"guest:guest").decode()
        answer, text = self.ask("/metrics", mgmt, {"Authorization": login})
        self.assertEqual(answer.status, 200)
        self.assertIn("rabbitmq_queues", Metrics(text))


@needs_own_broker
class Switches(unittest.TestCase):
    def test_off(self):
        with Broker(["--set", "prometheus=false"]) as broker:
            self.assertNotIn("http/prometheus", [f["protocol"] for f in
                                                 broker.get("/api/overview")["listeners"]])

    def test_a_port_that_is_taken(self):
        """The broker serves without its metrics."""
        with Broker() as one:
            port = next(f["port"] for f in one.get("/api/overview")["listeners"]
                        if f["protocol"] == "http/prometheus")
            with Broker(["--set", "prometheus.tcp.port=%u" % port]) as broker:
                self.assertEqual(broker.get("/api/whoami")["name"], "guest")


if __name__ == "__main__":
    unittest.main(verbosity=2)
