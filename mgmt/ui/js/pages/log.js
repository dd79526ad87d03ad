/* The end of the log, as it grows. */
import { query, stream } from "../api.js";
import { h } from "../dom.js";
import { clock } from "../format.js";
import { button, heading } from "../parts.js";

const LEVELS = ["debug", "info", "warning", "error"];
const KEPT = 2000;

function lineOf(l) {
    const [first, ...rest] = l.text.split("\n");

    return h(
        "li." + l.level,
        h("time", { datetime: new Date(l.time).toISOString() }, clock(l.time, true)),
        h("span.level", l.level),
        h("span.text", { dir: "auto" }, first, rest.length ? h("pre", rest.join("\n")) : null),
    );
}

export async function show(ctx) {
    const lines = [];
    let last = 0;
    const list = h("ol.log", { "aria-label": "Log lines" });
    const box = h(
        "div.log-box",
        { tabindex: "0", role: "log", "aria-label": "Log", "aria-live": "off" },
        list,
    );
    const filter = h("input.filter", {
        type: "search",
        placeholder: "Filter lines",
        "aria-label": "Filter lines",
        oninput: () => draw(),
    });
    const level = h(
        "select",
        { "aria-label": "Lowest level", onchange: () => draw() },
        LEVELS.map((l) => h("option", { value: l, selected: l === "info" }, l)),
    );
    const follow = h("input", { type: "checkbox", checked: true });
    const isShown = (l) =>
        LEVELS.indexOf(l.level) >= LEVELS.indexOf(level.value) &&
        l.text.toLowerCase().includes(filter.value.toLowerCase());
    const toEnd = () => {
        if (follow.checked) box.scrollTop = box.scrollHeight;
    };
    const draw = () => {
        list.replaceChildren(...lines.filter(isShown).map(lineOf));
        toEnd();
    };

    ctx.show(
        heading(
            "Log",
            null,
            button("Clear", () => {
                lines.length = 0;
                draw();
            }),
        ),
        h(
            "section.listing",
            h("div.tools", filter, level, h("label.check", follow, h("span", "Follow"))),
            box,
        ),
    );
    ctx.live();
    await ctx.attempt(() =>
        stream(
            () => "warren/log" + query({ since: last }),
            (name, l) => {
                if (name !== "line" || ctx.signal.aborted) return;
                last = l.id;
                lines.push(l);
                if (lines.length > KEPT) lines.shift();
                if (isShown(l)) {
                    list.append(lineOf(l));
                    if (list.children.length > KEPT) list.firstElementChild.remove();
                    toEnd();
                }
            },
            ctx.signal,
        ),
    );
}
