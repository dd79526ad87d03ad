/* Definitions: all that is declared, as one file, out and in. */
import { ask, get, path, save } from "../api.js";
import { attempt, confirm } from "../dialog.js";
import { fill, h } from "../dom.js";
import { plural } from "../format.js";
import { button, card, heading } from "../parts.js";
import { session } from "../session.js";

const PARTS = [
    "users",
    "vhosts",
    "permissions",
    "topic_permissions",
    "parameters",
    "global_parameters",
    "policies",
    "queues",
    "exchanges",
    "bindings",
];

function where() {
    return session.vhost ? path`definitions/${session.vhost}` : "definitions";
}

function summary(d) {
    return h(
        "dl.facts",
        PARTS.filter((p) => Array.isArray(d[p])).map((p) =>
            h("div", h("dt", p.replace("_", " ")), h("dd.num", String(d[p].length))),
        ),
    );
}

async function download(result) {
    const d = await get(where());

    save(
        "warren-definitions-" + new Date().toISOString().slice(0, 10) + ".json",
        JSON.stringify(d, null, 2),
    );
    fill(result, h("p", "Saved:"), summary(d));
}

async function upload(file, result) {
    let d;

    if (!file) throw new Error("Choose a file first.");
    try {
        d = JSON.parse(await file.text());
    } catch (e) {
        throw new Error("That file is no JSON: " + e.message);
    }
    if (
        !(await confirm(
            "Import these definitions?",
            plural(
                PARTS.reduce((n, p) => n + (d[p] || []).length, 0),
                "definition",
            ) +
                " from “" +
                file.name +
                "” " +
                (session.vhost ? "into the vhost “" + session.vhost + "”." : "into this node."),
            "Import",
            "What is there already stays; what has the same name is changed.",
        ))
    )
        return;
    try {
        await ask(where(), { method: "POST", json: d });
        fill(result, h("p.good", "All is imported:"), summary(d));
    } catch (e) {
        fill(result, h("p.wrong", { role: "alert" }, "Not imported: " + e.message));
    }
}

export async function show(ctx) {
    const saved = h("div"),
        done = h("div", { "aria-live": "polite" });
    const input = h("input", { type: "file", accept: "application/json,.json", id: "file" });
    const scope = session.vhost ? "the vhost " + session.vhost : "the whole node";

    ctx.show(
        heading("Definitions"),
        h(
            "div.cards",
            card(
                "Export",
                h(
                    "p",
                    "Users, vhosts, permissions, policies, queues, exchanges and bindings of ",
                    h("strong", { dir: "auto" }, scope),
                    ", as one file. Messages are not in it.",
                ),
                button("Download", () => attempt(() => download(saved)), "main"),
                saved,
            ),
            card(
                "Import",
                h("p", "A file from here or from RabbitMQ."),
                h("div.field", h("label", { for: "file" }, "File"), input),
                button("Import", () => attempt(() => upload(input.files[0], done)), "main"),
                done,
            ),
        ),
    );
    await ctx.live();
}
