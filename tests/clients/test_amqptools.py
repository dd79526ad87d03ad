#!/usr/bin/env python3
"""rabbitmq-c's command line tools, as shell scripts use them."""
import shutil
import subprocess
import unittest

from harness import DEADLINE, BrokerCase, fresh


@unittest.skipUnless(shutil.which("amqp-publish"), "amqp-tools is not installed")
class Tools(BrokerCase):
    def tool(self, name, *args, data="", code=0):
        url = "amqp://guest:guest@%s:%d" % self.broker.addr
        done = subprocess.run(["amqp-" + name, "-u", url, *args], input=data, text=True,
                              capture_output=True, timeout=DEADLINE, check=False)
        self.assertEqual(done.returncode, code, done.stderr)
        return done.stdout if code == 0 else done.stderr

    def test_queue(self):
        queue = fresh()
        self.assertEqual(self.tool("declare-queue", "-q", queue, "-d"), queue + "\n")
        self.tool("publish", "-r", queue, "-p", "-C", "text/plain", "-b", "hello")
        self.tool("publish", "-r", queue, "-l", data="a\nb\nc\n")
        self.assertEqual(self.tool("get", "-q", queue), "hello")
        self.assertEqual(self.tool("consume", "-q", queue, "-c", "2", "cat"), "a\nb\n")
        self.assertEqual(self.tool("delete-queue", "-q", queue), "1\n")

    def test_refused(self):
        self.assertIn("404", self.tool("get", "-q", fresh("none"), code=1))


if __name__ == "__main__":
    unittest.main()
