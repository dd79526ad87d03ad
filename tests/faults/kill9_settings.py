#!/usr/bin/env python3
"""kill -9 while users, vhosts, permissions and policies come and go by HTTP: what was answered is
what there is, and a vhost that was deleted leaves nothing behind.
"""
import argparse
import http.client
import os
import random
import sys
import threading
import time

from pika import spec

from harness import SEED, Broker, wait_for
from wire import Eof

GONE = (OSError, http.client.HTTPException, Eof)
FULL = {"configure": ".*", "write": ".*", "read": ".*"}
POLICY = {"pattern": "^none$", "definition": {"max-length": 1}}
NAMES = 5


class Setter(threading.Thread):
    """One client's names: .there says True, False, or None (asked, and killed before the answer).
    """

    def __init__(self, broker, number):
        super().__init__(daemon=True)
        self.broker, self.rng = broker, random.Random(SEED + number)
        self.there, self.answers, self.fault = {}, 0, None
        for n in range(NAMES):
            name = "s%d-%d" % (number, n)
            for path, body in (("users/" + name, {"password_hash": "", "tags": ""}),
                               ("vhosts/" + name, {}),
                               ("permissions/%2F/" + name, FULL),
                               ("policies/%2F/" + name, POLICY),
                               ("parameters/shovel/%2F/" + name, {"value": n})):
                self.there[path] = (False, body)

    def ask(self, method, path, body=None):
        return self.broker.http(method, "/api/" + path, body)[0]

    def set(self, path, value):
        self.there[path] = (value, self.there[path][1])

    def run(self):
        try:
            while True:
                self.step(self.rng.choice(list(self.there)))
        except GONE:
            pass
        except Exception as e:  # pylint: disable=broad-except
            self.fault = e

    def step(self, path):
        is_there, body = self.there[path]
        user = "users/" + path.rsplit("/", 1)[1]
        if path.startswith("permissions/") and not self.there[user][0]:
            return
        self.set(path, None)
        if path == user:  # Its permission goes with it.
            self.set(path.replace("users/", "permissions/%2F/"), None)
        status = self.ask("DELETE" if is_there else "PUT", path, None if is_there else body)
        if status not in (201, 204):
            raise AssertionError("%s %s: %d" % ("DELETE" if is_there else "PUT", path, status))
        self.set(path, not is_there)
        if path == user:
            self.set(path.replace("users/", "permissions/%2F/"), False)
        if path.startswith("vhosts/") and not is_there:
            self.fill(path.split("/", 1)[1])
        self.answers += 1

    def fill(self, vhost):
        """Something that must not be there when the vhost is made anew."""
        conn = self.broker.raw(vhost=vhost)
        conn.channel(1)
        if conn.rpc(1, spec.Queue.Declare(queue="q", durable=True)).message_count:
            raise AssertionError("vhost %s has an undead queue" % vhost)
        conn.rpc(1, spec.Confirm.Select())
        conn.publish(1, "", "q", b"?", spec.BasicProperties(delivery_mode=2))
        conn.expect(1, spec.Basic.Ack)
        conn.kill()

    def check(self):
        """Faults of what there is now; what was open is learned."""
        faults = []
        for path, (want, _) in self.there.items():
            there = self.ask("GET", path) == 200
            if want is not None and want != there:
                faults.append(("lost " if want else "undead ") + path)
            self.set(path, there)
        return faults

    def again(self):
        """A thread runs once."""
        new = Setter(self.broker, 0)
        new.rng, new.there = self.rng, self.there
        return new


def directories(broker):
    """How many vhosts have data, and how many there are."""
    data = [d for d in os.listdir(broker.data) if d.startswith("vhost-")]
    return len(data), len(broker.get("/api/vhosts"))


def one_round(broker, setters, rng):
    setters = [s.again() for s in setters]
    for s in setters:
        s.start()
    wait_for(lambda: all(s.answers > 5 or s.fault for s in setters), "answers")
    time.sleep(rng.random() * 0.3)  # Not a wait for anything: the moment is to be any.
    broker.kill9()
    for s in setters:
        s.join()
    broker.start()
    faults = [str(s.fault) for s in setters if s.fault]
    for s in setters:
        faults += s.check()
    # What was being deleted is, soon after the start.
    wait_for(lambda: len(set(directories(broker))) == 1, "data of deleted vhosts to be gone")
    return setters, faults


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=int(os.environ.get("WARREN_KILLS", "3")))
    kills = parser.parse_args().kills
    rng, faults = random.Random(SEED), []
    with Broker() as broker:
        setters = [Setter(broker, n) for n in range(3)]
        for _ in range(kills):
            setters, found = one_round(broker, setters, rng)
            faults += found
    for fault in faults:
        print(fault)
    print("WARREN_SEED=%d: %d kills, %d faults" % (SEED, kills, len(faults)))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
