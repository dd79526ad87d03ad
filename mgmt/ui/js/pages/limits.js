/* How much each vhost and each user may have. */
import { del, getOr, path, put } from "../api.js";
import { attempt, form, toast } from "../dialog.js";
import { h } from "../dom.js";
import { count } from "../format.js";
import { button, card, heading, names } from "../parts.js";
import { session, someVhost } from "../session.js";
import { Table } from "../table.js";

const OF = {
    vhost: {
        where: "vhost-limits",
        limits: [
            ["max-connections", "connections"],
            ["max-queues", "queues"],
        ],
    },
    user: {
        where: "user-limits",
        limits: [
            ["max-connections", "connections"],
            ["max-channels", "channels"],
        ],
    },
};

function flat(list, key) {
    return (Array.isArray(list) ? list : []).flatMap((one) =>
        Object.entries(one.value || {}).map(([id, value]) => ({ name: one[key], id, value })),
    );
}

function table(kind, done) {
    const { where } = OF[kind];

    return new Table({
        label: "Limits of " + kind + "s",
        key: (l) => l.name + "\n" + l.id,
        sort: "name",
        empty: "No " + kind + " has limits.",
        columns: [
            {
                id: "name",
                label: kind === "vhost" ? "Vhost" : "User",
                value: (l) => l.name,
                wide: true,
                cell: (l) => names(l.name),
            },
            { id: "id", label: "Limit", value: (l) => l.id, cell: (l) => l.id },
            {
                id: "value",
                label: "At most",
                num: true,
                value: (l) => l.value,
                cell: (l) => (l.value < 0 ? "no limit" : count(l.value)),
            },
            {
                id: "do",
                label: "",
                cell: (l) =>
                    button("Remove", () =>
                        attempt(() => del(path`${where}/${l.name}/${l.id}`), "Limit removed.").then(
                            done,
                        ),
                    ),
            },
        ],
    });
}

async function add(kind, users, done) {
    const list = kind === "vhost" ? session.vhosts : users;

    await form(
        "Limit a " + kind,
        [
            {
                name: "name",
                label: kind === "vhost" ? "Vhost" : "User",
                type: "select",
                options: list.map((n) => [n, n]),
                value: kind === "vhost" ? someVhost() : undefined,
            },
            { name: "id", label: "Of", type: "select", options: OF[kind].limits },
            {
                name: "value",
                label: "At most",
                type: "number",
                required: true,
                min: -1,
                note: "-1: no limit; 0: none at all.",
            },
        ],
        "Set",
        async ({ name, id, value }) => {
            await put(path`${OF[kind].where}/${name}/${id}`, { value });
            toast("The limit holds from now on.");
        },
    );
    done();
}

export async function show(ctx) {
    const now = { users: [] };
    const load = async () => {
        const [v, u, users] = await Promise.all([
            getOr([], "vhost-limits", ctx.signal),
            getOr([], "user-limits", ctx.signal),
            getOr([], "users", ctx.signal),
        ]);
        now.users = (users.items || users).map((one) => one.name);
        vhosts.update(flat(v, "vhost"));
        perUser.update(flat(u, "user"));
    };
    const done = () => load().catch((e) => toast(e.message, "bad"));
    const vhosts = table("vhost", done),
        perUser = table("user", done);

    ctx.show(
        heading("Limits"),
        card(
            "Vhosts",
            vhosts.node,
            h(
                "footer",
                button("Limit a vhost", () => add("vhost", [], done)),
            ),
        ),
        card(
            "Users",
            perUser.node,
            h(
                "footer",
                button("Limit a user", () => add("user", now.users, done)),
            ),
        ),
    );
    ctx.live();
    await ctx.every(5000, load);
}
