#!/usr/bin/env python3
"""Counts what meson wrote about its last test run and prints the closing line that CI reads.

summary.py BUILD-DIR KIND; fails when a test failed or when none ran.
"""
import json
import os
import sys


def count(lines):
    passed = failed = skipped = 0
    for line in lines:
        result = json.loads(line)["result"]
        if result in ("OK", "EXPECTEDFAIL"):
            passed += 1
        elif result == "SKIP":
            skipped += 1
        else:
            failed += 1
    return passed, failed, skipped


def main():
    build, kind = sys.argv[1], sys.argv[2]
    log = os.path.join(build, "meson-logs", "testlog.json")
    lines = []
    if os.path.exists(log):
        with open(log, encoding="utf-8") as f:
            lines = f.readlines()
    passed, failed, skipped = count(lines)
    tail = ", %d skipped" % skipped if skipped else ""
    with open(os.path.join(build, "test-summary"), "w", encoding="utf-8") as f:
        f.write("%d %d %d\n" % (passed, failed, skipped))
    print("%s: %d passed, %d failed%s" % (kind, passed, failed, tail))
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
