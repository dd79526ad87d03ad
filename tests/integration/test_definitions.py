#!/usr/bin/env python3
"""Definitions of other brokers: what is taken, what is refused and how, what goes out again."""
import copy
import json
import os
import subprocess
import tempfile
import threading
import unittest

import harness
from harness import Broker, BrokerCase, needs_own_broker, wait_for
from wire import DEADLINE

HERE = os.path.dirname(os.path.realpath(__file__))
CTL = os.environ.get("WARRENCTL_BIN", "")
# Written by RabbitMQ 3.10.8: users of all hashes, a stream, what does not last, policies of ha-*...
with open(os.path.join(HERE, "rabbitmq-3.10.json"), encoding="utf-8") as f:
    RABBITMQ = json.load(f)
SECTIONS = [name for name, value in RABBITMQ.items() if isinstance(value, list)]
PLUGIN_TYPES = ("x-local-random", "x-modulus-hash", "x-consistent-hash", "x-random",
                "x-recent-history", "x-delayed-message", "x-jms-topic")


def as_set(objects):
    return {json.dumps(o, sort_keys=True) for o in objects}


def without_stream(definitions):
    ret = copy.deepcopy(definitions)
    ret["queues"] = [q for q in ret["queues"] if q["name"] != "s"]
    ret["bindings"] = [b for b in ret["bindings"] if b["destination"] != "s"]
    return ret


@needs_own_broker
class Import(unittest.TestCase):
    def start(self, *args):
        broker = Broker(list(args))
        self.addCleanup(broker.__exit__, None, None, None)
        return broker

    def check(self, broker, want):
        got = broker.get("/api/definitions")
        got["vhosts"] = [{"name": v["name"]} for v in got["vhosts"]]  # "/" is told of
        for name in SECTIONS:
            self.assertEqual(as_set(got[name]), as_set(want[name]), name)

    def test_refused_whole(self):
        """What cannot be is named, all of it, and nothing was taken."""
        broker = self.start()
        before = broker.get("/api/definitions")
        body = copy.deepcopy(RABBITMQ)
        body["exchanges"] += [
            {"name": "of " + t, "vhost": "shop", "type": t, "durable": True, "auto_delete": False,
             "internal": False, "arguments": {}} for t in PLUGIN_TYPES]
        body["queues"].append({"name": "wrong", "vhost": "/", "durable": True,
                               "arguments": {"x-max-length": "many"}})
        body["users"].append({"name": "u", "password_hash": "AAAA"})
        status, answer = broker.http("POST", "/api/definitions", body)
        self.assertEqual(status, 400)
        for text in ("'s' in vhost 'shop'", "stream", "'wrong'", "x-max-length", "users, number 6",
                     *("'of %s'" % t for t in PLUGIN_TYPES)):
            self.assertIn(text, answer["reason"])
        self.assertEqual(broker.get("/api/definitions"), before)

    def test_refers_to_nothing(self):
        """A vhost or an end of a binding that is nowhere: nothing is taken."""
        broker = self.start()
        self.assertEqual(broker.http("PUT", "/api/queues/%2f/here", {"durable": True})[0], 201)
        before = broker.get("/api/definitions")

        def binding(source, destination, kind="queue", vhost="/"):
            return {"source": source, "vhost": vhost, "destination": destination,
                    "destination_type": kind, "routing_key": "k", "arguments": {}}

        new = [{"name": "new", "vhost": "/", "durable": True, "auto_delete": False,
                "arguments": {}}]
        for wrong, text in (
                ({"bindings": [binding("none", "new")]}, "exchange 'none' in vhost '/'"),
                ({"bindings": [binding("amq.topic", "none")]}, "queue 'none' in vhost '/'"),
                ({"bindings": [binding("amq.topic", "new", "exchange")]}, "exchange 'new'"),
                ({"bindings": [binding("amq.topic", "new", vhost="far")]}, "vhost 'far'"),
                ({"exchanges": [{"name": "x", "vhost": "far", "type": "topic"}]}, "vhost 'far'"),
                ({"bindings": [binding("a", "new"), binding("b", "new")]}, "; and 1 more")):
            body = {"users": [{"name": "u", "password_hash": "", "tags": ""}], "queues": new}
            status, answer = broker.http("POST", "/api/definitions", {**body, **wrong})
            self.assertEqual(status, 400)
            self.assertIn(text, answer["reason"])
            self.assertEqual(broker.get("/api/definitions"), before)
        right = {"vhosts": [{"name": "far"}], "queues": new,
                 "exchanges": [{"name": "x", "vhost": "far", "type": "topic", "durable": True}],
                 "bindings": [binding("amq.topic", "new"), binding("amq.direct", "here"),
                              binding("amq.fanout", "x", "exchange", "far"),
                              binding("amq.direct", "amq.gen-of-another")]}
        self.assertEqual(broker.http("POST", "/api/definitions", right), (204, ""))
        found = broker.get("/api/definitions")["bindings"]
        self.assertEqual({b["destination"] for b in found}, {"new", "here", "x"})

    def test_many_refused(self):
        """What the answer has no room for is counted."""
        broker = self.start()
        queues = [{"name": "%0200d" % i, "vhost": "/", "durable": True,
                   "arguments": {"x-queue-type": "stream"}} for i in range(500)]
        status, answer = broker.http("POST", "/api/definitions", {"queues": queues})
        self.assertEqual(status, 400)
        named = answer["reason"].count("stream")
        self.assertGreater(named, 5)
        self.assertRegex(answer["reason"], "; and %d more$" % (500 - named))

    def test_many_at_once(self):
        """More than a registry has reserved ids for: each has one of its own, also later on."""
        broker = self.start()
        made = [["of-%d-%d" % (n, i) for i in range(5000)] for n in range(2)]
        for names in made:
            queues = [{"name": name, "vhost": "/", "durable": True} for name in names]
            bindings = [{"source": "amq.direct", "vhost": "/", "destination": name,
                         "destination_type": "queue", "routing_key": name} for name in names]
            status, answer = broker.http("POST", "/api/definitions",
                                         {"queues": queues, "bindings": bindings})
            self.assertEqual((status, answer), (204, ""))
            broker.kill9()
            broker.start()
        found = broker.get("/api/definitions")
        self.assertEqual({q["name"] for q in found["queues"]}, {*made[0], *made[1]})
        self.assertEqual({(b["routing_key"], b["destination"]) for b in found["bindings"]},
                         {(name, name) for names in made for name in names})

    def test_registry_dies(self):
        """What it had not answered is asked of its next run."""
        broker = self.start("--set", "debug.crash=true")
        names = ["q-%d" % i for i in range(5000)]
        queues = [{"name": name, "vhost": "/", "durable": True} for name in names]
        bindings = [{"source": "amq.direct", "vhost": "/", "destination": name,
                     "destination_type": "queue", "routing_key": name} for name in names]
        answers = []
        load = threading.Thread(target=lambda: answers.append(
            broker.http("POST", "/api/definitions", {"queues": queues, "bindings": bindings})))
        load.start()
        for _ in range(2):
            wait_for(lambda: answers or self.crash_registry(broker), "a registry to kill")
            seen = len(broker.get("/api/queues?columns=name"))
            wait_for(lambda n=seen: answers or len(broker.get("/api/queues?columns=name")) > n,
                     "the import to go on")
        load.join(DEADLINE)
        self.assertEqual(answers, [(204, "")])
        found = broker.get("/api/definitions")
        self.assertEqual({q["name"] for q in found["queues"]}, set(names))
        self.assertEqual({b["destination"] for b in found["bindings"]}, set(names))

    def crash_registry(self, broker):
        body = {"process": "registry:/", "how": "check"}
        return broker.http("POST", "/api/debug/crash", body)[0] < 300

    def test_skipped(self):
        """By wish what is of other types is left out with its bindings, and the log says so."""
        broker = self.start()
        body = copy.deepcopy(RABBITMQ)
        body["exchanges"].append({"name": "hash", "vhost": "shop", "type": "x-consistent-hash",
                                  "durable": True, "auto_delete": False, "internal": False,
                                  "arguments": {}})
        body["bindings"].append({"source": "hash", "vhost": "shop", "destination": "c",
                                 "destination_type": "queue", "routing_key": "1",
                                 "arguments": {}})
        path = "/api/definitions?skip_unsupported=true"
        for _ in range(2):
            self.assertEqual(broker.http("POST", path, body), (204, ""))
            self.check(broker, without_stream(RABBITMQ))
        log = broker.log()
        for text in ("queues: s in vhost shop was left out", "exchanges: hash in vhost shop was"):
            self.assertIn(text, log)
        body["queues"].append({"name": "wrong", "vhost": "/", "durable": True,
                               "arguments": {"x-max-length": "many"}})
        self.assertEqual(broker.http("POST", path, body)[0], 400)

    def test_users(self):
        """Each kind of hash lets its user in, and becomes a slow one."""
        broker = self.start()
        self.assertEqual(broker.http("POST", "/api/definitions", without_stream(RABBITMQ)),
                         (204, ""))
        for user, password in (("md5", "test12"), ("s512", "test12"), ("plain", "p")):
            broker.raw(vhost="shop", user=user, password=password)
            wait_for(lambda name=user: broker.get("/api/users/" + name)["hashing_algorithm"]
                     == "crypt", "a slow hash")
            broker.raw(vhost="shop", user=user, password=password)
        for user, password in (("md5", "test13"), ("md5", ""), ("nopass", "")):
            status, answer = broker.http("GET", "/api/whoami", user=user, password=password)
            self.assertEqual((status, answer["error"]), (401, "not_authorized"))

    def test_loaded(self):
        """load_definitions: refused at the start, or taken without what is not here."""
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump(RABBITMQ, file)
            file.flush()
            load = ["--set", "load_definitions=" + file.name]
            with self.assertRaises(harness.StartError) as caught:
                self.start(*load)
            self.assertIn("'s' in vhost 'shop'", caught.exception.text)
            broker = self.start(*load, "--set", "definitions.skip_unsupported=true")
            self.check(broker, without_stream(RABBITMQ))

    def test_by_command(self):
        broker = self.start()

        def run(*args):
            env = dict(os.environ, HOME="/nonexistent", WARRENCTL_PORT=str(broker.mgmt[1]))
            return subprocess.run([CTL, "import_definitions", *args], capture_output=True,
                                  text=True, check=False, input=json.dumps(RABBITMQ), env=env,
                                  timeout=3 * DEADLINE)

        got = run()
        self.assertNotEqual(got.returncode, 0)
        self.assertIn("'s' in vhost 'shop'", got.stderr + got.stdout)
        got = run("--skip-unsupported")
        self.assertEqual(got.returncode, 0, got.stderr)
        self.check(broker, without_stream(RABBITMQ))


class Topology(BrokerCase):
    def test_there_already(self):
        """As in RabbitMQ, what is there stays as it is, and names of the broker's are skipped."""
        vhost = self.id().rsplit(".", 1)[1]
        self.broker.http("PUT", "/api/vhosts/" + vhost, {})
        self.addCleanup(self.broker.http, "DELETE", "/api/vhosts/" + vhost)
        thing = {"durable": True, "auto_delete": False, "arguments": {}}
        exchange = dict(thing, type="topic", internal=False)
        body = {"queues": [dict(thing, name="q"), dict(thing, name="amq.gen-of-old")],
                "exchanges": [dict(exchange, name="x"), dict(exchange, name="amq.direct")],
                "bindings": [{"source": "amq.direct", "destination": "q", "routing_key": "k",
                              "destination_type": "queue", "arguments": {}}]}
        path = "/api/definitions/" + vhost
        self.assertEqual(self.broker.http("POST", path, body), (204, ""))
        got = self.broker.get(path)
        self.assertEqual([q["name"] for q in got["queues"]], ["q"])
        self.assertEqual(len(got["bindings"]), 1)
        other = {"queues": [dict(thing, name="q", durable=False)],
                 "exchanges": [dict(exchange, name="x", type="direct")]}
        self.assertEqual(self.broker.http("POST", path, other), (204, ""))
        again = self.broker.get(path)
        self.assertEqual((again["queues"], again["exchanges"]), (got["queues"], got["exchanges"]))

    def test_type_beside_arguments(self):
        """Exports of 4.x name a queue's type by itself."""
        vhost = self.id().rsplit(".", 1)[1]
        self.broker.http("PUT", "/api/vhosts/" + vhost, {})
        self.addCleanup(self.broker.http, "DELETE", "/api/vhosts/" + vhost)
        queue = {"durable": True, "auto_delete": False, "arguments": {}}
        path = "/api/definitions/" + vhost
        status, answer = self.broker.http("POST", path, {
            "queues": [dict(queue, name="log", type="stream")]})
        self.assertEqual(status, 400)
        self.assertIn("'log'", answer["reason"])
        self.assertEqual(self.broker.http("POST", path, {
            "queues": [dict(queue, name="q", type="quorum")]}), (204, ""))
        self.assertEqual(self.broker.get(path)["queues"][0]["arguments"],
                         {"x-queue-type": "quorum"})


if __name__ == "__main__":
    unittest.main()
