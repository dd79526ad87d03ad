/* All queues, filtered, sorted and paged by the server. */
import { del, path, put } from "../api.js";
import { attempt, confirm, form, pairs, toast } from "../dialog.js";
import { h } from "../dom.js";
import { bytes, count, plural } from "../format.js";
import {
    badge,
    button,
    features,
    heading,
    names,
    rateOf,
    rateText,
    state,
    to,
    vhostColumn,
} from "../parts.js";
import { scoped, session, someVhost } from "../session.js";
import { Listing } from "../table.js";

const ARGUMENTS = [
    ["x-message-ttl", "number", "Messages live at most so many ms"],
    ["x-expires", "number", "The queue goes after so many ms unused"],
    ["x-max-length", "number", "At most so many messages"],
    ["x-max-length-bytes", "number", "At most so many bytes"],
    ["x-overflow", "string", "drop-head, reject-publish or reject-publish-dlx"],
    ["x-dead-letter-exchange", "string", "Where dropped messages go"],
    ["x-dead-letter-routing-key", "string", "The routing key of dropped messages"],
    ["x-max-priority", "number", "The queue has so many priorities"],
    ["x-single-active-consumer", "boolean", "One consumer at a time"],
];

export async function declare(ctx, done) {
    const editor = pairs(ARGUMENTS);

    await form(
        "Declare a queue",
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
                note: "It goes when its last consumer goes.",
            },
            {
                name: "arguments",
                label: "Arguments",
                node: editor.node,
                read: editor.read,
                note: "They are checked, kept and shown; queues do not act on them yet.",
            },
        ],
        "Declare",
        async ({ vhost, name, ...body }) => {
            await put(path`queues/${vhost}/${name}`, body);
            toast("Queue declared.");
        },
    );
    done();
}

export async function purge(vhost, name) {
    return (
        (await confirm(
            "Purge this queue?",
            "All ready messages of “" + name + "” are dropped.",
            "Purge",
            "Messages that consumers hold unacked stay theirs.",
        )) && attempt(() => del(path`queues/${vhost}/${name}/contents`), "Queue purged.")
    );
}

export async function remove(vhost, name, messages) {
    return (
        (await confirm(
            "Delete this queue?",
            "“" + name + "” and its " + plural(messages, "message") + " go, for good.",
            "Delete",
        )) && attempt(() => del(path`queues/${vhost}/${name}`), "Queue deleted.")
    );
}

function consumersCell(q) {
    return q.consumers === 0 && q.messages_ready > 0
        ? badge("0", "Messages wait, and nobody consumes them", "warn")
        : count(q.consumers);
}

const columns = () => [
    {
        id: "name",
        label: "Queue",
        sort: "name",
        value: (q) => q.name,
        wide: true,
        cell: (q) => to("queue", q.name, q.vhost, q.name),
    },
    ...vhostColumn(),
    { id: "features", label: "Features", cell: features, minor: true },
    {
        id: "state",
        label: "State",
        sort: "state",
        value: (q) => q.state,
        cell: (q) => state(q.state, q.reason),
    },
    {
        id: "ready",
        label: "Ready",
        num: true,
        sort: "messages_ready",
        value: (q) => q.messages_ready,
        cell: (q) => count(q.messages_ready),
    },
    {
        id: "unacked",
        label: "Unacked",
        num: true,
        sort: "messages_unacknowledged",
        value: (q) => q.messages_unacknowledged,
        cell: (q) => count(q.messages_unacknowledged),
    },
    {
        id: "bytes",
        label: "Size",
        num: true,
        sort: "message_bytes",
        value: (q) => q.message_bytes,
        cell: (q) => bytes(q.message_bytes),
        minor: true,
    },
    {
        id: "consumers",
        label: "Consumers",
        num: true,
        sort: "consumers",
        value: (q) => q.consumers,
        cell: consumersCell,
    },
    {
        id: "in",
        label: "In",
        title: "published",
        num: true,
        sort: "message_stats.publish_details.rate",
        value: (q) => rateOf(q.message_stats, "publish"),
        cell: (q) => rateText(q.message_stats, "publish"),
        minor: true,
    },
    {
        id: "out",
        label: "Out",
        title: "delivered and got",
        num: true,
        sort: "message_stats.deliver_get_details.rate",
        value: (q) => rateOf(q.message_stats, "deliver_get"),
        cell: (q) => rateText(q.message_stats, "deliver_get"),
        minor: true,
    },
    {
        id: "ack",
        label: "Ack",
        title: "acked",
        num: true,
        sort: "message_stats.ack_details.rate",
        value: (q) => rateOf(q.message_stats, "ack"),
        cell: (q) => rateText(q.message_stats, "ack"),
        minor: true,
        optional: true,
    },
    {
        id: "redeliver",
        label: "Again",
        title: "redelivered",
        num: true,
        sort: "message_stats.redeliver_details.rate",
        value: (q) => rateOf(q.message_stats, "redeliver"),
        cell: (q) => rateText(q.message_stats, "redeliver"),
        minor: true,
        optional: true,
    },
    {
        id: "persistent",
        label: "Persistent",
        num: true,
        sort: "messages_persistent",
        value: (q) => q.messages_persistent,
        cell: (q) => count(q.messages_persistent),
        minor: true,
        optional: true,
    },
    {
        id: "memory",
        label: "Memory",
        title: "of its process",
        num: true,
        sort: "memory",
        value: (q) => q.memory,
        cell: (q) => bytes(q.memory),
        minor: true,
        optional: true,
    },
    {
        id: "policy",
        label: "Policy",
        sort: "policy",
        value: (q) => q.policy,
        cell: (q) => names(q.policy || ""),
        minor: true,
        optional: true,
    },
];

export async function show(ctx) {
    const list = new Listing({
        ctx,
        where: () => scoped("queues"),
        noun: "queues",
        columns: columns(),
        key: (q) => q.vhost + "\n" + q.name,
        sort: "name",
        empty: h(
            "span",
            "No queues yet. A client declares them, or you do with “Declare a queue”.",
        ),
        tools: [button("Declare a queue", () => declare(ctx, () => list.load()), "main")],
    });

    ctx.show(heading("Queues"), list.node);
    ctx.live();
    await ctx.every(3000, () => list.load());
}
