#!/usr/bin/env python3
"""The checker of kill9.py finds each fault that is planted, and lets a good run pass."""
import contextlib
import io
import time
import unittest

from pika import spec

import kill9
import kill9_tx
from wire import Message


class NoBroker:
    addr = None


class Checker(unittest.TestCase):
    def setUp(self):
        self.world = kill9.World(NoBroker())
        self.session = {}
        for number in range(100):
            ident = "p-%d" % number
            self.world.published.add(ident)
            self.world.confirmed.add(ident)

    def deliver(self, ident, redelivered=False, body=None, session=None):
        method = spec.Basic.Deliver("t", 1, redelivered, "", "q")
        got = self.world.on_delivery(Message(method, None, body or kill9.body_of(ident, 100)),
                                     self.session if session is None else session, 0.1)
        self.world.acked.add(got)

    def verdict(self):
        """The exit code and which lines say more than 0."""
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            code = kill9.report(self.world, 0, {})
        bad = [line.split(":")[0] for line in out.getvalue().splitlines()
               if ": " in line and line.split(": ")[1].split()[0] not in ("0", "0.0")
               and not line.startswith(("kills", "oldest"))]
        return code, bad

    def all_delivered(self):
        for number in range(100):
            self.deliver("p-%d" % number)

    def transactions(self, found):
        """The faults in three groups, one of each fate, and two tries to move a message."""
        groups = kill9_tx.Groups()
        groups.messages = {name: [name + ".0", name + ".1"] for name in "cru"}
        groups.fate = {"c": "committed", "r": "rolled back", "u": "asked"}
        groups.moves = {"c.1>m-1": ("c.1", False), "c.1>m-2": ("c.1", True)}
        faults = {}
        kill9_tx.check(groups, found.split(), faults)
        return sorted(name for name, cases in faults.items() if cases)

    def test_transactions(self):
        for found, faults in (
                ("c.0 c.1>m-2", []),
                ("c.0 c.1>m-2 u.0 u.1", []),
                ("c.0 c.1>m-2 u.1", ["torn"]),
                ("c.1>m-2", ["lost tx"]),
                ("c.0 c.1", ["lost tx"]),
                ("c.0 c.1 c.1>m-2", ["twice"]),
                ("c.0 c.1>m-1 c.1>m-2", ["twice"]),
                ("c.0 c.1>m-2 r.0", ["undead tx"]),
                ("c.0 c.1>m-2 u.0 u.1>m-9", ["undead tx"])):
            self.assertEqual(self.transactions(found), faults, found)

    def test_good(self):
        self.all_delivered()
        self.deliver("p-99", redelivered=True, session={})
        self.assertEqual(self.verdict(), (0, []))

    def test_lost(self):
        for number in range(99):
            self.deliver("p-%d" % number)
        self.assertEqual(self.verdict(), (1, ["lost"]))

    def test_reordered(self):
        self.deliver("p-1")
        self.deliver("p-0")
        for number in range(2, 100):
            self.deliver("p-%d" % number)
        self.assertEqual(self.verdict(), (1, ["reordered"]))

    def test_unflagged(self):
        self.all_delivered()
        self.deliver("p-5", session={})
        self.assertEqual(self.verdict(), (1, ["unflagged"]))

    def test_acked_again(self):
        self.all_delivered()
        now = time.monotonic()
        self.world.ack_came = {"p-1": (now - 0.05, 0), "p-2": (now - 0.5, 0)}
        self.world.kills.append(now)
        self.world.kept = [(now - 0.01, 0, now - 0.45)]
        self.deliver("p-2", redelivered=True, session={})  # The machine stood still.
        self.world.kept.append((now - 0.01, 0, now - 0.02))
        self.deliver("p-1", redelivered=True, session={})
        self.assertEqual(self.verdict(), (0, []))
        self.deliver("p-2", redelivered=True, session={})
        self.assertEqual(self.verdict(), (1, ["acked again"]))

    def test_damaged_and_invented(self):
        self.all_delivered()
        self.deliver("p-1", body=b"p-1 of nothing 00000000")
        self.deliver("x-1", session={})
        self.assertEqual(self.verdict(), (1, ["damaged", "invented"]))


if __name__ == "__main__":
    unittest.main()
