#!/usr/bin/env python3
"""Ways in besides a plain TCP port: PROXY headers, Unix sockets, several ports, systemd's sockets,
and what systemd is told."""
import os
import re
import signal
import socket
import ssl
import stat
import struct
import subprocess
import tempfile
import time
import unittest

from pika import spec

import harness
from certs import Authority
from harness import DEADLINE, SLOW, OwnBrokers, StartError, needs_own_broker, wait_for
from wire import HEADER, Eof, Raw

C = spec.Connection
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
LINE = b"PROXY TCP4 192.0.2.7 192.0.2.1 40000 5672\r\n"


def v2(source, target, sport=40000, dport=5672, more=b"", command=1):
    family = socket.AF_INET6 if ":" in source else socket.AF_INET
    body = (socket.inet_pton(family, source) + socket.inet_pton(family, target)
            + struct.pack(">HH", sport, dport) + more)
    return SIGNATURE + struct.pack(">BBH", 0x20 | command,
                                   0x21 if family == socket.AF_INET6 else 0x11, len(body)) + body


@needs_own_broker
class Proxied(OwnBrokers):
    def begun(self, broker, header, rest=HEADER, wrap=None):
        conn = Raw(broker.addr, None)
        self.addCleanup(conn.kill)
        conn.send(header)
        if wrap:
            conn.sock = wrap(conn.sock)
        conn.send(rest)
        return conn

    def closed(self, conn):
        try:
            self.assertEqual(conn.expect_eof(), b"")
        except ConnectionError:
            pass

    def test_forms(self):
        """The client's address is what the header says, and counts as such."""
        broker = self.start("proxy_protocol=true", "loopback_users=none")
        for header, name in (
                (LINE, "192.0.2.7:40000 -> 192.0.2.1:5672"),
                (b"PROXY TCP6 2001:db8::7 2001:db8::1 1 2\r\n", "2001:db8::7:1 -> 2001:db8::1:2"),
                (v2("192.0.2.8", "192.0.2.1"), "192.0.2.8:40000 -> 192.0.2.1:5672"),
                (v2("2001:db8::8", "2001:db8::1", 3, 4), "2001:db8::8:3 -> 2001:db8::1:4"),
                (v2("192.0.2.9", "192.0.2.1", more=b"\x04\x00\x03abc"), "192.0.2.9:40000 ->")):
            conn = self.begun(broker, header).open()
            wait_for(lambda want=name: want in broker.log() and "open, user guest" in broker.log(),
                     name)
            conn.close()
        for header in (b"PROXY UNKNOWN\r\n", SIGNATURE + b"\x20\0\0\0",
                       v2("192.0.2.9", "192.0.2.1", command=0)):
            self.begun(broker, header).open().close()

    def test_loopback(self):
        """A user of this machine only does not come in from another one through a proxy here."""
        broker = self.start("proxy_protocol=true")
        conn = self.begun(broker, LINE)
        conn.start_ok()
        conn.expect_close(0, 403)
        self.begun(broker, b"PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n").open().close()

    def test_pieces(self):
        """Octet by octet, and together with all that a client sends before it reads."""
        broker = self.start("proxy_protocol=true", "loopback_users=none")
        for header in (LINE, v2("192.0.2.8", "192.0.2.1", more=b"\x04\x01\x00" + b"x" * 256)):
            conn = Raw(broker.addr, None)
            self.addCleanup(conn.kill)
            conn.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for i in range(len(header)):
                conn.send(header[i:i + 1])
            conn.send(HEADER)
            conn.open().close()
            conn = Raw(broker.addr, None)
            self.addCleanup(conn.kill)
            conn.gather()
            conn.send(header + HEADER)
            conn.cast(0, C.StartOk({}, "PLAIN", "\0guest\0guest", "en_US"))
            conn.flush()
            conn.expect(0, C.Start)
            conn.expect(0, C.Tune)

    def test_refused(self):
        """What does not begin so is closed, and told of in the log."""
        broker = self.start("proxy_protocol=true", "handshake_timeout=500")
        for data in (HEADER, b"GET / HTTP/1.1\r\n\r\n", b"PROXY TCP4 1.2.3.4\r\n", b"\0" * 200,
                     b"PROXY " + b"x" * 200, SIGNATURE + b"\x21\x11\xff\xff",
                     SIGNATURE + b"\x11\x11\x00\x0c" + b"\0" * 12):
            self.closed(self.begun(broker, data, b""))
        wait_for(lambda: broker.log().count("does not begin with a PROXY header") == 7, "7 lines")
        self.closed(self.begun(broker, b"PROXY TC", b""))  # what never becomes whole
        wait_for(lambda: "handshake timeout" in broker.log(), "line in the log")
        self.begun(broker, b"PROXY UNKNOWN\r\n").open().close()

    def test_trusted(self):
        """Headers are taken from those who are trusted; all others speak as ever."""
        broker = self.start("proxy_protocol=true", "proxy_protocol.trusted.1=127.0.0.0/8")
        self.begun(broker, b"PROXY UNKNOWN\r\n").open().close()
        self.closed(self.begun(broker, HEADER, b""))
        broker = self.start("proxy_protocol=true", "proxy_protocol.trusted.1=192.0.2.0/24")
        broker.raw().close()
        self.assertEqual(self.begun(broker, LINE, b"").expect_eof(), HEADER)
        with self.assertRaises(StartError) as caught:
            self.start("proxy_protocol.trusted.1=localhost")
        self.assertIn("neither an address", caught.exception.text)

    def test_tls(self):
        """TLS begins behind the header, in the same packet or not."""
        authority = Authority()
        self.addCleanup(authority.remove)
        cert, key = authority.make("server")
        broker = self.start("proxy_protocol=true", "loopback_users=none",
                            "listeners.ssl.default=0", "ssl_options.certfile=" + cert,
                            "ssl_options.keyfile=" + key)
        context = ssl.create_default_context(cafile=authority.ca)
        broker.addr = ("127.0.0.1", broker.ports["amqps"])
        for header in (LINE, v2("192.0.2.7", "192.0.2.1")):
            conn = self.begun(broker, header, HEADER, lambda sock: context.wrap_socket(
                sock, server_hostname="localhost"))
            conn.open().close()
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
        with self.assertRaises(ssl.SSLWantReadError):
            tls.do_handshake()
        conn = self.begun(broker, LINE + outgoing.read(), b"")
        self.assertEqual(conn.recv_bytes(1), b"\x16")


@needs_own_broker
class Listeners(OwnBrokers):
    def test_ports(self):
        """Each name a listener; none: no TCP at all."""
        broker = self.start("listeners.tcp.second=127.0.0.1:0")
        self.assertNotEqual(broker.ports["amqp"], broker.ports["amqp-second"])
        for name in ("amqp", "amqp-second"):
            Raw(("127.0.0.1", broker.ports[name])).open().close()
        listeners = broker.get("/api/overview")["listeners"]
        self.assertEqual({x["port"] for x in listeners if x["protocol"] == "amqp"},
                         {broker.ports["amqp"], broker.ports["amqp-second"]})

    def unix(self, path):
        def connect(_):
            sock = socket.socket(socket.AF_UNIX)
            sock.settimeout(DEADLINE)
            sock.connect(path)
            return sock
        conn = Raw(None, HEADER, connect)
        self.addCleanup(conn.kill)
        return conn

    def folder(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        return folder.name

    def test_unix(self):
        """Clients at a path, who are of this machine; its file comes and goes with the broker."""
        path = os.path.join(self.folder(), "amqp.sock")
        stale = socket.socket(socket.AF_UNIX)
        stale.bind(path)
        stale.close()
        broker = self.start("listeners.unix.default=" + path, "listeners.unix_mode=600",
                            "listeners.tcp=none")
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600)
        one, other = self.unix(path).open(), self.unix(path).open()
        one.channel(1)
        one.rpc(1, spec.Queue.Declare(queue="q"))
        one.publish(1, "", "q", b"x" * 200000)
        other.channel(1)
        other.rpc(1, spec.Basic.Consume(queue="q", no_ack=True))
        self.assertEqual(other.message(1).body, b"x" * 200000)
        names = {x["name"] for x in wait_for(
            lambda: len(broker.get("/api/connections")) == 2 and broker.get("/api/connections"),
            "both connections")}
        self.assertEqual(len(names), 2, names)
        for name in names:
            self.assertRegex(name, r"^unix:\d+ -> /")
        one.close()
        other.close()
        self.assertEqual(broker.stop(), 0)
        self.assertFalse(os.path.exists(path))

    def test_unix_taken(self):
        """Where another one listens, or a file lies, there is an error and nothing is removed."""
        path = os.path.join(self.folder(), "taken.sock")
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(path)
            other.listen()
            with self.assertRaises(StartError) as caught:
                self.start("listeners.unix.default=" + path)
            self.assertIn("cannot listen at", caught.exception.text)
            self.assertTrue(os.path.exists(path))
        plain = os.path.join(self.folder(), "file")
        with open(plain, "w", encoding="ascii") as f:
            f.write("mine")
        with self.assertRaises(StartError):
            self.start("listeners.unix.default=" + plain)
        self.assertTrue(os.path.exists(plain))


@needs_own_broker
class Systemd(OwnBrokers):
    """A service manager as the broker sees it: a socket for notifications, descriptors from 3 on.
    A broker that was built without libsystemd has none of it."""

    def setUp(self):
        linked = subprocess.run(["ldd", harness.BIN], capture_output=True, text=True, check=False)
        if "libsystemd" not in linked.stdout:
            self.skipTest("built without libsystemd")
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = os.path.join(folder.name, "notify")
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.notify.close)
        self.notify.bind(self.path)
        self.notify.settimeout(3 * DEADLINE)

    def expect(self, word):
        """The next notification with this line, and those before it."""
        deadline, seen = time.monotonic() + 3 * DEADLINE, []
        while time.monotonic() < deadline:
            seen.append(self.notify.recv(4096).decode())
            if word in seen[-1].splitlines():
                return seen
        raise AssertionError("%s did not come, but %s" % (word, seen))

    def launch(self, args=(), sockets=(), **env):
        """A broker that finds these sockets from descriptor 3 on."""
        fds = [s.fileno() for s in sockets]
        high = [os.dup(fd) for fd in fds]  # above those that they become
        self.assertTrue(not high or min(high) > 2 + len(high))

        def pass_on():
            for i, fd in enumerate(high):
                os.dup2(fd, 3 + i)
        broker = harness.Broker(
            args, start=False, preexec_fn=pass_on, pass_fds=range(3, 3 + len(high)),
            before=["/bin/sh", "-c", "LISTEN_PID=$$ exec \"$@\"", "sh"],
            env=dict(os.environ, NOTIFY_SOCKET=self.path, **env))
        self.addCleanup(broker.__exit__, None, None, None)
        try:
            broker.start()
        finally:
            for fd in high:
                os.close(fd)
        return broker

    def test_told(self):
        broker = self.launch()
        self.assertIn("STATUS=Serving", "".join(self.expect("READY=1")))
        broker.raw().close()
        broker.proc.send_signal(signal.SIGHUP)
        self.assertRegex(self.expect("RELOADING=1")[-1], r"\nMONOTONIC_USEC=\d+")
        self.expect("READY=1")
        broker.proc.send_signal(signal.SIGTERM)
        self.expect("STOPPING=1")

    def test_watchdog(self):
        """Signs of life again and again, while there is life."""
        broker = self.launch(WATCHDOG_USEC="300000")
        self.expect("READY=1")
        for _ in range(5):
            self.expect("WATCHDOG=1")
        os.kill(broker.proc.pid, signal.SIGSTOP)
        try:
            self.notify.settimeout(1)
            with self.assertRaises(TimeoutError):
                while True:
                    self.notify.recv(4096)
        finally:
            os.kill(broker.proc.pid, signal.SIGCONT)
        self.notify.settimeout(3 * DEADLINE)
        self.expect("WATCHDOG=1")

    def test_hangs(self):
        """One scheduler hangs in the kernel, where nothing costs it CPU time, or the root
        supervisor is not well: there are no more signs of life, and SIGABRT, which systemd sends
        then, ends the broker."""
        for who in ("connection", "root"):
            with self.subTest(who):
                broker = self.launch(["--set", "debug.crash=true"], WATCHDOG_USEC="300000")
                self.expect("READY=1")
                conn = broker.raw()
                name = "%s:%d -> %s:%d" % (conn.sock.getsockname() + broker.addr)
                if who == "root":
                    name, = {x["name"] or x["pid"] for x in broker.get("/api/processes")
                             if not x["parent"]}
                self.expect("WATCHDOG=1")
                self.hang(broker, name)
                os.kill(broker.proc.pid, signal.SIGABRT)
                self.assertEqual(broker.proc.wait(3 * DEADLINE), -signal.SIGABRT)
                broker.proc.stdout.close()

    def hang(self, broker, name):
        """Returns when there was no sign of life for as long as none of the living takes."""
        try:
            broker.http("POST", "/api/debug/crash", {"process": name, "how": "hang"})
        except OSError:
            pass  # who would have answered hangs, too
        self.notify.settimeout(2)
        deadline = time.monotonic() + 3 * DEADLINE
        with self.assertRaises(TimeoutError):
            while time.monotonic() < deadline:
                self.notify.recv(4096)
        self.notify.settimeout(3 * DEADLINE)

    def listening(self, family=socket.AF_INET, at=("127.0.0.1", 0)):
        sock = socket.socket(family)
        self.addCleanup(sock.close)
        sock.bind(at)
        sock.listen()
        return sock

    def test_early_login(self):
        """Who has sent its name and password before the broker started is let in, once it is known
        who there is."""
        amqp = self.listening()
        conns = [Raw(amqp.getsockname()) for _ in range(3)]
        for conn in conns:
            self.addCleanup(conn.kill)
            conn.cast(0, C.StartOk({}, "PLAIN", "\0guest\0guest", "en_US"))
        self.launch(sockets=[amqp], LISTEN_FDS="1", LISTEN_FDNAMES="amqp")
        for conn in conns:
            conn.expect(0, C.Start)
            conn.expect(0, C.Tune)

    def test_activation(self):
        """Sockets that are there before the broker serve by their names, whatever the
        configuration says of addresses, and outlive the processes that accept on them."""
        amqp, http = self.listening(), self.listening()
        path = self.path + ".amqp"
        unix = self.listening(socket.AF_UNIX, path)
        early = Raw(amqp.getsockname())  # waits until somebody accepts
        self.addCleanup(early.kill)
        broker = self.launch(
            ["--set", "listeners.unix.default=/nonexistent/socket", "--set", "debug.crash=true"],
            [amqp, unix, http], LISTEN_FDS="3", LISTEN_FDNAMES="amqp:unix:http")
        self.assertEqual(broker.addr, amqp.getsockname())
        self.assertEqual(broker.mgmt, http.getsockname())
        early.open().close()
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(DEADLINE)
            sock.connect(path)
            sock.sendall(HEADER)
            self.assertEqual(sock.recv(1), b"\x01")
        status, _ = broker.http("POST", "/api/debug/crash",
                                {"process": "listener:amqp", "how": "check"})
        self.assertIn(status, (200, 202, 204))
        wait_for(lambda: "CHECK" in broker.log(), "crash")
        broker.raw().close()


if __name__ == "__main__":
    unittest.main()
