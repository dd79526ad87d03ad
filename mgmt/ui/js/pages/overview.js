/* The node at a glance: what is queued, how fast it flows, and what it costs. */
import { getOr, query } from "../api.js";
import { History, LineChart, joined, samples } from "../chart.js";
import { h, say } from "../dom.js";
import { bytes, count, plural, rate, short, span } from "../format.js";
import { link } from "../routes.js";
import { Table } from "../table.js";
import { may } from "../session.js";

const SHOWN_MS = 600000;

const history = new History(SHOWN_MS); // outlives the page: coming back shows what was before

function chartsFor(ctx) {
    const make = (spec) => ctx.owns(new LineChart(spec));

    return {
        messages: make({
            title: "Queued messages",
            format: short,
            series: [
                { id: "ready", label: "Ready", color: "--c1", area: true },
                { id: "unacked", label: "Unacked", color: "--c2" },
            ],
        }),
        rates: make({
            title: "Message rates",
            format: rate,
            series: [
                { id: "publish", label: "Publish", color: "--c3" },
                { id: "deliver_get", label: "Deliver", color: "--c1" },
                { id: "ack", label: "Ack", color: "--c4" },
                { id: "redeliver", label: "Redeliver", color: "--c5" },
            ],
        }),
        memory: make({
            title: "Memory",
            format: bytes,
            isSize: true,
            series: [{ id: "mem_used", label: "Used", color: "--c4", area: true }],
        }),
        disk: make({
            title: "Disk free",
            format: bytes,
            isSize: true,
            series: [{ id: "disk_free", label: "Free", color: "--c2", area: true }],
        }),
        objects: make({
            title: "Clients",
            format: short,
            series: [
                { id: "connections", label: "Connections", color: "--c3" },
                { id: "channels", label: "Channels", color: "--c1" },
                { id: "consumers", label: "Consumers", color: "--c4" },
            ],
        }),
    };
}

function tile(label, href) {
    const value = h("output.big", "–"),
        more = h("small", "");
    const node = h(
        href ? "a.tile" : "div.tile",
        href ? { href } : {},
        h("span", label),
        value,
        more,
    );

    return {
        node,
        show(text, small, isBad) {
            say(value, text);
            say(more, small || "");
            node.classList.toggle("bad", Boolean(isBad));
        },
    };
}

function tiles() {
    return {
        messages: tile("Messages", link("queues")),
        publish: tile("Publish"),
        deliver: tile("Deliver"),
        connections: tile("Connections", link("connections")),
        queues: tile("Queues", link("queues")),
        memory: tile("Memory"),
        disk: tile("Disk free"),
    };
}

function showTiles(t, now, totals) {
    const q = totals.queue_totals,
        o = totals.object_totals;

    t.messages.show(short(q.messages), short(q.messages_unacknowledged) + " unacked");
    t.publish.show(rate(now.publish), count(totals.message_stats.publish) + " so far");
    t.deliver.show(rate(now.deliver_get), count(totals.message_stats.deliver_get) + " so far");
    t.connections.show(count(o.connections), plural(o.channels, "channel"));
    t.queues.show(count(o.queues), plural(o.consumers, "consumer"));
    if (totals.memory) {
        const { memory, disk } = totals,
            alarms = totals.alarms || [];
        t.memory.show(
            bytes(memory.used),
            "alarm at " + bytes(memory.limit),
            alarms.includes("memory"),
        );
        t.disk.show(bytes(disk.free), "alarm at " + bytes(disk.limit), alarms.includes("disk"));
    }
}

function gauges(totals) {
    return {
        ready: totals.queue_totals.messages_ready,
        unacked: totals.queue_totals.messages_unacknowledged,
        connections: totals.object_totals.connections,
        channels: totals.object_totals.channels,
        consumers: totals.object_totals.consumers,
        mem_used: totals.memory && totals.memory.used,
        disk_free: totals.disk && totals.disk.free,
    };
}

function earlier(overview, node) {
    const q = overview.queue_totals || {},
        m = overview.message_stats || {},
        n = node || {};
    const of = (from, name) => from[name + "_details"] && from[name + "_details"].samples;
    const points = samples({
        ready: of(q, "messages_ready"),
        unacked: of(q, "messages_unacknowledged"),
        mem_used: of(n, "mem_used"),
        disk_free: of(n, "disk_free"),
    });
    const rates = samples(
        {
            publish: of(m, "publish"),
            deliver_get: of(m, "deliver_get"),
            ack: of(m, "ack"),
            redeliver: of(m, "redeliver"),
        },
        true,
    );

    return joined(points, rates);
}

function facts(overview, node) {
    const rows = [
        [
            "Version",
            overview.product_name
                ? overview.product_name + " " + overview.product_version
                : overview.rabbitmq_version,
        ],
        ["Speaks as", "RabbitMQ " + overview.rabbitmq_version],
        ["Cluster", overview.cluster_name],
        ["Up", node && span(node.uptime)],
        ["Process", node && node.os_pid && "pid " + node.os_pid],
        ["Processes", node && node.proc_used !== undefined && count(node.proc_used)],
        [
            "Descriptors",
            node &&
                node.fd_used !== undefined &&
                count(node.fd_used) + " of " + count(node.fd_total),
        ],
        ["Cores", node && node.processors],
    ].filter(([, v]) => v);

    return h(
        "section.card",
        h("h2", "Node"),
        h(
            "dl.facts",
            rows.map(([k, v]) => h("div", h("dt", k), h("dd", v))),
        ),
    );
}

function listeners(overview) {
    const table = new Table({
        label: "Listeners",
        key: (l) => l.protocol + l.ip_address + l.port,
        empty: "Nobody listens.",
        columns: [
            { id: "protocol", label: "Protocol", cell: (l) => l.protocol },
            { id: "ip", label: "Address", cell: (l) => l.ip_address, wide: true },
            { id: "port", label: "Port", num: true, cell: (l) => String(l.port) },
        ],
    });

    table.update(overview.listeners || []);
    return h("section.card", h("h2", "Listeners"), table.node);
}

const CHURN = [
    ["connection_created", "Connections opened"],
    ["connection_closed", "Connections closed"],
    ["channel_created", "Channels opened"],
    ["channel_closed", "Channels closed"],
    ["queue_declared", "Queues declared"],
    ["queue_created", "Queues created"],
    ["queue_deleted", "Queues deleted"],
];

function churn(overview) {
    const c = overview.churn_rates;

    return (
        c &&
        h(
            "section.card",
            h("h2", "Churn since the start"),
            h(
                "dl.facts",
                CHURN.filter(([id]) => c[id] !== undefined).map(([id, label]) =>
                    h("div", h("dt", label), h("dd.num", count(c[id]))),
                ),
            ),
        )
    );
}

/* What the node's memory answer calls it, what it is here, and its colour. */
const MEMORY = [
    [["queue_procs", "exchange_procs"], "Queues and exchanges", "c1"],
    [["binary"], "Message bodies", "c2"],
    [["connection_readers", "connection_channels"], "Connections and channels", "c3"],
    [["msg_index"], "Stores", "c4"],
    [["mgmt_db"], "Management", "c5"],
    [["other_proc"], "Other processes", "c6"],
    [["other_system"], "Program, caches, pages of files", "c7"],
];

/* A bar of what is in use, and its parts in words. */
function memoryCard() {
    const parts = MEMORY.map(([, , color]) => h("i." + color));
    const values = MEMORY.map(() => h("dd.num", "–"));
    const words = h("p.quiet", "");
    const node = h(
        "section.card.memory",
        h("h2", "Where the memory is"),
        h("div.bar", { "aria-hidden": "true" }, parts),
        words,
        h(
            "dl.facts",
            MEMORY.map(([, label, color], i) =>
                h("div", h("dt", h("i.dot." + color), " ", label), values[i]),
            ),
        ),
    );

    return {
        node,
        show(memory, limit) {
            const sum = (list) => list.reduce((all, n) => all + (n || 0), 0);
            const sizes = MEMORY.map(([ids]) => sum(ids.map((id) => memory[id])));
            const used = sum(sizes);

            sizes.forEach((n, i) => {
                parts[i].style.flexGrow = n;
                say(values[i], bytes(n));
            });
            say(
                words,
                bytes(used) +
                    " in use, " +
                    ((100 * used) / limit).toFixed(1) +
                    "% of the " +
                    bytes(limit) +
                    " at which publishers are blocked",
            );
        },
    };
}

async function follow(ctx, card, node) {
    const where = "nodes/" + encodeURIComponent(node.name) + "/memory";

    await ctx.every(5000, async () => {
        const { memory } = await getOr({}, where, ctx.signal);
        if (memory) card.show(memory, node.mem_limit);
    });
}

export async function show(ctx) {
    const overview = await ctx.attempt(() =>
        getOr(
            {},
            "overview" +
                query({
                    lengths_age: 600,
                    lengths_incr: 10,
                    msg_rates_age: 600,
                    msg_rates_incr: 10,
                }),
            ctx.signal,
        ),
    );
    if (!overview) return;
    const node =
        may("monitoring") &&
        overview.node &&
        (await ctx.attempt(() =>
            getOr(
                null,
                "nodes/" +
                    encodeURIComponent(overview.node) +
                    query({ node_stats_age: 600, node_stats_incr: 10 }),
                ctx.signal,
            ),
        ));
    const t = tiles(),
        charts = chartsFor(ctx),
        memory = node && memoryCard();

    history.seed(earlier(overview, node));
    ctx.show(
        h("h1", "Overview"),
        h(
            "div.tiles",
            Object.values(t).map((one) => one.node),
        ),
        h(
            "div.charts",
            h("section.card", charts.messages.node),
            h("section.card", charts.rates.node),
        ),
        h(
            "div.charts.small",
            h("section.card", charts.memory.node),
            h("section.card", charts.disk.node),
            h("section.card", charts.objects.node),
        ),
        h(
            "div.cards",
            facts(overview, node),
            memory && memory.node,
            listeners(overview),
            churn(overview),
        ),
    );
    ctx.live((name, totals) => {
        if (name !== "totals") return;
        history.push(totals.time, gauges(totals), totals.message_stats);
        showTiles(t, history.last(), totals);
        for (const c of Object.values(charts))
            c.update(history.points, history.from(totals.time), totals.time);
    });
    if (memory) await follow(ctx, memory, node);
}
