#!/usr/bin/env python3
"""The examples of README.md do what they say."""
import os
import re
import shutil
import subprocess
import sys
import unittest

import harness
from harness import BrokerCase, needs_own_broker

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")


def example(language):
    with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as f:
        found = re.search(r"```%s\n(.*?)```" % language, f.read(), re.S)
    return found.group(1)


@needs_own_broker
class Readme(BrokerCase):
    def run_it(self, command, code):
        got = subprocess.run(command, input=code, capture_output=True, text=True, check=False,
                             timeout=3 * harness.DEADLINE)
        self.assertEqual(got.returncode, 0, got.stderr)
        return got.stdout

    def test_python(self):
        code = example("python")
        here = "pika.ConnectionParameters(port=%d)" % self.broker.addr[1]
        self.assertIn("BlockingConnection()", code)
        code = code.replace("BlockingConnection()", "BlockingConnection(%s)" % here)
        self.assertEqual(self.run_it([sys.executable, "-"], code), "b'hello'\n")

    @unittest.skipUnless(shutil.which("node"), "no node")
    def test_javascript(self):
        code = example("javascript")
        self.assertIn("guest@localhost", code)
        code = code.replace("guest@localhost", "guest@127.0.0.1:%d" % self.broker.addr[1])
        self.assertEqual(self.run_it(["node", "-"], code), "hello\n")


if __name__ == "__main__":
    unittest.main()
