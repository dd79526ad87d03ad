/*
 * The HTTP API: who asks, asking, and streams of events.
 *
 * The name and password live in this page and, so that a reload keeps them, in the tab's
 * sessionStorage; no cookie is ever set. Every request leaves out what the browser itself knows
 * (credentials: omit), so that a refusal comes here and opens no window of the browser's.
 */

const KEY = "warren-login";
const API = new URL("api/", document.baseURI);

let login = null;
const listeners = { state: [], refused: [] };
let isDown = false;

export class ApiError extends Error {
    constructor(status, reason) {
        super(reason);
        this.status = status;
    }
}

function encode(user, password) {
    const raw = new TextEncoder().encode(user + ":" + password);

    return "Basic " + btoa(Array.from(raw, (b) => String.fromCharCode(b)).join(""));
}

export function remember(user, password) {
    login = encode(user, password);
    try {
        sessionStorage.setItem(KEY, login);
    } catch (e) {
        return; // No storage: it is asked for again after a reload.
    }
}

export function forget() {
    login = null;
    try {
        sessionStorage.removeItem(KEY);
    } catch (e) {
        return; // There was nothing kept.
    }
}

export function isKnown() {
    if (!login) {
        try {
            login = sessionStorage.getItem(KEY);
        } catch (e) {
            login = null;
        }
    }
    return login !== null;
}

/* Calls fn(isDown) when the broker stops or begins to answer. */
export function onState(fn) {
    listeners.state.push(fn);
}

/* Calls fn() when the login is no longer good. */
export function onRefused(fn) {
    listeners.refused.push(fn);
}

function setDown(value) {
    if (value === isDown) return;
    isDown = value;
    for (const fn of listeners.state) fn(value);
}

/* Joins segments of a path, each encoded: path`queues/${vhost}/${name}`. */
export function path(parts, ...values) {
    return parts.reduce((all, part, i) => all + encodeURIComponent(values[i - 1]) + part);
}

export function query(values) {
    const out = new URLSearchParams();

    for (const [key, value] of Object.entries(values)) {
        if (value !== undefined && value !== null && value !== "") out.set(key, value);
    }
    const text = out.toString();
    return text ? "?" + text : "";
}

async function open(where, options) {
    const headers = Object.assign({}, options.headers);
    let answer;

    if (login) headers.Authorization = login;
    if (options.json !== undefined) headers["Content-Type"] = "application/json";
    try {
        answer = await fetch(new URL(where, API), {
            method: options.method || "GET",
            headers,
            body: options.json !== undefined ? JSON.stringify(options.json) : options.body,
            signal: options.signal,
            credentials: "omit",
            cache: "no-store",
        });
    } catch (e) {
        if (e.name === "AbortError") throw e;
        setDown(true);
        throw new ApiError(0, "The broker does not answer.");
    }
    setDown(false);
    if (!answer.ok) throw await refusal(answer, where);
    return answer;
}

async function refusal(answer, where) {
    let reason = answer.statusText || "status " + answer.status;

    try {
        const body = await answer.json();
        reason = body.reason || body.error || reason;
    } catch (e) {
        reason = "status " + answer.status; // It was no JSON: the status has to do.
    }
    if (answer.status === 401 && where !== "whoami" && /login failed/i.test(String(reason))) {
        for (const fn of listeners.refused) fn();
    }
    return new ApiError(
        answer.status,
        typeof reason === "string" ? reason : JSON.stringify(reason),
    );
}

/* The decoded answer; null when there is no body. Throws ApiError. */
export async function ask(where, options = {}) {
    const answer = await open(where, options);
    const text = await answer.text();

    return text ? JSON.parse(text) : null;
}

export const get = (where, signal) => ask(where, { signal });
export const put = (where, json) => ask(where, { method: "PUT", json });
export const post = (where, json) => ask(where, { method: "POST", json });
export const del = (where, headers) => ask(where, { method: "DELETE", headers });

/* The answer or `otherwise` where the broker has no such thing or this user may not see it. */
export async function getOr(otherwise, where, signal) {
    try {
        return await get(where, signal);
    } catch (e) {
        if (e instanceof ApiError && [400, 401, 403, 404, 405].includes(e.status)) return otherwise;
        throw e;
    }
}

/* Gives what lies between blank lines to fn(name, data); what is not yet whole is returned. */
function takeEvents(text, fn) {
    const blocks = text.split("\n\n");
    const rest = blocks.pop();

    for (const block of blocks) {
        let name = "message";
        const data = [];
        for (const line of block.split("\n")) {
            if (line.startsWith("event:")) name = line.slice(6).trim();
            else if (line.startsWith("data:")) data.push(line.slice(5).replace(/^ /, ""));
        }
        if (data.length) fn(name, JSON.parse(data.join("\n")));
    }
    return rest;
}

function pause(ms, signal) {
    return new Promise((resolve) => {
        const timer = setTimeout(resolve, ms);
        signal.addEventListener(
            "abort",
            () => {
                clearTimeout(timer);
                resolve();
            },
            { once: true },
        );
    });
}

async function read(where, fn, signal) {
    const answer = await open(where, { signal });
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";

    for (;;) {
        const { done, value } = await reader.read();
        if (done) return;
        rest = takeEvents(rest + value, fn);
    }
}

/*
 * Server-sent events until the signal, opened again whenever they end; where() is asked each time
 * anew. EventSource could not send who asks. Throws ApiError when they are refused.
 */
export async function stream(where, fn, signal) {
    let wait = 500;

    while (!signal.aborted) {
        const begun = Date.now();
        try {
            await read(where(), fn, signal);
        } catch (e) {
            if (signal.aborted) return;
            if (e instanceof ApiError && e.status >= 400 && e.status < 500) throw e;
            if (!(e instanceof ApiError)) setDown(true); // It broke off in the midst.
        }
        wait = Date.now() - begun > 5000 ? 500 : Math.min(wait * 2, 5000);
        await pause(wait, signal);
    }
}

/* A file that is made here is saved by the browser. */
export function save(name, text) {
    const url = URL.createObjectURL(new Blob([text], { type: "application/json" }));
    const link = document.createElement("a");

    link.href = url;
    link.download = name;
    link.click();
    URL.revokeObjectURL(url);
}
