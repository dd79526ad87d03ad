#!/usr/bin/env python3
"""kill -9 while queues, exchanges and bindings come and go: what was answered is what there is.

Each client has names of its own, so that it knows for each whether it is there, is not, or has
neither been heard of since it was asked. After each kill every name is asked for.
"""
import argparse
import os
import random
import sys
import threading
import time

from pika import spec

from harness import SEED, Broker, wait_for
from wire import Eof

B, Q, X = spec.Basic, spec.Queue, spec.Exchange
GONE = (Eof, ConnectionError)
NAMES = 30
KEPT = spec.BasicProperties(delivery_mode=2)


class Definer(threading.Thread):
    """One client's names: .there says True, False, or None (asked, and killed before the answer).
    """

    def __init__(self, broker, number):
        super().__init__(daemon=True)
        self.broker, self.rng = broker, random.Random(SEED + number)
        self.names = ["d%d-%d" % (number, n) for n in range(NAMES)]
        self.exchange = "x%d" % number
        self.there = {name: False for name in self.names}     # queues
        self.bound = {name: False for name in self.names}     # from self.exchange, by their name
        self.answers, self.fault = 0, None

    def run(self):
        try:
            conn = self.broker.raw()
            conn.channel(1)
            conn.rpc(1, X.Declare(exchange=self.exchange, type="direct", durable=True))
            while True:
                self.step(conn)
        except GONE:
            pass
        except Exception as e:  # pylint: disable=broad-except
            self.fault = e

    def step(self, conn):
        name = self.rng.choice(self.names)
        if not self.there[name]:
            self.change(conn, self.there, name, Q.Declare(queue=name, durable=True), True)
        elif not self.bound[name]:
            self.change(conn, self.bound, name, Q.Bind(queue=name, exchange=self.exchange,
                                                       routing_key=name), True)
        elif self.rng.random() < 0.5:
            self.change(conn, self.bound, name, Q.Unbind(queue=name, exchange=self.exchange,
                                                         routing_key=name), False)
        else:
            self.bound[name] = None
            self.change(conn, self.there, name, Q.Delete(queue=name), False)
            self.bound[name] = False

    def change(self, conn, facts, name, method, value):
        facts[name] = None
        conn.rpc(1, method)
        facts[name] = value
        self.answers += 1

    def exists(self, name):
        conn = self.broker.raw()
        conn.channel(1)
        conn.cast(1, Q.Declare(queue=name, passive=True))
        got = conn.expect_one_of(1, (Q.DeclareOk, spec.Channel.Close))
        conn.kill()
        return isinstance(got, Q.DeclareOk)

    def reaches(self, conn, name):
        """Whether a message to the exchange by this name comes to a queue."""
        conn.publish(1, self.exchange, name, b"?", KEPT, mandatory=True)
        got = conn.expect_one_of(1, (B.Ack, B.Return))
        if isinstance(got, B.Ack):
            return True
        conn.content(1, got)
        conn.expect(1, B.Ack)
        return False

    def check(self):
        """Faults of what there is now; what was open is learned."""
        faults = []
        conn = self.broker.raw()
        conn.channel(1)
        conn.rpc(1, spec.Confirm.Select())
        for name in self.names:
            there = self.exists(name)
            if self.there[name] is not None and self.there[name] != there:
                faults.append(("lost " if self.there[name] else "undead ") + name)
            self.there[name] = there
            bound = there and self.reaches(conn, name)
            want = self.bound[name] if there else False
            if want is not None and want != bound:
                faults.append(("lost binding of " if want else "undead binding of ") + name)
            self.bound[name] = bound
        conn.kill()
        return faults


def one_round(broker, definers, rng):
    for d in definers:
        d.start()
    begin = time.monotonic()
    wait_for(lambda: all(d.answers > 5 or d.fault for d in definers), "answers")
    time.sleep(rng.random() * 0.3)  # Not a wait for anything: the moment is to be any.
    broker.kill9()
    for d in definers:
        d.join()
    broker.start()
    faults = [str(d.fault) for d in definers if d.fault]
    for d in definers:
        faults += d.check()
    print("%d answers in %.1f s, %s" % (sum(d.answers for d in definers),
                                        time.monotonic() - begin, faults or "all as answered"))
    return faults


def next_of(definer, broker, number):
    new = Definer(broker, number)
    new.names, new.exchange = definer.names, definer.exchange
    new.there, new.bound = definer.there, definer.bound
    return new


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=int(os.environ.get("WARREN_KILLS", "3")))
    args = parser.parse_args()
    rng, faults = random.Random(SEED), []
    print("seed %d" % SEED)
    with Broker() as broker:
        definers = [Definer(broker, n) for n in range(3)]
        for n in range(args.kills):
            faults += one_round(broker, definers, rng)
            definers = [next_of(d, broker, 100 * n + i) for i, d in enumerate(definers)]
    print("kills %d, lost or undead: %d %s" % (args.kills, len(faults), faults[:10]))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
