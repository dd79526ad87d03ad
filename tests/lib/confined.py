"""Runs a program as a service manager would run it by this unit: under the unit's filter of system
calls and what else of it a filter expresses, without capabilities or new privileges.

    confined.py UNIT PROGRAM [ARG...]

A call that the unit denies ends the program by SIGSYS, where the service manager would give it an
error: nothing falls back in silence. Only sockets of families that are not allowed get the error,
because libc asks for some to find out what the machine has.
"""
import ctypes
import os
import re
import socket
import subprocess
import sys
from errno import EAFNOSUPPORT, EPERM

ALLOW, KILL, ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
NO_SUCH_CALL = -1
IS, OVER, HAS = 4, 6, 7  # equal, greater, equal under a mask
PROT_WRITE_EXEC, PROT_EXEC, SHM_EXEC = 6, 4, 0o100000
NAMESPACES = 0x7E020080  # CLONE_NEW*
SETID = (0o4000, 0o2000)
AF_MAX = 64
PR_CAPBSET_DROP, CAPABILITIES = 24, 64


class Condition(ctypes.Structure):
    _fields_ = [("argument", ctypes.c_uint), ("how", ctypes.c_int), ("a", ctypes.c_uint64),
                ("b", ctypes.c_uint64)]


class Filter:
    """One filter of libseccomp's; only for this machine's own kind of calls."""

    def __init__(self, default):
        self.lib = ctypes.CDLL("libseccomp.so.2")
        self.lib.seccomp_init.restype = ctypes.c_void_p
        self.context = ctypes.c_void_p(self.lib.seccomp_init(ctypes.c_uint32(default)))

    def rule(self, action, name, *conditions):
        number = self.lib.seccomp_syscall_resolve_name(name.encode())
        if number == NO_SUCH_CALL:
            return
        array = (Condition * len(conditions))(*(Condition(*c) for c in conditions))
        r = self.lib.seccomp_rule_add_array(self.context, ctypes.c_uint32(action), number,
                                            len(conditions), array)
        if r < 0 and number >= 0:
            raise OSError(-r, "a rule for " + name)

    def load(self):
        r = self.lib.seccomp_load(self.context)
        if r < 0:
            raise OSError(-r, "a filter of system calls")


def settings(path):
    """What the unit says, each key with all its values in order."""
    found = {}
    with open(path, encoding="utf-8") as f:
        for line in f:
            key, is_one, value = line.strip().partition("=")
            if is_one and re.fullmatch("[A-Za-z]+", key):
                found.setdefault(key, []).append(value)
    return found


def groups():
    """Names of the system's groups of calls, each with its members."""
    text = subprocess.run(["systemd-analyze", "syscall-filter"], capture_output=True, text=True,
                          check=True).stdout
    found, name = {}, None
    for line in text.splitlines():
        word = line.split("#")[0].strip()
        if word and not line[0].isspace():
            name = word
            found[name] = []
        elif word and name:
            found[name].append(word)
    return found


def expand(name, known):
    if not name.startswith("@"):
        return {name}
    return set().union(*(expand(member, known) for member in known[name]))


def allowed_calls(lines):
    known = groups()
    calls = expand("@default", known)
    for line in lines:
        named = set().union(*(expand(name, known) for name in line.lstrip("~").split()))
        calls = calls - named if line.startswith("~") else calls | named
    return calls


def is_on(unit, key):
    return unit.get(key, ["no"])[-1] == "yes"


def confine_calls(unit):
    calls = Filter(KILL)
    for name in allowed_calls(unit["SystemCallFilter"]):
        calls.rule(ALLOW, name)
    if os.geteuid() == 0:  # the service is not, and SQLite gives only root's files to somebody
        for name in ("fchown", "fchown32"):
            calls.rule(ERRNO | EPERM, name)
    calls.load()


def confine_memory(rules):
    rules.rule(KILL, "mmap", (2, HAS, PROT_WRITE_EXEC, PROT_WRITE_EXEC))
    for name in ("mprotect", "pkey_mprotect"):
        rules.rule(KILL, name, (2, HAS, PROT_EXEC, PROT_EXEC))
    rules.rule(KILL, "shmat", (2, HAS, SHM_EXEC, SHM_EXEC))


def confine_set_id(rules):
    for name, argument in (("chmod", 1), ("fchmod", 1), ("fchmodat", 2), ("open", 2),
                           ("openat", 3), ("mkdir", 1), ("mkdirat", 2)):
        for bit in SETID:
            rules.rule(KILL, name, (argument, HAS, bit, bit))


def confine_families(rules, names):
    allowed = {getattr(socket, name).value for name in names}
    for family in range(AF_MAX + 1):
        if family not in allowed:
            rules.rule(ERRNO | EAFNOSUPPORT, "socket", (0, IS, family, 0))
    rules.rule(ERRNO | EAFNOSUPPORT, "socket", (0, OVER, AF_MAX, 0))


def confine_rest(unit):
    rules = Filter(ALLOW)
    if is_on(unit, "MemoryDenyWriteExecute"):
        confine_memory(rules)
    if is_on(unit, "RestrictSUIDSGID"):
        confine_set_id(rules)
    if is_on(unit, "RestrictRealtime"):
        for policy in range(1, 16):
            if policy not in (3, 5):  # batch and idle are no better than the usual one
                rules.rule(KILL, "sched_setscheduler", (1, IS, policy, 0))
    if is_on(unit, "RestrictNamespaces"):
        for bit in (1 << n for n in range(32) if NAMESPACES >> n & 1):
            rules.rule(KILL, "clone", (0, HAS, bit, bit))
        rules.rule(KILL, "unshare")
    if is_on(unit, "LockPersonality"):
        rules.rule(KILL, "personality")
    if "RestrictAddressFamilies" in unit:
        confine_families(rules, unit["RestrictAddressFamilies"][-1].split())
    rules.load()


def main():
    unit = settings(sys.argv[1])
    libc = ctypes.CDLL(None)
    if os.geteuid() == 0 and unit.get("CapabilityBoundingSet") == [""]:
        for capability in range(CAPABILITIES):
            libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)  # the last ones do not exist
    confine_rest(unit)  # the first filter: the second one would not let it be loaded
    confine_calls(unit)
    os.execv(sys.argv[2], sys.argv[2:])


main()
