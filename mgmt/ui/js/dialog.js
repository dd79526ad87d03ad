/* Windows that ask something, and short words about what was done. <dialog> traps the focus. */
import { fill, h, icon } from "./dom.js";

export function toast(text, kind = "done") {
    const box = document.getElementById("toasts");
    const one = h(
        "div.toast." + kind,
        h("span", text),
        h(
            "button.plain",
            { type: "button", "aria-label": "Dismiss", onclick: () => one.remove() },
            icon("close"),
        ),
    );

    box.append(one);
    setTimeout(() => one.remove(), kind === "bad" ? 12000 : 5000);
}

let counter = 0;

/* Where an answer begins: what must be filled in, or the first field; else as the browser does. */
function focusFirst(box) {
    const first =
        box.querySelector("form :required") ||
        box.querySelector("form :is(input, select, textarea)");

    if (first && !box.querySelector("[autofocus]")) first.focus();
}

/* Shows a dialog; build(close) gives what is in it. Resolves to what close was called with. */
export function open(title, build, options = {}) {
    const id = "dialog-" + ++counter;

    return new Promise((resolve) => {
        let answer;
        const box = h("dialog" + (options.wide ? ".wide" : ""), { "aria-labelledby": id });
        const close = (value) => {
            answer = value;
            box.close();
        };
        box.append(
            h(
                "header",
                h("h2", { id }, title),
                h(
                    "button.plain.close",
                    { type: "button", "aria-label": "Close", onclick: () => close() },
                    icon("close"),
                ),
            ),
            build(close),
        );
        box.addEventListener("close", () => {
            box.remove();
            resolve(answer);
        });
        box.addEventListener("click", (e) => {
            if (e.target === box) close();
        });
        document.body.append(box);
        box.showModal();
        focusFirst(box);
    });
}

/* Asks before what can't be undone; word: what the button says. */
export function confirm(title, text, word, note) {
    return open(title, (close) =>
        h(
            "form",
            { method: "dialog", onsubmit: () => close(true) },
            h("p", text),
            note && h("p.quiet", note),
            h(
                "footer",
                h("button", { type: "button", onclick: () => close(false) }, "Cancel"),
                h("button.danger", { type: "submit", autofocus: true }, word),
            ),
        ),
    );
}

function control(field) {
    const common = { name: field.name, id: "field-" + ++counter, required: field.required };

    if (field.type === "select") {
        return h(
            "select",
            common,
            field.options.map(([value, label]) =>
                h("option", { value, selected: value === field.value }, label),
            ),
        );
    }
    if (field.type === "check")
        return h("input", { ...common, type: "checkbox", checked: Boolean(field.value) });
    if (field.type === "area") {
        return h("textarea", {
            ...common,
            rows: field.rows || 4,
            spellcheck: "false",
            value: field.value || "",
            placeholder: field.hint,
        });
    }
    return h("input", {
        ...common,
        type: field.type || "text",
        value: field.value ?? "",
        placeholder: field.hint,
        autocomplete: field.autocomplete || "off",
        spellcheck: "false",
        autocapitalize: "none",
        min: field.min,
        max: field.max,
        list: field.list,
    });
}

function row(field, input) {
    if (field.type === "check")
        return h(
            "label.check",
            input,
            h("span", field.label),
            field.note && h("small", field.note),
        );
    return h(
        "div.field",
        h("label", { for: input.id }, field.label),
        input,
        field.note && h("small", field.note),
    );
}

function read(field, input) {
    if (field.type === "check") return input.checked;
    if (field.type === "number") return input.value === "" ? undefined : Number(input.value);
    return input.value;
}

/*
 * Fields as elements: {nodes, values()}. A field: {name, label, type, value, options, note} or
 * {node, name, read()} for one that is made elsewhere.
 */
export function fields(list) {
    const inputs = list.map((f) => f.node || control(f));

    return {
        nodes: list.map((f, i) =>
            f.node
                ? h(
                      "div.field",
                      h("span.label", f.label),
                      f.node,
                      f.note && h("small", f.note),
                  )
                : row(f, inputs[i]),
        ),
        values() {
            const out = {};
            list.forEach((f, i) => {
                out[f.name] = f.read ? f.read() : read(f, inputs[i]);
            });
            return out;
        },
    };
}

/* A form that sends and says what went wrong where it stands. Resolves to true once it is done. */
export function form(title, list, word, send, options = {}) {
    return open(
        title,
        (close) => {
            const made = fields(list);
            const wrong = h("p.wrong", { role: "alert", hidden: true });
            const button = h("button.main", { type: "submit" }, word);
            const submit = async (e) => {
                e.preventDefault();
                button.disabled = true;
                try {
                    await send(made.values());
                    close(true);
                } catch (error) {
                    fill(wrong, error.message);
                    wrong.hidden = false;
                }
                button.disabled = false;
            };
            return h(
                "form",
                { onsubmit: submit },
                options.intro && h("p.quiet", options.intro),
                made.nodes,
                wrong,
                h(
                    "footer",
                    h("button", { type: "button", onclick: () => close(false) }, "Cancel"),
                    button,
                ),
            );
        },
        options,
    );
}

/* Does something that the user asked for and says how it went. */
export async function attempt(work, said) {
    try {
        const result = await work();
        if (said) toast(typeof said === "function" ? said(result) : said);
        return true;
    } catch (e) {
        toast(e.message, "bad");
        return false;
    }
}

const TYPES = [
    ["string", "Text"],
    ["number", "Number"],
    ["boolean", "Yes or no"],
    ["json", "JSON"],
];

function typed(type, text) {
    switch (type) {
        case "number":
            if (text.trim() === "" || Number.isNaN(Number(text)))
                throw new Error("“" + text + "” is no number.");
            return Number(text);
        case "boolean":
            return /^(true|yes|1)$/i.test(text.trim());
        case "json":
            try {
                return JSON.parse(text);
            } catch (e) {
                throw new Error("“" + text + "” is no JSON.");
            }
        default:
            return text;
    }
}

/*
 * An editor of a table of arguments; known: [[key, type, what it does]] to be chosen from. A field
 * for form(): {node, read}.
 */
export function pairs(known = [], at = {}) {
    const rows = h("div.pairs");
    const add = (key = "", type = "string", text = "") => {
        const one = h(
            "div.pair",
            h("input", {
                value: key,
                placeholder: "name",
                "aria-label": "Name",
                spellcheck: "false",
            }),
            h("input", {
                value: text,
                placeholder: "value",
                "aria-label": "Value",
                spellcheck: "false",
            }),
            h(
                "select",
                { "aria-label": "Type" },
                TYPES.map(([value, label]) =>
                    h("option", { value, selected: value === type }, label),
                ),
            ),
            h(
                "button.plain",
                { type: "button", "aria-label": "Remove", onclick: () => one.remove() },
                icon("close"),
            ),
        );
        rows.append(one);
        return one;
    };
    const chips = known.map(([key, type, what]) =>
        h(
            "button.chip",
            {
                type: "button",
                title: what,
                onclick: () => add(key, type).querySelectorAll("input")[1].focus(),
            },
            key,
        ),
    );

    for (const [key, v] of Object.entries(at)) {
        const type = typeof v === "object" ? "json" : typeof v;
        add(key, type, type === "json" ? JSON.stringify(v) : String(v));
    }
    return {
        node: h(
            "div",
            rows,
            h(
                "div.chips",
                chips,
                h(
                    "button.chip",
                    { type: "button", onclick: () => add().querySelector("input").focus() },
                    "+ other",
                ),
            ),
        ),
        read() {
            const out = {};
            for (const one of rows.children) {
                const [key, text] = one.querySelectorAll("input");
                if (key.value)
                    out[key.value] = typed(one.querySelector("select").value, text.value);
            }
            return out;
        },
    };
}
