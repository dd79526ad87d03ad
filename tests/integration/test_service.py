#!/usr/bin/env python3
"""The service as systemd would confine it: the broker under the filter of system calls, memory and
sockets that its unit asks for, which it does not need to touch."""
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import unittest

from pika import spec

import harness
from certs import Authority
from harness import DEADLINE, OwnBrokers, needs_own_broker, wait_for
from wire import HEADER, Raw

Q, P = spec.Queue, spec.BasicProperties
UNIT = os.environ.get("WARREN_UNIT", "")
CTL = os.environ.get("WARRENCTL_BIN", "")
CONFINED = os.path.join(os.path.dirname(os.path.abspath(harness.__file__)), "confined.py")
KIB = 1 << 10


def confined(*command):
    return [sys.executable, CONFINED, UNIT] + list(command)


@needs_own_broker
def stored_bytes(broker):
    return sum(os.path.getsize(os.path.join(where, file))
               for where, _, files in os.walk(broker.data) for file in files
               if re.search(r"sqlite", file))


class Confined(OwnBrokers):
    def setUp(self):
        if not shutil.which("systemd-analyze"):
            self.skipTest("systemd-analyze, which knows the groups of system calls, is not there")
        self.folder = tempfile.mkdtemp(prefix="warren-unit-")
        self.addCleanup(shutil.rmtree, self.folder, True)

    def launch(self, *settings):
        args = [word for setting in settings for word in ("--set", setting)]
        broker = harness.Broker(args, before=confined())
        self.addCleanup(broker.__exit__, None, None, None)
        return broker

    def test_filter_bites(self):
        """What the unit denies is denied: otherwise nothing here would mean anything."""
        for name, code in (("reboot", "libc.syscall(169, 0, 0, 0, 0)"),
                           ("executable memory", "mmap.mmap(-1, 4096, prot=7)"),
                           ("personality", "libc.personality(0)"),
                           ("namespaces", "libc.unshare(0x10000000)")):
            done = subprocess.run(confined(sys.executable, "-c", "import ctypes, mmap\n"
                                           "libc = ctypes.CDLL(None)\n" + code), check=False)
            self.assertEqual(done.returncode, -signal.SIGSYS, name)
        done = subprocess.run(confined(sys.executable, "-c", "import socket\n"
                                       "socket.socket(socket.AF_PACKET, socket.SOCK_RAW)"),
                              capture_output=True, text=True, check=False)
        self.assertIn("Address family not supported", done.stderr)

    def facts(self, broker):
        with open("/proc/%d/status" % broker.proc.pid, encoding="ascii") as f:
            return dict(line.split(":\t", 1) for line in f.read().splitlines())

    def round_trip(self, conn, body):
        """Durable and confirmed, and back."""
        conn.channel(1)
        conn.rpc(1, spec.Confirm.Select())
        conn.rpc(1, Q.Declare(queue="kept", durable=True))
        conn.publish(1, "", "kept", body, P(delivery_mode=2))
        conn.expect(1, spec.Basic.Ack)
        conn.rpc(1, spec.Basic.Consume(queue="kept", no_ack=True, consumer_tag="c"))
        self.assertEqual(conn.message(1).body, body)
        conn.rpc(1, spec.Basic.Cancel("c"))

    def test_life(self):
        """From the start over messages, TLS, a Unix socket, metrics, a backup, a new
        configuration and the deletion of a vhost to the end."""
        authority = Authority()
        self.addCleanup(authority.remove)
        cert, key = authority.make("server")
        path = os.path.join(self.folder, "amqp.sock")
        broker = self.launch("listeners.ssl.default=0", "ssl_options.certfile=" + cert,
                             "ssl_options.keyfile=" + key, "listeners.unix.default=" + path,
                             "log.file=" + self.log_path())
        facts = self.facts(broker)
        self.assertEqual((facts["Seccomp"], facts["NoNewPrivs"]), ("2", "1"))
        self.assertEqual(int(facts["CapBnd"], 16) if os.geteuid() == 0 else 0, 0)
        self.round_trip(broker.raw(), b"plain")
        self.over_tls(broker, authority)
        self.over_unix(path)
        self.tools(broker)
        self.rotated(broker)
        self.round_trip(broker.raw(), b"x" * (300 * KIB))
        self.assertEqual(broker.stop(), 0)
        broker.start()
        self.round_trip(broker.raw(), b"again")

    def log_path(self):
        return os.path.join(self.folder, "warren.log")

    def rotated(self, broker):
        """Renamed as by logrotate, the file is begun anew at SIGHUP."""
        os.rename(self.log_path(), self.log_path() + ".1")
        broker.proc.send_signal(signal.SIGHUP)
        wait_for(lambda: os.path.exists(self.log_path()), "a new file")
        wait_for(lambda: "configuration: reading it again" in broker.log(), "line in the log")

    def over_tls(self, broker, authority):
        context = ssl.create_default_context(cafile=authority.ca)

        def wrapped(_):
            sock = socket.create_connection(("127.0.0.1", broker.ports["amqps"]), DEADLINE)
            return context.wrap_socket(sock, server_hostname="localhost")
        conn = Raw(None, HEADER, wrapped)
        self.addCleanup(conn.kill)
        self.round_trip(conn.open(), b"over TLS")

    def over_unix(self, path):
        def connect(_):
            sock = socket.socket(socket.AF_UNIX)
            sock.settimeout(DEADLINE)
            sock.connect(path)
            return sock
        conn = Raw(None, HEADER, connect)
        self.addCleanup(conn.kill)
        self.round_trip(conn.open(), b"at a path")

    def ctl(self, broker, *args):
        done = subprocess.run([CTL, "-q", "-P", str(broker.mgmt[1])] + list(args), check=False,
                              capture_output=True, text=True, timeout=3 * DEADLINE,
                              env=dict(os.environ, HOME="/nonexistent"))
        self.assertEqual(done.returncode, 0, (args, done.stderr))
        return done.stdout

    def tools(self, broker):
        self.assertIn("kept", self.ctl(broker, "list_queues"))
        self.ctl(broker, "add_vhost", "passing")
        self.ctl(broker, "add_user", "somebody", "secret word")  # a slow hash
        self.ctl(broker, "backup", os.path.join(self.folder, "backup"), "--wait")
        self.assertTrue(os.path.exists(os.path.join(self.folder, "backup", "manifest.json")))
        self.ctl(broker, "delete_vhost", "passing")
        self.assertTrue(self.ctl(broker, "status"))

    def test_paging(self):
        """What need not last goes to the disk and comes back."""
        broker = self.launch("vm_memory_high_watermark.absolute=4GiB",
                             "vm_memory_high_watermark_paging_ratio=0.0001")
        conn, n = self.opened(broker), 500
        conn.rpc(1, spec.Confirm.Select())
        conn.rpc(1, Q.Declare(queue="passing"))
        for i in range(n):
            conn.publish(1, "", "passing", b"%06d" % i + bytes(8 * KIB))
        confirmed = 0
        while confirmed < n:
            confirmed = conn.expect(1, spec.Basic.Ack).delivery_tag
        wait_for(lambda: stored_bytes(broker) > n * KIB, "what is paged is on the disk")
        conn.rpc(1, spec.Basic.Consume(queue="passing", no_ack=True))
        for i in range(n):
            self.assertEqual(int(conn.message(1).body[:6]), i)

    def test_crash(self):
        """A process that faults is caught, and its program goes on: handlers of signals, frames
        and the stack that they run on are not denied."""
        broker = self.launch("debug.crash=true")
        conn = self.opened(broker)
        name = "%s:%d -> %s:%d" % (conn.sock.getsockname() + broker.addr)
        self.assertLess(broker.http("POST", "/api/debug/crash",
                                    {"process": name, "how": "segv"})[0], 300)
        self.round_trip(broker.raw(), b"after it")


if __name__ == "__main__":
    unittest.main()
