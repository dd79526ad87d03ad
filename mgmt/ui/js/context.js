/* What a page has while it is shown: place, timers, live connection; all of it ends with it. */
import { ApiError, query, stream } from "./api.js";
import { fill, h } from "./dom.js";

export class Context {
    constructor({ main, names, search, onTotals }) {
        this.main = main;
        this.names = names;
        this.search = search;
        this.onTotals = onTotals;
        this.controller = new AbortController();
        this.signal = this.controller.signal;
        this.closers = [];
        fill(main, h("p.quiet.loading", "Loading…"));
    }

    param(name) {
        return this.search.get(name);
    }

    close() {
        this.controller.abort();
        for (const fn of this.closers) fn();
    }

    /* What the page holds that must be closed. */
    owns(thing) {
        this.closers.push(() => thing.close());
        return thing;
    }

    show(...nodes) {
        if (this.signal.aborted) return;
        fill(this.main, nodes);
    }

    fail(text) {
        this.show(
            h("div.failed", { role: "alert" }, h("h1", "This page can't be shown"), h("p", text)),
        );
    }

    /* The result; undefined when the broker does not answer now, which the frame says. */
    async attempt(work) {
        try {
            const value = await work();
            return this.signal.aborted ? undefined : value;
        } catch (e) {
            if (e.name === "AbortError" || this.signal.aborted) return undefined;
            if (e instanceof ApiError && e.status === 0) return undefined;
            this.fail(e.message);
            this.controller.abort();
            return undefined;
        }
    }

    /* Now and then again every ms, one at a time, not while the page is hidden from view. */
    async every(ms, fn) {
        while (!this.signal.aborted) {
            if (!document.hidden) await this.attempt(fn);
            await new Promise((resolve) => {
                const timer = setTimeout(resolve, ms);
                this.signal.addEventListener(
                    "abort",
                    () => {
                        clearTimeout(timer);
                        resolve();
                    },
                    { once: true },
                );
            });
        }
    }

    /* Server-sent events: "totals" for every page, others as `wanted` says, to fn(name, data). */
    async live(fn, wanted = {}) {
        await this.attempt(() =>
            stream(
                () => "warren/events" + query({ every: 2, ...wanted }),
                (name, data) => {
                    if (this.signal.aborted) return;
                    if (name === "totals") this.onTotals(data);
                    if (fn) fn(name, data);
                },
                this.signal,
            ),
        );
    }
}
