/* One channel: what it is in the middle of, how fast, and its consumers. */
import { get, path } from "../api.js";
import { History, LineChart } from "../chart.js";
import { fill, h } from "../dom.js";
import { ago, count, counted, rate, short } from "../format.js";
import { badge, card, facts, heading, state, to } from "../parts.js";
import { Table } from "../table.js";
import { prefetch } from "./channels.js";
import { consumerColumns, consumerKey } from "./consumers.js";

const SHOWN_MS = 300000;

function charts(ctx) {
    return [
        new LineChart({
            title: "Rates",
            format: rate,
            series: [
                { id: "publish", label: "Publish", color: "--c3" },
                { id: "confirm", label: "Confirm", color: "--c2" },
                { id: "deliver_get", label: "Deliver", color: "--c1" },
                { id: "ack", label: "Ack", color: "--c4" },
                { id: "redeliver", label: "Redeliver", color: "--c5" },
            ],
        }),
        new LineChart({
            title: "Waiting for an answer",
            format: short,
            series: [
                { id: "unacked", label: "Unacked", color: "--c1", area: true },
                { id: "unconfirmed", label: "Unconfirmed", color: "--c3" },
            ],
        }),
    ].map((chart) => ctx.owns(chart));
}

const MODES = [
    ["confirm", "with confirms"],
    ["transactional", "in transactions"],
    ["number", "without confirms"],
];

function rows(c) {
    const of = c.connection_details;

    return [
        ["State", state(c.state)],
        ["Idle since", c.idle_since && ago(Date.parse(c.idle_since))],
        ["Connection", of && to("connection", of.name, of.name)],
        ["User", c.user],
        ["Vhost", c.vhost],
        ["Publishing", MODES.find(([id]) => c[id])[1]],
        ["Prefetch", prefetch(c)],
        ["Unacked", counted(c.messages_unacknowledged, "messages")],
        ["Unconfirmed", c.confirm ? counted(c.messages_unconfirmed, "messages") : undefined],
        ["Uncommitted", c.transactional ? counted(c.messages_uncommitted, "messages") : undefined],
        ["Uncommitted acks", c.transactional ? count(c.acks_uncommitted) : undefined],
    ];
}

const SO_FAR = [
    ["publish", "Published"],
    ["confirm", "Confirmed"],
    ["return_unroutable", "Returned: no queue"],
    ["drop_unroutable", "Dropped: no queue"],
    ["deliver", "Delivered, to be acked"],
    ["deliver_no_ack", "Delivered, no ack"],
    ["get", "Got, to be acked"],
    ["get_no_ack", "Got, no ack"],
    ["get_empty", "Got from an empty queue"],
    ["redeliver", "Redelivered"],
    ["ack", "Acked"],
];

function soFar(c) {
    return facts(SO_FAR.map(([id, label]) => [label, count((c.message_stats || {})[id])]));
}

export async function show(ctx) {
    const [name] = ctx.names;
    const where = path`channels/${name}`;
    const first = await ctx.attempt(() => get(where, ctx.signal));
    if (!first) return;
    const about = h("div"),
        numbers = h("div"),
        history = new History(SHOWN_MS),
        plots = charts(ctx);
    const consumers = new Table({
        label: "Consumers",
        key: consumerKey,
        columns: consumerColumns(true),
        empty: "It has no consumers.",
    });

    ctx.show(
        heading(name, "Channel", badge("number " + first.number, "of its connection")),
        h(
            "div.charts",
            plots.map((one) => h("section.card", one.node)),
        ),
        h("div.cards", card("About", about), card("So far", numbers)),
        h("h2", "Consumers"),
        consumers.node,
    );
    ctx.live();
    await ctx.every(2000, async () => {
        const c = await get(where, ctx.signal),
            now = Date.now();

        fill(about, facts(rows(c)));
        fill(numbers, soFar(c));
        consumers.update(c.consumer_details || []);
        history.push(
            now,
            { unacked: c.messages_unacknowledged, unconfirmed: c.messages_unconfirmed },
            c.message_stats || {},
        );
        for (const one of plots) one.update(history.points, now - SHOWN_MS, now);
    });
}
