/* All consumers. */
import { count } from "../format.js";
import { badge, channelColumn, heading, names, to, vhostColumn } from "../parts.js";
import { scoped } from "../session.js";
import { Listing } from "../table.js";

export const consumerKey = (c) =>
    [c.queue.vhost, c.queue.name, c.consumer_tag, c.channel_details && c.channel_details.name].join(
        "\n",
    );

export const consumerColumns = (isOfOne) => [
    {
        id: "queue",
        label: "Queue",
        sort: "queue.name",
        value: (c) => c.queue.name,
        wide: true,
        cell: (c) => to("queue", c.queue.name, c.queue.vhost, c.queue.name),
    },
    ...vhostColumn((c) => c.queue.vhost),
    {
        id: "tag",
        label: "Consumer tag",
        sort: "consumer_tag",
        value: (c) => c.consumer_tag,
        cell: (c) => names(c.consumer_tag),
    },
    ...(isOfOne ? [] : channelColumn()),
    {
        id: "ack",
        label: "Acks",
        cell: (c) => (c.ack_required ? "must ack" : "none needed"),
        minor: true,
    },
    {
        id: "prefetch",
        label: "Prefetch",
        num: true,
        sort: "prefetch_count",
        value: (c) => c.prefetch_count,
        cell: (c) => (c.prefetch_count ? count(c.prefetch_count) : "no limit"),
    },
    { id: "exclusive", label: "Exclusive", cell: (c) => (c.exclusive ? "yes" : "no"), minor: true },
    {
        id: "active",
        label: "State",
        cell: (c) =>
            c.active === false
                ? badge("waiting", "Another consumer of this queue is the active one", "warn")
                : badge("active", "", "good"),
    },
];

export async function show(ctx) {
    const list = new Listing({
        ctx,
        where: () => scoped("consumers"),
        noun: "consumers",
        columns: consumerColumns(false),
        key: consumerKey,
        sort: "queue",
        empty: "Nobody consumes.",
    });

    ctx.show(heading("Consumers"), list.node);
    ctx.live();
    await ctx.every(3000, () => list.load());
}
