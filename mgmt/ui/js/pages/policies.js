/* Policies, and the operators' own, which only tighten. */
import { del, getOr, path, put } from "../api.js";
import { attempt, confirm, form, pairs, toast } from "../dialog.js";
import { h } from "../dom.js";
import { args, button, heading, names, tabs } from "../parts.js";
import { may, scoped, session, someVhost } from "../session.js";
import { Table } from "../table.js";

const KEYS = [
    ["message-ttl", "number", "Messages live at most so many ms"],
    ["expires", "number", "Queues go after so many ms unused"],
    ["max-length", "number", "At most so many messages"],
    ["max-length-bytes", "number", "At most so many bytes"],
    ["overflow", "string", "drop-head, reject-publish or reject-publish-dlx"],
    ["dead-letter-exchange", "string", "Where dropped messages go"],
    ["dead-letter-routing-key", "string", "The routing key of dropped messages"],
    ["delivery-limit", "number", "Delivered at most so often"],
    ["alternate-exchange", "string", "Exchanges: where unroutable messages go"],
];

async function edit(kind, p, done) {
    const editor = pairs(KEYS, p ? p.definition : {});

    await form(
        p ? "Change " + p.name : "Add a policy",
        [
            {
                name: "vhost",
                label: "Vhost",
                type: "select",
                value: p ? p.vhost : someVhost(),
                options: (p ? [p.vhost] : session.vhosts).map((v) => [v, v]),
            },
            ...(p ? [] : [{ name: "name", label: "Name", required: true }]),
            {
                name: "pattern",
                label: "Pattern of names",
                required: true,
                value: p ? p.pattern : "^",
                note: "A regular expression: ^tmp\\. is all that begin with tmp.",
            },
            {
                name: "apply-to",
                label: "Applies to",
                type: "select",
                value: p && p["apply-to"],
                options: (kind === "policies"
                    ? ["all", "queues", "exchanges", "classic_queues"]
                    : ["queues", "classic_queues"]
                ).map((a) => [a, a.replace("_", " ")]),
            },
            {
                name: "priority",
                label: "Priority",
                type: "number",
                value: p ? p.priority : 0,
                note: "Of those that match, the highest holds.",
            },
            {
                name: "definition",
                label: "Definition",
                node: editor.node,
                read: editor.read,
                note:
                    "Today alternate-exchange has an effect; " +
                    "the others are checked, kept and shown.",
            },
        ],
        p ? "Change" : "Add",
        async ({ vhost, name, ...body }) => {
            await put(path`${kind}/${vhost}/${p ? p.name : name}`, body);
            toast("The policy holds from now on.");
        },
    );
    done();
}

async function remove(kind, p, done) {
    if (
        await confirm(
            "Delete this policy?",
            "“" + p.name + "” holds no more for what it matches.",
            "Delete",
        )
    )
        await attempt(() => del(path`${kind}/${p.vhost}/${p.name}`), "Policy deleted.");
    done();
}

function table(kind, label, isEditable, done) {
    return new Table({
        label,
        key: (p) => p.vhost + "\n" + p.name,
        sort: "name",
        empty: "No " + label.toLowerCase() + " here.",
        columns: [
            {
                id: "name",
                label: "Name",
                value: (p) => p.name,
                cell: (p) => names(p.name),
                wide: true,
            },
            {
                id: "vhost",
                label: "Vhost",
                value: (p) => p.vhost,
                cell: (p) => names(p.vhost),
                minor: true,
            },
            { id: "pattern", label: "Pattern", cell: (p) => h("code", p.pattern) },
            { id: "apply", label: "Applies to", cell: (p) => p["apply-to"], minor: true },
            { id: "definition", label: "Definition", cell: (p) => args(p.definition) },
            {
                id: "priority",
                label: "Priority",
                num: true,
                value: (p) => p.priority,
                cell: (p) => String(p.priority),
            },
            {
                id: "do",
                label: "",
                cell: (p) =>
                    isEditable
                        ? h(
                              "span.actions",
                              button("Change", () => edit(kind, p, done)),
                              button("Delete", () => remove(kind, p, done)),
                          )
                        : "",
            },
        ],
    });
}

export async function show(ctx) {
    const load = async () => {
        const [own, operators] = await Promise.all([
            getOr([], scoped("policies"), ctx.signal),
            getOr([], scoped("operator-policies"), ctx.signal),
        ]);
        policies.update(own);
        operator.update(operators);
    };
    const done = () => load().catch((e) => toast(e.message, "bad"));
    const policies = table("policies", "Policies", true, done);
    const operator = table("operator-policies", "Operator policies", may(), done);
    const panel = (kind, one, is) =>
        h(
            "div",
            is &&
                h(
                    "div.tools",
                    h("span.gap"),
                    button("Add a policy", () => edit(kind, null, done), "main"),
                ),
            one.node,
        );

    ctx.show(
        heading("Policies"),
        tabs([
            ["policies", "Policies", panel("policies", policies, true)],
            ["operator", "Operator policies", panel("operator-policies", operator, may())],
        ]),
    );
    ctx.live();
    await ctx.every(5000, load);
}
