/* The users and their tags. */
import { del, getOr, path, put } from "../api.js";
import { attempt, confirm, form, toast } from "../dialog.js";
import { h } from "../dom.js";
import { badge, button, heading, names, to } from "../parts.js";
import { session } from "../session.js";
import { Listing } from "../table.js";

export const TAGS = [
    ["administrator", "May do all."],
    ["monitoring", "Sees all, changes nothing of others."],
    ["policymaker", "Sets policies in vhosts that it may open."],
    ["management", "Uses this dashboard in vhosts that it may open."],
    ["impersonator", "May publish in another user's name."],
];

export function tagsOf(u) {
    return typeof u.tags === "string" ? u.tags.split(",").filter(Boolean) : u.tags || [];
}

export function tagFields(has = []) {
    return TAGS.map(([tag, note]) => ({
        name: "tag-" + tag,
        label: tag,
        type: "check",
        note,
        value: has.includes(tag),
    }));
}

/* The chosen tags, and those that no box stands for. */
export function readTags(values, has = []) {
    return TAGS.map(([tag]) => tag)
        .filter((tag) => values["tag-" + tag])
        .concat(has.filter((tag) => !TAGS.some(([known]) => known === tag)))
        .join(",");
}

async function add(done) {
    await form(
        "Add a user",
        [
            { name: "name", label: "Name", required: true },
            {
                name: "password",
                label: "Password",
                type: "password",
                autocomplete: "new-password",
                note: "Left empty, the user can't log in with a password.",
            },
            ...tagFields(),
        ],
        "Add",
        async (v) => {
            const tags = readTags(v);
            await put(
                path`users/${v.name}`,
                v.password ? { password: v.password, tags } : { password_hash: "", tags },
            );
            toast("User added. It may open no vhost before it has permissions there.");
        },
    );
    done();
}

export async function remove(name) {
    return (
        (await confirm(
            "Delete this user?",
            "“" + name + "” can log in no more, and its connections are closed.",
            "Delete",
        )) && attempt(() => del(path`users/${name}`), "User deleted.")
    );
}

const columns = (now, reload) => [
    {
        id: "name",
        label: "User",
        sort: "name",
        value: (u) => u.name,
        wide: true,
        cell: (u) => to("user", u.name, u.name),
    },
    {
        id: "tags",
        label: "Tags",
        cell: (u) =>
            h(
                "span.badges",
                tagsOf(u).map((t) => badge(t, "", t === "administrator" ? "warn" : "")),
            ),
    },
    {
        id: "vhosts",
        label: "May open",
        minor: true,
        cell: (u) => {
            const own = now.permissions.filter((p) => p.user === u.name).map((p) => p.vhost);
            return own.length ? names(own.join(", ")) : badge("no vhost", "", "warn");
        },
    },
    {
        id: "password",
        label: "Password",
        minor: true,
        cell: (u) => (u.password_hash === "" ? h("span.quiet", "none") : "set"),
    },
    {
        id: "do",
        label: "",
        cell: (u) =>
            u.name === session.user
                ? h("span.quiet", "you")
                : button("Delete", () => remove(u.name).then(reload)),
    },
];

export async function show(ctx) {
    const now = { permissions: [] };
    const list = new Listing({
        ctx,
        where: () => "users",
        noun: "users",
        columns: columns(now, () => list.load()),
        key: (u) => u.name,
        sort: "name",
        empty: "No users.",
        tools: [button("Add a user", () => add(() => list.load()), "main")],
    });

    ctx.show(heading("Users"), list.node);
    ctx.live();
    await ctx.every(5000, async () => {
        now.permissions = await getOr([], "permissions", ctx.signal);
        await list.load();
    });
}
