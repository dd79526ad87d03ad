#!/usr/bin/env python3
"""The lints find planted violations and let good code pass."""
import os
import shutil
import tempfile
import unittest

import include_law
import layout
import markup
import size
import stands_alone

GOOD = """#include <stdio.h>

#include "broker/runtime/proc.h"

/* Says a word. */
static int say(int n)
{
    return n;
}

struct wide {
%s};
""" % ("    int x;\n" * 100)


def function(lines):
    return "static int long_one(int a)\n{\n%s}\n" % ("    a++;\n" * (lines - 2))


class Includes(unittest.TestCase):
    def test_both_directions(self):
        cases = [
            # floor above may look down, not the other way round
            ("queues/queue.c", "broker/runtime/proc.h", True),
            ("broker/runtime/proc.c", "queues/queue.h", False),
            ("broker/core/log.c", "broker/runtime/proc.h", True),
            ("broker/runtime/sched.c", "broker/core/log.h", False),
            ("queues/queue.c", "persistence/store.h", True),
            ("persistence/store.c", "queues/queue.h", False),
            # side by side
            ("persistence/store.c", "amqp/codec/record.h", False),
            ("amqp/codec/record.c", "persistence/store.h", False),
            ("amqp/conn.c", "mgmt/http.h", False),
            ("mgmt/http.c", "amqp/conn.h", False),
            ("mgmt/http.c", "amqp/codec/table.h", True),
            ("amqp/conn.c", "amqp/codec/frame.h", True),
            ("amqp/codec/frame.c", "amqp/conn.h", False),
            # the codec is pure
            ("amqp/codec/record.c", "broker/runtime/blob.h", True),
            ("amqp/codec/record.c", "broker/runtime/proc.h", False),
            # the roof
            ("broker/tree.c", "mgmt/http.h", True),
            ("broker/main.c", "amqp/listener.h", True),
            ("amqp/conn.c", "broker/tree.h", False),
            ("tests/unit/test_x.c", "amqp/conn.h", True),
            ("queues/queue.c", "tests/lib/x.h", False),
            # only from the root
            ("queues/queue.c", "queue.h", False),
            ("queues/queue.c", "../broker/runtime/proc.h", False),
        ]
        for path, target, good in cases:
            bad = include_law.check(path, '#include "%s"\n' % target)
            self.assertEqual(not bad, good, (path, target))

    def test_planted_in_a_tree(self):
        with tempfile.TemporaryDirectory() as root:
            os.makedirs(os.path.join(root, "amqp/codec"))
            with open(os.path.join(root, "amqp/codec/x.c"), "w", encoding="utf-8") as f:
                f.write('  #  include "queues/queue.h"\n')
            self.assertEqual(len(include_law.check_tree(root)), 1)


class Sizes(unittest.TestCase):
    def test_good(self):
        self.assertEqual(size.check("a.c", GOOD), [])
        self.assertEqual(size.check("a.c", function(60)), [])
        self.assertEqual(size.check("a.c", "x\n" * 600), [])
        self.assertEqual(size.check("a.c", "x" * 100), [])

    def test_bad(self):
        self.assertEqual(size.check("a.c", function(61)), ["a.c:2: long_one has 61 lines"])
        self.assertEqual(len(size.check("a.c", function(61) + function(60) + function(70))), 2)
        self.assertEqual(size.check("a.h", "x\n" * 601), ["a.h: 601 lines"])
        self.assertEqual(size.check("a.c", "x" * 101), ["a.c:1: 101 columns"])
        self.assertEqual(size.check("a.py", "x" * 101), ["a.py:1: 101 columns"])

    def test_planted_in_a_tree(self):
        with tempfile.TemporaryDirectory() as root:
            with open(os.path.join(root, "x.c"), "w", encoding="utf-8") as f:
                f.write(function(61))
            self.assertEqual(len(size.check_tree(root)), 1)


@unittest.skipUnless(shutil.which(layout.TOOL), "there is no clang-format")
class Layout(unittest.TestCase):
    def test_planted_in_a_tree(self):
        with tempfile.TemporaryDirectory() as root:
            shutil.copy(os.path.join(layout.sources.ROOT, ".clang-format"), root)
            for name, text in (("good.c", GOOD), ("bad.c", GOOD.replace("    ret", "  ret"))):
                with open(os.path.join(root, name), "w", encoding="utf-8") as f:
                    f.write(text)
            bad = layout.check_tree(root)
            self.assertEqual([line.split(":")[0] for line in bad], ["bad.c"])


class StandsAlone(unittest.TestCase):
    def test_good(self):
        self.assertEqual(stands_alone.check("a.c", "/* homework/ is done */\n" + GOOD), [])

    def test_each_word_is_found(self):
        for word in stands_alone.WORDS:
            self.assertEqual(len(stands_alone.check("a.c", "see %s there\n" % word)), 1, word)
        self.assertEqual(len(stands_alone.check("a.c", "/* issue" + " 12 */")), 1)

    def test_planted_in_a_tree(self):
        with tempfile.TemporaryDirectory() as root:
            with open(os.path.join(root, "x.md"), "w", encoding="utf-8") as f:
                f.write("a line\n" + stands_alone.WORDS[0] + "\n")
            self.assertEqual(len(stands_alone.check_tree(root)), 1)


class Markup(unittest.TestCase):
    def test_what_is_forbidden(self):
        for line in ("el.innerHTML = name;", "x.insertAdjacentHTML('a', b)", "eval(text)",
                     "setTimeout('go()', 1)", '<div style="color: red">', "<script>go()</script>",
                     '<img onerror="go()">', '@import "x.css";', "fetch('//there')",
                     'src="https://there/x.js"', "document.cookie = x"):
            self.assertTrue(markup.check("mgmt/ui/x", line), line)

    def test_what_is_fine(self):
        for line in ("el.textContent = name;", '<script src="js/main.js"></script>',
                     "setTimeout(fn, 1);", "// a comment", "const style = read(name);",
                     'const SVG = "http://www.w3.org/2000/svg";'):
            self.assertEqual(markup.check("mgmt/ui/x", line), [], line)


if __name__ == "__main__":
    unittest.main()
