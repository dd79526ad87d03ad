#!/usr/bin/env python3
"""What open connections and consumers hear when users, passwords, rights and vhosts change."""
import unittest

from pika import spec

from harness import BrokerCase, OwnBrokers, fresh, needs_own_broker, wait_for

B, Q, X = spec.Basic, spec.Queue, spec.Exchange
FULL = {"configure": ".*", "write": ".*", "read": ".*"}


@needs_own_broker
class Rights(BrokerCase):
    def put(self, path, body=None):
        status, value = self.broker.http("PUT", "/api/" + path, body)
        self.assertIn(status, (201, 204), value)

    def delete(self, path):
        status, value = self.broker.http("DELETE", "/api/" + path)
        self.assertEqual(status, 204, value)

    def user(self, tags="", **rights):
        name = fresh("u")
        self.put("users/" + name, {"password": "x", "tags": tags})
        self.put("permissions/%2F/" + name, dict(FULL, **rights))
        return name

    def conn(self, user, **options):
        return self.opened(user=user, password="x", **options)

    def stays(self, conn):
        conn.rpc(1, spec.Basic.Qos(0, 1, False))

    def test_user_is_deleted(self):
        user, other = self.user(), self.user()
        conns = [self.conn(user) for _ in range(3)]
        bystander = self.conn(other)
        self.delete("users/" + user)
        for conn in conns:
            conn.expect_close(0, 320, 0, 0, "CONNECTION_FORCED - user '%s' is deleted" % user)
        self.stays(bystander)

    def test_password_is_changed(self):
        user = self.user()
        conn = self.conn(user)
        self.put("users/" + user, {"password": "x", "tags": ""})  # It is the same.
        self.stays(conn)
        self.put("users/" + user, {"password": "x", "tags": "management"})
        self.stays(conn)
        self.put("users/" + user, {"password": "y", "tags": ""})
        conn.expect_close(0, 320, 0, 0,
                          "CONNECTION_FORCED - the password of user '%s' was changed" % user)
        self.opened(user=user, password="y")

    def test_permission_is_cleared(self):
        user, vhost = self.user(), fresh("v")
        self.put("vhosts/" + vhost)
        self.put("permissions/%s/%s" % (vhost, user), FULL)
        here, there = self.conn(user), self.conn(user, vhost=vhost)
        self.delete("permissions/%s/%s" % (vhost, user))
        there.expect_close(0, 320, 0, 0, "CONNECTION_FORCED - user '%s' has no permissions in "
                                         "vhost '%s' any more" % (user, vhost))
        self.stays(here)

    def test_vhost_is_deleted(self):
        vhost = fresh("v")
        self.put("vhosts/" + vhost)
        idle, busy = self.opened(vhost=vhost), self.opened(vhost=vhost)
        busy.rpc(1, Q.Declare(queue="q", durable=True))
        busy.rpc(1, B.Consume(queue="q", consumer_tag="c"))
        for n in range(100):
            busy.publish(1, "", "q", b"%d" % n, spec.BasicProperties(delivery_mode=2))
        self.delete("vhosts/" + vhost)
        idle.expect_close(0, 320, 0, 0, "CONNECTION_FORCED - vhost '%s' is deleted" % vhost)
        while True:  # What was on its way comes before.
            kind, channel, payload = busy.recv_any()
            if kind == 1 and channel == 0:
                break
        self.assertEqual(payload[:6], b"\0\x0a\0\x32\x01\x40")  # connection.close, 320

    def test_consumer_loses_its_queue(self):
        queue, other = fresh(), fresh()
        admin = self.opened()
        for name in (queue, other):
            admin.rpc(1, Q.Declare(queue=name))
        user = self.user()
        conn = self.opened(user=user, password="x",
                           capabilities={"consumer_cancel_notify": True})
        conn.rpc(1, B.Consume(queue=queue, consumer_tag="goes"))
        conn.rpc(1, B.Consume(queue=other, consumer_tag="stays"))
        admin.publish(1, "", queue, b"first")
        first = conn.message(1)
        self.put("permissions/%2F/" + user, dict(FULL, read="^%s$" % other))
        cancel = conn.expect(1, B.Cancel)
        self.assertEqual(cancel.consumer_tag, "goes")
        admin.publish(1, "", queue, b"second")
        admin.publish(1, "", other, b"third")
        self.assertEqual(conn.message(1).body, b"third")
        conn.cast(1, B.Ack(first.tag))  # What was delivered may be acked.
        conn.cast(1, B.Consume(queue=queue))
        conn.expect_close(1, 403)
        left = admin.rpc(1, Q.Declare(queue=queue, passive=True)).message_count
        self.assertEqual(left, 1)

    def test_publisher_loses_its_exchange(self):
        user = self.user()
        conn = self.conn(user)
        conn.rpc(1, spec.Confirm.Select())
        conn.publish(1, "amq.fanout", "k", b"?")
        conn.expect(1, B.Ack)
        self.put("permissions/%2F/" + user, dict(FULL, write="nothing"))
        conn.publish(1, "amq.fanout", "k", b"?")
        conn.expect_close(1, 403)

    def test_topic_permission_comes(self):
        user = self.user()
        conn = self.conn(user)
        conn.rpc(1, spec.Confirm.Select())
        self.put("topic-permissions/%2F/" + user,
                 {"exchange": "amq.topic", "write": r"^{username}\.{vhost}", "read": ""})
        conn.publish(1, "amq.topic", user + "./", b"?")
        conn.expect(1, B.Ack)
        conn.publish(1, "amq.topic", "other", b"?")
        conn.expect_close(1, 403)

    def test_tag_comes_and_goes(self):
        user = self.user()
        conn = self.conn(user)
        conn.rpc(1, spec.Confirm.Select())
        props = spec.BasicProperties(user_id="somebody")
        self.put("users/" + user, {"password": "x", "tags": "impersonator"})
        conn.publish(1, "", "nowhere", b"?", props)
        conn.expect(1, B.Ack)
        self.put("users/" + user, {"password": "x", "tags": ""})
        conn.publish(1, "", "nowhere", b"?", props)
        conn.expect_close(1, 406)

    def test_while_it_opens(self):
        """A user who goes between the login and the open."""
        user = self.user()
        conn = self.connect()
        conn.start_ok(user=user, password="x")
        conn.expect(0, spec.Connection.Tune)
        self.put("users/" + user, {"password": "y", "tags": ""})
        conn.cast(0, spec.Connection.TuneOk(2047, 131072, 0))
        conn.cast(0, spec.Connection.Open("/"))
        conn.expect_close(0, 320)


@needs_own_broker
class Crashes(OwnBrokers):
    """The same when those who pass it on have died a moment before."""

    def test_each(self):
        broker = self.start("debug.crash=true")

        def ask(method, path, body=None):
            # One that comes while nobody can say who asks, or make the change, is asked again. It
            # may have been made all the same.
            def answered():
                status = broker.http(method, "/api/" + path, body)[0]
                return None if status in (401, 503) else status

            status = wait_for(answered, "an answer")
            self.assertIn(status, (201, 204, 404 if method == "DELETE" else 204))

        for process in ("node", "node_store", "access", "vhost_state:/", "registry:/"):
            user = fresh("u")
            ask("PUT", "users/" + user, {"password": "x", "tags": ""})
            ask("PUT", "permissions/%2F/" + user, FULL)
            conns = [self.opened(broker, user=user, password="x") for _ in range(3)]
            ask("POST", "debug/crash", {"process": process, "how": "check"})
            ask("DELETE", "users/" + user)
            for conn in conns:
                conn.expect_close(0, 320, 0, 0, "CONNECTION_FORCED - user '%s' is deleted" % user)
            ask("POST", "debug/crash", {"process": process, "how": "check"})
            ask("PUT", "policies/%2F/" + user, {"pattern": "^%s$" % user, "definition": {
                "alternate-exchange": "amq.fanout"}})
            conn = self.opened(broker)
            conn.rpc(1, X.Declare(exchange=user, type="fanout"))
            shown = broker.get("/api/exchanges/%2F/" + user)
            self.assertEqual(shown["policy"], user)


if __name__ == "__main__":
    unittest.main()
