#!/usr/bin/env python3
"""RabbitMQ's own command line for the management API: every command that it has.

The program comes from the package of RabbitMQ's server, installed or only fetched (./dev).
"""
import glob
import json
import os
import re
import subprocess
import tempfile
import unittest

from pika import spec

from harness import DEADLINE, BrokerCase, fresh, needs_own_broker, wait_for

IN_PACKAGE = "/usr/lib/rabbitmq/lib/*/plugins/rabbitmq_management-*/priv/www/cli/rabbitmqadmin"
FETCHED = os.environ.get("RABBITMQADMIN", "")
FOUND = [p for p in [FETCHED] + sorted(glob.glob(IN_PACKAGE)) if p and os.path.isfile(p)]


@needs_own_broker
@unittest.skipUnless(FOUND, "rabbitmqadmin is neither installed nor fetched")
class Rabbitmqadmin(BrokerCase):
    commands, ran = set(), set()

    def setUp(self):
        self.ran.add(self.id())

    def run_it(self, *args, code=0, stdin=None):
        host, port = self.broker.mgmt
        argv = ["/usr/bin/python3", FOUND[0], "-H", host, "-P", str(port), "-u", "guest", "-p",
                "guest", "-f", "raw_json"] + list(args)
        done = subprocess.run(argv, input=stdin, capture_output=True, text=True,
                              timeout=3 * DEADLINE)
        self.assertEqual(done.returncode, code, (args, done.stdout, done.stderr))
        alone = args[0] in ("publish", "get", "export", "import")
        self.commands.add(args[:1 if alone else 2])
        return done.stdout

    def listed(self, *args):
        return json.loads(self.run_it("list", *args))

    def names(self, *args):
        return [one.get("name") for one in self.listed(*args)]

    def test_queues_and_messages(self):
        queue, exchange = fresh(), fresh("x")
        self.run_it("declare", "queue", "name=" + queue, "durable=true",
                    'arguments={"x-max-length": 100}')
        self.assertIn(queue, self.names("queues"))
        self.run_it("declare", "exchange", "name=" + exchange, "type=topic", "durable=false")
        self.assertIn(exchange, self.names("exchanges", "name", "type"))
        self.run_it("declare", "binding", "source=" + exchange, "destination=" + queue,
                    "routing_key=a.#")
        bound = [b for b in self.listed("bindings") if b["source"] == exchange]
        self.assertEqual([(b["destination"], b["routing_key"]) for b in bound], [(queue, "a.#")])
        out = self.run_it("publish", "exchange=" + exchange, "routing_key=a.b", "payload=hello",
                          'properties={"delivery_mode": 2, "headers": {"n": 1}}')
        self.assertIn("Message published", out)
        self.assertIn("NOT routed", self.run_it("publish", "exchange=" + exchange,
                                                "routing_key=b", "payload=lost"))
        self.run_it("publish", "routing_key=" + queue, stdin="from standard input")
        got = json.loads(self.run_it("get", "queue=" + queue, "count=5",
                                     "ackmode=ack_requeue_true"))
        self.assertEqual([m["payload"] for m in got], ["hello", "from standard input"])
        self.assertEqual(got[0]["properties"], {"delivery_mode": 2, "headers": {"n": 1}})
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "payload")
            self.run_it("get", "queue=" + queue, "payload_file=" + path)
            with open(path, encoding="utf-8") as f:
                self.assertEqual(f.read(), "hello")
        self.run_it("purge", "queue", "name=" + queue)
        got = json.loads(self.run_it("get", "queue=" + queue, "ackmode=ack_requeue_false"))
        self.assertEqual(got, [])
        self.run_it("delete", "binding", "source=" + exchange, "destination_type=queue",
                    "destination=" + queue, "properties_key=a.%23")
        self.run_it("delete", "exchange", "name=" + exchange)
        self.run_it("delete", "queue", "name=" + queue)
        self.assertNotIn(queue, self.names("queues"))
        self.run_it("delete", "queue", "name=" + queue, code=1)

    def test_users_and_vhosts(self):
        user, vhost = fresh("u"), fresh("v")
        self.run_it("declare", "vhost", "name=" + vhost)
        self.assertIn(vhost, self.names("vhosts"))
        self.run_it("declare", "user", "name=" + user, "password=secret", "tags=management,x")
        self.assertIn(user, self.names("users"))
        self.run_it("declare", "permission", "vhost=" + vhost, "user=" + user, "configure=.*",
                    "write=.*", "read=^r")
        found = [p for p in self.listed("permissions") if p["user"] == user]
        self.assertEqual([(p["vhost"], p["read"]) for p in found], [(vhost, "^r")])
        self.run_it("declare", "vhost_limit", "vhost=" + vhost, "name=max-queues", "value=7")
        found = [one for one in self.listed("vhost_limits") if one["vhost"] == vhost]
        self.assertEqual([one["value"] for one in found], [{"max-queues": 7}])
        self.run_it("delete", "vhost_limit", "vhost=" + vhost, "name=max-queues")
        self.run_it("delete", "permission", "vhost=" + vhost, "user=" + user)
        self.run_it("delete", "user", "name=" + user)
        self.run_it("delete", "vhost", "name=" + vhost)
        self.assertNotIn(vhost, self.names("vhosts"))

    def test_policies_and_parameters(self):
        name = fresh("p")
        for kind, listing in (("policy", "policies"), ("operator_policy", "operator_policies")):
            self.run_it("declare", kind, "name=" + name, "pattern=^none$", "apply-to=queues",
                        'definition={"max-length": 10}', "priority=3")
            found = [p for p in self.listed(listing) if p["name"] == name]
            self.assertEqual([(p["pattern"], p["priority"], p["definition"]) for p in found],
                             [("^none$", 3, {"max-length": 10})])
            self.run_it("delete", kind, "name=" + name)
            self.assertNotIn(name, self.names(listing))
        # Parameters are of components, of which this one is there in every broker.
        self.run_it("declare", "parameter", "component=vhost-limits", "name=limits",
                    'value={"max-connections": 1000}')
        self.assertIn("limits", self.names("parameters"))
        self.run_it("delete", "parameter", "component=vhost-limits", "name=limits")
        self.assertNotIn("limits", self.names("parameters"))

    def test_what_is_connected(self):
        conn, queue = self.opened(), fresh()
        conn.rpc(1, spec.Queue.Declare(queue=queue))
        conn.rpc(1, spec.Basic.Consume(queue=queue, consumer_tag="ct"))

        def consumers():
            return [c for c in self.listed("consumers") if c["queue"]["name"] == queue]
        self.assertEqual(wait_for(consumers, "the consumer")[0]["consumer_tag"], "ct")
        self.assertTrue(self.listed("channels"))
        name = self.names("connections")[0]
        self.run_it("close", "connection", "name=" + name)
        conn.expect_close(0, 320)
        conn.kill()
        wait_for(lambda: name not in self.names("connections"), "the end of the connection")

    def test_node(self):
        self.assertEqual([n["running"] for n in self.listed("nodes")], [True])
        shown = json.loads(self.run_it("show", "overview"))
        self.assertTrue(shown[0]["rabbitmq_version"])
        host, port = self.broker.mgmt
        done = subprocess.run(["/usr/bin/python3", FOUND[0], "-H", host, "-P", str(port), "list",
                               "queues", "vhost", "name", "messages"], capture_output=True,
                              text=True, timeout=3 * DEADLINE)
        self.assertEqual(done.returncode, 0, done.stderr)  # It is a table for people.

    def test_definitions(self):
        queue = fresh()
        self.run_it("declare", "queue", "name=" + queue, "durable=true")
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "definitions.json")
            self.run_it("export", path)
            with open(path, encoding="utf-8") as f:
                self.assertIn(queue, [q["name"] for q in json.load(f)["queues"]])
            self.run_it("delete", "queue", "name=" + queue)
            self.run_it("import", path)
        self.assertIn(queue, self.names("queues"))
        self.run_it("delete", "queue", "name=" + queue)

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        if cls.failed_here or len(cls.ran) < sum(name.startswith("test_") for name in dir(cls)):
            return
        help_text = subprocess.run(["/usr/bin/python3", FOUND[0], "help", "subcommands"],
                                   capture_output=True, text=True, check=True).stdout
        known = re.findall(r"^  ((?:list|show|declare|delete|close|purge) \w+|\w+)(?: |$)",
                           help_text.split("where subcommand")[1], re.M)
        missing = {tuple(words.split()) for words in known if words != "rabbitmqadmin"}
        missing -= cls.commands
        if missing:
            raise AssertionError("not tried: %s" % sorted(missing))


if __name__ == "__main__":
    unittest.main()
