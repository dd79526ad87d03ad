#!/usr/bin/env python3
"""What a user may do: every method's refusal, users and passwords of a definitions file."""
import base64
import hashlib
import json
import os
import shutil
import tempfile
import time
import unittest

import pika
from pika import spec

import harness
from harness import Broker, fresh, needs_own_broker
from wire import Raw

B, Q, X, C = spec.Basic, spec.Queue, spec.Exchange, spec.Connection


def rabbit_hash(password, algorithm="sha256", salt=b"\x01\x02\x03\x04"):
    digest = hashlib.new(algorithm, salt + password.encode()).digest()
    return base64.b64encode(salt + digest).decode()


def user(name, password, tags=(), **more):
    return dict({"name": name, "password_hash": rabbit_hash(password), "tags": list(tags),
                 "hashing_algorithm": "rabbit_password_hashing_sha256"}, **more)


def permission(name, vhost="/", configure="", write="", read=""):
    return {"user": name, "vhost": vhost, "configure": configure, "write": write, "read": read}


DEFINITIONS = {
    "rabbit_version": "3.10.8",
    "vhosts": [{"name": "/"}, {"name": "other"}],
    "users": [
        user("guest", "guest", ["administrator"]),
        user("c", "c"), user("w", "w"), user("r", "r"), user("none", "none"),
        user("wr", "wr"), user("cr", "cr"), user("topic", "topic"),
        user("anchored", "anchored"), user("app", "app", ["impersonator"]),
        {"name": "sha512", "password_hash": rabbit_hash("long", "sha512"),
         "hashing_algorithm": "rabbit_password_hashing_sha512", "tags": "management,monitoring"},
        {"name": "plain", "password": "kept from the file", "tags": ""},
        {"name": "nopass", "password_hash": "", "tags": []},
    ],
    "permissions": [
        permission("guest", "/", ".*", ".*", ".*"),
        permission("c", configure="mine"), permission("w", write="mine|amq"),
        permission("r", read="mine|amq"), permission("wr", write="mine", read="mine|amq"),
        permission("cr", configure="mine", read="mine"),
        permission("none"), permission("anchored", "/", "^mine$", "^mine$|^amq.default$", "^mine$"),
        permission("app", "/", ".*", ".*", ".*"),
        permission("topic", "/", ".*", ".*", ".*"),
        permission("sha512", "other", ".*", ".*", ".*"),
        permission("plain", "/", ".*", ".*", ".*"),
    ],
    "topic_permissions": [
        {"user": "topic", "vhost": "/", "exchange": "amq.topic", "write": r"^{username}\.",
         "read": r"^news\."},
        {"user": "topic", "vhost": "/", "exchange": "later", "write": ".*", "read": r"^news\."},
    ],
    "exchanges": [
        {"name": n, "vhost": "/", "type": "direct", "durable": True, "auto_delete": False,
         "internal": False, "arguments": {}} for n in ("mine-x", "mine-y", "yours-x")
    ],
    "queues": [
        {"name": n, "vhost": "/", "durable": True, "auto_delete": False, "arguments": {}}
        for n in ("mine", "mine-q", "yours-q")
    ],
    "bindings": [
        {"source": "mine-x", "vhost": "/", "destination": "mine-q", "destination_type": "queue",
         "routing_key": "k", "arguments": {}},
    ],
}


@needs_own_broker
class Permissions(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = tempfile.mkdtemp(prefix="warren-defs-")
        cls.path = os.path.join(cls.dir, "definitions.json")
        with open(cls.path, "w", encoding="utf-8") as f:
            json.dump(DEFINITIONS, f)
        cls.broker = Broker(["--set", "load_definitions=" + cls.path])

    @classmethod
    def tearDownClass(cls):
        cls.broker.__exit__(None, None, None)
        shutil.rmtree(cls.dir, ignore_errors=True)

    def conn(self, name, vhost="/", password=None):
        conn = Raw(self.broker.addr)
        self.addCleanup(conn.kill)
        conn.open(vhost=vhost, user=name, password=password or name)
        conn.channel(1)
        return conn

    def refused(self, name, method, kind, thing):
        conn = self.conn(name)
        conn.cast(1, method)
        ids = divmod(method.INDEX, 65536)
        conn.expect_close(1, 403, ids[0], ids[1],
                          "ACCESS_REFUSED - access to %s '%s' in vhost '/' refused for user '%s'"
                          % (kind, thing, name))
        conn.kill()

    def allowed(self, name, method):
        conn = self.conn(name)
        answer = conn.rpc(1, method)
        conn.kill()
        return answer

    def test_configure(self):
        for method, kind, thing in (
                (Q.Declare(queue="yours"), "queue", "yours"),
                (Q.Delete(queue="yours-q"), "queue", "yours-q"),
                (Q.Delete(queue="not there"), "queue", "not there"),
                (X.Declare(exchange="yours", type="direct"), "exchange", "yours"),
                (X.Delete(exchange="yours-x"), "exchange", "yours-x")):
            self.refused("c", method, kind, thing)
            self.refused("none", method, kind, thing)
        self.allowed("c", Q.Declare(queue="mine-c"))
        self.allowed("c", X.Declare(exchange="mine-c", type="direct"))
        self.allowed("c", X.Delete(exchange="mine-c"))
        for name in ("w", "r", "wr"):
            self.refused(name, Q.Declare(queue="mine-c"), "queue", "mine-c")
            self.refused(name, Q.Delete(queue="mine-c"), "queue", "mine-c")
        self.allowed("c", Q.Delete(queue="mine-c"))

    def test_line_ends_are_no_way_round(self):
        """A declare understands names without CR and LF, and so does its check."""
        self.refused("anchored", Q.Declare(queue="min\re2"), "queue", "mine2")
        self.allowed("anchored", Q.Declare(queue="mi\nne", durable=True))

    def test_read(self):
        for method in (B.Get(queue="yours-q"), B.Consume(queue="yours-q"),
                       Q.Purge(queue="yours-q")):
            self.refused("r", method, "queue", "yours-q")
        for method in (B.Get(queue="mine-q"), B.Consume(queue="mine-q"), Q.Purge(queue="mine-q")):
            for name in ("c", "w", "none"):
                self.refused(name, method, "queue", "mine-q")
        self.allowed("r", B.Consume(queue="mine-q"))
        self.allowed("r", Q.Purge(queue="mine-q"))

    def test_bind(self):
        for cls in (Q.Bind, Q.Unbind):
            self.allowed("wr", cls(queue="mine-q", exchange="mine-x", routing_key="k2"))
            self.refused("wr", cls(queue="yours-q", exchange="mine-x"), "queue", "yours-q")
            self.refused("wr", cls(queue="mine-q", exchange="yours-x"), "exchange", "yours-x")
            self.refused("w", cls(queue="mine-q", exchange="mine-x"), "exchange", "mine-x")
            self.refused("r", cls(queue="mine-q", exchange="mine-x"), "queue", "mine-q")
        for cls in (X.Bind, X.Unbind):
            self.allowed("wr", cls(destination="mine-y", source="mine-x", routing_key="k"))
            self.refused("wr", cls(destination="yours-x", source="mine-x"), "exchange", "yours-x")
            self.refused("wr", cls(destination="mine-y", source="yours-x"), "exchange", "yours-x")
            self.refused("w", cls(destination="mine-y", source="mine-x"), "exchange", "mine-x")

    def test_passive(self):
        """Any right lets it be seen; none does not even tell that it is there."""
        for name in ("c", "w", "r"):
            self.allowed(name, Q.Declare(queue="mine-q", passive=True))
            self.allowed(name, X.Declare(exchange="mine-x", type="direct", passive=True))
            self.refused(name, Q.Declare(queue="yours-q", passive=True), "queue", "yours-q")
            self.refused(name, Q.Declare(queue="nowhere", passive=True), "queue", "nowhere")
            self.refused(name, X.Declare(exchange="yours-x", type="direct", passive=True),
                         "exchange", "yours-x")

    def test_publish(self):
        def publish(name, exchange, key, thing):
            conn = self.conn(name)
            conn.publish(1, exchange, key, b"m")
            if thing:
                conn.expect_close(1, 403, 60, 40, "ACCESS_REFUSED - access to exchange '%s' in "
                                  "vhost '/' refused for user '%s'" % (thing, name))
            else:
                conn.rpc(1, spec.Confirm.Select())
            conn.kill()
        publish("w", "mine-x", "k", None)
        publish("w", "", "mine", None)  # As amq.default.
        publish("wr", "", "mine", "amq.default")
        publish("anchored", "", "mine", None)
        publish("w", "yours-x", "k", "yours-x")
        publish("w", "not there", "k", "not there")
        for name in ("c", "r", "none"):
            publish(name, "mine-x", "k", "mine-x")

    def test_arguments_name_exchanges(self):
        """Who lets messages go on to an exchange must be allowed to publish there."""
        dead = {"x-dead-letter-exchange": "mine-x"}
        self.refused("c", Q.Declare(queue="mine-d", arguments=dead), "queue", "mine-d")
        self.refused("cr", Q.Declare(queue="mine-d", arguments=dead), "exchange", "mine-x")
        other = {"alternate-exchange": "mine-x"}
        self.refused("c", X.Declare(exchange="mine-a", type="direct", arguments=other),
                     "exchange", "mine-a")
        self.refused("cr", X.Declare(exchange="mine-a", type="direct", arguments=other),
                     "exchange", "mine-x")

    def test_server_named(self):
        self.refused("c", Q.Declare(queue=""), "queue", "amq.gen-" + "A" * 22)
        conn = self.conn("guest")
        self.assertTrue(conn.rpc(1, Q.Declare(queue="")).queue.startswith("amq.gen-"))

    def test_topic(self):
        def topic(method, key):
            conn = self.conn("topic")
            conn.cast(1, method)
            conn.expect_close(1, 403, text="ACCESS_REFUSED - access to topic '%s' in exchange "
                              "'amq.topic' in vhost '/' refused for user 'topic'" % key)
            conn.kill()
        conn, queue = self.conn("topic"), fresh()
        conn.rpc(1, Q.Declare(queue=queue))
        conn.rpc(1, Q.Bind(queue=queue, exchange="amq.topic", routing_key="news.#"))
        conn.rpc(1, Q.Bind(queue=queue, exchange="amq.direct", routing_key="sport"))
        conn.publish(1, "amq.topic", "topic.x", b"m")
        conn.rpc(1, Q.Purge(queue=queue))
        conn.publish(1, "amq.topic", "topicx", b"m")
        conn.expect_close(1, 403, 60, 40)
        conn.channel(1)
        conn.publish(1, "amq.topic", "topic.x", b"m",
                     spec.BasicProperties(headers={"CC": ["topic.y", "weather"]}))
        conn.expect_close(1, 403, 60, 40)
        topic(Q.Bind(queue=queue, exchange="amq.topic", routing_key="sport"), "sport")
        topic(Q.Unbind(queue=queue, exchange="amq.topic", routing_key="sport"), "sport")
        # An exchange that is declared just before is known as one of topics.
        conn.channel(1)
        conn.gather()
        conn.cast(1, X.Declare(exchange="later", type="topic"))
        conn.cast(1, Q.Bind(queue=queue, exchange="later", routing_key="sport"))
        conn.flush()
        conn.expect(1, X.DeclareOk)
        conn.expect_close(1, 403, 50, 20, "access to topic 'sport' in exchange 'later'")
        conn.channel(1)
        conn.rpc(1, Q.Delete(queue=queue))

    def test_user_id(self):
        conn = self.conn("guest")
        conn.publish(1, "", "mine", b"m", spec.BasicProperties(user_id="bob"))
        conn.expect_close(1, 406, 60, 40)
        conn = self.conn("app")  # An impersonator.
        conn.publish(1, "", "nowhere", b"m", spec.BasicProperties(user_id="bob"))
        conn.rpc(1, spec.Confirm.Select())

    def test_vhost(self):
        conn = Raw(self.broker.addr)
        self.addCleanup(conn.kill)
        conn.start_ok(user="c", password="c")
        conn.expect(0, C.Tune)
        conn.cast(0, C.TuneOk(2047, 131072, 0))
        conn.cast(0, C.Open("other"))
        conn.expect_close(0, 530, 10, 40,
                          "NOT_ALLOWED - access to vhost 'other' refused for user 'c'")

    def test_passwords(self):
        self.conn("sha512", "other", "long").rpc(1, Q.Declare(queue="q"))
        self.conn("plain", "/", "kept from the file")
        for name, password in (("sha512", "short"), ("plain", "kept from the fil"),
                               ("nopass", ""), ("nopass", "x"), ("nobody", "x"), ("c", "")):
            conn = Raw(self.broker.addr)
            self.addCleanup(conn.kill)
            conn.start_ok(user=name, password=password,
                          capabilities={"authentication_failure_close": True})
            conn.expect_close(0, 403, 0, 0)

    def test_refusals_take_their_time(self):
        """An unknown user, a quick hash and a slow one are refused alike, and not at once."""
        for name in ("nobody", "c", "plain"):
            conn = Raw(self.broker.addr)
            self.addCleanup(conn.kill)
            begin = time.monotonic()
            conn.start_ok(user=name, password="wrong",
                          capabilities={"authentication_failure_close": True})
            conn.expect_close(0, 403, 0, 0)
            self.assertGreater(time.monotonic() - begin, 0.2, name)

    def test_stock_client(self):
        host, port = self.broker.addr
        who = pika.PlainCredentials("wr", "wr")
        conn = pika.BlockingConnection(pika.ConnectionParameters(host, port, "/", who))
        channel = conn.channel()
        with self.assertRaises(pika.exceptions.ChannelClosedByBroker) as caught:
            channel.queue_declare("mine-w")
        self.assertEqual(caught.exception.reply_code, 403)
        channel = conn.channel()
        channel.confirm_delivery()
        channel.basic_publish("mine-x", "k", b"body")
        method, _, body = channel.basic_get("mine-q", auto_ack=True)
        self.assertEqual((method.exchange, body), ("mine-x", b"body"))
        conn.close()


@needs_own_broker
class Files(unittest.TestCase):
    """A definitions file that cannot be is said at once, and nothing of it is taken."""

    def start(self, definitions):
        with tempfile.NamedTemporaryFile("w", suffix=".json", delete=False) as f:
            f.write(definitions if isinstance(definitions, str) else json.dumps(definitions))
        self.addCleanup(os.unlink, f.name)
        broker = Broker(["--set", "load_definitions=" + f.name], start=False)
        self.addCleanup(broker.__exit__, None, None, None)
        return broker.start()

    def test_refused(self):
        md4 = {"name": "u", "password_hash": "AAAAAAAA", "tags": [],
               "hashing_algorithm": "rabbit_password_hashing_md4"}
        for definitions, text in (
                ("{", "line 1"),
                ("[]", "no object"),
                ({"users": [md4]}, "hashing algorithm 'rabbit_password_hashing_md4'"),
                ({"queues": [{"name": "s", "vhost": "/", "arguments": {"x-queue-type": "stream"}}],
                  "users": [md4]}, "queue type 'stream'"),
                ({"users": [{"name": "u", "password_hash": "AAAA"}]}, "no hash"),
                ({"users": [{"name": "", "password_hash": ""}]}, "'name'"),
                ({"vhosts": [{"name": "v" * 256}]}, "'name'"),
                ({"permissions": [permission("u", configure="(")]}, "'configure'"),
                ({"permissions": [{"user": "u", "vhost": "/"}]}, "'configure'"),
                ({"queues": [{"name": "q"}]}, "'vhost'")):
            with self.assertRaises(harness.StartError) as caught:
                self.start(definitions)
            self.assertEqual(caught.exception.code, 1)
            self.assertIn(text, caught.exception.text)
            self.assertEqual(caught.exception.text.count("\n"), 1, caught.exception.text)

    def test_without_users(self):
        """A file that brings neither users nor vhosts leaves the first ones."""
        broker = self.start({"queues": [{"name": "q", "vhost": "/", "durable": True,
                                         "auto_delete": False,
                                         "arguments": {"x-max-length": 7, "x-overflow":
                                                       "reject-publish"}}]})
        conn = broker.raw()
        conn.channel(1)
        conn.rpc(1, Q.Declare(queue="q", durable=True, arguments={
            "x-max-length": 7, "x-overflow": "reject-publish"}))
        conn.cast(1, Q.Declare(queue="q", durable=True, arguments={"x-max-length": 8}))
        conn.expect_close(1, 406, 50, 10)

    def test_at_each_start(self):
        """What a file says wins again; what it does not name stays."""
        broker = self.start({"users": [user("guest", "guest"), user("u", "first")],
                             "permissions": [permission("guest", "/", ".*", ".*", ".*"),
                                             permission("u", "/", ".*", ".*", ".*")]})
        broker.raw(user="u", password="first").close()
        self.assertEqual(broker.stop(), 0)
        broker.args = []
        broker.start()
        broker.raw(user="u", password="first").close()


if __name__ == "__main__":
    unittest.main()
