/* One queue: what it holds, how it flows, why it does not, and its messages. */
import { del, get, getOr, path, post, query } from "../api.js";
import { History, LineChart, joined, samples } from "../chart.js";
import { attempt, confirm, fields, form, pairs, toast } from "../dialog.js";
import { fill, h, say } from "../dom.js";
import { bytes, count, counted, name as nameText, rate, short, span } from "../format.js";
import {
    args,
    badge,
    button,
    card,
    channelColumn,
    facts,
    features,
    heading,
    names,
    state,
    tabs,
    to,
} from "../parts.js";
import { link } from "../routes.js";
import { Table } from "../table.js";
import { Browser } from "../messages.js";
import { purge, remove } from "./queues.js";

const SHOWN_MS = 600000;

function charts(ctx) {
    return {
        depth: ctx.owns(
            new LineChart({
                title: "Messages",
                format: short,
                series: [
                    { id: "ready", label: "Ready", color: "--c1", area: true },
                    { id: "unacked", label: "Unacked", color: "--c2" },
                ],
            }),
        ),
        rates: ctx.owns(
            new LineChart({
                title: "Rates",
                format: rate,
                series: [
                    { id: "publish", label: "Publish", color: "--c3" },
                    { id: "deliver_get", label: "Deliver", color: "--c1" },
                    { id: "ack", label: "Ack", color: "--c4" },
                    { id: "redeliver", label: "Redeliver", color: "--c5" },
                ],
            }),
        ),
    };
}

function factRows(q) {
    return [
        ["State", state(q.state, q.reason)],
        ["Why", q.state === "down" ? q.reason : undefined],
        ["Type", q.type],
        ["Features", features({ ...q, arguments: {} })],
        ["Policy", q.policy],
        ["Operator policy", q.operator_policy],
        ["Persistent", counted(q.messages_persistent, "messages")],
        [
            "In memory",
            counted(q.messages_ram, "messages") +
                (q.messages_paged_out ? ", " + count(q.messages_paged_out) + " on disk only" : ""),
        ],
        ["Size", bytes(q.message_bytes)],
        ["Its process", bytes(q.memory)],
        ["Idle for", q.idle_since && span(Date.now() - Date.parse(q.idle_since))],
        ["Consumers", count(q.consumers)],
        [
            "Consumer capacity",
            q.consumer_capacity === undefined
                ? undefined
                : (100 * q.consumer_capacity).toFixed(0) + "%",
        ],
        ["Owner", q.owner_pid_details && q.owner_pid_details.name],
        ["Node", q.node],
    ];
}

function consumersTable(vhost) {
    return new Table({
        label: "Consumers",
        key: (c) => c.channel_details.name + "\n" + c.consumer_tag,
        empty: "Nobody consumes from this queue.",
        columns: [
            { id: "tag", label: "Consumer tag", wide: true, cell: (c) => names(c.consumer_tag) },
            ...channelColumn(),
            {
                id: "ack",
                label: "Acks",
                cell: (c) => (c.ack_required ? "must ack" : "none needed"),
            },
            {
                id: "prefetch",
                label: "Prefetch",
                num: true,
                cell: (c) => (c.prefetch_count ? count(c.prefetch_count) : "no limit"),
            },
            {
                id: "active",
                label: "State",
                cell: (c) =>
                    c.active === false
                        ? badge("waiting", "Another consumer is the active one", "warn")
                        : badge("active", "", "good"),
            },
        ],
    });
}

function bindingsTable(ctx, vhost, name, reload) {
    const unbind = (b) =>
        attempt(
            () => del(path`bindings/${vhost}/e/${b.source}/q/${name}/${b.properties_key}`),
            "Unbound.",
        ).then(reload);

    return new Table({
        label: "Bindings",
        key: (b) => b.source + "\n" + b.properties_key,
        empty: "Only the default exchange leads here.",
        sort: "source",
        columns: [
            {
                id: "source",
                label: "From",
                value: (b) => b.source,
                wide: true,
                cell: (b) =>
                    b.source === ""
                        ? h("span.quiet", "(default exchange)")
                        : to("exchange", b.source, vhost, b.source),
            },
            {
                id: "key",
                label: "Routing key",
                value: (b) => b.routing_key,
                cell: (b) => h("code", b.routing_key),
            },
            { id: "args", label: "Arguments", cell: (b) => args(b.arguments), minor: true },
            {
                id: "do",
                label: "",
                cell: (b) => (b.source === "" ? "" : button("Unbind", () => unbind(b))),
            },
        ],
    });
}

async function bind(vhost, name, reload) {
    const editor = pairs();
    const exchanges = await getOr([], path`exchanges/${vhost}`);
    const list = (exchanges.items || exchanges).filter((x) => x.name !== "");

    await form(
        "Bind this queue",
        [
            {
                name: "source",
                label: "From exchange",
                type: "select",
                options: list.map((x) => [x.name, x.name + " (" + x.type + ")"]),
            },
            { name: "routing_key", label: "Routing key" },
            { name: "arguments", label: "Arguments", node: editor.node, read: editor.read },
        ],
        "Bind",
        ({ source, ...body }) => post(path`bindings/${vhost}/e/${source}/q/${name}`, body),
    );
    reload();
}

const PROPERTIES = [
    ["content_type", "string", "What the body is: text/plain"],
    ["content_encoding", "string", "gzip, for one"],
    ["correlation_id", "string", "What it is an answer to"],
    ["reply_to", "string", "The queue for the answer"],
    ["message_id", "string", "The application's name for it"],
    ["type", "string", "The application's kind of it"],
    ["app_id", "string", "The application"],
    ["timestamp", "number", "Seconds since 1970"],
    ["expiration", "string", "Milliseconds, as text"],
    ["priority", "number", "0 to 255"],
];

/* A form that stays: publishing through the default exchange goes to this queue. */
export function publisher(vhost, exchange, key) {
    const editor = pairs(),
        properties = pairs(PROPERTIES);
    const made = fields([
        ...(key === undefined ? [{ name: "routing_key", label: "Routing key" }] : []),
        { name: "payload", label: "Body", type: "area", rows: 5 },
        {
            name: "persistent",
            label: "Persistent",
            type: "check",
            value: true,
            note: "In a durable queue it is there after a restart.",
        },
        {
            name: "is_base64",
            label: "The body is base64",
            type: "check",
            note: "It is decoded before it is published.",
        },
        {
            name: "properties",
            label: "Properties",
            node: properties.node,
            read: properties.read,
        },
        { name: "headers", label: "Headers", node: editor.node, read: editor.read },
    ]);
    const send = async () => {
        const v = made.values();
        const answer = await post(path`exchanges/${vhost}/${exchange || "amq.default"}/publish`, {
            properties: {
                ...v.properties,
                delivery_mode: v.persistent ? 2 : 1,
                headers: v.headers,
            },
            routing_key: key === undefined ? v.routing_key : key,
            payload: v.payload,
            payload_encoding: v.is_base64 ? "base64" : "string",
        });
        if (answer.routed) toast("Published.");
        else toast("Published, but no queue took it: nothing is bound that matches.", "bad");
    };

    return h(
        "form.stay",
        {
            onsubmit: (e) => {
                e.preventDefault();
                attempt(send);
            },
        },
        made.nodes,
        h("footer", h("button.main", { type: "submit" }, "Publish")),
    );
}

/* Why it does not move: a verdict first, then each reason with what can be done. */
function whyCard() {
    const verdict = h("p.verdict", "…"),
        list = h("ul.reasons"),
        oldest = h("p.quiet");
    const node = card("Is it moving?", verdict, list, oldest);

    return {
        node,
        show(why) {
            say(verdict, why.verdict);
            verdict.className =
                "verdict " + (why.is_moving ? "good" : why.reasons.length ? "bad" : "calm");
            fill(
                list,
                why.reasons.map((r) =>
                    h(
                        "li",
                        h("strong", r.words),
                        r.advice && h("span", r.advice),
                        h("code", r.code),
                    ),
                ),
            );
            const age = why.oldest && why.oldest.age_ms;
            say(
                oldest,
                age === undefined || age === null
                    ? ""
                    : "The oldest message has been here for " +
                          (why.oldest.at_least ? "at least " : "") +
                          span(age) +
                          ".",
            );
        },
    };
}

function headTools(ctx, vhost, name, now) {
    return [
        button("Purge", async () => {
            await purge(vhost, name);
        }),
        button(
            "Delete",
            async () => {
                if (await remove(vhost, name, now.queue.messages || 0))
                    location.hash = link("queues");
            },
            "danger",
        ),
    ];
}

function seed(history, q) {
    const m = q.message_stats || {};
    const of = (from, id) => from[id + "_details"] && from[id + "_details"].samples;
    const points = samples({
        ready: of(q, "messages_ready"),
        unacked: of(q, "messages_unacknowledged"),
    });
    const rates = samples(
        {
            publish: of(m, "publish"),
            deliver_get: of(m, "deliver_get"),
            ack: of(m, "ack"),
            redeliver: of(m, "redeliver"),
        },
        true,
    );

    history.seed(joined(points, rates));
}

export async function show(ctx) {
    const [vhost, name] = ctx.names;
    const where = path`queues/${vhost}/${name}`;
    const first = await ctx.attempt(() =>
        get(
            where +
                query({
                    lengths_age: 600,
                    lengths_incr: 10,
                    msg_rates_age: 600,
                    msg_rates_incr: 10,
                }),
            ctx.signal,
        ),
    );
    if (!first) return;
    const now = { queue: first },
        history = new History(SHOWN_MS);
    const plots = charts(ctx),
        why = whyCard();
    const about = h("div"),
        consumers = consumersTable(vhost);
    const reload = () => loadRest().catch((e) => toast(e.message, "bad"));
    const bindings = bindingsTable(ctx, vhost, name, reload);

    const loadRest = async () => {
        const [q, b, reasons] = await Promise.all([
            get(where, ctx.signal),
            getOr([], where + "/bindings", ctx.signal),
            getOr(null, path`queues/${vhost}/${name}/why`, ctx.signal),
        ]);
        now.queue = { ...now.queue, ...q };
        consumers.update(q.consumer_details || []);
        bindings.update(b);
        fill(about, facts(factRows(q)));
        if (reasons) why.show(reasons);
    };

    seed(history, first);
    ctx.show(
        heading(nameText(name), ["Queue in ", h("bdi", vhost)], headTools(ctx, vhost, name, now)),
        h("div.charts", h("section.card", plots.depth.node), h("section.card", plots.rates.node)),
        h(
            "div.cards",
            why.node,
            card("About", about),
            card(
                "Arguments",
                args(first.arguments),
                first.effective_policy_definition &&
                    Object.keys(first.effective_policy_definition).length > 0 && [
                        h("h3", "By policy"),
                        args(first.effective_policy_definition),
                    ],
            ),
        ),
        tabs([
            ["messages", "Messages", new Browser(vhost, name).node],
            ["publish", "Publish", publisher(vhost, "", name)],
            ["consumers", "Consumers", consumers.node],
            [
                "bindings",
                "Bindings",
                h(
                    "div",
                    h(
                        "div.tools",
                        h("span.gap"),
                        button("Bind", () => bind(vhost, name, reload)),
                    ),
                    bindings.node,
                ),
            ],
        ]),
    );
    ctx.live(
        (event, q) => {
            if (event !== "queue") return;
            now.queue = { ...now.queue, ...q };
            history.push(
                q.time,
                { ready: q.messages_ready, unacked: q.messages_unacknowledged },
                q.message_stats,
            );
            for (const c of Object.values(plots))
                c.update(history.points, history.from(q.time), q.time);
        },
        { vhost, queue: name },
    );
    await ctx.every(3000, loadRest);
}
