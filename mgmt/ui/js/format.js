/* Numbers, sizes and times as people read them. */

const NONE = "–";
const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

function isNumber(n) {
    return typeof n === "number" && Number.isFinite(n);
}

/* 1,234,567 */
export function count(n) {
    return isNumber(n) ? whole.format(n) : NONE;
}

/* 12.3k, 4.56M: three digits that count. */
export function short(n) {
    if (!isNumber(n)) return NONE;
    const size = Math.abs(n);
    for (const [unit, at] of [
        ["G", 1e9],
        ["M", 1e6],
        ["k", 1e4],
    ]) {
        if (size >= at) {
            const scaled = n / (unit === "k" ? 1e3 : at);
            return (
                scaled.toFixed(Math.abs(scaled) < 10 ? 2 : Math.abs(scaled) < 100 ? 1 : 0) + unit
            );
        }
    }
    return whole.format(n);
}

/* 1.2k/s */
export function rate(n) {
    if (!isNumber(n)) return NONE;
    if (n > 0 && n < 10) return n.toFixed(n < 1 ? 2 : 1) + "/s";
    return short(n) + "/s";
}

/* 3.4 MiB */
export function bytes(n) {
    if (!isNumber(n)) return NONE;
    const units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let at = 0,
        left = n;
    while (Math.abs(left) >= 1024 && at < units.length - 1) {
        left /= 1024;
        at++;
    }
    return (at === 0 || left >= 100 ? left.toFixed(0) : left.toFixed(1)) + " " + units[at];
}

/* 3d 4h, 5m 20s, 320 ms: the two largest units. */
export function span(ms) {
    if (!isNumber(ms)) return NONE;
    if (ms < 1000) return Math.max(0, Math.round(ms)) + " ms";
    const parts = [
        ["d", 86400],
        ["h", 3600],
        ["m", 60],
        ["s", 1],
    ];
    let left = Math.floor(ms / 1000);
    const out = [];
    for (const [unit, size] of parts) {
        const n = Math.floor(left / size);
        if (n || (unit === "s" && !out.length)) out.push(n + unit);
        else if (out.length) break;
        left -= n * size;
        if (out.length === 2) break;
    }
    return out.join(" ");
}

/* 2 minutes ago, of a time in ms since 1970 or a text "2026-01-02 03:04:05" of UTC. */
export function ago(when) {
    const at = typeof when === "string" ? Date.parse(when.replace(" ", "T") + "Z") : when;

    if (!isNumber(at)) return NONE;
    return Date.now() - at < 1500 ? "just now" : span(Date.now() - at) + " ago";
}

export function clock(ms, seconds) {
    const d = new Date(ms);
    const two = (n) => String(n).padStart(2, "0");

    return (
        two(d.getHours()) + ":" + two(d.getMinutes()) + (seconds ? ":" + two(d.getSeconds()) : "")
    );
}

/* The value that an argument, a header or a definition has, in one line. */
export function value(v) {
    if (typeof v === "string") return v;
    return JSON.stringify(v);
}

/* Names are cut by the width of their place; what has no letter at all is said. */
export function name(s) {
    return s === "" ? "(default)" : String(s);
}

export function plural(n, one, many) {
    return count(n) + " " + (n === 1 ? one : many || one + "s");
}

/* 1 queue, 2 queues: of a noun in its plural. */
export function counted(n, nouns) {
    return count(n) + " " + (n === 1 ? nouns.replace(/s$/, "") : nouns);
}

export const none = NONE;
