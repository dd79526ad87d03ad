#!/usr/bin/env python3
"""Users, permissions, vhosts, policies, parameters and limits by HTTP; definitions out and in."""
import base64
import hashlib
import http.client
import json
import unittest

from pika import spec

from harness import Broker, BrokerCase, fresh, needs_own_broker, wait_for
from wire import DEADLINE, Eof, Raw

Q, X, C = spec.Queue, spec.Exchange, spec.Connection


def rabbit_hash(password, salt=b"salt"):
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()


FULL = {"configure": ".*", "write": ".*", "read": ".*"}


@needs_own_broker
class Settings(BrokerCase):
    def ask(self, want, method, path, body=None, **login):
        status, value = self.broker.http(method, "/api/" + path, body, **login)
        self.assertEqual(status, want, (method, path, value))
        return value

    def user(self, tags="", password="x", vhosts=()):
        name = fresh("u")
        self.ask(201, "PUT", "users/" + name, {"password": password, "tags": tags})
        for vhost in vhosts:
            self.ask(201, "PUT", "permissions/%s/%s" % (vhost, name), FULL)
        return name

    def vhost(self):
        name = fresh("v")
        self.ask(201, "PUT", "vhosts/" + name)
        return name

    def may_log_in(self, user, password):
        conn = Raw(self.broker.addr)
        self.addCleanup(conn.kill)
        try:
            conn.open(user=user, password=password,
                      capabilities={"authentication_failure_close": True})
            return True
        except (AssertionError, Eof):
            return False

    def test_users(self):
        name = self.user("management,other", "first")
        shown = self.ask(200, "GET", "users/" + name)
        self.assertEqual((shown["name"], shown["tags"], shown["limits"]),
                         (name, ["management", "other"], {}))
        self.assertNotIn("first", json.dumps(shown))
        self.assertIn(shown, self.ask(200, "GET", "users/without-permissions"))
        self.ask(201, "PUT", "permissions/%2F/" + name, FULL)
        self.assertNotIn(shown, self.ask(200, "GET", "users/without-permissions"))
        self.assertTrue(self.may_log_in(name, "first"))
        self.ask(204, "PUT", "users/" + name, {"password": "second", "tags": ["management"]})
        self.assertFalse(self.may_log_in(name, "first"))
        self.assertTrue(self.may_log_in(name, "second"))
        self.assertEqual(self.ask(200, "GET", "whoami", user=name, password="second"),
                         {"name": name, "tags": ["management"]})
        self.ask(204, "PUT", "users/" + name, {"tags": ""})  # No password any more.
        self.assertFalse(self.may_log_in(name, "second"))
        self.ask(204, "DELETE", "users/" + name)
        self.ask(404, "DELETE", "users/" + name)
        self.ask(404, "GET", "users/" + name)
        self.ask(404, "GET", "permissions/%2F/" + name)  # They go with the user.

    def test_user_refused(self):
        name = self.user()
        for body, words in (({"password": "x"}, "tags_not_present"),
                            ({"password": "x", "password_hash": "y", "tags": ""}, "both_password"),
                            ({"password_hash": "abc", "tags": ""}, "no hash"),
                            ({"password": 7, "tags": ""}, "password"),
                            ({"password": "x", "tags": 7}, "tags"),
                            ([1], "not_json")):
            self.assertIn(words, self.ask(400, "PUT", "users/" + name, body)["reason"])
        self.assertTrue(self.ask(200, "GET", "users/" + name)["password_hash"])

    def test_bulk_delete(self):
        names = [self.user(), self.user(), self.user()]
        self.ask(400, "POST", "users/bulk-delete", {"users": names + ["nobody"]})
        self.ask(200, "GET", "users/" + names[0])  # All of them, or none.
        self.ask(204, "POST", "users/bulk-delete", {"users": names})
        for name in names:
            self.ask(404, "GET", "users/" + name)

    def test_permissions(self):
        name = self.user()
        self.ask(404, "GET", "permissions/%2F/" + name)
        self.ask(201, "PUT", "permissions/%2F/" + name, FULL)
        self.ask(204, "PUT", "permissions/%2F/" + name, FULL)
        want = dict(FULL, user=name, vhost="/")
        self.assertEqual(self.ask(200, "GET", "permissions/%2F/" + name), want)
        self.assertEqual(self.ask(200, "GET", "users/%s/permissions" % name), [want])
        for path in ("permissions", "permissions/%2F", "vhosts/%2F/permissions"):
            self.assertIn(want, self.ask(200, "GET", path))
        self.ask(400, "PUT", "permissions/%2F/nobody", FULL)
        self.ask(400, "PUT", "permissions/nowhere/" + name, FULL)
        self.ask(400, "PUT", "permissions/%2F/" + name, dict(FULL, read="("))
        self.ask(400, "PUT", "permissions/%2F/" + name, {"configure": "", "write": ""})
        self.ask(204, "DELETE", "permissions/%2F/" + name)
        self.ask(404, "DELETE", "permissions/%2F/" + name)

    def test_topic_permissions(self):
        name = self.user()
        path = "topic-permissions/%2F/" + name
        for exchange in ("amq.topic", "other"):
            self.ask(201, "PUT", path, {"exchange": exchange, "write": "^a", "read": ".*"})
        self.assertEqual(len(self.ask(200, "GET", path)), 2)
        self.assertEqual(self.ask(200, "GET", path + "/other"),
                         [{"user": name, "vhost": "/", "exchange": "other", "write": "^a",
                           "read": ".*"}])
        self.assertEqual(len(self.ask(200, "GET", "users/%s/topic-permissions" % name)), 2)
        self.ask(204, "DELETE", path + "/other")
        self.assertEqual(len(self.ask(200, "GET", path)), 1)
        self.ask(204, "DELETE", path)
        self.ask(404, "DELETE", path)
        self.ask(404, "GET", path)
        self.ask(400, "PUT", path, {"write": "^a", "read": ".*"})

    def test_vhosts(self):
        name = fresh("v")
        self.ask(201, "PUT", "vhosts/" + name,
                 {"description": "d", "tags": "a,b", "default_queue_type": "classic"})
        shown = self.ask(200, "GET", "vhosts/" + name)
        self.assertEqual((shown["name"], shown["description"], shown["tags"]),
                         (name, "d", ["a", "b"]))
        self.assertIn(name, [v["name"] for v in self.ask(200, "GET", "vhosts")])
        # Who made it may use it, at once.
        self.assertEqual(self.ask(200, "GET", "permissions/%s/guest" % name)["read"], ".*")
        conn = self.opened(vhost=name)
        conn.rpc(1, Q.Declare(queue="q", durable=True))
        self.ask(204, "PUT", "vhosts/" + name, {"description": "e"})
        self.assertEqual(self.ask(200, "GET", "vhosts/" + name)["tags"], ["a", "b"])
        self.ask(204, "POST", "vhosts/%s/deletion/protection" % name)
        self.ask(412, "DELETE", "vhosts/" + name)
        self.ask(204, "DELETE", "vhosts/%s/deletion/protection" % name)
        self.ask(204, "DELETE", "vhosts/" + name)
        conn.expect_close(0, 320, 0, 0, "CONNECTION_FORCED - vhost '%s' is deleted" % name)
        self.ask(404, "GET", "vhosts/" + name)
        self.ask(404, "DELETE", "vhosts/" + name)
        self.ask(404, "GET", "permissions/%s/guest" % name)

    def test_a_vhost_made_anew_is_empty(self):
        name = self.vhost()
        conn = self.opened(vhost=name)
        conn.rpc(1, Q.Declare(queue="lasts", durable=True))
        conn.rpc(1, Q.Declare(queue="does-not"))
        conn.rpc(1, X.Declare(exchange="x", type="topic", durable=True))
        conn.rpc(1, Q.Bind(queue="lasts", exchange="amq.topic", routing_key="#"))
        self.ask(204, "DELETE", "vhosts/" + name)
        self.ask(201, "PUT", "vhosts/" + name)
        self.assertEqual(self.ask(200, "GET", "queues/" + name), [])
        defs = self.ask(200, "GET", "definitions/" + name)
        self.assertEqual((defs["queues"], defs["exchanges"], defs["bindings"]), ([], [], []))
        conn = self.opened(vhost=name)
        conn.rpc(1, spec.Confirm.Select())
        conn.publish(1, "amq.topic", "k", b"?", mandatory=True)
        conn.content(1, conn.expect(1, spec.Basic.Return))  # No old binding is left.

    def test_default_queue_type(self):
        name = fresh("v")
        self.ask(201, "PUT", "vhosts/" + name, {"default_queue_type": "quorum"})
        conn = self.opened(vhost=name)
        for queue, options, kind in (
                ("named", {"durable": True}, "quorum"),
                ("other", {"durable": True, "arguments": {"x-expires": 60000}}, "quorum"),
                ("own", {"durable": True, "arguments": {"x-queue-type": "classic"}}, "classic"),
                # What a quorum queue cannot be stays what it was.
                ("transient", {}, "classic"), ("mine", {"durable": True, "exclusive": True},
                                               "classic")):
            for _ in range(2):  # Declared again it is the same.
                conn.rpc(1, Q.Declare(queue=queue, **options))
            self.assertEqual(self.ask(200, "GET", "queues/%s/%s" % (name, queue))["type"], kind)
        conn.rpc(1, Q.Declare(queue="named", passive=True))
        self.ask(204, "PUT", "vhosts/" + name, {"default_queue_type": "undefined"})
        conn.rpc(1, Q.Declare(queue="plain", durable=True))
        self.assertEqual(self.ask(200, "GET", "queues/%s/plain" % name)["arguments"], {})
        self.ask(400, "PUT", "vhosts/" + name, {"default_queue_type": "round"})
        self.ask(204, "DELETE", "vhosts/" + name)

    def test_policies(self):
        for kind in ("policies", "operator-policies"):
            name = fresh("p")
            path = kind + "/%2F/" + name
            body = {"pattern": "^a", "definition": {"max-length": 5}, "apply-to": "queues"}
            self.ask(201, "PUT", path, body)
            self.ask(204, "PUT", path, dict(body, priority=3))
            want = dict(body, vhost="/", name=name, priority=3)
            self.assertEqual(self.ask(200, "GET", path), want)
            for where in (kind, kind + "/%2F"):
                self.assertIn(want, self.ask(200, "GET", where))
            self.ask(404, "PUT", kind + "/nowhere/p", body)
            self.ask(400, "PUT", path, {"pattern": "a"})
            self.ask(400, "PUT", path, {"definition": {"max-length": 5}})
            self.ask(204, "DELETE", path)
            self.ask(404, "DELETE", path)

    def test_parameters(self):
        """A component that nobody knows is refused; what a file brings is kept, and a plugin's."""
        why = self.ask(400, "PUT", "parameters/thing/%2F/n", {"value": {"a": 1}})
        self.assertEqual(why["reason"], "Validation failed\n\ncomponent thing not found\n")
        self.ask(400, "PUT", "parameters/policy/%2F/n", {"value": {"a": 1}})
        for component in ("shovel", "federation-upstream", "federation-upstream-set"):
            path = "parameters/%s/%%2F/n" % component
            self.ask(201, "PUT", path, {"value": {"uri": "amqp://elsewhere"}})
            self.ask(204, "DELETE", path)
        self.ask(204, "POST", "definitions", {"parameters": [
            {"component": "thing", "vhost": "/", "name": "n", "value": {"a": 1}}]})
        want = {"component": "thing", "vhost": "/", "name": "n", "value": {"a": 1}}
        for path in ("parameters", "parameters/thing", "parameters/thing/%2F"):
            self.assertIn(want, self.ask(200, "GET", path))
        self.assertEqual(self.ask(200, "GET", "parameters/thing/%2F/n"), want)
        self.assertEqual(self.ask(200, "GET", "parameters/other"), [])
        self.ask(204, "DELETE", "parameters/thing/%2F/n")
        self.ask(404, "DELETE", "parameters/thing/%2F/n")
        self.ask(201, "PUT", "global-parameters/g", {"value": 7})
        self.assertEqual(self.ask(200, "GET", "global-parameters/g"), {"name": "g", "value": 7})
        self.ask(400, "PUT", "global-parameters/g", {"name": "g"})
        self.ask(204, "DELETE", "global-parameters/g")
        self.ask(404, "GET", "global-parameters/g")

    def test_limits(self):
        name = self.vhost()
        user = self.user(vhosts=[name])
        self.ask(204, "PUT", "vhost-limits/%s/max-queues" % name, {"value": 1})
        self.ask(204, "PUT", "vhost-limits/%s/max-connections" % name, {"value": 9})
        self.ask(204, "PUT", "user-limits/%s/max-channels" % user, {"value": 1})
        self.assertEqual(self.ask(200, "GET", "vhost-limits/" + name),
                         [{"vhost": name, "value": {"max-queues": 1, "max-connections": 9}}])
        self.assertEqual(self.ask(200, "GET", "user-limits/" + user),
                         [{"user": user, "value": {"max-channels": 1}}])
        conn = self.opened(vhost=name, user=user, password="x")
        conn.rpc(1, Q.Declare(queue="one"))
        conn.cast(1, Q.Declare(queue="two"))
        conn.expect_close(1, 406)
        conn.cast(2, spec.Channel.Open())
        self.ask(204, "DELETE", "vhost-limits/%s/max-queues" % name)
        self.ask(204, "DELETE", "vhost-limits/%s/max-connections" % name)
        self.assertEqual(self.ask(200, "GET", "vhost-limits/" + name), [])
        self.assertEqual(self.ask(200, "GET", "parameters/vhost-limits/" + name), [])
        self.ask(204, "DELETE", "user-limits/%s/max-channels" % user)
        conn = self.opened(vhost=name, user=user, password="x")
        conn.channel(2)
        conn.rpc(1, Q.Declare(queue="two"))
        for path, body in (("vhost-limits/%s/max-nothing" % name, {"value": 1}),
                           ("vhost-limits/%s/max-queues" % name, {"value": "x"}),
                           ("vhost-limits/%s/max-queues" % name, {}),
                           ("user-limits/%s/max-nothing" % user, {"value": 1})):
            self.ask(400, "PUT", path, body)
        self.ask(404, "PUT", "vhost-limits/nowhere/max-queues", {"value": 1})

    def test_tags(self):
        """Who may see and do what."""
        own = self.vhost()
        paths = {
            "users": ["administrator"], "permissions": ["administrator"],
            "definitions": ["administrator"], "vhosts": ["management", "policymaker", "monitoring",
                                                         "administrator"],
            "parameters": ["policymaker", "administrator"],
            "policies/" + own: ["management", "policymaker", "monitoring", "administrator"],
        }
        for tag in ("management", "policymaker", "monitoring", "administrator", ""):
            user = self.user(tag, vhosts=[own])
            for path, allowed in paths.items():
                self.ask(200 if tag in allowed else 401, "GET", path, user=user, password="x")
            seen = self.broker.http("GET", "/api/vhosts", user=user, password="x")
            if tag in ("management", "policymaker"):
                self.assertEqual([v["name"] for v in seen[1]], [own])
            policy = {"pattern": "a", "definition": {"max-length": 1}}
            makes = tag in ("policymaker", "administrator")
            self.ask(201 if makes else 401, "PUT", "policies/%s/%s" % (own, fresh("p")), policy,
                     user=user, password="x")
            # Of a vhost that is not their own.
            self.ask(401, "PUT", "policies/%2F/" + fresh("p"), policy, user=user, password="x")
            if tag != "administrator":
                for path in ("users/x", "vhosts/x", "permissions/%2F/guest",
                             "operator-policies/%s/x" % own, "vhost-limits/%s/max-queues" % own):
                    self.ask(401, "PUT", path, {}, user=user, password="x")

    def test_hostile_names(self):
        for name in ("a%2Fb", "%22%5D%2C", "%C3%BC%E2%98%83", "..", "x" * 255):
            self.ask(201, "PUT", "users/" + name, {"password": "x", "tags": ""})
            self.ask(201, "PUT", "vhosts/" + name)
            self.ask(201, "PUT", "permissions/%s/%s" % (name, name), FULL)
            self.ask(200, "GET", "permissions/%s/%s" % (name, name))
            self.ask(204, "DELETE", "vhosts/" + name)
            self.ask(204, "DELETE", "users/" + name)
        for name in ("x" * 256, "%00", "a%00b"):
            status, _ = self.broker.http("PUT", "/api/users/" + name, {"password": "x", "tags": ""})
            self.assertIn(status, (400, 404))

    def form(self, text):
        """What a page's form sends."""
        body = ("--b\r\nContent-Disposition: form-data; name=\"other\"\r\n\r\nx\r\n"
                "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"d.json\"\r\n"
                "Content-Type: application/json\r\n\r\n%s\r\n--b--\r\n" % text)
        conn = http.client.HTTPConnection(*self.broker.mgmt, timeout=DEADLINE)
        self.addCleanup(conn.close)
        conn.request("POST", "/api/definitions", body, {
            "Authorization": "Basic " + base64.b64encode(b"guest:guest").decode(),
            "Content-Type": "multipart/form-data; boundary=b"})
        return conn.getresponse().status

    def test_definitions_by_form(self):
        name = fresh("v")
        self.assertEqual(self.form(json.dumps({"vhosts": [{"name": name}]})), 204)
        self.ask(200, "GET", "vhosts/" + name)
        self.assertEqual(self.form("{"), 400)

    def test_definitions_of_a_vhost(self):
        name = self.vhost()
        self.ask(204, "POST", "definitions/" + name, {
            "queues": [{"name": "q", "durable": True, "auto_delete": False, "arguments": {"x": 1}}],
            "exchanges": [{"name": "x", "type": "fanout", "durable": True, "auto_delete": False,
                           "internal": False, "arguments": {}}],
            "bindings": [{"source": "x", "destination": "q", "destination_type": "queue",
                          "routing_key": "", "arguments": {}}],
            "policies": [{"name": "p", "pattern": "", "definition": {"max-length": 1},
                          "apply-to": "all", "priority": 0}]})
        got = self.ask(200, "GET", "definitions/" + name)
        self.assertEqual(got["queues"], [{"name": "q", "durable": True, "auto_delete": False,
                                          "arguments": {"x": 1}}])
        self.assertEqual(got["bindings"], [{"source": "x", "destination": "q", "routing_key": "",
                                            "destination_type": "queue", "arguments": {}}])
        self.assertEqual([p["name"] for p in got["policies"]], ["p"])
        self.assertNotIn("users", got)
        self.ask(404, "POST", "definitions/nowhere", {})

    def test_definitions_refused(self):
        before = self.ask(200, "GET", "definitions")
        for body in ({"users": 7}, {"users": [{"name": ""}]},
                     {"permissions": [dict(FULL, user="nobody", vhost="/")]},
                     {"vhosts": [{"name": "new"}],
                      "policies": [{"vhost": "nowhere", "name": "p"}]}):
            self.ask(400, "POST", "definitions", body)
        self.assertEqual(self.ask(200, "GET", "definitions"), before)

    def test_audit(self):
        user = self.user(password="not to be seen")
        self.ask(204, "DELETE", "users/" + user)
        log = wait_for(lambda: [line for line in self.broker.log().splitlines()
                                if user in line and "deleted" in line], "an audit line")
        self.assertIn("guest", log[0])
        self.assertIn("127.0.0.1", log[0])
        self.assertNotIn("not to be seen", self.broker.log())


# As exports of RabbitMQ look, of 3.10 and of 4.x.
EXPORT = {
    "rabbit_version": "4.1.0", "rabbitmq_version": "4.1.0", "product_name": "RabbitMQ",
    "product_version": "4.1.0", "rabbitmq_definition_format": "cluster",
    "original_cluster_name": "rabbit@host", "explanation": "...",
    "users": [
        {"name": "guest", "password_hash": "", "tags": ["administrator"], "limits": {},
         "hashing_algorithm": "rabbit_password_hashing_sha256"},
        {"name": "app", "password_hash": "AQIDBDB9kM21iEUzN1lZ+6VReCsdNqS0sERdAQTcY6Xs3PMz",
         "hashing_algorithm": "rabbit_password_hashing_sha256", "tags": ["monitoring"],
         "limits": {"max-connections": 50}},
    ],
    "vhosts": [{"name": "/", "description": "Default virtual host", "tags": [],
                "metadata": {"description": "Default virtual host", "tags": []}},
               {"name": "shop", "description": "", "tags": ["production"],
                "default_queue_type": "classic",
                "metadata": {"description": "", "tags": ["production"],
                             "default_queue_type": "classic"}}],
    "permissions": [dict(FULL, user="app", vhost="shop"), dict(FULL, user="guest", vhost="/")],
    "topic_permissions": [{"user": "app", "vhost": "shop", "exchange": "amq.topic",
                           "write": "^{username}", "read": ".*"}],
    "parameters": [
        {"vhost": "shop", "component": "vhost-limits", "name": "limits",
         "value": {"max-queues": 1000}},
        {"vhost": "shop", "component": "shovel", "name": "s",
         "value": {"src-uri": "amqp://", "dest-uri": "amqp://"}},
        {"vhost": "shop", "component": "operator_policy", "name": "o",
         "value": {"pattern": ".*", "definition": {"max-length": 100000}, "apply-to": "queues",
                   "priority": 0}},
    ],
    "global_parameters": [{"name": "cluster_name", "value": "rabbit@host"},
                          {"name": "internal_cluster_id", "value": "rabbitmq-cluster-id-abc"},
                          {"name": "cluster_tags", "value": []}],
    "policies": [{"vhost": "shop", "name": "p", "pattern": "^o", "apply-to": "classic_queues",
                  "definition": {"max-length": 10, "dead-letter-exchange": "dead"},
                  "priority": 1}],
    "queues": [{"name": "orders", "vhost": "shop", "durable": True, "auto_delete": False,
                "arguments": {"x-queue-type": "classic"}}],
    "exchanges": [{"name": "in", "vhost": "shop", "type": "topic", "durable": True,
                   "auto_delete": False, "internal": False, "arguments": {}}],
    "bindings": [{"source": "in", "vhost": "shop", "destination": "orders",
                  "destination_type": "queue", "routing_key": "a.#", "arguments": {}},
                 {"source": "in", "vhost": "shop", "destination": "amq.fanout",
                  "destination_type": "exchange", "routing_key": "b",
                  "arguments": {"k": "v", "n": 7}}],
}


@needs_own_broker
class Exports(unittest.TestCase):
    maxDiff = None

    def start(self):
        broker = Broker()
        self.addCleanup(broker.__exit__, None, None, None)
        return broker

    @staticmethod
    def sorted(value):
        if isinstance(value, list):
            return sorted((Exports.sorted(v) for v in value), key=json.dumps)
        if isinstance(value, dict):
            return {k: Exports.sorted(v) for k, v in sorted(value.items())}
        return value

    def test_whole(self):
        """What came is there, again after kill -9, and goes out and in as it is."""
        broker = self.start()
        # The user who asks would have no password any more: another one goes on.
        broker.http("PUT", "/api/users/root", {"password": "r", "tags": "administrator"})
        login = {"user": "root", "password": "r"}

        def export(of=broker):
            got = of.http("GET", "/api/definitions", **login)[1]
            got["users"] = [u for u in got["users"] if u["name"] != "root"]
            return self.sorted({k: v for k, v in got.items() if k in KEYS})

        KEYS = [k for k, v in EXPORT.items() if isinstance(v, list)]
        for _ in range(2):  # It changes nothing the second time.
            self.assertEqual(broker.http("POST", "/api/definitions", EXPORT, **login), (204, ""))
            self.assertEqual(export(), self.sorted({k: EXPORT[k] for k in KEYS}))
        broker.kill9()
        broker.start()
        self.assertEqual(export(), self.sorted({k: EXPORT[k] for k in KEYS}))
        other = self.start()
        self.assertEqual(other.http("PUT", "/api/users/root",
                                    {"password": "r", "tags": "administrator"})[0], 201)
        text = broker.http("GET", "/api/definitions", **login)[1]
        self.assertEqual(other.http("POST", "/api/definitions", text, **login), (204, ""))
        self.assertEqual(export(other), export())
        conn = Raw(other.addr)
        self.addCleanup(conn.kill)
        conn.open(vhost="shop", user="app", password="secret")

    def test_hash_is_upgraded(self):
        """A quick hash becomes a slow one at the next login; the same file changes nothing."""
        broker = self.start()
        file = {k: [o for o in EXPORT[k] if "guest" not in o.values()]
                for k in ("users", "vhosts", "permissions")}

        def take_in():
            self.assertEqual(broker.http("POST", "/api/definitions", file), (204, ""))

        def hashing():
            return broker.get("/api/users/app")["hashing_algorithm"]

        take_in()
        self.assertEqual(hashing(), "rabbit_password_hashing_sha256")
        conn = broker.raw(vhost="shop", user="app", password="secret")
        wait_for(lambda: hashing() == "crypt", "a slow hash")
        take_in()
        self.assertEqual(hashing(), "crypt")
        conn.channel(1)  # It was not closed.
        broker.kill9()
        broker.start()
        self.assertEqual(hashing(), "crypt")
        conn = broker.raw(vhost="shop", user="app", password="secret")
        conn.channel(1)
        file["users"][0] = dict(file["users"][0], password_hash=rabbit_hash("another"))
        take_in()
        conn.expect_close(0, 320)
        broker.raw(vhost="shop", user="app", password="another")


if __name__ == "__main__":
    unittest.main()
