#!/usr/bin/env python3
"""run.py LINT: one lint over the tree. Each first shows that it can fail, in test_lint.py."""
import importlib
import sys


def main():
    bad = importlib.import_module(sys.argv[1]).check_tree()
    for line in bad:
        print(line)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
