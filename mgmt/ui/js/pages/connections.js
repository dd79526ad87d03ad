/* Who is connected. */
import { ago, bytes, count, rate } from "../format.js";
import { badge, heading, names, state, to, vhostColumn } from "../parts.js";
import { path } from "../api.js";
import { session } from "../session.js";
import { Listing } from "../table.js";
import { h } from "../dom.js";

export function nameOf(c) {
    return c.user_provided_name || c.name;
}

function client(c) {
    const p = c.client_properties || {};

    return [p.product, p.version].filter(Boolean).join(" ") || p.platform || "";
}

const columns = () => [
    {
        id: "name",
        label: "Connection",
        sort: "name",
        value: (c) => c.name,
        wide: true,
        cell: (c) =>
            h(
                "span.two",
                to("connection", nameOf(c), c.name),
                c.user_provided_name && h("small", c.name),
            ),
    },
    ...vhostColumn(),
    {
        id: "user",
        label: "User",
        sort: "user",
        value: (c) => c.user,
        cell: (c) => names(c.user || ""),
    },
    {
        id: "state",
        label: "State",
        sort: "state",
        value: (c) => c.state,
        cell: (c) => state(c.state),
    },
    {
        id: "ssl",
        label: "TLS",
        sort: "ssl",
        value: (c) => c.ssl,
        minor: true,
        cell: (c) =>
            c.ssl
                ? badge(c.ssl_protocol || "TLS", c.ssl_cipher || "encrypted", "good")
                : h("span.quiet", "plain"),
    },
    { id: "client", label: "Client", cell: (c) => names(client(c)), minor: true },
    {
        id: "channels",
        label: "Channels",
        num: true,
        sort: "channels",
        value: (c) => c.channels,
        cell: (c) => count(c.channels),
    },
    {
        id: "in",
        label: "From client",
        num: true,
        sort: "recv_oct_details.rate",
        minor: true,
        value: (c) => c.recv_oct_details && c.recv_oct_details.rate,
        cell: (c) =>
            c.recv_oct_details ? bytes(c.recv_oct_details.rate) + "/s" : bytes(c.recv_oct),
    },
    {
        id: "out",
        label: "To client",
        num: true,
        sort: "send_oct_details.rate",
        minor: true,
        value: (c) => c.send_oct_details && c.send_oct_details.rate,
        cell: (c) =>
            c.send_oct_details ? bytes(c.send_oct_details.rate) + "/s" : bytes(c.send_oct),
    },
    {
        id: "since",
        label: "Since",
        num: true,
        sort: "connected_at",
        value: (c) => c.connected_at,
        minor: true,
        cell: (c) => ago(c.connected_at),
    },
];

export async function show(ctx) {
    const where = () => (session.vhost ? path`vhosts/${session.vhost}/connections` : "connections");
    const list = new Listing({
        ctx,
        where,
        noun: "connections",
        columns: columns(),
        key: (c) => c.name,
        sort: "name",
        empty: "Nobody is connected.",
    });

    ctx.show(heading("Connections"), list.node);
    ctx.live();
    await ctx.every(3000, () => list.load());
}
