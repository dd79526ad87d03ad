/* Which columns of a listing are shown: a menu of them; the browser keeps what was chosen. */
import { h } from "./dom.js";

const KEY = "warren-columns";

function kept() {
    try {
        return new Map(Object.entries(JSON.parse(localStorage.getItem(KEY)) || {}));
    } catch (e) {
        return new Map(); // No storage, or something else's: all is as it comes.
    }
}

function keep(noun, choice) {
    try {
        localStorage.setItem(KEY, JSON.stringify(Object.fromEntries(kept().set(noun, choice))));
    } catch (e) {
        // No storage: it lasts as long as the page.
    }
}

export class Chooser {
    /* onChange() when isOff(column) says something else. */
    constructor(noun, columns, onChange) {
        const choice = kept().get(noun) || {};

        this.noun = noun;
        this.onChange = onChange;
        this.columns = columns.slice(1).filter((c) => c.label); // the first one names its row
        this.shown = new Map(this.columns.map((c) => [c.id, choice[c.id] ?? !c.optional]));
        this.summary = h("summary", "Columns");
        this.node = h(
            "details.chooser",
            {
                onkeydown: (e) => e.key === "Escape" && this.close(),
                onfocusout: (e) => {
                    if (e.relatedTarget && !this.node.contains(e.relatedTarget))
                        this.node.open = false;
                },
            },
            this.summary,
            h(
                "fieldset",
                h("legend.unseen", "Columns that are shown"),
                this.columns.map((c) => this.box(c)),
            ),
        );
    }

    box(column) {
        const input = h("input", {
            type: "checkbox",
            name: column.id,
            checked: this.shown.get(column.id),
            onchange: () => {
                this.shown.set(column.id, input.checked);
                keep(this.noun, Object.fromEntries(this.shown));
                this.onChange();
            },
        });

        const words = column.title ? column.label + ": " + column.title : column.label;

        return h("label.check", input, h("span", words));
    }

    close() {
        if (!this.node.open) return;
        this.node.open = false;
        this.summary.focus();
    }

    isOff(column) {
        return this.shown.get(column.id) === false;
    }
}
