/* One connection: who it is, its channels, and closing it. */
import { del, get, getOr, path } from "../api.js";
import { History, LineChart } from "../chart.js";
import { form, toast } from "../dialog.js";
import { fill, h } from "../dom.js";
import { ago, bytes, count, value } from "../format.js";
import { button, card, facts, heading, state } from "../parts.js";
import { link } from "../routes.js";
import { Table } from "../table.js";
import { channelColumns } from "./channels.js";
import { nameOf } from "./connections.js";

async function close(c) {
    const done = await form(
        "Close this connection?",
        [
            {
                name: "reason",
                label: "Reason, which the client is told",
                value: "Closed via the dashboard",
            },
        ],
        "Close",
        ({ reason }) => del(path`connections/${c.name}`, reason ? { "X-Reason": reason } : {}),
    );

    if (done) {
        toast("Connection closed.");
        location.hash = link("connections");
    }
}

function rows(c) {
    return [
        ["State", state(c.state)],
        ["User", c.user],
        ["Vhost", c.vhost],
        ["Protocol", c.protocol],
        ["Login by", c.auth_mechanism],
        ["Client at", c.peer_host && c.peer_host + ":" + c.peer_port],
        ["Listener", c.host && c.host + ":" + c.port],
        ["TLS", c.ssl ? [c.ssl_protocol, c.ssl_cipher].filter(Boolean).join(", ") : "no"],
        ["Since", ago(c.connected_at)],
        ["Heartbeat", c.timeout ? c.timeout + " s" : "none"],
        ["Frames up to", bytes(c.frame_max)],
        ["Channels", count(c.channels) + " of " + count(c.channel_max)],
        ["Received", bytes(c.recv_oct)],
        ["Sent", bytes(c.send_oct)],
        ["To be sent", bytes(c.send_pend)],
    ];
}

function says(c) {
    const list = Object.entries(c.client_properties || {}).filter(([, v]) => typeof v !== "object");

    return list.length ? facts(list.map(([k, v]) => [k, value(v)])) : h("p.quiet", "nothing");
}

export async function show(ctx) {
    const [name] = ctx.names;
    const where = path`connections/${name}`;
    const first = await ctx.attempt(() => get(where, ctx.signal));
    if (!first) return;
    const about = h("div"),
        history = new History(300000);
    const plot = ctx.owns(
        new LineChart({
            title: "Traffic",
            format: (n) => bytes(n) + "/s",
            isSize: true,
            series: [
                { id: "recv", label: "From client", color: "--c3" },
                { id: "send", label: "To client", color: "--c1" },
            ],
        }),
    );
    const channels = new Table({
        label: "Channels",
        key: (c) => c.name,
        columns: channelColumns(true),
        empty: "It has no channels open.",
    });

    ctx.show(
        heading(
            nameOf(first),
            "Connection",
            button("Close", () => close(first), "danger"),
        ),
        h("div.charts", h("section.card", plot.node)),
        h("div.cards", card("About", about), card("What the client says of itself", says(first))),
        h("h2", "Channels"),
        channels.node,
    );
    ctx.live();
    await ctx.every(2000, async () => {
        const [c, list] = await Promise.all([
            get(where, ctx.signal),
            getOr([], where + "/channels", ctx.signal),
        ]);
        fill(about, facts(rows(c)));
        channels.update(list);
        history.push(Date.now(), {}, { recv: c.recv_oct, send: c.send_oct });
        plot.update(history.points, Date.now() - 300000, Date.now());
    });
}
