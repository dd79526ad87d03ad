"""The dashboard's pages can't be made to run what a client named: no markup from text, nothing
inline, nothing from elsewhere."""
import re

import sources

FORBIDDEN = [(re.compile(p), why) for p, why in (
    (r"\b(inner|outer)HTML\b|\binsertAdjacentHTML\b|\bdocument\.write|\bDOMParser\b"
     r"|\bcreateContextualFragment\b|\bsetHTML", "makes markup of text"),
    (r"\beval\s*\(|\bnew Function\b|\bset(Timeout|Interval)\s*\(\s*[\"'`]|javascript:",
     "runs text"),
    (r"<style\b|\sstyle\s*=\s*[\"']|setAttribute\(\s*[\"']style"
     r"|<script(?![^>]*\bsrc=)[^>]*>|\son\w+\s*=\s*\"", "is inline"),
    (r"https?:(?!//www\.w3\.org/2000/svg)//|@import|[\"'(]//\w", "loads from elsewhere"),
    (r"document\.cookie", "sets cookies"),
)]


def check(path, text):
    bad = []
    for number, line in enumerate(text.splitlines(), 1):
        for pattern, why in FORBIDDEN:
            if pattern.search(line):
                bad.append("%s:%d: %s" % (path, number, why))
    return bad


def check_tree(root=sources.ROOT):
    bad = []
    for name in sources.files(root, (".js", ".html", ".css", ".svg")):
        if name.startswith("mgmt/ui/"):
            bad += check(name, sources.text(root, name))
    return bad
