"""The project stands alone: it names no path of one machine, no folder beside it, no registry."""
import re

import sources

# Put together from halves, so that this file does not complain about itself.
WORDS = ["/wo" + "rk/", "../sha" + "red", "/fa" + "rm/", "/ro" + "ot/", "/ho" + "me/",
         "/tmp/" + "b-",
         "/tmp/" + "brief", "DESIGN" + ".md", "STYLE" + ".md", "TARGETS" + ".md",
         "registry.npm" + "js.org", "deb.deb" + "ian.org", "pypi" + ".org", "proxy.gol" + "ang.org"]
PATTERNS = [re.compile(re.escape(w)) for w in WORDS] + [re.compile(r"\bissue" + r" #?\d", re.I)]
BINARY = (".png", ".ico", ".woff2", ".gz", ".db", ".sqlite")


def check(path, text):
    bad = []
    for number, line in enumerate(text.splitlines(), 1):
        for pattern in PATTERNS:
            if pattern.search(line):
                bad.append("%s:%d: names %s" % (path, number, pattern.search(line).group(0)))
    return bad


def check_tree(root=sources.ROOT):
    bad = []
    for name in sources.files(root):
        if not name.endswith(BINARY) and "/corpus/" not in name and name != "LICENSE":
            bad += check(name, sources.text(root, name))
    return bad
