/* Small things that many pages show. */
import { h } from "./dom.js";
import { name, none, rate, value } from "./format.js";
import { link } from "./routes.js";
import { session } from "./session.js";

export function button(text, onclick, kind = "") {
    return h("button" + (kind && "." + kind), { type: "button", onclick }, text);
}

export function badge(text, title, kind = "") {
    return h("span.badge" + (kind && "." + kind), { title }, text);
}

const STATES = {
    running: "good",
    idle: "calm",
    flow: "warn",
    blocked: "bad",
    blocking: "warn",
    restarting: "warn",
    down: "bad",
    parked: "bad",
    crashed: "bad",
    closing: "warn",
    ready: "good",
    suspended: "warn",
};

export function state(text, reason) {
    return h("span.state." + (STATES[text] || "calm"), { title: reason }, text || none);
}

/* A cell of names: a link to the page of the thing. */
export function to(page, text, ...names) {
    return h("a.name", { href: link(page, ...names), title: text, dir: "auto" }, name(text));
}

export function names(text) {
    return h("span.name", { title: text, dir: "auto" }, name(text));
}

/* The column of vhosts, where more than one is shown. */
export function vhostColumn(of = (r) => r.vhost) {
    return session.vhost || session.vhosts.length < 2
        ? []
        : [
              {
                  id: "vhost",
                  label: "Vhost",
                  sort: "vhost",
                  value: of,
                  cell: (r) => names(of(r)),
                  minor: true,
              },
          ];
}

/* The column of a consumer's channel. */
export function channelColumn() {
    return [
        {
            id: "channel",
            label: "Channel",
            minor: true,
            cell: (c) =>
                c.channel_details && c.channel_details.name
                    ? to("channel", c.channel_details.name, c.channel_details.name)
                    : "",
        },
    ];
}

/* stats.x_details.rate as the server says it */
export function rateOf(stats, id) {
    const details = stats && stats[id + "_details"];

    return details ? details.rate : undefined;
}

export function rateText(stats, id) {
    return rate(rateOf(stats, id));
}

/* [[label, text or node]] as a list of facts; what is undefined is left out. */
export function facts(rows) {
    return h(
        "dl.facts",
        rows
            .filter(([, v]) => v !== undefined && v !== null && v !== "")
            .map(([label, v]) => h("div", h("dt", label), h("dd", { dir: "auto" }, v))),
    );
}

export function card(title, ...kids) {
    return h("section.card", h("h2", title), kids);
}

export function args(table) {
    const list = Object.entries(table || {});

    return list.length
        ? h(
              "ul.args",
              list.map(([key, v]) =>
                  h("li", h("span.key", key), h("span.val", { dir: "auto" }, value(v))),
              ),
          )
        : h("span.quiet", "none");
}

/* What arguments are called in a narrow place; RabbitMQ's operators know these. */
const SHORT = {
    "x-message-ttl": "TTL",
    "x-expires": "Exp",
    "x-max-length": "Lim",
    "x-max-length-bytes": "Lim B",
    "x-overflow": "Ovfl",
    "x-dead-letter-exchange": "DLX",
    "x-dead-letter-routing-key": "DLK",
    "x-max-priority": "Pri",
    "x-single-active-consumer": "SAC",
    "alternate-exchange": "AE",
};

/* "D TTL" of a queue or exchange: few letters for each, words when pointed at. */
export function features(row) {
    const list = [];

    if (row.durable) list.push(badge("D", "durable"));
    if (row.auto_delete) list.push(badge("AD", "deleted when unused"));
    if (row.exclusive) list.push(badge("Excl", "of one connection"));
    if (row.internal) list.push(badge("I", "internal: nobody publishes to it directly"));
    const others = [];
    for (const [key, v] of Object.entries(row.arguments || {})) {
        if (SHORT[key]) list.push(badge(SHORT[key], key + " = " + value(v)));
        else others.push(key + " = " + value(v));
    }
    if (others.length) list.push(badge("Args", others.join("\n")));
    if (row.policy) list.push(badge(row.policy, "policy " + row.policy, "policy"));
    if (row.operator_policy)
        list.push(badge(row.operator_policy, "operator policy " + row.operator_policy, "policy"));
    return h("span.badges", list);
}

/* A page's first line. */
export function heading(title, kicker, ...tools) {
    return h(
        "header.heading",
        h("div", kicker && h("p.kicker", kicker), h("h1", { dir: "auto" }, title)),
        h("div.tools", tools),
    );
}

/* Tabs that show one of several parts: [[id, label, node]]. */
export function tabs(list, onChange) {
    const buttons = [],
        panels = [];
    const choose = (at, focus) => {
        list.forEach((_, i) => {
            buttons[i].setAttribute("aria-selected", String(i === at));
            buttons[i].tabIndex = i === at ? 0 : -1;
            panels[i].hidden = i !== at;
        });
        if (focus) buttons[at].focus();
        if (onChange) onChange(list[at][0]);
    };
    const keys = { ArrowRight: 1, ArrowLeft: -1 };

    list.forEach(([id, label, node], i) => {
        buttons.push(
            h(
                "button",
                {
                    type: "button",
                    role: "tab",
                    id: "tab-" + id,
                    "aria-controls": "panel-" + id,
                    onclick: () => choose(i),
                    onkeydown: (e) =>
                        keys[e.key] && choose((i + keys[e.key] + list.length) % list.length, true),
                },
                label,
            ),
        );
        panels.push(
            h(
                "div.panel",
                { role: "tabpanel", id: "panel-" + id, "aria-labelledby": "tab-" + id },
                node,
            ),
        );
    });
    choose(0);
    return h("div.tabs", h("div.tablist", { role: "tablist" }, buttons), panels);
}
