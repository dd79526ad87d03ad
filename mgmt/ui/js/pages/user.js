/* One user: password, tags, and what it may do in which vhost. */
import { del, get, getOr, path, put } from "../api.js";
import { attempt, form, toast } from "../dialog.js";
import { h } from "../dom.js";
import { button, card, heading, names } from "../parts.js";
import { link } from "../routes.js";
import { session, someVhost } from "../session.js";
import { Table } from "../table.js";
import { readTags, remove, tagFields, tagsOf } from "./users.js";

const vhostField = (value) => ({
    name: "vhost",
    label: "Vhost",
    type: "select",
    value: value || someVhost(),
    options: session.vhosts.map((v) => [v, v]),
});

async function permit(user, p, done) {
    await form(
        "Permissions of " + user,
        [
            vhostField(p && p.vhost),
            { name: "configure", label: "Configure", value: p ? p.configure : ".*" },
            { name: "write", label: "Write", value: p ? p.write : ".*" },
            { name: "read", label: "Read", value: p ? p.read : ".*" },
        ],
        "Set",
        ({ vhost, ...body }) => put(path`permissions/${vhost}/${user}`, body),
        { intro: "Regular expressions over names of queues and exchanges. Empty: nothing." },
    );
    done();
}

async function permitTopic(user, p, done) {
    await form(
        "Topic permission of " + user,
        [
            vhostField(p && p.vhost),
            {
                name: "exchange",
                label: "Topic exchange",
                required: true,
                value: p ? p.exchange : "amq.topic",
            },
            { name: "write", label: "May publish with", value: p ? p.write : ".*" },
            { name: "read", label: "May bind with", value: p ? p.read : ".*" },
        ],
        "Set",
        ({ vhost, ...body }) => put(path`topic-permissions/${vhost}/${user}`, body),
        {
            intro: "Regular expressions over routing keys; {username} and {vhost} are filled in.",
        },
    );
    done();
}

const code = (id, label) => ({ id, label, cell: (p) => h("code", p[id]) });

function permissionsTable(user, done) {
    return new Table({
        label: "Permissions",
        key: (p) => p.vhost,
        sort: "vhost",
        empty: "It may open no vhost.",
        columns: [
            {
                id: "vhost",
                label: "Vhost",
                value: (p) => p.vhost,
                cell: (p) => names(p.vhost),
                wide: true,
            },
            code("configure", "Configure"),
            code("write", "Write"),
            code("read", "Read"),
            {
                id: "do",
                label: "",
                cell: (p) =>
                    h(
                        "span.actions",
                        button("Change", () => permit(user, p, done)),
                        button("Remove", () =>
                            attempt(
                                () => del(path`permissions/${p.vhost}/${user}`),
                                "Removed.",
                            ).then(done),
                        ),
                    ),
            },
        ],
    });
}

function topicTable(user, done) {
    return new Table({
        label: "Topic permissions",
        key: (p) => p.vhost + "\n" + p.exchange,
        empty: "None: it may use any routing key.",
        columns: [
            { id: "vhost", label: "Vhost", value: (p) => p.vhost, cell: (p) => names(p.vhost) },
            { id: "exchange", label: "Exchange", cell: (p) => names(p.exchange), wide: true },
            code("write", "Publish"),
            code("read", "Bind"),
            {
                id: "do",
                label: "",
                cell: (p) =>
                    h(
                        "span.actions",
                        button("Change", () => permitTopic(user, p, done)),
                        button("Remove", () =>
                            attempt(
                                () => del(path`topic-permissions/${p.vhost}/${user}/${p.exchange}`),
                                "Removed.",
                            ).then(done),
                        ),
                    ),
            },
        ],
    });
}

function limitsTable(user, done) {
    return new Table({
        label: "Limits",
        key: (l) => l.id,
        empty: "No limits.",
        columns: [
            { id: "name", label: "Limit", cell: (l) => l.id, wide: true },
            { id: "value", label: "At most", num: true, cell: (l) => String(l.value) },
            {
                id: "do",
                label: "",
                cell: (l) =>
                    button("Remove", () =>
                        attempt(() => del(path`user-limits/${user}/${l.id}`), "Removed.").then(
                            done,
                        ),
                    ),
            },
        ],
    });
}

async function limit(user, done) {
    await form(
        "Limit " + user,
        [
            {
                name: "id",
                label: "Of",
                type: "select",
                options: [
                    ["max-connections", "connections"],
                    ["max-channels", "channels"],
                ],
            },
            { name: "value", label: "At most", type: "number", required: true, min: -1 },
        ],
        "Set",
        ({ id, value }) => put(path`user-limits/${user}/${id}`, { value }),
    );
    done();
}

async function changePassword(name, tags) {
    await form(
        "New password of " + name,
        [
            {
                name: "password",
                label: "Password",
                type: "password",
                required: true,
                autocomplete: "new-password",
            },
        ],
        "Change",
        ({ password }) =>
            put(path`users/${name}`, { password, tags: tags.join(",") }).then(() =>
                toast("Password changed."),
            ),
    );
}

async function changeTags(name, user, done) {
    const has = tagsOf(user);

    await form("Tags of " + name, tagFields(has), "Change", (v) =>
        put(path`users/${name}`, {
            password_hash: user.password_hash,
            hashing_algorithm: user.hashing_algorithm,
            tags: readTags(v, has),
        }),
    );
    done();
}

function limitsOf(answer, user) {
    const all = Array.isArray(answer) ? answer : [];
    const own = all.find((one) => one.user === user);

    return Object.entries((own && own.value) || {}).map(([id, value]) => ({ id, value }));
}

export async function show(ctx) {
    const [name] = ctx.names;
    const load = async () => {
        const [user, permissions, topics, limits] = await Promise.all([
            get(path`users/${name}`, ctx.signal),
            get(path`users/${name}/permissions`, ctx.signal),
            getOr([], path`users/${name}/topic-permissions`, ctx.signal),
            getOr([], path`user-limits/${name}`, ctx.signal),
        ]);
        now.user = user;
        tables[0].update(permissions);
        tables[1].update(topics);
        tables[2].update(limitsOf(limits, name));
    };
    const done = () => load().catch((e) => toast(e.message, "bad"));
    const now = {},
        tables = [permissionsTable(name, done), topicTable(name, done), limitsTable(name, done)];

    if ((await ctx.attempt(load)) === undefined && !now.user) return;
    ctx.show(
        heading(
            name,
            "User",
            button("Change password", () => changePassword(name, tagsOf(now.user))),
            button("Change tags", () => changeTags(name, now.user, done)),
            name !== session.user &&
                button(
                    "Delete",
                    async () => {
                        if (await remove(name)) location.hash = link("users");
                    },
                    "danger",
                ),
        ),
        card(
            "Permissions",
            tables[0].node,
            button("Set permissions", () => permit(name, null, done)),
        ),
        card(
            "Topic permissions",
            tables[1].node,
            button("Set a topic permission", () => permitTopic(name, null, done)),
        ),
        card(
            "Limits",
            tables[2].node,
            button("Set a limit", () => limit(name, done)),
        ),
    );
    ctx.live();
    await ctx.every(5000, load);
}
