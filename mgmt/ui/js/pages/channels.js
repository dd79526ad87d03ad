/* All channels. */
import { path } from "../api.js";
import { count } from "../format.js";
import { badge, heading, names, rateOf, rateText, state, to, vhostColumn } from "../parts.js";
import { h } from "../dom.js";
import { session } from "../session.js";
import { Listing } from "../table.js";

function mode(c) {
    return h(
        "span.badges",
        c.confirm && badge("C", "publisher confirms"),
        c.transactional && badge("T", "transactions"),
    );
}

export function prefetch(c) {
    const parts = [];

    if (c.prefetch_count) parts.push(count(c.prefetch_count));
    if (c.global_prefetch_count) parts.push(count(c.global_prefetch_count) + " shared");
    return parts.join(", ") || h("span.quiet", "no limit");
}

/* Of the list of all; where there are few, each has its page. */
const more = [
    {
        id: "confirm",
        label: "Confirm",
        title: "confirmed",
        num: true,
        sort: "message_stats.confirm_details.rate",
        value: (c) => rateOf(c.message_stats, "confirm"),
        cell: (c) => rateText(c.message_stats, "confirm"),
        minor: true,
        optional: true,
    },
    {
        id: "ack",
        label: "Ack",
        title: "acked",
        num: true,
        sort: "message_stats.ack_details.rate",
        value: (c) => rateOf(c.message_stats, "ack"),
        cell: (c) => rateText(c.message_stats, "ack"),
        minor: true,
        optional: true,
    },
    {
        id: "redeliver",
        label: "Again",
        title: "redelivered",
        num: true,
        sort: "message_stats.redeliver_details.rate",
        value: (c) => rateOf(c.message_stats, "redeliver"),
        cell: (c) => rateText(c.message_stats, "redeliver"),
        minor: true,
        optional: true,
    },
];

export function channelColumns(isOfOne) {
    return [
        {
            id: "name",
            label: "Channel",
            sort: "name",
            value: (c) => c.name,
            wide: true,
            cell: (c) => to("channel", c.name, c.name),
        },
        ...(isOfOne ? [] : vhostColumn()),
        {
            id: "user",
            label: "User",
            sort: "user",
            value: (c) => c.user,
            cell: (c) => names(c.user || ""),
            minor: true,
        },
        {
            id: "state",
            label: "State",
            sort: "state",
            value: (c) => c.state,
            cell: (c) => state(c.state),
        },
        { id: "mode", label: "Mode", cell: mode, minor: true },
        {
            id: "consumers",
            label: "Consumers",
            num: true,
            sort: "consumer_count",
            value: (c) => c.consumer_count,
            cell: (c) => count(c.consumer_count),
        },
        { id: "prefetch", label: "Prefetch", num: true, cell: prefetch, minor: true },
        {
            id: "unacked",
            label: "Unacked",
            num: true,
            sort: "messages_unacknowledged",
            value: (c) => c.messages_unacknowledged,
            cell: (c) => count(c.messages_unacknowledged),
        },
        {
            id: "unconfirmed",
            label: "Unconfirmed",
            num: true,
            sort: "messages_unconfirmed",
            minor: true,
            value: (c) => c.messages_unconfirmed,
            cell: (c) => count(c.messages_unconfirmed),
        },
        {
            id: "in",
            label: "Publish",
            num: true,
            sort: "message_stats.publish_details.rate",
            minor: true,
            value: (c) => rateOf(c.message_stats, "publish"),
            cell: (c) => rateText(c.message_stats, "publish"),
        },
        {
            id: "out",
            label: "Deliver",
            num: true,
            sort: "message_stats.deliver_get_details.rate",
            minor: true,
            value: (c) => rateOf(c.message_stats, "deliver_get"),
            cell: (c) => rateText(c.message_stats, "deliver_get"),
        },
        ...(isOfOne ? [] : more),
    ];
}

export async function show(ctx) {
    const where = () => (session.vhost ? path`vhosts/${session.vhost}/channels` : "channels");
    const list = new Listing({
        ctx,
        where,
        noun: "channels",
        columns: channelColumns(false),
        key: (c) => c.name,
        sort: "name",
        empty: "No channels are open.",
    });

    ctx.show(heading("Channels"), list.node);
    ctx.live();
    await ctx.every(3000, () => list.load());
}
