/*
 * A table that stays where it is while its rows change: rows have keys, cells change only where
 * their content does, so that focus, selection and scroll survive each update.
 *
 * A column: {id, label, cell(row), num, sort: name for the server, value(row) to sort by here,
 * wide: may take what room is left, minor: left out on narrow screens, optional: left out of a
 * listing until it is chosen}. The first column heads its row; one without a label holds the
 * buttons.
 */
import { Chooser } from "./columns.js";
import { fill, h, say } from "./dom.js";
import { count, counted } from "./format.js";
import { get, query } from "./api.js";

const SIZES = [25, 50, 100, 250, 500];

function put(td, content) {
    if (!(content instanceof Node)) {
        if (td.firstElementChild) td.replaceChildren();
        say(td, content === undefined || content === null ? "" : content);
        return;
    }
    if (td.childNodes.length === 1 && td.firstChild.isEqualNode(content)) return;
    // Who is on a button in it keeps it; the next update changes it.
    if (td.contains(document.activeElement)) return;
    td.replaceChildren(content);
}

function compare(a, b) {
    if (typeof a === "number" || typeof b === "number") return (a ?? -1) - (b ?? -1);
    return String(a ?? "").localeCompare(String(b ?? ""), "en", { numeric: true });
}

function classesOf(column) {
    return (
        (column.num ? ".num" : "") + (column.minor ? ".minor" : "") + (column.label ? "" : ".do")
    );
}

export class Table {
    constructor({ columns, key, empty, sort, label, classOf }) {
        this.columns = columns;
        this.key = key;
        this.emptyText = empty;
        this.classOf = classOf;
        this.sortId = sort ? sort.replace("-", "") : null;
        this.isReverse = Boolean(sort && sort.startsWith("-"));
        this.rows = new Map();
        this.heads = columns.map((c) => this.head(c));
        this.body = h("tbody");
        this.note = h("p.empty", { hidden: true });
        this.table = h(
            "table",
            { "aria-label": label },
            h("thead", h("tr", this.heads)),
            this.body,
        );
        this.node = h(
            "div.table",
            { tabindex: "0", role: "region", "aria-label": label },
            this.table,
            this.note,
        );
        this.onSort = () => this.update(this.shown || []);
        this.isOff = () => false;
        this.markSort();
    }

    /* isOff(column): whether it is left out, from now on. */
    choose(isOff) {
        this.isOff = isOff;
        this.columns.forEach((c, i) => {
            for (const tr of [this.heads[i].parentNode, ...this.rows.values()])
                tr.children[i].hidden = isOff(c);
        });
    }

    head(column) {
        const classes = classesOf(column);

        if (!column.label) return h("th" + classes, { scope: "col" }, h("span.unseen", "Actions"));
        if (!column.sort && !column.value) return h("th" + classes, { scope: "col" }, column.label);
        return h(
            "th" + classes,
            { scope: "col" },
            h(
                "button.sort",
                { type: "button", title: column.title, onclick: () => this.sortBy(column) },
                column.label,
            ),
        );
    }

    sortBy(column) {
        this.isReverse = this.sortId === column.id ? !this.isReverse : Boolean(column.num);
        this.sortId = column.id;
        this.markSort();
        this.onSort();
    }

    markSort() {
        this.columns.forEach((c, i) => {
            if (c.id === this.sortId)
                this.heads[i].setAttribute(
                    "aria-sort",
                    this.isReverse ? "descending" : "ascending",
                );
            else this.heads[i].removeAttribute("aria-sort");
        });
    }

    sortColumn() {
        return this.columns.find((c) => c.id === this.sortId);
    }

    sorted(rows) {
        const column = this.sortColumn();

        if (!column || !column.value) return rows;
        const out = rows.slice().sort((a, b) => compare(column.value(a), column.value(b)));
        return this.isReverse ? out.reverse() : out;
    }

    rowOf(row) {
        const key = this.key(row);
        let tr = this.rows.get(key);

        if (!tr) {
            tr = h(
                "tr",
                this.columns.map((c, i) =>
                    h(
                        (i ? "td" : "th") + classesOf(c) + (c.wide ? ".wide" : ""),
                        { hidden: this.isOff(c), ...(i ? {} : { scope: "row" }) },
                    ),
                ),
            );
            this.rows.set(key, tr);
        }
        this.columns.forEach((c, i) => put(tr.children[i], c.cell(row)));
        if (this.classOf) tr.className = this.classOf(row) || "";
        return tr;
    }

    /* isSorted: the rows are in the order in which they are to stand. */
    update(rows, { isSorted = false, empty } = {}) {
        this.shown = rows;
        const now = (isSorted ? rows : this.sorted(rows)).map((row) => this.rowOf(row));
        const kept = new Set(now);

        for (const [key, tr] of this.rows) {
            if (!kept.has(tr)) {
                tr.remove();
                this.rows.delete(key);
            }
        }
        now.forEach((tr, i) => {
            if (this.body.children[i] !== tr)
                this.body.insertBefore(tr, this.body.children[i] || null);
        });
        this.note.hidden = rows.length > 0;
        this.table.hidden = rows.length === 0;
        if (!rows.length) fill(this.note, empty || this.emptyText);
    }
}

/*
 * A table of what the server lists, filtered, sorted and paged there, so that 100,000 rows are as
 * quick as ten. where(): the path of the API. One that answers with all rows is paged here. What
 * has no names (hasNames: false) can't be filtered.
 */
export class Listing {
    constructor({ ctx, where, noun, extra, tools, hasNames = true, ...table }) {
        this.ctx = ctx;
        this.where = where;
        this.noun = noun;
        this.extra = extra || {};
        this.page = 1;
        this.size = 50;
        this.table = new Table({ label: noun, ...table });
        this.table.onSort = () => {
            this.page = 1;
            this.load();
        };
        this.chooser = new Chooser(noun, table.columns, () => this.choose());
        this.choose();
        this.filter = h("input.filter", {
            type: "search",
            placeholder: "Filter " + noun,
            "aria-label": "Filter " + noun,
            spellcheck: "false",
            value: ctx.param("name") || "",
            oninput: () => this.later(),
        });
        this.regex = h("input", {
            type: "checkbox",
            onchange: () => {
                this.page = 1;
                this.load();
            },
        });
        this.total = h("span.quiet.total", { role: "status" });
        this.pager = h("nav.pager", { "aria-label": "Pages of " + noun });
        this.node = h(
            "section.listing",
            h(
                "div.tools",
                hasNames && [this.filter, h("label.check", this.regex, h("span", "Regex"))],
                this.total,
                h("span.gap"),
                this.chooser.columns.length > 2 && this.chooser.node,
                tools || [],
            ),
            this.table.node,
            this.pager,
        );
    }

    choose() {
        this.table.choose((c) => this.chooser.isOff(c));
    }

    later() {
        clearTimeout(this.timer);
        this.timer = setTimeout(() => {
            this.page = 1;
            this.load();
        }, 250);
    }

    async load() {
        const column = this.table.sortColumn();
        const serial = (this.serial = (this.serial || 0) + 1);
        const answer = await this.ctx.attempt(() =>
            get(
                this.where() +
                    query({
                        page: this.page,
                        page_size: this.size,
                        name: this.filter.value,
                        use_regex: this.regex.checked ? "true" : "false",
                        sort: column && column.sort,
                        sort_reverse: column && this.table.isReverse ? "true" : undefined,
                        pagination: "true",
                        ...this.extra,
                    }),
                this.ctx.signal,
            ),
        );

        if (!answer || serial !== this.serial) return;
        if (Array.isArray(answer)) this.showAll(answer);
        else this.show(answer.items, answer);
    }

    showAll(rows) {
        const text = this.filter.value.toLowerCase();
        const found = rows.filter((r) => !text || String(r.name).toLowerCase().includes(text));
        const pages = Math.max(1, Math.ceil(found.length / this.size));

        this.page = Math.min(this.page, pages);
        const from = (this.page - 1) * this.size;
        const sorted = this.table.sorted(found);
        this.show(sorted.slice(from, from + this.size), {
            page: this.page,
            page_count: pages,
            filtered_count: found.length,
            total_count: rows.length,
        });
    }

    show(items, { page, page_count, filtered_count, total_count }) {
        if (page > 1 && !items.length) {
            this.page = Math.max(1, page_count);
            this.load();
            return;
        }
        this.table.update(items, {
            isSorted: true,
            empty:
                total_count > 0
                    ? "None of " + counted(total_count, this.noun) + " matches."
                    : undefined,
        });
        say(
            this.total,
            filtered_count === total_count
                ? counted(total_count, this.noun)
                : count(filtered_count) + " of " + counted(total_count, this.noun),
        );
        this.showPager(page, page_count, filtered_count);
    }

    showPager(page, pages, n) {
        const state = [page, pages, this.size, n > SIZES[0]].join();
        if (state === this.pagerState) return;
        const go = (to) => () => {
            this.page = to;
            this.load();
        };
        const button = (label, to, is) =>
            h("button", { type: "button", disabled: !is, onclick: go(to) }, label);
        const size = h(
            "select",
            {
                "aria-label": "Rows on a page",
                onchange: () => {
                    this.size = Number(size.value);
                    this.page = 1;
                    this.load();
                },
            },
            SIZES.map((s) => h("option", { value: s, selected: s === this.size }, s + " rows")),
        );

        this.pagerState = state;
        fill(
            this.pager,
            n > SIZES[0] && [
                button("First", 1, page > 1),
                button("Previous", page - 1, page > 1),
                h("span", "Page " + count(page) + " of " + count(pages)),
                button("Next", page + 1, page < pages),
                button("Last", pages, page < pages),
                size,
            ],
        );
    }
}
