#!/usr/bin/env python3
"""The command line, starts that fail, and the end."""
import os
import re
import signal
import socket
import sqlite3
import subprocess
import tempfile
import time
import unittest

from pika import spec

import harness
from harness import Broker, StartError, needs_own_broker, wait_for


def run(*args):
    return subprocess.run([harness.BIN] + list(args), capture_output=True, text=True, check=False,
                          stdin=subprocess.DEVNULL, timeout=3 * harness.DEADLINE)


@needs_own_broker
class Options(unittest.TestCase):
    def test_help(self):
        got = run("--help")
        self.assertEqual((got.returncode, got.stderr), (0, ""))
        for option in ("--config", "--data-dir", "--amqp-port", "--mgmt-port", "--bind",
                       "--schedulers", "--log-level", "--set", "--version"):
            self.assertIn(option, got.stdout)

    def test_man_page(self):
        """It has the options that --help has, and no others."""
        page = os.path.join(os.path.dirname(os.path.abspath(__file__)),
                            "../../packaging/warren.8.in")
        with open(page, encoding="utf-8") as f:
            text = f.read().replace("\\-", "-")
        told = re.findall(r"^  (--[a-z-]+)", run("--help").stdout, re.M)
        self.assertIn("--salvage", told)
        self.assertEqual(set(re.findall(r"--[a-z]+[a-z-]*", text)), set(told))

    def test_version(self):
        got = run("--version")
        self.assertEqual(got.returncode, 0)
        self.assertRegex(got.stdout, r"^warren \d+\.\d+\.\d+\n$")

    def test_misused(self):
        """A wrong option is told on stderr, in a line or two, and nothing is started."""
        for args in (["--no-such-option"], ["--amqp-port", "70000"], ["--amqp-port", "abc"],
                     ["--amqp-port"], ["--log-level", "loud"], ["--schedulers", "-1"],
                     ["--set", "nothing"], ["--config", "/nonexistent/warren.conf"], ["stray"]):
            with tempfile.TemporaryDirectory() as data:
                got = run("--data-dir", data, *args)
            self.assertGreater(got.returncode, 0, args)
            self.assertEqual(got.stdout, "", args)
            self.assertIn(len(got.stderr.strip().splitlines()), (1, 2), (args, got.stderr))

    def test_check_config(self):
        """Exit codes, and an error that names file and line; nothing is started."""
        with tempfile.NamedTemporaryFile("w", suffix=".conf") as f:
            f.write("heartbeat = 30\nnum_acceptors.tcp = 10\n")
            f.flush()
            got = run("--config", f.name, "--check-config")
            self.assertEqual(got.returncode, 0, got.stderr)
            self.assertIn(f.name + ":2: 'num_acceptors.tcp' has no meaning here: ", got.stderr)
            f.write("heartbeet = 3\n")
            f.flush()
            got = run("--config", f.name, "--check-config")
            self.assertEqual((got.returncode, got.stdout), (1, ""))
            self.assertIn(f.name + ":3: unknown key 'heartbeet'", got.stderr)
            f.write("frame_max = large\n")
            f.flush()
            got = run("--config", f.name, "--check-config")
            self.assertEqual(got.returncode, 1)
            where = [re.sub(".*conf:", "", line) for line in got.stderr.splitlines()]
            self.assertEqual([line.split(":")[0] for line in where], ["2", "3", "4"], got.stderr)
        self.assertRegex(self.checked("[{rabbit, []}].")[1], r":1: .*advanced\.config are not read")

    def checked(self, *lines):
        """What --check-config says of these lines: the exit code, and its text."""
        with tempfile.NamedTemporaryFile("w", suffix=".conf") as f:
            f.write("\n".join(lines) + "\n")
            f.flush()
            got = run("--config", f.name, "--check-config")
        return got.returncode, got.stderr

    def test_rabbitmq_keys(self):
        """Each key of RabbitMQ 3.10 means something here, or is passed over with what it means
        instead, or is refused with the reason; a refused one that is switched off is no promise."""
        with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "rabbitmq_keys.txt"),
                  encoding="ascii") as f:
            keys = f.read().split()
        passed = []
        for key in keys:
            code, text = self.checked(key + " =")
            self.assertNotIn("unknown key", text)
            if "is not supported" in text:
                self.assertRegex(text, r"\.conf:1: key '\S+' is not supported: \w.*\w\n$")
                code, text = self.checked(key + " = false")
                self.assertEqual(code, 0, text)
            if "no meaning here" in text:
                self.assertRegex(text, r"\.conf:1: '\S+' has no meaning here: \S.*\w\n$")
                passed.append(key)
        code, text = self.checked(*(key + " = false" for key in passed))
        self.assertEqual(code, 0)
        lines = text.splitlines()
        self.assertEqual(len(lines), 64)
        self.assertIn("%d more keys have no meaning here" % (len(passed) - 63), lines[-1])

    def test_print_config(self):
        """Each key with its value and where that is from; what is printed can be read again."""
        got = run("--set", "heartbeat=33", "--print-config")
        self.assertEqual((got.returncode, got.stderr), (0, ""))
        self.assertIn("here from: command line\nheartbeat = 33\n", got.stdout)
        self.assertIn("here from: the default\nframe_max = 131072\n", got.stdout)
        with tempfile.NamedTemporaryFile("w", suffix=".conf") as f:
            f.write(got.stdout)
            f.flush()
            self.assertEqual(run("--config", f.name, "--check-config").returncode, 0)

    def test_reference(self):
        """docs/configuration.md is what `warren --config-reference` prints."""
        here = os.path.dirname(os.path.abspath(__file__))
        path = os.path.join(here, "../../docs/configuration.md")
        with open(path, encoding="utf-8") as f:
            self.assertEqual(f.read(), run("--config-reference").stdout,
                             "run: build/warren --config-reference > docs/configuration.md")

    def test_schedulers(self):
        for count in ("1", "2", "4"):
            with Broker(["--schedulers", count]) as broker:
                conn = broker.raw()
                conn.close()

    def test_config_file(self):
        """The file is key = value; the command line goes before it."""
        with tempfile.NamedTemporaryFile("w", suffix=".conf") as f:
            f.write("# a comment\n\nheartbeat = 7\nlog.level = info\n")
            f.flush()
            with Broker(["--config", f.name]) as broker:
                self.assertEqual(broker.raw().tune.heartbeat, 7)
            with Broker(["--config", f.name, "--set", "heartbeat=9"]) as broker:
                self.assertEqual(broker.raw().tune.heartbeat, 9)

    def test_first_user(self):
        """Who is made at the first start, with which tags and rights."""
        with Broker(["--set", "default_user=ops", "--set", "default_pass=secret",
                     "--set", "default_user_tags.monitoring=true",
                     "--set", "default_permissions.write=^w"]) as broker:
            def get(path):
                status, value = broker.http("GET", path, user="ops", password="secret")
                self.assertEqual(status, 200, value)
                return value
            self.assertEqual(get("/api/whoami")["tags"], ["monitoring"])
            broker.raw(user="ops", password="secret").close()
            self.assertEqual(broker.http("GET", "/api/users", user="ops", password="secret")[0],
                             401)
            conn = broker.raw(user="ops", password="secret")
            conn.channel(1)
            conn.publish(1, "amq.direct", "k")
            conn.expect_close(1, 403)
            conn.close()

    def test_both_families(self):
        """Without --bind all addresses are served, IPv4 and IPv6."""
        with Broker(["--bind", "0.0.0.0"]) as broker:
            broker.raw().close()
        if not socket.has_ipv6:
            return
        with tempfile.TemporaryDirectory() as data:
            proc = subprocess.Popen([harness.BIN, "--data-dir", data, "--amqp-port", "0",
                                     "--mgmt-port", "0", "--set", "prometheus=false"],
                                    stdout=subprocess.PIPE, text=True,
                                    stderr=subprocess.DEVNULL)
            try:
                port = int(re.search(r"amqp=(\d+)", proc.stdout.readline()).group(1))
                for host in ("127.0.0.1", "::1"):
                    try:
                        harness.Raw((host, port)).open().close()
                    except OSError as e:
                        if host == "127.0.0.1" or e.errno != 99:  # EADDRNOTAVAIL: no IPv6 here.
                            raise
            finally:
                proc.terminate()
                self.assertEqual(proc.wait(harness.DEADLINE), 0)
                proc.stdout.close()


@needs_own_broker
class CannotStart(unittest.TestCase):
    def refused(self, *words, args=(), data=None, amqp_port=0):
        broker = Broker(args, data=data, start=False)
        try:
            with self.assertRaises(StartError) as caught:
                broker.start(amqp_port=amqp_port)
        finally:
            broker.remove()
        text = caught.exception.text
        self.assertGreater(caught.exception.code, 0, text)
        said = [line for line in text.splitlines() if line.startswith("warren: ")]
        self.assertEqual(len(said), 1, text)
        for word in words:
            self.assertIn(word, said[0])

    def test_port_taken(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            self.refused(str(taken.getsockname()[1]), amqp_port=taken.getsockname()[1])

    def test_mgmt_port_taken(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = str(taken.getsockname()[1])
            self.refused(port, args=["--mgmt-port", port])

    def test_directory(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "file")
            with open(path, "w", encoding="utf-8"):
                pass
            self.refused(path, data=path)
            self.refused(path, data=os.path.join(path, "below"))

    @unittest.skipIf(os.geteuid() == 0, "root may write everywhere")
    def test_not_writable(self):
        with tempfile.TemporaryDirectory() as folder:
            os.chmod(folder, 0o500)
            self.refused(folder, data=folder)
            os.chmod(folder, 0o700)

    def test_not_writable_at_all(self):
        self.refused("/proc/warren", data="/proc/warren")

    def test_in_use(self):
        with Broker() as broker:
            self.refused(broker.data, "in use", data=broker.data)
            broker.raw().close()

    def test_newer_version(self):
        with tempfile.TemporaryDirectory() as data:
            with Broker(data=data) as broker:
                broker.raw().close()
            found = []
            for folder, _, names in os.walk(data):
                found += [os.path.join(folder, n) for n in names
                           if not n.endswith(("-wal", "-shm"))
                           and is_sqlite(os.path.join(folder, n))]
            self.assertTrue(found)
            for path in found:
                with sqlite3.connect(path) as db:
                    version = db.execute("PRAGMA user_version").fetchone()[0]
                    db.execute("PRAGMA user_version = %d" % (version + 1))
                db.close()
            self.refused("newer", data=data)


def is_sqlite(path):
    with open(path, "rb") as f:
        return f.read(16) == b"SQLite format 3\0"


@needs_own_broker
class End(unittest.TestCase):
    def test_sigterm(self):
        for sig in (signal.SIGTERM, signal.SIGINT):
            with Broker() as broker:
                conn = broker.raw()
                broker.proc.send_signal(sig)
                conn.expect_close(0, 320, text="CONNECTION_FORCED")
                conn.expect_eof()
                self.assertEqual(broker.stop(), 0)

    def test_sigterm_with_a_client_that_does_not_read(self):
        """A client that answers nothing does not hold the end up for ever."""
        with Broker() as broker:
            conn = broker.raw()
            broker.proc.send_signal(signal.SIGTERM)
            self.assertEqual(broker.proc.wait(3 * harness.DEADLINE), 0)
            conn.kill()

    def test_second_sigterm(self):
        """The second one ends the program at once."""
        with Broker() as broker:
            conns = [broker.raw() for _ in range(20)]
            began = time.monotonic()
            broker.proc.send_signal(signal.SIGTERM)
            for conn in conns:
                conn.expect(0, spec.Connection.Close)  # Two signals at once would be one.
            broker.proc.send_signal(signal.SIGTERM)
            broker.proc.wait(harness.DEADLINE)
            self.assertLess(time.monotonic() - began, 3 * harness.SLOW)
            for conn in conns:
                conn.kill()

    def test_port_is_free_again(self):
        """A broker that was killed is followed by another on the same port at once."""
        with Broker() as broker:
            conn = broker.raw()
            port = broker.addr[1]
            broker.kill9()
            broker.start(amqp_port=port)
            self.assertEqual(broker.addr[1], port)
            conn.kill()
            broker.raw().close()

    def test_no_files_left_open(self):
        """File descriptors come back when connections go."""
        with Broker() as broker:
            def fds():
                return len(os.listdir("/proc/%d/fd" % broker.proc.pid))
            broker.raw().close()
            before = wait_for(fds, "descriptors")
            conns = [broker.raw() for _ in range(50)]
            for number, conn in enumerate(conns):
                if number % 2:
                    conn.close()
                else:
                    conn.kill()
            wait_for(lambda: fds() <= before, "the descriptors back")


if __name__ == "__main__":
    unittest.main()
