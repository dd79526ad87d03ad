/*
 * Making elements. Text only ever becomes text nodes: a name that a client chose can't become
 * markup.
 */

const PROPERTIES = new Set(["value", "checked", "disabled", "selected", "hidden", "open"]);

function set(el, key, value) {
    if (value === undefined || value === null || (value === false && !PROPERTIES.has(key))) return;
    if (key.startsWith("on")) el.addEventListener(key.slice(2), value);
    else if (PROPERTIES.has(key)) el[key] = value;
    else el.setAttribute(key, value === true ? "" : String(value));
}

function append(el, kids) {
    for (const kid of kids) {
        if (Array.isArray(kid)) append(el, kid);
        else if (kid instanceof Node) el.append(kid);
        else if (kid !== null && kid !== undefined && kid !== false)
            el.append(document.createTextNode(String(kid)));
    }
}

/* h("div.card.wide", {title: "..."}, "text", node, [more]): an element. */
export function h(what, props, ...kids) {
    const [tag, ...classes] = what.split(".");
    const el = document.createElement(tag || "div");

    if (classes.length) el.className = classes.join(" ");
    if (props instanceof Node || typeof props !== "object" || props === null) {
        if (props !== null && props !== undefined) kids.unshift(props);
    } else if (Array.isArray(props)) {
        kids.unshift(props);
    } else {
        for (const [key, value] of Object.entries(props)) set(el, key, value);
    }
    append(el, kids);
    return el;
}

const SVG = "http://www.w3.org/2000/svg";

const PATHS = {
    overview: "M3 12h4l3-8 4 16 3-8h4",
    queues: "M4 6h16M4 12h16M4 18h10",
    exchanges: "M4 8h13l-4-4M20 16H7l4 4",
    connections: "M9 7V3M15 7V3M6 7h12v4a6 6 0 0 1-12 0zM12 17v4",
    channels: "M4 7c6 0 10 10 16 10M4 17c6 0 10-10 16-10",
    consumers: "M4 4v16M20 12H9M13 8l-4 4 4 4",
    users: "M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8M4 21c0-4 3.600-6 8-6s8 2 8 6",
    vhosts: "M4 4h7v7H4zM13 4h7v7h-7zM4 13h7v7H4zM13 13h7v7h-7z",
    policies: "M12 3l8 3v6c0 5-3.500 8-8 9-4.500-1-8-4-8-9V6zM9 12l2 2 4-4",
    limits: "M4 18a8 8 0 1 1 16 0M12 18l4-6",
    definitions: "M7 3h7l5 5v13H7zM14 3v5h5M10 13h6M10 17h6",
    processes: "M12 3v5M12 8H6v5M12 8h6v5M3.500 13h5v5h-5zM15.500 13h5v5h-5z",
    log: "M5 5h14M5 10h14M5 15h9M5 20h6",
    sun:
        "M12 16a4 4 0 1 0 0-8 4 4 0 0 0 0 8M12 2v2M12 20v2M2 12h2M20 12h2M5 5" +
        "l1.400 1.400M17.600 17.600L19 19M5 19l1.400-1.400M17.600 6.400L19 5",
    moon: "M20 14a8 8 0 1 1-10-10 7 7 0 0 0 10 10z",
    menu: "M4 6h16M4 12h16M4 18h16",
    close: "M6 6l12 12M18 6L6 18",
    help:
        "M9.500 9a2.500 2.500 0 1 1 3.500 2.300c-.7.400-1 .8-1 1.700M12 17h.01" +
        "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18",
    out: "M10 4H5v16h5M15 8l4 4-4 4M19 12H9",
};

/* A small picture beside words; it says nothing to those who can't see it. */
export function icon(name) {
    const svg = document.createElementNS(SVG, "svg");
    const path = document.createElementNS(SVG, "path");

    svg.setAttribute("viewBox", "0 0 24 24");
    svg.setAttribute("class", "icon");
    svg.setAttribute("aria-hidden", "true");
    path.setAttribute("d", PATHS[name]);
    svg.append(path);
    return svg;
}

export function fill(el, ...kids) {
    el.replaceChildren();
    append(el, kids);
    return el;
}

/* The text of an element, changed only when it differs, so that a selection in it stays. */
export function say(el, text) {
    const s = String(text);

    if (el.textContent !== s) el.textContent = s;
}
