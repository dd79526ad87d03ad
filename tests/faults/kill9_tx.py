"""Transactions for kill9.py: groups over two queues, and messages moved from one to the other.

A group is messages to both queues in one transaction. A mover gets a message from the first queue
and publishes it to the second under a name of this try, and acks it in the same transaction. At the
end each message of a group that took place is there once, under its own name or as moved by one
try; of a group that did not take place nothing is. What faults there are goes into world.faults:

 torn        some of a group is there and some is not
 lost tx     commit-ok came, and something of it is not there
 undead tx   rolled back, and something of it is there
 twice       a message is there more than once
"""
import threading

from pika import spec

B, Q, T = spec.Basic, spec.Queue, spec.Tx
KEPT = spec.BasicProperties(delivery_mode=2)
FIRST, SECOND = "tx-first", "tx-second"


class Groups:
    """What the clients asked for and were told."""

    def __init__(self):
        self.lock = threading.Lock()
        self.messages = {}  # group: its idents
        self.fate = {}      # group: "asked", "committed", "rolled back"
        self.moves = {}     # try's ident: (the message's ident, whether commit-ok came)

    def count(self, *fates):
        return sum(fate in fates for fate in self.fate.values())


def select(conn):
    for queue in (FIRST, SECOND):
        conn.rpc(1, Q.Declare(queue=queue, durable=True))
    conn.rpc(1, T.Select())


def publisher(world, groups, name, rng, counter):
    """One life of a client that publishes groups."""
    with world.connect() as conn:
        select(conn)
        while not world.ended.is_set():
            counter[0] += 1
            group = "%s-%d" % (name, counter[0])
            idents = ["%s.%d" % (group, n) for n in range(rng.randrange(2, 6))]
            rolls_back = rng.randrange(8) == 0
            with groups.lock:
                groups.messages[group] = idents
                groups.fate[group] = "rolled back" if rolls_back else "asked"
            conn.gather()
            for n, ident in enumerate(idents):
                conn.publish(1, "", FIRST if n % 2 else SECOND,
                             ident.encode() + b" " * rng.choice((0, 900)), KEPT)
            conn.cast(1, T.Rollback() if rolls_back else T.Commit())
            conn.flush()
            conn.expect(1, T.RollbackOk if rolls_back else T.CommitOk)
            if not rolls_back:
                with groups.lock:
                    groups.fate[group] = "committed"
            world.ended.wait(0.002)


def mover(world, groups, name, rng, counter):
    """One life of a client that moves messages from the first queue to the second."""
    with world.connect() as conn:
        select(conn)
        while not world.ended.is_set():
            conn.cast(1, B.Get(queue=FIRST))
            method = conn.next_method()[1]
            if isinstance(method, B.GetEmpty):
                world.ended.wait(0.02)
                continue
            got = conn.content(1, method)
            ident = got.body.split(b" ", 1)[0].decode()
            counter[0] += 1
            as_moved = "%s>%s-%d" % (ident, name, counter[0])
            rolls_back = rng.randrange(10) == 0
            if not rolls_back:
                with groups.lock:
                    groups.moves[as_moved] = (ident, False)
            conn.cast(1, B.Ack(got.tag))
            conn.publish(1, "", SECOND, as_moved.encode(), KEPT)
            conn.rpc(1, T.Rollback() if rolls_back else T.Commit())
            if rolls_back:
                conn.cast(1, B.Nack(got.tag, requeue=True))
                conn.rpc(1, T.Commit())
                continue
            with groups.lock:
                groups.moves[as_moved] = (ident, True)


def start(world, groups, rng_of, run_guarded):
    threads = []
    for number in range(2):
        for work, name in ((publisher, "t%d" % number), (mover, "m%d" % number)):
            threads.append(threading.Thread(target=run_guarded, name=name, daemon=True, args=(
                world, work, groups, name, rng_of(), [0])))
    for thread in threads:
        thread.start()
    return threads


def drain(conn):
    """The idents in both queues, which are deleted."""
    found = []
    for queue in (FIRST, SECOND):
        conn.rpc(1, Q.Declare(queue=queue, durable=True))
        while True:
            conn.cast(1, B.Get(queue=queue, no_ack=True))
            method = conn.next_method()[1]
            if isinstance(method, B.GetEmpty):
                break
            found.append(conn.content(1, method).body.split(b" ", 1)[0].decode())
        conn.rpc(1, Q.Delete(queue=queue))
    return found


def check(groups, found, faults):
    """Adds what is wrong to faults."""
    there = {}
    for name in found:
        ident = name.split(">", 1)[0]
        there[ident] = there.get(ident, 0) + 1
    faults["twice"] = [ident for ident, n in there.items() if n > 1]
    faults["lost tx"] = [name for name, (_, ok) in groups.moves.items()
                         if ok and name not in found]
    faults["torn"], faults["undead tx"] = [], []
    faults["undead tx"] += [n for n in found if ">" in n and n not in groups.moves]
    for group, idents in groups.messages.items():
        here = [ident in there for ident in idents]
        fate = groups.fate[group]
        if fate == "committed" and not all(here):
            faults["lost tx"].append(group)
        if fate == "rolled back" and any(here):
            faults["undead tx"].append(group)
        if fate == "asked" and any(here) != all(here):
            faults["torn"].append(group)
