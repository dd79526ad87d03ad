/* One vhost: how much lies and flows in it, who may do what there, and its limits. */
import { del, get, getOr, path, put, query } from "../api.js";
import { History, LineChart, joined, samples } from "../chart.js";
import { attempt, form, toast } from "../dialog.js";
import { h } from "../dom.js";
import { count, rate, short } from "../format.js";
import { badge, button, card, heading, rateOf, to } from "../parts.js";
import { link } from "../routes.js";
import { Table } from "../table.js";
import { change, remove } from "./vhosts.js";

const SHOWN_MS = 600000;
const RATES = ["publish", "deliver_get", "ack"];

function chartsOf(ctx) {
    return [
        ctx.owns(
            new LineChart({
                title: "Messages",
                format: short,
                series: [
                    { id: "ready", label: "Ready", color: "--c1", area: true },
                    { id: "unacked", label: "Unacked", color: "--c2" },
                ],
            }),
        ),
        ctx.owns(
            new LineChart({
                title: "Rates",
                format: rate,
                series: [
                    { id: "publish", label: "Publish", color: "--c3" },
                    { id: "deliver_get", label: "Deliver", color: "--c1" },
                    { id: "ack", label: "Ack", color: "--c4" },
                ],
            }),
        ),
    ];
}

function earlier(v) {
    const of = (from, id) => from && from[id + "_details"] && from[id + "_details"].samples;
    const rates = RATES.map((id) => [id, of(v.message_stats, id)]);

    return joined(
        samples({ ready: of(v, "messages_ready"), unacked: of(v, "messages_unacknowledged") }),
        samples(Object.fromEntries(rates), true),
    );
}

function point(v) {
    const rates = RATES.map((id) => [id, rateOf(v.message_stats, id)]);

    return {
        ready: v.messages_ready,
        unacked: v.messages_unacknowledged,
        ...Object.fromEntries(rates),
    };
}

async function permit(vhost, done) {
    const users = await getOr([], "users");

    await form(
        "Permissions in " + vhost,
        [
            {
                name: "user",
                label: "User",
                type: "select",
                options: (users.items || users).map((u) => [u.name, u.name]),
            },
            { name: "configure", label: "Configure", value: ".*" },
            { name: "write", label: "Write", value: ".*" },
            { name: "read", label: "Read", value: ".*" },
        ],
        "Set",
        ({ user, ...body }) => put(path`permissions/${vhost}/${user}`, body),
        { intro: "Regular expressions over names of queues and exchanges. Empty: nothing." },
    );
    done();
}

const code = (id, label) => ({ id, label, cell: (p) => h("code", p[id]) });

function permissionsTable(vhost, done) {
    const take = (user) =>
        attempt(() => del(path`permissions/${vhost}/${user}`), "Removed.").then(done);

    return new Table({
        label: "Permissions",
        key: (p) => p.user,
        sort: "user",
        empty: "Nobody may open it.",
        columns: [
            {
                id: "user",
                label: "User",
                value: (p) => p.user,
                cell: (p) => to("user", p.user, p.user),
                wide: true,
            },
            code("configure", "Configure"),
            code("write", "Write"),
            code("read", "Read"),
            { id: "do", label: "", cell: (p) => button("Remove", () => take(p.user)) },
        ],
    });
}

function limitsTable() {
    return new Table({
        label: "Limits",
        key: (l) => l.id,
        empty: "No limits.",
        columns: [
            { id: "name", label: "Limit", cell: (l) => l.id, wide: true },
            {
                id: "value",
                label: "At most",
                num: true,
                cell: (l) => (l.value < 0 ? "no limit" : count(l.value)),
            },
        ],
    });
}

function limitsOf(answer) {
    const own = Array.isArray(answer) && answer[0];

    return Object.entries((own && own.value) || {}).map(([id, value]) => ({ id, value }));
}

function tools(name, now) {
    return [
        button("Change", () => change(now.vhost, () => null)),
        button(
            "Delete",
            async () => {
                if (await remove(name)) location.hash = link("vhosts");
            },
            "danger",
        ),
    ];
}

export async function show(ctx) {
    const [name] = ctx.names;
    const where = path`vhosts/${name}`;
    const ranges = { lengths_age: 600, lengths_incr: 10, msg_rates_age: 600, msg_rates_incr: 10 };
    const first = await ctx.attempt(() => get(where + query(ranges), ctx.signal));
    if (!first) return;
    const load = async () => {
        const [v, permissions, limited] = await Promise.all([
            get(where, ctx.signal),
            get(where + "/permissions", ctx.signal),
            getOr([], path`vhost-limits/${name}`, ctx.signal),
        ]);
        const at = Date.now();
        now.vhost = v;
        allowed.update(permissions);
        limits.update(limitsOf(limited));
        history.push(at, point(v));
        for (const c of plots) c.update(history.points, history.from(at), at);
    };
    const done = () => load().catch((e) => toast(e.message, "bad"));
    const now = { vhost: first },
        history = new History(SHOWN_MS),
        plots = chartsOf(ctx);
    const allowed = permissionsTable(name, done),
        limits = limitsTable();

    history.seed(earlier(first));
    ctx.show(
        heading(name, ["Vhost", first.tracing && [" ", badge("traced")]], tools(name, now)),
        first.description && h("p.quiet", { dir: "auto" }, first.description),
        h(
            "div.charts",
            plots.map((c) => h("section.card", c.node)),
        ),
        card(
            "Permissions",
            allowed.node,
            button("Set permissions", () => permit(name, done)),
        ),
        card("Limits", limits.node, h("a", { href: link("limits") }, "Set limits")),
    );
    ctx.live();
    await ctx.every(3000, load);
}
