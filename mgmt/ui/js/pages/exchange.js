/* One exchange: what it is bound to, what leads to it, and publishing through it. */
import { del, get, getOr, path, post, query } from "../api.js";
import { attempt, confirm, form, pairs, toast } from "../dialog.js";
import { History, LineChart, samples } from "../chart.js";
import { fill, h } from "../dom.js";
import { name as nameText, rate } from "../format.js";
import { args, button, card, facts, features, heading, rateOf, tabs, to } from "../parts.js";
import { link } from "../routes.js";
import { Listing, Table } from "../table.js";
import { publisher } from "./queue.js";

function kindOf(b) {
    return b.destination_type === "queue" ? "q" : "e";
}

const SHOWN_MS = 600000;

function bindingsList(ctx, vhost, where, isDefault, tools) {
    const reload = () => list.load();
    const unbind = (b) =>
        attempt(
            () =>
                del(
                    path`bindings/${vhost}/e/${b.source}` +
                        path`/${kindOf(b)}/${b.destination}/${b.properties_key}`,
                ),
            "Unbound.",
        ).then(reload);

    const list = new Listing({
        ctx,
        where: () => where + "/bindings/source",
        noun: "bindings",
        hasNames: false,
        tools: tools(reload),
        key: (b) => kindOf(b) + b.destination + "\n" + b.properties_key,
        empty: "Nothing is bound here: what is published goes nowhere.",
        sort: "destination",
        columns: [
            {
                id: "destination",
                label: "To",
                sort: "destination",
                value: (b) => b.destination,
                wide: true,
                cell: (b) => to(b.destination_type, b.destination, vhost, b.destination),
            },
            { id: "kind", label: "Kind", cell: (b) => b.destination_type, minor: true },
            {
                id: "key",
                label: "Routing key",
                sort: "routing_key",
                value: (b) => b.routing_key,
                cell: (b) => h("code", b.routing_key),
            },
            { id: "args", label: "Arguments", cell: (b) => args(b.arguments), minor: true },
            {
                id: "do",
                label: "",
                cell: (b) => (isDefault ? "" : button("Unbind", () => unbind(b))),
            },
        ],
    });
    return list;
}

function sourcesTable(vhost) {
    return new Table({
        label: "Bindings that lead here",
        key: (b) => b.source + "\n" + b.properties_key,
        empty: "No other exchange leads here.",
        columns: [
            {
                id: "source",
                label: "From",
                value: (b) => b.source,
                wide: true,
                cell: (b) => to("exchange", b.source, vhost, b.source),
            },
            {
                id: "key",
                label: "Routing key",
                value: (b) => b.routing_key,
                cell: (b) => h("code", b.routing_key),
            },
            { id: "args", label: "Arguments", cell: (b) => args(b.arguments), minor: true },
        ],
    });
}

async function bind(vhost, name, reload) {
    const editor = pairs([
        ["x-match", "string", "headers exchanges: all, any, all-with-x or any-with-x"],
    ]);

    await form(
        "Bind to this exchange",
        [
            {
                name: "kind",
                label: "To a",
                type: "select",
                options: [
                    ["q", "queue"],
                    ["e", "exchange"],
                ],
            },
            { name: "destination", label: "Named", required: true },
            { name: "routing_key", label: "Routing key" },
            { name: "arguments", label: "Arguments", node: editor.node, read: editor.read },
        ],
        "Bind",
        async ({ kind, destination, ...body }) => {
            await post(path`bindings/${vhost}/e/${name}/${kind}/${destination}`, body);
            toast("Bound.");
        },
    );
    reload();
}

async function remove(vhost, name) {
    if (
        (await confirm(
            "Delete this exchange?",
            "“" + name + "” and its bindings go, for good.",
            "Delete",
        )) &&
        (await attempt(() => del(path`exchanges/${vhost}/${name}`), "Exchange deleted."))
    )
        location.hash = link("exchanges");
}

function trafficChart(ctx) {
    return ctx.owns(
        new LineChart({
            title: "Message rates",
            format: rate,
            series: [
                { id: "publish_in", label: "In", color: "--c3" },
                { id: "publish_out", label: "Out to queues", color: "--c1" },
            ],
        }),
    );
}

function earlier(x) {
    const m = x.message_stats || {};
    const of = (id) => m[id + "_details"] && m[id + "_details"].samples;

    return samples({ publish_in: of("publish_in"), publish_out: of("publish_out") }, true);
}

function aboutRows(x) {
    return [
        ["Type", x.type],
        ["Features", features({ ...x, arguments: {} })],
        ["Policy", x.policy],
        ["Arguments", args(x.arguments)],
    ];
}

export async function show(ctx) {
    const [vhost, name] = ctx.names;
    const isDefault = name === "amq.default";
    const where = path`exchanges/${vhost}/${name}`;
    const about = h("div");
    const load = async () => {
        const [x, to] = await Promise.all([
            get(where, ctx.signal),
            getOr([], where + "/bindings/destination", ctx.signal),
            bindings.load(),
        ]);
        const now = Date.now();
        fill(about, facts(aboutRows(x)));
        sources.update(to);
        history.push(now, {
            publish_in: rateOf(x.message_stats, "publish_in"),
            publish_out: rateOf(x.message_stats, "publish_out"),
        });
        plot.update(history.points, history.from(now), now);
    };
    const bindings = bindingsList(ctx, vhost, where, isDefault, (reload) =>
        isDefault ? null : button("Bind", () => bind(vhost, name, reload)),
    );
    const sources = sourcesTable(vhost),
        history = new History(SHOWN_MS),
        plot = trafficChart(ctx);
    const first = await ctx.attempt(() =>
        get(where + query({ msg_rates_age: 600, msg_rates_incr: 10 }), ctx.signal),
    );

    if (!first) return;
    history.seed(earlier(first));
    ctx.show(
        heading(
            isDefault ? nameText("") : name,
            ["Exchange in ", h("bdi", vhost)],
            isDefault || name.startsWith("amq.")
                ? null
                : button("Delete", () => remove(vhost, name), "danger"),
        ),
        h(
            "div.charts",
            h("section.card", plot.node),
            card("About", about),
            isDefault &&
                card(
                    "The default exchange",
                    h("p", "It leads to every queue by the queue's name."),
                ),
        ),
        tabs([
            ["bindings", "Bindings", bindings.node],
            ["sources", "Leads here", sources.node],
            ["publish", "Publish", publisher(vhost, name)],
        ]),
    );
    ctx.live();
    await ctx.every(3000, load);
}
