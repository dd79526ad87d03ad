/* The supervision tree, live. */
import { del, get, getOr, path, query } from "../api.js";
import { attempt, confirm, open } from "../dialog.js";
import { fill, h, say } from "../dom.js";
import { ago, bytes, count, plural, rate, span } from "../format.js";
import { badge, button, facts, heading, state } from "../parts.js";
import { may } from "../session.js";
import { Table } from "../table.js";

const open_ = new Map(); // what was opened or closed by hand, by key; outlives the page
const FEW = 25; // children of one parent that are shown before "more" is asked for

const keyOf = (p) => p.pid || p.parent + "/" + p.name;

/* Rates from one answer to the next. */
class Rates {
    constructor() {
        this.before = new Map();
    }

    take(rows) {
        const now = performance.now(),
            next = new Map();

        for (const p of rows) {
            const old = this.before.get(keyOf(p));
            if (old) p.rate = Math.max(0, ((p.messages_handled - old.n) * 1000) / (now - old.at));
            next.set(keyOf(p), { n: p.messages_handled, at: now });
        }
        this.before = next;
    }
}

function treeOf(rows) {
    const kids = new Map(),
        pids = new Set(rows.map((p) => p.pid));
    const roots = [];

    for (const p of rows) {
        if (p.parent && pids.has(p.parent))
            kids.set(p.parent, (kids.get(p.parent) || []).concat([p]));
        else roots.push(p);
    }
    return { roots, of: (p) => (p.pid && kids.get(p.pid)) || [] };
}

function isTrouble(p) {
    return p.state === "parked" || p.restarts > 0;
}

/* Rows to show, each with its depth; where nothing is opened by hand, two floors are open. */
function flatten(tree, { text, more }) {
    const out = [];
    const match = (p) =>
        !text || p.name.toLowerCase().includes(text) || String(p.kind).includes(text);
    const any = (p) => match(p) || tree.of(p).some(any);
    const walk = (p, depth) => {
        const kids = tree.of(p).filter((k) => !text || any(k));
        const isOpen = text ? true : (open_.get(keyOf(p)) ?? (depth < 2 && kids.length <= FEW));
        p.depth = depth;
        p.kids = kids.length;
        p.isOpen = isOpen;
        out.push(p);
        if (!isOpen) return;
        const limit = more.get(keyOf(p)) || FEW;
        kids.slice(0, limit).forEach((k) => walk(k, depth + 1));
        if (kids.length > limit)
            out.push({ isMore: true, of: p, depth: depth + 1, left: kids.length - limit });
    };

    tree.roots.filter(any).forEach((p) => walk(p, 0));
    return out;
}

function nameCell(p, page) {
    const pad = "depth-" + Math.min(p.depth, 8);

    if (p.isMore)
        return h(
            "span.tree." + pad,
            button(
                plural(p.left, "more process", "more processes") + "…",
                () => page.showMore(p.of),
                "plain",
            ),
        );
    const toggle = p.kids
        ? h(
              "button.twist",
              {
                  type: "button",
                  "aria-expanded": String(p.isOpen),
                  "aria-label": (p.isOpen ? "Close " : "Open ") + p.name,
                  onclick: () => page.toggle(p),
              },
              p.isOpen ? "▾" : "▸",
          )
        : h("span.twist");
    return h(
        "span.tree." + pad,
        toggle,
        h(
            "button.link.name",
            { type: "button", title: p.name, dir: "auto", onclick: () => page.inspect(p) },
            p.name,
        ),
        p.kids && !p.isOpen ? h("span.quiet", count(p.kids)) : null,
    );
}

const columns = (page) => [
    { id: "name", label: "Process", wide: true, cell: (p) => nameCell(p, page) },
    { id: "kind", label: "Kind", minor: true, cell: (p) => p.kind || "" },
    {
        id: "state",
        label: "State",
        cell: (p) =>
            p.isMore
                ? ""
                : state(
                      p.state === "running" || p.state === "ready" ? "running" : p.state,
                      p.last_crash || undefined,
                  ),
    },
    { id: "mailbox", label: "Mailbox", num: true, cell: (p) => (p.isMore ? "" : count(p.mailbox)) },
    {
        id: "rate",
        label: "Handled",
        num: true,
        cell: (p) => (p.isMore || p.rate === undefined ? "" : rate(p.rate)),
    },
    { id: "heap", label: "Heap", num: true, cell: (p) => (p.isMore ? "" : bytes(p.heap)) },
    {
        id: "restarts",
        label: "Restarts",
        num: true,
        cell: (p) =>
            p.isMore ? "" : p.restarts ? badge(count(p.restarts), p.last_crash || "", "warn") : "0",
    },
    {
        id: "age",
        label: "Age",
        num: true,
        minor: true,
        cell: (p) => (p.age_ms === undefined ? "" : span(p.age_ms)),
    },
];

async function kill(p) {
    return (
        (await confirm(
            "Kill this process?",
            "“" +
                p.name +
                "” ends at once. Its supervisor starts it again; " +
                "what depends on it waits that long.",
            "Kill",
            "This is for trying how the broker heals, and for what hangs.",
        )) && attempt(() => del(path`processes/${p.pid}`), "Killed.")
    );
}

function inspectText(answer) {
    const i = answer && answer.inspect;

    return i === null || i === undefined
        ? "It tells nothing of itself."
        : typeof i === "string"
          ? i
          : JSON.stringify(i, null, 2);
}

function crashes(list) {
    return list.length
        ? list.map((c) =>
              h(
                  "details",
                  { open: true },
                  h("summary", ago(c.time)),
                  h("pre", { tabindex: "0" }, c.text),
              ),
          )
        : h("p.quiet", "No crash of it is known.");
}

async function inspect(p, loadAgain) {
    const [one, reports] = await Promise.all([
        p.pid ? getOr(null, path`processes/${p.pid}`) : null,
        getOr([], "warren/crashes" + query({ process: p.name })),
    ]);
    const now = one || p;

    await open(
        p.name,
        (close) =>
            h(
                "div",
                facts([
                    ["Kind", now.kind],
                    ["Pid", now.pid],
                    ["State", state(now.state)],
                    ["Mailbox", count(now.mailbox)],
                    ["Heap", bytes(now.heap)],
                    ["Handled", count(now.messages_handled)],
                    ["Restarts", count(now.restarts)],
                    ["Age", span(now.age_ms)],
                    ["Last crash", now.last_crash],
                ]),
                h("h3", "What it tells of itself"),
                h("pre", { tabindex: "0" }, inspectText(one)),
                h("h3", "Crash reports"),
                crashes(reports),
                h(
                    "footer",
                    may() && p.pid
                        ? button(
                              "Kill",
                              async () => {
                                  if (await kill(p)) {
                                      close();
                                      loadAgain();
                                  }
                              },
                              "danger",
                          )
                        : null,
                ),
            ),
        { wide: true },
    );
}

export async function show(ctx) {
    const rates = new Rates(),
        more = new Map();
    const page = { rows: [], isOnlyTrouble: false };
    const total = h("span.quiet.total", { role: "status" });
    const filter = h("input.filter", {
        type: "search",
        placeholder: "Filter processes",
        "aria-label": "Filter processes",
        oninput: () => draw(),
    });
    const table = new Table({
        label: "Processes",
        key: (p) => (p.isMore ? "more of " + keyOf(p.of) : keyOf(p)),
        empty: "No process matches.",
        columns: columns(page),
        classOf: (p) => (p.state === "parked" ? "bad" : ""),
    });
    const trouble = h("input", { type: "checkbox", onchange: () => draw() });
    const draw = () => {
        const rows = trouble.checked
            ? page.rows.filter(isTrouble).map((p) => ({ ...p, depth: 0, kids: 0 }))
            : flatten(treeOf(page.rows), { text: filter.value.toLowerCase(), more });
        table.update(rows, {
            isSorted: true,
            empty: trouble.checked ? "None was ever restarted, none is parked." : undefined,
        });
        say(
            total,
            plural(page.rows.length, "process", "processes") +
                " · " +
                plural(
                    page.rows.filter((p) => p.restarts > 0).length,
                    "was restarted",
                    "were restarted",
                ),
        );
    };
    const load = async () => {
        page.rows = await get("processes", ctx.signal);
        rates.take(page.rows);
        draw();
    };

    page.toggle = (p) => {
        open_.set(keyOf(p), !p.isOpen);
        draw();
    };
    page.showMore = (p) => {
        more.set(keyOf(p), (more.get(keyOf(p)) || FEW) + 200);
        draw();
    };
    page.inspect = (p) => attempt(() => inspect(p, () => load().catch(() => null)));
    ctx.show(
        heading("Processes", "The supervision tree"),
        h(
            "section.listing",
            h(
                "div.tools",
                filter,
                h("label.check", trouble, h("span", "Restarted or parked only")),
                total,
            ),
            table.node,
        ),
    );
    ctx.live();
    await ctx.every(2000, load);
}
