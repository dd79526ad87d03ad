#!/usr/bin/env python3
"""Looking through a queue's messages by HTTP, moving, deleting and publishing single ones anew."""
import unittest

from pika import spec

from harness import BrokerCase, fresh, needs_own_broker, wait_for


@needs_own_broker
class Browse(BrokerCase):
    def ask(self, method, path, body=None, status=200):
        got, value = self.broker.http(method, "/api/queues/%2F/" + path, body)
        self.assertEqual(got, status, (method, path, body, value))
        return value

    def queue(self, n=0, durable=True, **arguments):
        """A new queue with messages "0", "1"..."""
        conn, name = self.opened(), fresh()
        conn.rpc(1, spec.Queue.Declare(queue=name, durable=durable, arguments=arguments))
        conn.rpc(1, spec.Confirm.Select())
        for i in range(n):
            conn.publish(1, "", name, b"%d" % i,
                         props=spec.BasicProperties(delivery_mode=2, headers={"n": i}))
        while n and conn.expect_one_of(1, (spec.Basic.Ack,)).delivery_tag < n:
            pass
        return name

    def look(self, name, query=""):
        return self.ask("GET", name + "/messages?" + query)["items"]

    def payloads(self, name):
        return [m["payload"] for m in self.look(name, "count=100")]

    def test_look(self):
        name = self.queue(25)
        for _ in range(2):
            page = self.ask("GET", name + "/messages?count=10")
            self.assertEqual([m["payload"] for m in page["items"]], [str(i) for i in range(10)])
            self.assertEqual(page["messages_ready"], 25)
        self.assertEqual({m["redelivered"] for m in page["items"]}, {False})
        self.assertEqual(page["items"][3]["properties"], {"delivery_mode": 2, "headers": {"n": 3}})
        seen = page["items"]
        while page["next"]:
            page = self.ask("GET", name + "/messages?count=10&from=%d" % page["next"])
            seen += page["items"]
        self.assertEqual([m["payload"] for m in seen], [str(i) for i in range(25)])
        self.assertEqual(self.look(name, "count=1&truncate=0")[0]["payload"], "")
        self.assertEqual(self.look(name, "count=1&encoding=base64")[0]["payload"], "MA==")
        conn = self.opened()
        conn.cast(1, spec.Basic.Get(queue=name))
        self.assertFalse(conn.message(1, spec.Basic.GetOk).redelivered)

    def test_what_others_hold_is_not_shown(self):
        name, conn = self.queue(3), self.opened()
        conn.cast(1, spec.Basic.Get(queue=name))
        conn.message(1, spec.Basic.GetOk)
        self.assertEqual(self.payloads(name), ["1", "2"])

    def test_delete(self):
        name = self.queue(3)
        seq = self.look(name)[1]["seq"]
        self.ask("DELETE", "%s/messages/%d" % (name, seq), None, 204)
        self.assertEqual(self.payloads(name), ["0", "2"])
        self.ask("DELETE", "%s/messages/%d" % (name, seq), None, 404)
        for bad in ("x", "-1", "99999999999999999999999", "%00"):
            self.ask("DELETE", "%s/messages/%s" % (name, bad), None, 404)

    def test_move_one(self):
        name, to = self.queue(3), self.queue()
        where = "%s/messages/%d" % (name, self.look(name)[1]["seq"])
        self.assertEqual(self.ask("POST", where + "/move", {"queue": to}), {"routed": True})
        self.assertEqual((self.payloads(name), self.payloads(to)), (["0", "2"], ["1"]))
        moved = self.look(to)[0]
        self.assertEqual((moved["routing_key"], moved["properties"]["headers"]), (name, {"n": 1}))
        self.ask("POST", where + "/move", {"queue": to}, 404)
        where = "%s/messages/%d" % (name, self.look(name)[0]["seq"])
        why = self.ask("POST", where + "/move", {"exchange": "amq.direct", "routing_key": "x"}, 400)
        self.assertIn("no queue", why["reason"])
        wait_for(lambda: self.payloads(name) == ["0", "2"], "the message to be back")
        for body in ({}, {"queue": "no-such"}, {"queue": to, "exchange": "x"}, {"queue": 5},
                     {"exchange": "no-such"}, {"exchange": "x" * 256}):
            self.ask("POST", where + "/move", body, 400)
        wait_for(lambda: self.payloads(name) == ["0", "2"], "the message to be back")

    def test_republish(self):
        name, to = self.queue(2), self.queue()
        where = "%s/messages/%d/republish" % (name, self.look(name)[1]["seq"])
        body = {"exchange": "amq.default", "routing_key": to}
        self.assertEqual(self.ask("POST", where, body), {"routed": True})
        self.assertEqual((self.payloads(name), self.payloads(to)), (["0", "1"], ["1"]))
        self.assertEqual(self.ask("POST", where, dict(body, routing_key="no-such")),
                         {"routed": False})
        self.assertEqual(self.payloads(name), ["0", "1"])

    def test_move_many(self):
        name, to = self.queue(30), self.queue()
        self.assertEqual(self.ask("POST", name + "/move", {"queue": to, "count": 20}),
                         {"moved": 20})
        self.assertEqual(self.payloads(to), [str(i) for i in range(20)])
        self.assertEqual(self.ask("POST", name + "/move", {"queue": to}), {"moved": 10})
        self.assertEqual((len(self.payloads(name)), len(self.payloads(to))), (0, 30))
        self.ask("POST", name + "/move", {"queue": name}, 400)
        for count in (0, -1, 10001, "x"):
            self.ask("POST", name + "/move", {"queue": to, "count": count}, 400)

    def test_get_and_move_more_than_the_queue_tells_of(self):
        """The queue says now and then how many settlements it has handled."""
        name, to = self.queue(150), self.queue()
        self.assertEqual(self.ask("POST", name + "/move", {"queue": to, "count": 70}),
                         {"moved": 70})
        for mode in ("ack_requeue_true", "ack_requeue_false"):
            got = self.ask("POST", name + "/get",
                           {"count": 80, "ackmode": mode, "encoding": "auto"})
            self.assertEqual(len(got), 80)
        self.assertEqual((self.payloads(name), len(self.payloads(to))), ([], 70))

    def test_after_a_restart(self):
        """What only the store has is read from there."""
        name, to = self.queue(10), self.queue()
        self.broker.stop()
        self.broker.start()
        for queue in (name, to):
            wait_for(lambda queue=queue: self.ask("GET", queue)["state"] == "running", "it to run")
        self.assertEqual(self.payloads(name), [str(i) for i in range(10)])
        page = self.ask("GET", name + "/messages?count=4")
        page = self.ask("GET", name + "/messages?count=4&from=%d" % page["next"])
        self.assertEqual([m["payload"] for m in page["items"]], ["4", "5", "6", "7"])
        self.assertEqual(self.ask("POST", name + "/move", {"queue": to, "count": 3}),
                         {"moved": 3})
        self.assertEqual((len(self.payloads(name)), self.payloads(to)), (7, ["0", "1", "2"]))

    def restart(self, *queues):
        self.broker.stop()
        self.broker.start()
        for queue in queues:
            wait_for(lambda queue=queue: self.ask("GET", queue)["state"] == "running", "it to run")

    def test_single_ones_that_are_cold(self):
        """What only the store knows of is taken out of its midst; the others keep their order."""
        name, to = self.queue(300), self.queue()
        first = self.look(name, "count=1")[0]["seq"]
        self.restart(name, to)

        def one(i):
            return "%s/messages/%d" % (name, first + i)

        self.ask("DELETE", one(250), None, 204)
        self.ask("DELETE", one(250), None, 404)
        self.assertEqual(self.ask("POST", one(251) + "/move", {"queue": to}), {"routed": True})
        self.assertEqual(self.ask("POST", one(252) + "/republish", {"queue": to}),
                         {"routed": True})
        self.ask("POST", one(251) + "/republish", {"queue": to}, 404)
        self.ask("POST", one(250) + "/move", {"queue": to}, 404)
        self.ask("POST", one(253) + "/move", {"exchange": "no-such"}, 400)
        self.assertEqual(self.payloads(to), ["251", "252"])
        self.assertEqual(self.ask("GET", name)["messages"], 298)
        left = [str(i) for i in range(300) if i not in (250, 251)]
        self.restart(name, to)
        self.ask("DELETE", one(0), None, 204)
        self.ask("DELETE", one(299), None, 204)
        got = self.ask("POST", name + "/get",
                       {"count": 1000, "ackmode": "ack_requeue_false", "encoding": "auto"})
        self.assertEqual([m["payload"] for m in got], left[1:-1])
        self.assertEqual(self.payloads(to), ["251", "252"])


if __name__ == "__main__":
    unittest.main()
