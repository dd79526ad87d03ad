#!/usr/bin/env python3
"""Requests that meet a process which is being restarted: they wait for it, and act once."""
import collections
import itertools
import threading
import unittest

from harness import BrokerCase, fresh, needs_own_broker, wait_for

KILLS = 3  # More would make the supervisors wait longer and longer.
PERSISTENT = {"delivery_mode": 2}


class Killing(BrokerCase):
    def ask(self, method, path, body=None):
        return self.broker.http(method, "/api/" + path, body)

    def pids(self, name):
        return [p["pid"] for p in self.broker.get("/api/processes") if p["name"] == name]

    def kill(self, name):
        """Ends the process and gives the pid that it had."""
        pid = wait_for(lambda: self.pids(name), "process " + name)[0]
        status, _ = self.ask("DELETE", "processes/" + pid)
        self.assertIn(status, (204, 404))
        return pid

    def kill_under(self, name, request, n_threads=2):
        """Kills it again and again while threads go on with requests; their answers."""
        answers, stop, each = [], threading.Event(), itertools.count()

        def go_on():
            while not stop.is_set():
                i = next(each)
                answers.append((i,) + request(i))

        threads = [threading.Thread(target=go_on) for _ in range(n_threads)]
        for t in threads:
            t.start()
        try:
            for _ in range(KILLS):
                n = len(answers)
                wait_for(lambda n=n: len(answers) >= n + 5, "some answers")
                old = self.kill(name)
                wait_for(lambda old=old: set(self.pids(name)) - {old}, name + " to be back")
        finally:
            stop.set()
            for t in threads:
                t.join()
        return answers

    def assert_all(self, answers, *statuses):
        self.assertEqual([a for a in answers if a[1] not in statuses], [])

@needs_own_broker
class Messages(Killing):
    def queue(self, **body):
        name = fresh()
        self.assertEqual(self.ask("PUT", "queues/%2F/" + name, dict(body, durable=True))[0], 201)
        return name

    def publish(self, to, i, **properties):
        return self.ask("POST", "exchanges/%2F/amq.default/publish",
                        {"properties": properties, "routing_key": to, "payload": str(i),
                         "payload_encoding": "string"})

    def contents(self, name):
        status, got = self.ask("POST", "queues/%2F/" + name + "/get",
                               {"count": 1000000, "ackmode": "ack_requeue_false",
                                "encoding": "auto"})
        self.assertEqual(status, 200, got)
        return [m["payload"] for m in got]

    def test_publish_to_a_queue(self):
        name = self.queue()
        answers = self.kill_under(name, lambda i: self.publish(name, i, **PERSISTENT))
        self.assert_all(answers, 200)
        self.assertEqual({a[2]["routed"] for a in answers}, {True})
        self.assertEqual(sorted(map(int, self.contents(name))), sorted(a[0] for a in answers))

    def test_publish_to_many_queues(self):
        names = [self.queue() for _ in range(3)]
        for name in names:
            self.ask("POST", "bindings/%2F/e/amq.fanout/q/" + name, {})

        def publish(i):
            return self.ask("POST", "exchanges/%2F/amq.fanout/publish",
                            {"properties": PERSISTENT, "routing_key": "", "payload": str(i),
                             "payload_encoding": "string"})

        answers = self.kill_under(names[1], publish)
        self.assert_all(answers, 200)
        for name in names:
            self.assertEqual(sorted(map(int, self.contents(name))), sorted(a[0] for a in answers))
            self.ask("DELETE", "queues/%2F/" + name)

    def test_get(self):
        """Each message is got by one, also by those that met the queue's end."""
        name = self.queue()
        for i in range(5):
            self.publish(name, i, **PERSISTENT)
        answers = self.kill_under(name, lambda i: self.ask(
            "POST", "queues/%2F/" + name + "/get",
            {"count": 2, "ackmode": "ack_requeue_true", "encoding": "auto"}), 1)
        self.assert_all(answers, 200)
        self.assertEqual(sorted(self.contents(name)), ["0", "1", "2", "3", "4"])

    def test_purge_and_look(self):
        name = self.queue()
        path = "queues/%2F/" + name
        requests = (("GET", "/messages"), ("DELETE", "/contents"), ("GET", "/why"), ("GET", ""))
        answers = self.kill_under(name, lambda i: self.ask(
            requests[i % 4][0], path + requests[i % 4][1]))
        self.assert_all(answers, 200, 204)

    def test_move(self):
        """Those that were moved are in one queue, those that were not are in the other."""
        name, to = self.queue(), self.queue()
        for i in range(200):
            self.publish(name, i, **PERSISTENT)
        path = "queues/%2F/" + name

        def move(_):
            status, page = self.ask("GET", path + "/messages?count=1")
            if status != 200 or not page["items"]:
                return status, page
            return self.ask("POST", "%s/messages/%d/move" % (path, page["items"][0]["seq"]),
                            {"queue": to})

        answers = self.kill_under(name, move, 1)
        self.assert_all(answers, 200)
        self.kill_under(to, move, 1)
        both = collections.Counter(self.contents(name) + self.contents(to))
        self.assertEqual(both, collections.Counter(map(str, range(200))))


@needs_own_broker
class Changes(Killing):
    def test_registry(self):
        keep = fresh()

        def change(i):
            path = "queues/%%2F/%s-%d" % (keep, i)
            one = self.ask("PUT", path, {"durable": True})
            two = self.ask("POST", "bindings/%2F/e/amq.direct/q/" + path.rpartition("/")[2], {})
            three = self.ask("PUT", "exchanges/%%2F/x-%s-%d" % (keep, i), {"type": "topic"})
            four = self.ask("DELETE", path)
            got = [one[0], two[0], three[0], four[0]]
            return got == [201, 201, 201, 204], got

        self.assert_all(self.kill_under("registry:/", change), True)

    def test_node(self):
        def change(i):
            user, key = "users/u-%d" % i, "global-parameters/p-%d" % i
            got = [self.ask("PUT", user, {"password_hash": "", "tags": ""})[0],
                   self.ask("PUT", "permissions/%%2F/u-%d" % i,
                            {"configure": "", "write": "", "read": ""})[0],
                   self.ask("PUT", key, {"value": i})[0],
                   self.ask("GET", user)[0],
                   self.ask("DELETE", key)[0], self.ask("DELETE", user)[0]]
            return all(s in (200, 201, 204) for s in got), got

        self.assert_all(self.kill_under("node", change), True)


@needs_own_broker
class Vhosts(Killing):
    def test_vhost(self):
        """A vhost that was made through a restart is its maker's."""
        def change(i):
            got = [self.ask("PUT", "vhosts/v-%d" % i)[0],
                   self.ask("GET", "permissions/v-%d/guest" % i)[0],
                   self.ask("DELETE", "vhosts/v-%d" % i)[0]]
            return got == [201, 200, 204], got

        self.assert_all(self.kill_under("node", change, 1), True)


@needs_own_broker
class Login(BrokerCase):
    """With a broker of its own, which ends when access has ended too often."""

    def test_login(self):
        """Neither who was right before nor who has to be looked up is refused."""
        broker, users = self.broker, ["slow-%d" % i for i in range(6)]
        for user in users:
            broker.http("PUT", "/api/users/" + user, {"password": user, "tags": "monitoring"})
        for name in ("access", "access_hash"):
            got, some = [], [users.pop() for _ in range(3)]

            def go_on(got=got, some=some):
                for user in some:
                    got.append(broker.http("GET", "/api/whoami", user=user, password=user))
                    got.append(broker.http("GET", "/api/whoami"))

            thread = threading.Thread(target=go_on)
            thread.start()
            for i in range(0, 6, 2):
                wait_for(lambda n=i, got=got: len(got) >= n, "some answers")
                self.assertEqual(broker.http("DELETE", "/api/processes/" + name)[0], 204)
            thread.join()
            self.assertEqual([g for g in got if g[0] != 200], [])
        self.assertEqual(broker.http("GET", "/api/whoami", user="slow-0", password="no")[0], 401)


if __name__ == "__main__":
    unittest.main()
