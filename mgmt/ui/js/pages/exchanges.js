/* All exchanges. */
import { path, put } from "../api.js";
import { form, pairs, toast } from "../dialog.js";
import { name as nameText } from "../format.js";
import { button, features, heading, rateOf, rateText, to, vhostColumn } from "../parts.js";
import { scoped, session, someVhost } from "../session.js";
import { Listing } from "../table.js";

const ARGUMENTS = [["alternate-exchange", "string", "Where messages go that no binding matches"]];

async function declare(done) {
    const editor = pairs(ARGUMENTS);

    await form(
        "Declare an exchange",
        [
            {
                name: "vhost",
                label: "Vhost",
                type: "select",
                value: someVhost(),
                options: session.vhosts.map((v) => [v, v]),
            },
            { name: "name", label: "Name", required: true },
            {
                name: "type",
                label: "Type",
                type: "select",
                options: [
                    ["direct", "direct"],
                    ["fanout", "fanout"],
                    ["topic", "topic"],
                    ["headers", "headers"],
                ],
            },
            {
                name: "durable",
                label: "Durable",
                type: "check",
                value: true,
                note: "It is there after a restart.",
            },
            {
                name: "auto_delete",
                label: "Auto-delete",
                type: "check",
                note: "It goes when nothing is bound to it any more.",
            },
            {
                name: "internal",
                label: "Internal",
                type: "check",
                note: "Only other exchanges lead to it.",
            },
            { name: "arguments", label: "Arguments", node: editor.node, read: editor.read },
        ],
        "Declare",
        async ({ vhost, name, ...body }) => {
            await put(path`exchanges/${vhost}/${name}`, body);
            toast("Exchange declared.");
        },
    );
    done();
}

const columns = () => [
    {
        id: "name",
        label: "Exchange",
        sort: "name",
        value: (x) => x.name,
        wide: true,
        cell: (x) => to("exchange", nameText(x.name), x.vhost, x.name || "amq.default"),
    },
    ...vhostColumn(),
    { id: "type", label: "Type", sort: "type", value: (x) => x.type, cell: (x) => x.type },
    { id: "features", label: "Features", cell: features, minor: true },
    {
        id: "in",
        label: "In",
        num: true,
        sort: "message_stats.publish_in_details.rate",
        value: (x) => rateOf(x.message_stats, "publish_in"),
        cell: (x) => rateText(x.message_stats, "publish_in"),
    },
    {
        id: "out",
        label: "Out",
        num: true,
        sort: "message_stats.publish_out_details.rate",
        value: (x) => rateOf(x.message_stats, "publish_out"),
        cell: (x) => rateText(x.message_stats, "publish_out"),
    },
];

export async function show(ctx) {
    const list = new Listing({
        ctx,
        where: () => scoped("exchanges"),
        noun: "exchanges",
        columns: columns(),
        key: (x) => x.vhost + "\n" + x.name,
        sort: "name",
        empty: "No exchanges.",
        tools: [button("Declare an exchange", () => declare(() => list.load()), "main")],
    });

    ctx.show(heading("Exchanges"), list.node);
    ctx.live();
    await ctx.every(3000, () => list.load());
}
