#!/usr/bin/env python3
"""Processes of every kind crash under load, many times, and the checker of kill9.py looks on.

The program must live all the time; nothing confirmed may be lost, nothing come twice unflagged.
"""
import argparse
import math
import os
import random
import sys
import threading
import time
from urllib.parse import quote

import kill9
from harness import DEADLINE, SEED, SLOW, Broker, wait_for

KINDS = ("connection", "channel", "queue", "store", "registry", "exchange", "listener")
HOW = ("check", "segv")
BUDGET, PERIOD_S = 4, 10  # below a child's own budget of restarts, or it would be parked


def note_end(world, outage, victim):
    """Until a store has recovered no ack can become durable, whatever else dies meanwhile."""
    path = "/api/processes/" + quote(victim["name"], safe="")

    def is_back():
        status, row = world.broker.http("GET", path)
        return status == 200 and row["pid"] != victim["pid"] \
            and (row["inspect"] or {}).get("state") == "up"
    wait_for(is_back, "a recovered store", 3 * DEADLINE)
    outage[1] = time.monotonic()


def crash(world, rng, recent, kinds):
    """One process of a random kind, unless it crashed too often lately: the kind or None."""
    kind = rng.choice(kinds)
    now = time.monotonic()
    rows = [p for p in world.broker.get("/api/processes") if p["kind"] == kind
            and sum(now - t < PERIOD_S for t in recent.get(p["name"], ())) < BUDGET]
    if not rows:
        return None
    victim = rng.choice(rows)
    recent.setdefault(victim["name"], []).append(now)
    span, outage = [time.monotonic(), math.inf], [time.monotonic(), math.inf]
    with world.lock:
        world.crashes.append(span)
        if kind == "store":
            world.outages.append(outage)
    world.broker.http("POST", "/api/debug/crash",
                      {"process": victim["pid"], "how": rng.choice(HOW)})
    # It dies when it comes to it, which may be after a long commit.
    wait_for(lambda: world.broker.http("GET", "/api/processes/" + victim["pid"])[0] == 404,
             "the end of " + victim["name"], step=0.005)
    span[1] = time.monotonic()
    if kind == "store":
        threading.Thread(target=note_end, args=(world, outage, victim), daemon=True).start()
    return kind


def storm(world, crashes, rng, kinds):
    recent, done = {}, []
    while len(done) < crashes:
        time.sleep(rng.uniform(0.02, 0.25))  # The load's time: there is nothing to wait for.
        kind = crash(world, rng, recent, kinds)
        if kind:
            done.append(kind)
        if world.broker.proc.poll() is not None:
            world.faults["failed"].append("the program ended: %s" % world.broker.proc.poll())
            break
    print("crashed:", {kind: done.count(kind) for kind in KINDS})


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--crashes", type=int,
                        default=10 * int(os.environ.get("WARREN_KILLS", "3")))
    parser.add_argument("--kinds", default=",".join(KINDS), help="which kinds of process crash")
    args = parser.parse_args()
    rng, grace_s = random.Random(SEED), 0.2 * SLOW
    with Broker(["--set", "debug.crash=true"]) as broker:
        world = kill9.World(broker, soft=True)
        threads = kill9.start_clients(world, rng, grace_s)
        try:
            storm(world, args.crashes, rng, args.kinds.split(","))
            kill9.let_run(world)
        finally:
            world.ended.set()
            kill9.join_clients(world, threads)
        left = {queue: kill9.drain(world, queue, grace_s) for queue in kill9.QUEUES}
        kill9.check_transactions(world)
        return kill9.report(world, args.crashes, left)


if __name__ == "__main__":
    sys.exit(main())
