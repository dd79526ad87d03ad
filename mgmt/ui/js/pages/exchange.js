/* One exchange: what it is bound to, what leads to it, and publishing through it. */
import { del, get, getOr, path, post } from "../api.js";
import { attempt, confirm, form, pairs, toast } from "../dialog.js";
import { fill, h } from "../dom.js";
import { count, name as nameText } from "../format.js";
import { args, button, card, facts, features, heading, rateText, tabs, to } from "../parts.js";
import { link } from "../routes.js";
import { Table } from "../table.js";
import { publisher } from "./queue.js";

function kindOf(b) {
    return b.destination_type === "queue" ? "q" : "e";
}

function bindingsTable(vhost, reload) {
    const unbind = (b) =>
        attempt(
            () =>
                del(
                    path`bindings/${vhost}/e/${b.source}` +
                        path`/${kindOf(b)}/${b.destination}/${b.properties_key}`,
                ),
            "Unbound.",
        ).then(reload);

    return new Table({
        label: "Bindings",
        key: (b) => kindOf(b) + b.destination + "\n" + b.properties_key,
        empty: "Nothing is bound here: what is published goes nowhere.",
        sort: "destination",
        columns: [
            {
                id: "destination",
                label: "To",
                value: (b) => b.destination,
                wide: true,
                cell: (b) => to(b.destination_type, b.destination, vhost, b.destination),
            },
            { id: "kind", label: "Kind", cell: (b) => b.destination_type, minor: true },
            {
                id: "key",
                label: "Routing key",
                value: (b) => b.routing_key,
                cell: (b) => h("code", b.routing_key),
            },
            { id: "args", label: "Arguments", cell: (b) => args(b.arguments), minor: true },
            { id: "do", label: "", cell: (b) => button("Unbind", () => unbind(b)) },
        ],
    });
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

export async function show(ctx) {
    const [vhost, name] = ctx.names;
    const isDefault = name === "amq.default";
    const where = path`exchanges/${vhost}/${name}`;
    const about = h("div");
    const load = async () => {
        const [x, from, to] = await Promise.all([
            get(where, ctx.signal),
            getOr([], where + "/bindings/source", ctx.signal),
            getOr([], where + "/bindings/destination", ctx.signal),
        ]);
        fill(
            about,
            facts([
                ["Type", x.type],
                ["Features", features({ ...x, arguments: {} })],
                ["Policy", x.policy],
                ["Bindings", count(from.length)],
                ["In", rateText(x.message_stats, "publish_in")],
                ["Out", rateText(x.message_stats, "publish_out")],
            ]),
            h("h3", "Arguments"),
            args(x.arguments),
        );
        bindings.update(from);
        sources.update(to);
    };
    const reload = () => load().catch((e) => toast(e.message, "bad"));
    const bindings = bindingsTable(vhost, reload),
        sources = sourcesTable(vhost);

    if ((await ctx.attempt(() => get(where, ctx.signal))) === undefined) return;
    ctx.show(
        heading(
            isDefault ? nameText("") : name,
            ["Exchange in ", h("bdi", vhost)],
            isDefault || name.startsWith("amq.")
                ? null
                : button("Delete", () => remove(vhost, name), "danger"),
        ),
        h(
            "div.cards",
            card("About", about),
            isDefault &&
                card(
                    "The default exchange",
                    h("p", "It leads to every queue by the queue's name."),
                ),
        ),
        tabs([
            [
                "bindings",
                "Bindings",
                h(
                    "div",
                    !isDefault &&
                        h(
                            "div.tools",
                            h("span.gap"),
                            button("Bind", () => bind(vhost, name, reload)),
                        ),
                    bindings.node,
                ),
            ],
            ["sources", "Leads here", sources.node],
            ["publish", "Publish", publisher(vhost, name)],
        ]),
    );
    ctx.live();
    await ctx.every(3000, load);
}
