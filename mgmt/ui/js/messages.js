/* Reading a queue's messages: looking at them where they lie, and taking them out. */
import { path, post } from "./api.js";
import { attempt, confirm, form, toast } from "./dialog.js";
import { fill, h } from "./dom.js";
import { bytes, count, plural, value } from "./format.js";
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

export class Browser {
    constructor(vhost, name) {
        this.vhost = vhost;
        this.name = name;
        this.list = h("ol.messages");
        this.note = h("p.empty", "Nothing looked at yet.");
        this.n = h("input", {
            type: "number",
            min: 1,
            max: 1000,
            value: 10,
            "aria-label": "How many",
        });
        this.node = h(
            "div",
            h(
                "div.tools",
                button("Peek", () => this.peek(), "main"),
                this.n,
                h("span.quiet", "from the head; they stay where they are"),
                h("span.gap"),
                button("Get and remove", () => this.take()),
                button("Move all…", () => this.moveAll()),
            ),
            this.note,
            this.list,
        );
    }

    where(what) {
        return path`queues/${this.vhost}/${this.name}` + "/" + what;
    }

    async read(ackmode) {
        const list = await post(this.where("get"), {
            count: Number(this.n.value) || 1,
            ackmode,
            encoding: "auto",
            truncate: 50000,
        });

        fill(
            this.list,
            list.map((m, i) => this.one(m, i, ackmode)),
        );
        fill(
            this.note,
            list.length
                ? plural(list.length, "message") +
                      (ackmode === "ack_requeue_false"
                          ? " taken out of the queue"
                          : " from the head")
                : "The queue is empty.",
        );
    }

    peek() {
        return attempt(() => this.read("ack_requeue_true"));
    }

    async take() {
        const n = Number(this.n.value) || 1;

        if (
            await confirm(
                "Take messages out?",
                "Up to " +
                    count(n) +
                    " messages are shown here and are then " +
                    "no longer in the queue.",
                "Get and remove",
            )
        )
            await attempt(() => this.read("ack_requeue_false"));
    }

    async moveAll() {
        toast("not yet");
    }

    one(m, i) {
        return h(
            "li.message",
            h(
                "header",
                h("span.nr", "#" + (i + 1)),
                h("span.name", m.exchange === "" ? "(default)" : m.exchange),
                h("code", m.routing_key),
                m.redelivered && h("span.badge.warn", "redelivered"),
                h("span.gap"),
                h("span.quiet", bytes(m.payload_bytes)),
            ),
            properties(m),
            h("pre", { dir: "auto", tabindex: "0" }, bodyOf(m)),
        );
    }
}
