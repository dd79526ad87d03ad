/* Lines over time, by Chart.js; the values at the end of each line are text beside it. */
import { h, say } from "./dom.js";
import { clock } from "./format.js";

const charts = new Set();

function style(name) {
    return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function shade(color) {
    return "color-mix(in srgb, " + color + " 12%, transparent)";
}

/* Ticks at round times: the axis is in ms, and has room for a tick each TICK_PX. */
const TICK_PX = 66;
const AXIS_PX = 60; // what the values beside it take

function stepOf(span, width) {
    const most = Math.max(1, Math.min(6, width / TICK_PX));

    return (
        [5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14400].find(
            (s) => span / s / 1000 <= most,
        ) * 1000 || 14400000
    );
}

/* A power of two that cuts what is shown of sizes into at most four. */
function sizeStep(max) {
    return 2 ** Math.ceil(Math.log2(Math.max(max, 4) / 4));
}

/* Sizes have round numbers of their own: 16 MiB, 32 MiB. */
const ofSizes = {
    afterDataLimits(axis) {
        axis.most = axis.max; // of the data; building ticks rounds it
    },
    afterBuildTicks(axis) {
        const step = sizeStep(axis.most);
        axis.max = Math.ceil(axis.most / step) * step;
        axis.ticks = [];
        for (let at = 0; at <= axis.max; at += step) axis.ticks.push({ value: at });
    },
};

function scales(format, isSize) {
    const grid = { color: style("--line"), drawTicks: false, borderColor: "transparent" };
    const ticks = {
        color: style("--quiet"),
        font: { size: 11, family: style("--font") },
        padding: 6,
    };

    return {
        x: {
            type: "linear",
            grid: { display: false },
            afterBuildTicks: (axis) => {
                const step = stepOf(axis.max - axis.min, axis.chart.width - AXIS_PX);
                axis.ticks = [];
                for (let at = Math.ceil(axis.min / step) * step; at <= axis.max; at += step)
                    axis.ticks.push({ value: at });
            },
            ticks: {
                ...ticks,
                maxRotation: 0,
                callback: (v, i, all) =>
                    clock(v, all.some((one) => one.value % 60000 !== 0)),
            },
        },
        y: {
            beginAtZero: true,
            grid,
            suggestedMax: 1,
            ticks: { ...ticks, maxTicksLimit: 5, precision: 0, callback: (v) => format(v) },
            ...(isSize ? ofSizes : {}),
        },
    };
}

function tooltip(format) {
    return {
        backgroundColor: style("--raised"),
        titleColor: style("--text"),
        bodyColor: style("--text"),
        borderColor: style("--line"),
        borderWidth: 1,
        padding: 10,
        boxPadding: 4,
        titleFont: { family: style("--font") },
        bodyFont: { family: style("--font") },
        callbacks: {
            title: (items) => clock(items[0].parsed.x, true),
            label: (item) => " " + item.dataset.label + "  " + format(item.parsed.y),
        },
    };
}

export class LineChart {
    /* series: [{id, label, color: "--c1", area}]; format(value): a text; isSize: of bytes. */
    constructor({ title, series, format, isSize }) {
        this.series = series;
        this.format = format;
        this.isSize = Boolean(isSize);
        this.values = series.map((s) => h("output.value", "–"));
        this.canvas = h("canvas", { role: "img", "aria-label": title });
        this.node = h(
            "figure.chart",
            h(
                "figcaption",
                h("h2", title),
                h(
                    "ul.legend",
                    series.map((s, i) =>
                        h(
                            "li",
                            h("i.dot" + "." + s.color.slice(2)),
                            h("span", s.label),
                            this.values[i],
                        ),
                    ),
                ),
            ),
            h("div.plot", this.canvas),
        );
        charts.add(this);
    }

    make() {
        const { Chart } = window;

        if (!Chart) return null;
        return new Chart(this.canvas, {
            type: "line",
            data: {
                datasets: this.series.map((s) => ({
                    label: s.label,
                    data: [],
                    parsing: false,
                    borderColor: style(s.color),
                    backgroundColor: shade(style(s.color)),
                    fill: Boolean(s.area),
                    borderWidth: 1.75,
                    pointRadius: 0,
                    pointHitRadius: 8,
                    tension: 0,
                    spanGaps: true,
                })),
            },
            options: {
                animation: false,
                responsive: true,
                maintainAspectRatio: false,
                normalized: true,
                interaction: { mode: "index", intersect: false },
                scales: scales(this.format, this.isSize),
                plugins: { legend: { display: false }, tooltip: tooltip(this.format) },
            },
        });
    }

    /* points: [{t, id: value}], oldest first; shown from `from` to `to`. */
    update(points, from, to) {
        this.last = [points, from, to];
        const end = points[points.length - 1] || {};

        this.series.forEach((s, i) => say(this.values[i], this.format(end[s.id])));
        this.chart = this.chart || this.make();
        if (!this.chart) return;
        this.series.forEach((s, i) => {
            this.chart.data.datasets[i].data = points.map((p) => ({
                x: p.t,
                y: typeof p[s.id] === "number" ? p[s.id] : NaN,
            }));
        });
        this.chart.options.scales.x.min = from;
        this.chart.options.scales.x.max = to;
        this.chart.update("none");
    }

    close() {
        if (this.chart) this.chart.destroy();
        this.chart = null;
        charts.delete(this);
    }
}

/* After a change of theme: its colours are in the charts' own settings. */
export function repaint() {
    for (const c of charts) {
        if (c.chart) c.chart.destroy();
        c.chart = null;
        if (c.last) c.update(...c.last);
    }
}

/*
 * What was seen of counters and gauges over time. push({t, ...}) of counters makes rates of what
 * they grew by; one that fell began anew.
 */
export class History {
    constructor(keepMs = 600000) {
        this.keepMs = keepMs;
        this.points = [];
        this.before = null;
    }

    /* Earlier points, from the server's samples. */
    seed(points) {
        const first = this.points.length ? this.points[0].t : Infinity;

        this.points = points.filter((p) => p.t < first).concat(this.points);
    }

    push(t, gauges, counters) {
        const point = { t, ...gauges };
        const passed = this.before ? (t - this.before.t) / 1000 : 0;

        if (this.before && passed < 0.5) return;
        for (const [id, n] of Object.entries(counters || {})) {
            if (passed > 0 && typeof n === "number" && n >= this.before.counters[id])
                point[id] = (n - this.before.counters[id]) / passed;
        }
        this.before = { t, counters: counters || {} };
        this.points.push(point);
        while (this.points.length && this.points[0].t < t - this.keepMs) this.points.shift();
    }

    /* From when on to show: a short past is not squeezed into a corner. */
    from(now) {
        const first = this.points.length ? this.points[0].t : now;

        return Math.max(Math.min(first, now - 60000), now - this.keepMs);
    }

    last() {
        return this.points[this.points.length - 1] || {};
    }
}

/* The API's samples {id: X_details.samples} as points of gauges, or of rates of counters. */
export function samples(byId, isRate) {
    const at = new Map();

    for (const [id, list] of Object.entries(byId)) {
        const rising = (list || []).slice().sort((a, b) => a.timestamp - b.timestamp);
        rising.forEach((s, i) => {
            const before = rising[i - 1];
            if (isRate && (!before || s.sample < before.sample)) return;
            const point = at.get(s.timestamp) || { t: s.timestamp };
            point[id] = isRate
                ? ((s.sample - before.sample) * 1000) / (s.timestamp - before.timestamp)
                : s.sample;
            at.set(s.timestamp, point);
        });
    }
    return [...at.values()].sort((a, b) => a.t - b.t);
}

/* Points of the same times as one. */
export function joined(points, more) {
    const at = new Map(points.map((p) => [p.t, p]));

    for (const p of more) at.set(p.t, { ...at.get(p.t), ...p });
    return [...at.values()].sort((a, b) => a.t - b.t);
}
