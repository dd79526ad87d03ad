#!/usr/bin/env python3
"""kill -9 under load, with a checker that believes only what its clients saw.

Publishers give each message an id of its own and wait for confirms; consumers note each delivery
and each ack. The broker is killed at a random moment and started again, N times; at the end the
queues are drained. Then:

 lost        confirmed, and never acked by a consumer
 reordered   within one consumer's session, the messages of one publisher out of their order
 unflagged   delivered again without the redelivered flag
 acked again delivered again although its ack had surely come (a later method of its channel was
             answered) longer before the kill than an ack may stay unwritten, and the store was
             at work: it had also kept a message that was sent so much later than the ack came.
             That only the disk can confirm what goes to the queue that nobody reads tells of it,
             and that a machine has stalled is no fault of the broker
 damaged     a body that is not what was published
 invented    an id that nobody published

Transactions have clients, queues and faults of their own, in kill9_tx.py.

The queues: one with a quick consumer, one with a slow one, one whose consumer settles many at once
and gives some back, and one that nobody reads to the end.
"""
import argparse
import os
import random
import sys
import threading
import time
import zlib

from pika import spec

import kill9_tx
from harness import DEADLINE, SEED, SLOW, Broker, wait_for
from wire import Eof, Raw, Unexpected

B, Q = spec.Basic, spec.Queue
KEPT = spec.BasicProperties(delivery_mode=2)
WINDOW = 300
# Prefetch of each one's consumer, 0: it has none.
QUEUES = {"quick": 200, "slow": 20, "mixed": 50, "backlog": 0}
GONE = (Eof, OSError, Unexpected)


def body_of(ident, size):
    noise = random.Random(ident).randbytes(min(size, 64))
    data = ident.encode() + b" " + (noise * (size // 64 + 1))[:size]
    return data + b" %08x" % zlib.crc32(data)


def ident_of(body):
    """The id in a body, or None where the body is damaged."""
    data, crc = body[:-9], body[-9:]
    if crc != b" %08x" % zlib.crc32(data):
        return None
    return data.split(b" ", 1)[0].decode()


class World:
    """What the clients saw, and the broker that they talk to."""

    def __init__(self, broker, soft=False):
        self.soft = soft                  # processes die, not the program: sessions live on
        self.broker, self.lock = broker, threading.Lock()
        self.addr = broker.addr
        self.ended = threading.Event()    # no more publishing
        self.up = threading.Event()
        self.published, self.confirmed, self.nacked = set(), set(), set()
        self.seen = {}                    # id: how often delivered
        self.acked = set()                # its ack was written to the socket
        self.given_back = set()           # nacked by a consumer, to come again
        self.ack_sent = {}                # id: when first
        self.ack_came = {}                # id: when the broker surely had its ack, in which life
        self.kept = []                    # (when confirmed, in which life, when it was sent)
        self.kills = []                   # moments
        self.crashes = []                 # soft: [from, to], a process died in between
        self.outages = []                 # soft: [from, to], a store was away
        self.faults = {name: [] for name in ("reordered", "unflagged", "acked again", "damaged",
                                             "invented", "failed")}
        self.oldest_again_ms = 0.0
        self.groups = kill9_tx.Groups()
        self.up.set()

    def connect(self):
        """A connection with a channel; its .life is the number of the kill that will end it."""
        self.up.wait()
        life = len(self.kills)
        conn = Raw(self.addr).open()
        conn.channel(1)
        if life != len(self.kills):
            conn.kill()
            raise Eof("killed meanwhile")
        conn.life = life
        return conn

    def age_at_kill(self, ident):
        """How long before the kill the ack had surely come; for ever, where no kill came since."""
        came, life = self.ack_came[ident]
        if self.soft:
            # A slow client hears late that its ack came; a crash in between may have undone it.
            sent = self.ack_sent[ident]
            crash = next(((a, b) for a, b in self.crashes if b >= sent), None)
            return min(self.writable_s(came, crash[0]), self.kept_until(life, crash[1]) - came) \
                if crash else float("inf")
        if life >= len(self.kills):
            return float("inf")
        return min(self.kills[life], self.kept_until(life)) - came

    def kept_until(self, life, moment=float("inf")):
        """The newest send of a message that the store had surely kept, in a life, at a moment."""
        return max((sent for at, of, sent in self.kept if of == life and at <= moment), default=0)

    def writable_s(self, begin, end):
        """For how much of this time there was a store to write to."""
        away = sum(max(0, min(end, b) - max(begin, a)) for a, b in self.outages)
        return max(0, end - begin - away)

    def on_delivery(self, message, session, grace_s):
        ident = ident_of(message.body)
        with self.lock:
            if ident is None:
                self.faults["damaged"].append(message.body[:40])
                return None
            if ident not in self.published:
                self.faults["invented"].append(ident)
            if ident in self.seen and not message.redelivered:
                self.faults["unflagged"].append(ident)
            self.seen[ident] = self.seen.get(ident, 0) + 1
            publisher, number = ident.rsplit("-", 1)
            if ident in self.given_back and message.redelivered:
                pass  # back in its place, which the session may be beyond
            elif int(number) <= session.get(publisher, -1) and not (
                    self.soft and message.redelivered):
                self.faults["reordered"].append((ident, session[publisher]))
            else:
                session[publisher] = int(number)
            if ident in self.ack_came:
                age = self.age_at_kill(ident)
                self.oldest_again_ms = max(self.oldest_again_ms, 1000 * age)
                if age > grace_s:
                    self.faults["acked again"].append((ident, age))
        return ident


def run_guarded(world, work, *args):
    """A client that lives again after each kill; anything else that ends it is a failure."""
    while not world.ended.is_set():
        try:
            work(world, *args)
        except GONE as e:
            if isinstance(e, Unexpected) and not any(c in str(e) for c in ("320", "541")):
                world.faults["failed"].append(str(e))
                return
            world.ended.wait(0.02)
        except Exception as e:  # pylint: disable=broad-except
            world.faults["failed"].append(repr(e))
            raise


def publisher(world, name, queue, rng, counter):
    """One life of a publisher: a window of unconfirmed messages, until the socket goes."""
    with world.connect() as conn:
        conn.rpc(1, Q.Declare(queue=queue, durable=True))
        conn.rpc(1, spec.Confirm.Select())
        tag, waiting, sent_at = 0, {}, {}
        while not world.ended.is_set() or waiting:
            if len(waiting) < WINDOW and not world.ended.is_set():
                conn.gather()
                for _ in range(rng.randrange(1, 20)):
                    counter[0] += 1
                    tag += 1
                    ident = "%s-%d" % (name, counter[0])
                    size = rng.choice((10, 100, 1000, 1000, 5000)) if rng.randrange(400) else 300000
                    with world.lock:
                        world.published.add(ident)
                    waiting[tag] = ident
                    sent_at[tag] = time.monotonic()
                    conn.publish(1, "", queue, body_of(ident, size), KEPT)
                conn.flush()
            last = read_confirms(world, conn, waiting, 0.001 if len(waiting) < WINDOW else 0.5)
            if last and not QUEUES[queue]:
                with world.lock:
                    world.kept.append((time.monotonic(), conn.life, sent_at[last]))


def read_confirms(world, conn, waiting, timeout):
    """The highest tag that was acked, 0 for none."""
    highest = 0
    try:
        while waiting:
            _, method = conn.next_method(timeout)
            if not isinstance(method, (B.Ack, B.Nack)):
                raise Unexpected("expected a confirm, got %s" % method)
            last = method.delivery_tag
            tags = [t for t in waiting if t <= last] if method.multiple else [last]
            if isinstance(method, B.Ack):
                highest = max(highest, last)
            with world.lock:
                to = world.confirmed if isinstance(method, B.Ack) else world.nacked
                to.update(waiting.pop(t) for t in tags)
            timeout = 0.001
    except TimeoutError:
        pass
    return highest


def settle(world, conn, held, how):
    """Settles the deliveries held, (tag, ident) each; the idents that were acked."""
    idents = [ident for _, ident in held]
    if how == "requeue":
        with world.lock:
            world.given_back.update(idents)
        conn.cast(1, B.Nack(held[-1][0], multiple=True, requeue=True))
        return []
    for ident in idents:
        world.ack_sent.setdefault(ident, time.monotonic())
    conn.cast(1, B.Ack(held[-1][0], multiple=len(held) > 1))
    with world.lock:
        world.acked.update(idents)
    return idents


def consumer(world, queue, prefetch, pause_s, grace_s):
    """One life of a consumer: acks all, and now and then asks so as to know that they came."""
    with world.connect() as conn:
        conn.rpc(1, Q.Declare(queue=queue, durable=True))
        conn.rpc(1, B.Qos(prefetch_count=prefetch))
        conn.rpc(1, B.Consume(queue=queue))
        session, sent, asked, probing, held = {}, [], [], False, []
        rng = random.Random(SEED)
        while not world.ended.is_set():
            try:
                _, method = conn.next_method(0.1)
            except TimeoutError:
                continue
            if isinstance(method, B.QosOk):
                with world.lock:
                    world.ack_came.update(dict.fromkeys(asked, (time.monotonic(), conn.life)))
                probing = False
                continue
            ident = world.on_delivery(conn.content(1, method), session, grace_s)
            if pause_s:
                world.ended.wait(pause_s)
            held.append((method.delivery_tag, ident))
            if queue == "mixed" and rng.randrange(8):
                if len(held) < prefetch:
                    continue
            is_bad = queue == "mixed" and rng.randrange(5) == 0
            sent += settle(world, conn, held, "requeue" if is_bad else "ack")
            held = []
            if not probing and len(sent) >= 5:
                conn.cast(1, B.Qos(prefetch_count=prefetch))
                asked, sent, probing = sent, [], True


def tell(broker, queue):
    """What a queue that is stuck says of itself, and those that serve it."""
    for row in broker.get("/api/processes"):
        if row["name"] == queue or row["kind"] in ("store", "channel", "connection"):
            print(row, broker.http("GET", "/api/processes/" + row["pid"])[1])


def drain(world, queue, grace_s):
    """Takes all that is left; the queue must then be empty."""
    with world.connect() as conn:
        def unused():
            ok = conn.rpc(1, Q.Declare(queue=queue, durable=True))
            return ok.consumer_count == 0 and ok
        # The consumer before us has gone with what it held given back.
        left = wait_for(unused, "a queue without a consumer").message_count
        conn.rpc(1, B.Consume(queue=queue))
        session = {}
        for got in range(left):
            try:
                message = conn.message(1)
            except TimeoutError:
                world.faults["failed"].append("%s gave %d of its %d" % (queue, got, left))
                tell(world.broker, queue)
                break
            ident = world.on_delivery(message, session, grace_s)
            conn.cast(1, B.Ack(message.tag))
            world.acked.add(ident)
        conn.rpc(1, spec.Channel.Close(200, "", 0, 0))
        conn.channel(1)
        if conn.rpc(1, Q.Delete(queue=queue)).message_count:
            world.faults["failed"].append("%s was not empty after %d" % (queue, left))
        return left


def kill_rounds(world, kills, rng):
    for _ in range(kills):
        time.sleep(rng.uniform(0.3, 1.2))  # The load's time: there is nothing to wait for.
        world.up.clear()
        with world.lock:
            world.kills.append(time.monotonic())
        world.broker.kill9()
        world.broker.start()
        world.addr = world.broker.addr
        world.up.set()


def let_run(world):
    """Until clients have published, consumed and committed some more, behind the last kill."""
    confirmed, seen = len(world.confirmed) + 50, len(world.seen) + 50
    committed = world.groups.count("committed") + 5
    wait_for(lambda: len(world.confirmed) >= confirmed and len(world.seen) >= seen and
             world.groups.count("committed") >= committed, "clients that go on", 3 * DEADLINE)


def start_clients(world, rng, grace_s):
    threads = []
    for number, queue in enumerate(QUEUES):
        for half in "ab":
            name = "p%d%s" % (number, half)
            threads.append(threading.Thread(target=run_guarded, name=name, daemon=True, args=(
                world, publisher, name, queue, random.Random(rng.random()), [0])))
    for queue, prefetch in QUEUES.items():
        if prefetch:
            threads.append(threading.Thread(target=run_guarded, daemon=True, args=(
                world, consumer, queue, prefetch, 0 if queue == "quick" else 0.002, grace_s)))
    for thread in threads:
        thread.start()
    return threads + kill9_tx.start(world, world.groups, lambda: random.Random(rng.random()),
                                    run_guarded)


def join_clients(world, threads):
    deadline = time.monotonic() + 3 * DEADLINE
    for thread in threads:
        thread.join(max(0, deadline - time.monotonic()))
        if thread.is_alive():
            world.faults["failed"].append("a client hangs: " + thread.name)


def check_transactions(world):
    """Drains their queues and looks for what is wrong."""
    with world.connect() as conn:
        kill9_tx.check(world.groups, kill9_tx.drain(conn), world.faults)
    print("transactions: %d committed, %d rolled back, %d unsure, %d moves" % (
        world.groups.count("committed"), world.groups.count("rolled back"),
        world.groups.count("asked"), len(world.groups.moves)))


def report(world, kills, left):
    lost = world.confirmed - world.acked
    again = sum(n - 1 for n in world.seen.values())
    print("kills %d, published %d, confirmed %d, nacked %d, delivered %d, again %d, drained %s, "
          "seed %d" % (kills, len(world.published), len(world.confirmed), len(world.nacked),
                       len(world.seen), again, left, SEED))
    print("oldest ack that came again: %.1f ms before the kill" % world.oldest_again_ms)
    print("lost: %d %s" % (len(lost), sorted(lost)[:5]))
    for name, cases in world.faults.items():
        print("%s: %d %s" % (name, len(cases), cases[:5]))
    bad = lost or any(world.faults.values())
    if len(world.confirmed) < 10 * (kills + 1):
        print("too little was confirmed for this to mean anything")
        bad = True
    return 1 if bad else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=int(os.environ.get("WARREN_KILLS", "3")))
    parser.add_argument("--grace-ms", type=float, default=100 * SLOW,
                        help="how long an ack that came may take to be kept: 10 ms until its "
                             "commit begins, 20 behind a checkpoint, and the commit itself")
    args = parser.parse_args()
    rng, grace_s = random.Random(SEED), args.grace_ms / 1000
    with Broker() as broker:
        world = World(broker)
        threads = start_clients(world, rng, grace_s)
        try:
            kill_rounds(world, args.kills, rng)
            let_run(world)
        finally:
            world.up.set()
            world.ended.set()
            join_clients(world, threads)
        left = {queue: drain(world, queue, grace_s) for queue in QUEUES}
        check_transactions(world)
        return report(world, args.kills, left)


if __name__ == "__main__":
    sys.exit(main())
