"""Who may include whom: a file includes only from its own floor or below.

The codec and the store stand side by side and do not see each other; neither do the front end of
amqp and mgmt. The codec is pure: of the runtime it sees only memory.
"""
import re

import sources

GROUND = ["broker/runtime"]
CORE = GROUND + ["broker/core"]
QUEUES = CORE + ["amqp/codec", "persistence", "queues"]
ALLOWED = {
    "broker/runtime": GROUND,
    "broker/core": CORE,
    "amqp/codec": ["amqp/codec", "broker/runtime/alloc.h", "broker/runtime/blob.h"],
    "persistence": CORE + ["persistence"],
    "queues": QUEUES,
    "amqp": QUEUES + ["amqp"],
    "mgmt": QUEUES + ["mgmt"],
    "broker": QUEUES + ["amqp", "mgmt", "broker"],
    "tests": QUEUES + ["amqp", "mgmt", "broker", "tests"],
}
# Longest first, so that amqp/codec is not taken for amqp.
ROOMS = sorted(ALLOWED, key=len, reverse=True)
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.M)


def room_of(path):
    for room in ROOMS:
        if path.startswith(room + "/"):
            return room
    return None


def may_include(path, target):
    room = room_of(path)
    if room is None or room_of(target) is None:
        return False
    allowed = ALLOWED[room]
    return target in allowed or room_of(target) in allowed


def check(path, text):
    """The complaints about one file, each a line of text."""
    bad = []
    for target in INCLUDE.findall(text):
        if not may_include(path, target):
            bad.append('%s: may not include "%s"' % (path, target))
    return bad


def check_tree(root=sources.ROOT):
    bad = []
    for name in sources.files(root, (".c", ".h")):
        bad += check(name, sources.text(root, name))
    return bad
