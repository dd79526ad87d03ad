/* Who is logged in, what he may see, and which vhost he looks at. */
import { get, getOr, path } from "./api.js";

const KEY = "warren-vhost";

export const session = { user: "", tags: [], vhosts: [], vhost: "", node: "" };

export function may(...tags) {
    return session.tags.includes("administrator") || tags.some((t) => session.tags.includes(t));
}

/* Monitoring users see all, policymakers and management users what they may open. */
export const levels = {
    all: () => true,
    monitoring: () => may("monitoring"),
    policymaker: () => may("policymaker"),
    administrator: () => may(),
};

export function setVhost(name) {
    session.vhost = name;
    try {
        sessionStorage.setItem(KEY, name);
    } catch (e) {
        return; // No storage: all vhosts again after a reload.
    }
}

function kept() {
    try {
        return sessionStorage.getItem(KEY) || "";
    } catch (e) {
        return "";
    }
}

let onVhosts = () => null;

/* Calls fn() whenever the vhosts have been asked for anew. */
export function whenVhostsChange(fn) {
    onVhosts = fn;
}

/* The vhosts that the chooser offers. */
export async function loadVhosts() {
    const list = await getOr([], "vhosts");
    const names = (list.items || list).map((v) => v.name);

    session.vhosts = names.length ? names : ["/"];
    session.vhost = session.vhosts.includes(kept()) ? kept() : "";
    onVhosts();
}

/* Throws ApiError when the login is no good. */
export async function begin() {
    const me = await get("whoami");

    session.user = me.name;
    session.tags = typeof me.tags === "string" ? me.tags.split(",").filter(Boolean) : me.tags || [];
    await loadVhosts();
}

/* "queues" or "queues/<the chosen vhost>" */
export function scoped(what) {
    return session.vhost ? what + path`/${session.vhost}` : what;
}

/* The vhost that a form begins with. */
export function someVhost() {
    return session.vhost || (session.vhosts.includes("/") ? "/" : session.vhosts[0]);
}
