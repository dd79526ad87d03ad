#!/usr/bin/env python3
"""Health checks, small facts of the node, and killing a process by HTTP."""
import unittest

from pika import spec

from harness import Broker, BrokerCase, needs_own_broker, wait_for
from wire import HEADER

C = spec.Connection

FINE = ("alarms", "local-alarms", "certificate-expiration/1/months", "protocol-listener/amqp",
        "protocol-listener/amqp091", "protocol-listener/http", "virtual-hosts",
        "node-is-mirror-sync-critical", "node-is-quorum-critical", "is-in-service",
        "quorum-queues-without-elected-leaders/all-vhosts", "ready-to-serve-clients",
        "below-node-connection-limit", "metadata-store/initialized",
        "metadata-store/initialized/with-data", "reached-target-cluster-size")


@needs_own_broker
class Health(BrokerCase):
    def check(self, path, status=200):
        got, value = self.broker.http("GET", "/api/" + path)
        self.assertEqual(got, status, (path, value))
        return value

    def test_all_is_well(self):
        for name in FINE:
            self.assertEqual(self.check("health/checks/" + name)["status"], "ok", name)
        for path in ("aliveness-test/%2F", "healthchecks/node",
                     "healthchecks/node/" + self.broker.get("/api/cluster-name")["name"]):
            self.assertEqual(self.check(path), {"status": "ok"})

    def test_listeners(self):
        port = self.broker.addr[1]
        self.assertEqual(self.check("health/checks/port-listener/%d" % port),
                         {"status": "ok", "port": port})
        got = self.check("health/checks/port-listener/1", 503)
        self.assertEqual((got["status"], got["reason"], got["missing"]),
                         ("failed", "No active listener", 1))
        self.assertLessEqual({port, self.broker.mgmt[1]}, set(got["ports"]))
        got = self.check("health/checks/protocol-listener/mqtt", 503)
        self.assertEqual((got["missing"], sorted(got["protocols"])),
                         ("mqtt", ["amqp", "http", "http/prometheus"]))

    def test_bad_checks(self):
        for path in ("port-listener/x", "port-listener/0", "port-listener/70000",
                     "certificate-expiration/1/foo", "certificate-expiration/x/days",
                     "certificate-expiration/99999999999/days"):
            self.check("health/checks/" + path, 400)
        for path in ("health/checks/foo", "health/checks", "aliveness-test/no-such-vhost",
                     "healthchecks/node/other@host"):
            self.check(path, 404)

    def test_facts(self):
        self.assertEqual(self.check("extensions"), [])
        self.assertEqual(self.check("deprecated-features"), [])
        self.assertEqual({f["state"] for f in self.check("feature-flags")}, {"enabled"})
        for method, path, body, status in (
                ("PUT", "feature-flags/quorum_queue/enable", {}, 204),
                ("PUT", "feature-flags/nope/enable", {}, 404),
                ("POST", "rebalance/queues", {}, 204), ("DELETE", "reset", None, 204),
                ("PUT", "cluster-name", {"nme": "x"}, 400),
                ("PUT", "cluster-name", {"name": "zürk <b>"}, 204)):
            self.assertEqual(self.broker.http(method, "/api/" + path, body)[0], status, path)
        self.assertEqual(self.check("cluster-name"), {"name": "zürk <b>"})
        self.assertEqual(self.check("overview")["cluster_name"], "zürk <b>")
        self.assertEqual(self.greeted_by(), "zürk <b>")
        self.assertIn('rabbitmq_cluster="zürk <b>"', self.broker.get("/metrics"))
        self.broker.http("PUT", "/api/cluster-name", {"name": "ü" * 300})
        self.assertEqual(self.greeted_by(), "ü" * 127)

    def greeted_by(self):
        name = self.connect(HEADER).expect(0, C.Start).server_properties["cluster_name"]
        return name.decode() if isinstance(name, bytes) else name

    def test_kill(self):
        was = self.check("processes/access_hash")
        self.assertEqual(self.broker.http("DELETE", "/api/processes/" + was["pid"])[0], 204)

        def again():
            status, value = self.broker.http("GET", "/api/processes/access_hash")
            return status == 200 and value["pid"] != was["pid"] and value
        self.assertEqual(wait_for(again, "the process to be started again")["restarts"], 1)
        self.assertIn("audit: user 'guest' from 127.0.0.1 kills process", self.broker.log())
        self.assertEqual(self.broker.http("DELETE", "/api/processes/" + was["pid"])[0], 404)
        for name in ("root", "mgmt_http"):
            self.assertEqual(self.broker.http("DELETE", "/api/processes/" + name)[0], 400)


@needs_own_broker
class Ill(unittest.TestCase):
    def test_alarm(self):
        with Broker(["--set", "disk_free_limit.absolute=900TB"]) as broker:
            def alarmed():
                status, value = broker.http("GET", "/api/health/checks/alarms")
                return status == 503 and value
            got = wait_for(alarmed, "an alarm")
            self.assertEqual((got["status"], [a["resource"] for a in got["alarms"]]),
                             ("failed", ["disk"]))
            self.assertEqual(broker.http("GET", "/api/health/checks/local-alarms")[0], 503)
            self.assertEqual(broker.http("GET", "/api/healthchecks/node")[0], 503)

    def test_vhost_that_is_down(self):
        with Broker(["--set", "debug.crash_in_init=store"]) as broker:
            def is_down():
                status, value = broker.http("GET", "/api/health/checks/virtual-hosts")
                return status == 503 and value
            self.assertEqual(wait_for(is_down, "a vhost down")["virtual-hosts"], ["/"])
            self.assertEqual(broker.http("GET", "/api/aliveness-test/%2F")[0], 503)
            status, value = broker.http("PUT", "/api/queues/%2F/q", {})
            self.assertEqual((status, value["error"]), (503, "service_unavailable"))

    def test_too_many_connections(self):
        with Broker(["--set", "connection_max=1"]) as broker:
            path = "/api/health/checks/below-node-connection-limit"
            self.assertEqual(broker.http("GET", path)[0], 200)
            broker.raw()
            self.assertEqual(broker.http("GET", path)[0], 503)


if __name__ == "__main__":
    unittest.main()
