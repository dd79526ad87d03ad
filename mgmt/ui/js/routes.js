/* The pages: where they are, who may see them, and the key that leads to them after g. */

export const pages = [
    {
        id: "overview",
        title: "Overview",
        group: "Node",
        level: "all",
        key: "o",
        load: () => import("./pages/overview.js"),
    },
    {
        id: "queues",
        title: "Queues",
        group: "Messages",
        level: "all",
        key: "q",
        load: () => import("./pages/queues.js"),
    },
    {
        id: "exchanges",
        title: "Exchanges",
        group: "Messages",
        level: "all",
        key: "e",
        load: () => import("./pages/exchanges.js"),
    },
    {
        id: "connections",
        title: "Connections",
        group: "Clients",
        level: "all",
        key: "c",
        load: () => import("./pages/connections.js"),
    },
    {
        id: "channels",
        title: "Channels",
        group: "Clients",
        level: "all",
        key: "h",
        load: () => import("./pages/channels.js"),
    },
    {
        id: "consumers",
        title: "Consumers",
        group: "Clients",
        level: "all",
        key: "s",
        load: () => import("./pages/consumers.js"),
    },
    {
        id: "policies",
        title: "Policies",
        group: "Administration",
        level: "policymaker",
        key: "p",
        load: () => import("./pages/policies.js"),
    },
    {
        id: "users",
        title: "Users",
        group: "Administration",
        level: "administrator",
        key: "u",
        load: () => import("./pages/users.js"),
    },
    {
        id: "vhosts",
        title: "Vhosts",
        group: "Administration",
        level: "administrator",
        key: "v",
        load: () => import("./pages/vhosts.js"),
    },
    {
        id: "limits",
        title: "Limits",
        group: "Administration",
        level: "administrator",
        key: "l",
        load: () => import("./pages/limits.js"),
    },
    {
        id: "definitions",
        title: "Definitions",
        group: "Administration",
        level: "administrator",
        key: "d",
        load: () => import("./pages/definitions.js"),
    },
    {
        id: "processes",
        title: "Processes",
        group: "Inside",
        level: "monitoring",
        key: "x",
        load: () => import("./pages/processes.js"),
    },
    {
        id: "log",
        title: "Log",
        group: "Inside",
        level: "monitoring",
        key: "k",
        load: () => import("./pages/log.js"),
    },
    {
        id: "queue",
        under: "queues",
        title: "Queue",
        level: "all",
        load: () => import("./pages/queue.js"),
    },
    {
        id: "exchange",
        under: "exchanges",
        title: "Exchange",
        level: "all",
        load: () => import("./pages/exchange.js"),
    },
    {
        id: "connection",
        under: "connections",
        title: "Connection",
        level: "all",
        load: () => import("./pages/connection.js"),
    },
    {
        id: "channel",
        under: "channels",
        title: "Channel",
        level: "all",
        load: () => import("./pages/channel.js"),
    },
    {
        id: "vhost",
        under: "vhosts",
        title: "Vhost",
        level: "administrator",
        load: () => import("./pages/vhost.js"),
    },
    {
        id: "user",
        under: "users",
        title: "User",
        level: "administrator",
        load: () => import("./pages/user.js"),
    },
];

/* "#/queue/%2F/name" */
export function link(page, ...names) {
    return "#/" + [page, ...names.map(encodeURIComponent)].join("/");
}

function decode(text) {
    try {
        return decodeURIComponent(text);
    } catch (e) {
        return text; // Typed by hand, and no right encoding: it names what it says.
    }
}

export function find(hash) {
    const [where, search] = hash.replace(/^#\/?/, "").split("?");
    const [id, ...names] = where.split("/");

    return {
        page: pages.find((p) => p.id === id) || pages[0],
        names: names.map(decode),
        search: new URLSearchParams(search || ""),
    };
}
