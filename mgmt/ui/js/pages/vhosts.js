/* The vhosts. */
import { del, path, put } from "../api.js";
import { attempt, confirm, form, toast } from "../dialog.js";
import { h } from "../dom.js";
import { count } from "../format.js";
import { badge, button, heading, names, to } from "../parts.js";
import { loadVhosts } from "../session.js";
import { Listing } from "../table.js";

/* Asks what an old one or, null, a new one is to be. */
export async function change(vhost, done) {
    await form(
        vhost ? "Change this vhost" : "Add a vhost",
        [
            ...(vhost ? [] : [{ name: "name", label: "Name", required: true }]),
            { name: "description", label: "Description", value: vhost && vhost.description },
            {
                name: "tags",
                label: "Tags, by commas",
                value: vhost && [].concat(vhost.tags || []).join(","),
            },
        ],
        vhost ? "Change" : "Add",
        async (v) => {
            await put(path`vhosts/${vhost ? vhost.name : v.name}`, {
                description: v.description,
                tags: v.tags,
            });
            toast(vhost ? "Vhost changed." : "Vhost added. Users need permissions in it.");
        },
    );
    await loadVhosts();
    done();
}

/* Whether it was deleted. */
export async function remove(name) {
    const isGone =
        (await confirm(
            "Delete this vhost?",
            "All queues, exchanges and messages of “" +
                name +
                "” go, for good, and " +
                "its connections are closed.",
            "Delete",
        )) && (await attempt(() => del(path`vhosts/${name}`), "Vhost deleted."));
    await loadVhosts();
    return isGone;
}

const columns = (done) => [
    {
        id: "name",
        label: "Vhost",
        sort: "name",
        value: (v) => v.name,
        wide: true,
        cell: (v) => to("vhost", v.name, v.name),
    },
    {
        id: "description",
        label: "Description",
        cell: (v) => names(v.description || " "),
        minor: true,
    },
    {
        id: "tags",
        label: "Tags",
        minor: true,
        cell: (v) =>
            h(
                "span.badges",
                [].concat(v.tags || []).map((t) => badge(t)),
            ),
    },
    {
        id: "ready",
        label: "Ready",
        num: true,
        sort: "messages_ready",
        value: (v) => v.messages_ready,
        cell: (v) => count(v.messages_ready),
    },
    {
        id: "unacked",
        label: "Unacked",
        num: true,
        sort: "messages_unacknowledged",
        value: (v) => v.messages_unacknowledged,
        cell: (v) => count(v.messages_unacknowledged),
    },
    {
        id: "do",
        label: "",
        cell: (v) =>
            h(
                "span.actions",
                button("Change", () => change(v, done)),
                button("Delete", () => remove(v.name).then(done)),
            ),
    },
];

export async function show(ctx) {
    const list = new Listing({
        ctx,
        where: () => "vhosts",
        noun: "vhosts",
        columns: columns(() => list.load()),
        key: (v) => v.name,
        sort: "name",
        empty: "No vhosts: nobody can connect.",
        tools: [button("Add a vhost", () => change(null, () => list.load()), "main")],
    });

    ctx.show(heading("Vhosts"), list.node);
    ctx.live();
    await ctx.every(5000, () => list.load());
}
