/* Reading a queue's messages: looking at them where they lie, and taking them out. */
import { del, get, path, post, query } from "./api.js";
import { attempt, confirm, form, toast } from "./dialog.js";
import { fill, h } from "./dom.js";
import { bytes, counted, name, plural, value } from "./format.js";
import { button } from "./parts.js";

/* Base64 as text where it is text, else as hexadecimal lines. */
function bodyOf(m) {
    if (m.payload_encoding !== "base64")
        return pretty(m.payload, m.properties && m.properties.content_type);
    const raw = Uint8Array.from(atob(m.payload), (c) => c.charCodeAt(0));
    const lines = [];
    for (let at = 0; at < raw.length; at += 16) {
        const row = [...raw.slice(at, at + 16)];
        lines.push(
            at.toString(16).padStart(6, "0") +
                "  " +
                row
                    .map((b) => b.toString(16).padStart(2, "0"))
                    .join(" ")
                    .padEnd(48) +
                " " +
                row.map((b) => (b > 31 && b < 127 ? String.fromCharCode(b) : "·")).join(""),
        );
    }
    return lines.join("\n");
}

function pretty(text, type) {
    if (!/json/.test(type || "") && !/^\s*[[{]/.test(text)) return text;
    try {
        return JSON.stringify(JSON.parse(text), null, 2);
    } catch (e) {
        return text; // It only began like JSON.
    }
}

function properties(m) {
    const rows = Object.entries(m.properties || {}).filter(([key]) => key !== "headers");
    const headers = Object.entries((m.properties && m.properties.headers) || {});
    const line = ([key, v]) => h("div", h("dt", key), h("dd", { dir: "auto" }, value(v)));

    return h(
        "dl.facts",
        rows.map(line),
        headers.map(([k, v]) => line(["header " + k, v])),
    );
}

/* The fields that say where a message goes. */
function target(queue, exchange, key) {
    return [
        {
            name: "to",
            label: "To",
            type: "select",
            value: exchange ? "exchange" : "queue",
            options: [
                ["queue", "a queue"],
                ["exchange", "an exchange"],
            ],
        },
        { name: "name", label: "Named", required: true, value: exchange || queue },
        {
            name: "routing_key",
            label: "Routing key, for an exchange",
            value: key,
            note: "Left empty, the message keeps its own.",
        },
    ];
}

/* As the API names them, the harmless one first. */
const ACK_MODES = [
    ["ack_requeue_true", "give them back (nack, requeue)"],
    ["ack_requeue_false", "remove them (ack)"],
    ["reject_requeue_true", "give them back (reject, requeue)"],
    ["reject_requeue_false", "remove them (reject)"],
];
const SETTLED = {
    ack_requeue_true: "got and given back",
    ack_requeue_false: "taken out of the queue",
    reject_requeue_true: "got and given back",
    reject_requeue_false: "rejected out of the queue",
};

export class Browser {
    constructor(vhost, name) {
        this.where = path`queues/${vhost}/${name}`;
        this.list = h("ol.messages", { "aria-label": "Messages" });
        this.note = h("p.empty", "Nothing looked at yet.");
        this.more = h(
            "div.tools",
            { hidden: true },
            button("Further on", () => this.go(this.next)),
        );
        this.n = h("input", {
            type: "number",
            min: 1,
            max: 100,
            value: 10,
            "aria-label": "How many",
        });
        this.node = h(
            "div",
            h(
                "div.tools",
                button("Peek", () => this.go(0), "main"),
                this.n,
                h("span.quiet", "from the head; they stay as they are"),
                h("span.gap"),
                button("Get", () => this.take()),
                button("Move many", () => this.moveMany()),
            ),
            this.note,
            this.list,
            this.more,
        );
    }

    count() {
        return Math.min(Math.max(Number(this.n.value) || 1, 1), 100);
    }

    show(list, words) {
        fill(
            this.list,
            list.map((m, i) => this.one(m, i)),
        );
        fill(this.note, words);
    }

    /* From a message on; 0: from the head. */
    go(from) {
        return attempt(async () => {
            const answer = await get(
                this.where + "/messages" + query({ count: this.count(), from, truncate: 50000 }),
            );
            const n = answer.items.length;

            this.from = from;
            this.next = answer.next;
            this.more.hidden = !answer.next;
            this.show(
                answer.items,
                n
                    ? counted(n, "messages") + " of " + counted(answer.messages_ready, "ready ones")
                    : from
                      ? "There is nothing further on."
                      : "There is no ready message.",
            );
        });
    }

    /* Getting, as a client would: what becomes of them afterwards is chosen. */
    async take() {
        const n = this.count();
        let mode, list;
        const done = await form(
            "Get messages",
            [{ name: "ackmode", label: "Afterwards", type: "select", options: ACK_MODES }],
            "Get",
            async ({ ackmode }) => {
                mode = ackmode;
                list = await post(this.where + "/get", {
                    count: n,
                    ackmode,
                    encoding: "auto",
                    truncate: 50000,
                });
            },
            { intro: "Up to " + plural(n, "message") + " from the head are shown here." },
        );

        if (!done) return;
        this.more.hidden = true;
        this.show(
            list,
            list.length
                ? plural(list.length, "message") + " " + SETTLED[mode]
                : "There was no ready message.",
        );
    }

    async remove(m) {
        if (
            (await confirm("Delete this message?", "It goes, for good.", "Delete")) &&
            (await attempt(() => del(this.where + path`/messages/${m.seq}`), "Message deleted."))
        )
            await this.go(this.from);
    }

    async move(m) {
        await this.send(
            "Move this message",
            "Move",
            target(""),
            (v) => post(this.where + path`/messages/${m.seq}/move`, v),
            "It leaves its place here once it is safe there.",
        );
    }

    async publishAgain(m) {
        await this.send(
            "Publish this message again",
            "Publish",
            target("", m.exchange || "amq.default", m.routing_key),
            (v) => post(this.where + path`/messages/${m.seq}/republish`, v),
            "It stays here, too.",
        );
    }

    async moveMany() {
        await this.send(
            "Move messages from the head",
            "Move",
            [
                ...target(""),
                {
                    name: "count",
                    label: "At most so many",
                    type: "number",
                    value: 1000,
                    min: 1,
                    max: 10000,
                },
            ],
            (v) => post(this.where + "/move", v),
            "Each leaves its place here once it is safe there.",
        );
    }

    async send(title, word, fields, work, intro) {
        let answer = null;
        const done = await form(
            title,
            fields,
            word,
            async ({ to, name: to_name, ...more }) => {
                const { routing_key, ...rest } = more;

                answer = await work(
                    to === "queue"
                        ? { queue: to_name, ...rest }
                        : { exchange: to_name, ...(routing_key ? { routing_key } : {}), ...rest },
                );
            },
            { intro },
        );

        if (!done) return;
        toast(
            answer && answer.moved !== undefined
                ? counted(answer.moved, "messages") + " moved."
                : answer && answer.routed === false
                  ? "No queue took it: nothing is bound that matches."
                  : "Done.",
        );
        await this.go(this.from || 0);
    }

    actions(m) {
        return m.seq === undefined
            ? null
            : h(
                  "span.actions",
                  button("Move", () => this.move(m)),
                  button("Publish again", () => this.publishAgain(m)),
                  button("Delete", () => this.remove(m), "danger"),
              );
    }

    one(m, i) {
        return h(
            "li.message",
            h(
                "header",
                h("span.nr", "#" + (m.seq ?? i + 1)),
                h("span.name", { dir: "auto" }, name(m.exchange)),
                h("code", m.routing_key),
                m.redelivered && h("span.badge.warn", "redelivered"),
                h("span.quiet", bytes(m.payload_bytes)),
                h("span.gap"),
                this.actions(m),
            ),
            properties(m),
            h("pre", { dir: "auto", tabindex: "0" }, bodyOf(m)),
        );
    }
}
