/* The frame around the pages: login, navigation, vhost, theme, keyboard, live connection. */
import { forget, isKnown, onRefused, onState, remember } from "./api.js";
import { fill, h, icon, say } from "./dom.js";
import { open, toast } from "./dialog.js";
import { repaint } from "./chart.js";
import { begin, levels, session, setVhost, whenVhostsChange } from "./session.js";
import { Context } from "./context.js";
import { find, link, pages } from "./routes.js";

const app = document.getElementById("app");
const parts = {}; // of the frame, while it stands
let context = null; // of the page that is shown

function theme() {
    const chosen = document.documentElement.dataset.theme;

    return chosen || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
}

function showTheme() {
    if (!parts.theme) return;
    fill(parts.theme, icon(theme() === "dark" ? "sun" : "moon"));
    parts.theme.setAttribute("aria-label", theme() === "dark" ? "Light theme" : "Dark theme");
}

function toggleTheme() {
    const next = theme() === "dark" ? "light" : "dark";

    document.documentElement.dataset.theme = next;
    try {
        localStorage.setItem("warren-theme", next);
    } catch (e) {
        toast("The theme can't be kept: this browser stores nothing.");
    }
    showTheme();
    repaint();
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    showTheme();
    repaint();
});

/* The login */

function loginForm(why) {
    const wrong = h("p.wrong", { role: "alert", hidden: !why }, why || "");
    const user = h("input", {
        id: "user",
        name: "user",
        autocomplete: "username",
        required: true,
        autocapitalize: "none",
        spellcheck: "false",
    });
    const password = h("input", {
        id: "password",
        name: "password",
        type: "password",
        autocomplete: "current-password",
    });
    const button = h("button.main", { type: "submit" }, "Log in");
    const submit = async (e) => {
        e.preventDefault();
        button.disabled = true;
        remember(user.value, password.value);
        try {
            await begin();
            showFrame();
            return;
        } catch (error) {
            forget();
            say(wrong, error.status === 401 ? loginWords(error.message) : error.message);
            wrong.hidden = false;
            password.select();
        }
        button.disabled = false;
    };
    return h(
        "form.login",
        { onsubmit: submit },
        h(
            "div.brand",
            h("img", { src: "mark.svg", alt: "", width: 40, height: 40 }),
            h("h1", "Warren"),
        ),
        h("div.field", h("label", { for: "user" }, "User"), user),
        h("div.field", h("label", { for: "password" }, "Password"), password),
        wrong,
        button,
        h("p.quiet", "guest may log in from the broker's own machine only."),
    );
}

function loginWords(reason) {
    return /login failed/i.test(reason) ? "That user and password are not known here." : reason;
}

function showLogin(why) {
    leave();
    delete parts.main;
    document.title = "Log in · Warren";
    fill(app, h("main.alone", { id: "main", tabindex: "-1" }, loginForm(why)));
    app.querySelector("#user").focus();
}

function logout() {
    forget();
    showLogin();
}

/* The frame */

function navItem(page) {
    return h(
        "li",
        h(
            "a",
            { href: "#/" + page.id, "data-page": page.id, onclick: closeMenu },
            icon(page.id),
            h("span", page.title),
        ),
    );
}

function nav() {
    const seen = pages.filter((p) => p.group && levels[p.level]());
    const groups = [...new Set(seen.map((p) => p.group))];

    return h(
        "nav.side",
        { id: "nav", "aria-label": "Pages" },
        h(
            "a.brand",
            { href: "#/overview", "aria-label": "Warren: overview" },
            h("img", { src: "mark.svg", alt: "", width: 26, height: 26 }),
            h("strong", "Warren"),
        ),
        groups.map((g) =>
            h("div.group", h("h2", g), h("ul", seen.filter((p) => p.group === g).map(navItem))),
        ),
    );
}

function closeMenu() {
    document.body.classList.remove("menu");
    if (parts.menu) parts.menu.setAttribute("aria-expanded", "false");
}

function toggleMenu() {
    const is = document.body.classList.toggle("menu");

    parts.menu.setAttribute("aria-expanded", String(is));
    if (is) parts.nav.querySelector("a").focus();
}

function vhostChooser() {
    parts.vhost = h("select", {
        id: "vhost",
        onchange: (e) => {
            setVhost(e.target.value);
            show();
        },
    });
    fillVhosts();
    return h("label.vhost", h("span", "vhost"), parts.vhost);
}

function fillVhosts() {
    if (!parts.vhost) return;
    fill(
        parts.vhost,
        h("option", { value: "" }, "all"),
        session.vhosts.map((v) => h("option", { value: v, selected: v === session.vhost }, v)),
    );
}

whenVhostsChange(fillVhosts);

function showFrame() {
    parts.main = h("main", { id: "main", tabindex: "-1" });
    parts.nav = nav();
    parts.menu = h(
        "button.plain.menu-button",
        {
            type: "button",
            "aria-label": "Menu",
            "aria-controls": "nav",
            "aria-expanded": "false",
            onclick: toggleMenu,
        },
        icon("menu"),
    );
    parts.live = h("span.live", { role: "status" }, "connecting");
    parts.node = h("span.node");
    parts.alarms = h("span.alarms", { role: "alert" });
    parts.theme = h("button.plain", { type: "button", onclick: toggleTheme });
    parts.lost = h(
        "p.lost",
        { role: "alert", hidden: true },
        "The broker does not answer. Trying again…",
    );
    fill(
        app,
        h(
            "div.frame",
            parts.nav,
            h(
                "header.top",
                parts.menu,
                parts.node,
                parts.alarms,
                h("span.gap"),
                parts.live,
                vhostChooser(),
                parts.theme,
                h(
                    "button.plain",
                    { type: "button", "aria-label": "Keyboard shortcuts", onclick: help },
                    icon("help"),
                ),
                h(
                    "button.plain.who",
                    {
                        type: "button",
                        title: "Log out " + session.user,
                        "aria-label": "Log out " + session.user,
                        onclick: logout,
                    },
                    h("span", session.user),
                    icon("out"),
                ),
            ),
            h("div.page", parts.lost, parts.main),
        ),
    );
    showTheme();
    show();
}

function leave() {
    if (context) context.close();
    context = null;
}

/* What the live connection says goes to the frame too. */
function onTotals(totals) {
    say(parts.live, "live");
    parts.live.className = "live on";
    say(parts.node, totals.node || "");
    const alarms = totals.alarms || [];
    const text = alarms
        .map((a) =>
            a === "memory" ? "Memory alarm: publishers wait" : "Disk alarm: publishers wait",
        )
        .join(" · ");
    say(parts.alarms, text);
}

async function show() {
    if (!parts.main) return;
    const { page, names, search } = find(location.hash);

    leave();
    closeMenu();
    for (const a of parts.nav.querySelectorAll("a[data-page]")) {
        if (a.dataset.page === (page.under || page.id)) a.setAttribute("aria-current", "page");
        else a.removeAttribute("aria-current");
    }
    const mine = new Context({ main: parts.main, names, search, onTotals });
    context = mine; // another one, as soon as another page is asked for
    document.title = [...names.slice(-1), page.title, "Warren"].join(" · ");
    try {
        const made = await page.load();
        if (mine.signal.aborted) return;
        if (levels[page.level]()) await made.show(mine);
        else mine.fail("Your user has no right to see this page.");
    } catch (e) {
        if (!mine.signal.aborted && e.name !== "AbortError") mine.fail(e.message);
    }
}

onRefused(() => {
    if (parts.main) {
        forget();
        showLogin("Your login is no longer good. Please log in again.");
    }
});

onState((isDown) => {
    if (!parts.main) return;
    parts.lost.hidden = !isDown;
    if (isDown) {
        say(parts.live, "no connection");
        parts.live.className = "live off";
    }
});

/* The keyboard */

let isAfterG = 0;

function help() {
    const keys = pages.filter((p) => p.key && levels[p.level]());

    open(
        "Keyboard",
        () =>
            h(
                "div.keys",
                h(
                    "dl",
                    keys.map((p) =>
                        h("div", h("dt", h("kbd", "g"), " ", h("kbd", p.key)), h("dd", p.title)),
                    ),
                ),
                h(
                    "dl",
                    [
                        ["/", "Filter the list"],
                        ["t", "Light or dark"],
                        ["v", "Choose the vhost"],
                        ["Tab", "Next control"],
                        ["Esc", "Close a dialog"],
                        ["?", "This help"],
                    ].map(([k, what]) => h("div", h("dt", h("kbd", k)), h("dd", what))),
                ),
            ),
        { wide: true },
    );
}

function act(key) {
    const filter = document.querySelector(".filter");
    const vhost = document.getElementById("vhost");

    if (key === "?") help();
    else if (key === "t") toggleTheme();
    else if (key === "/" && filter) filter.focus();
    else if (key === "v" && vhost) vhost.focus();
    else return false;
    return true;
}

document.addEventListener("keydown", (e) => {
    const on = e.target;

    if (e.ctrlKey || e.metaKey || e.altKey || !parts.main || document.querySelector("dialog[open]"))
        return;
    if (on.matches("input, select, textarea")) {
        if (e.key === "Escape") on.blur();
        return;
    }
    const page =
        Date.now() - isAfterG < 1500 && pages.find((p) => p.key === e.key && levels[p.level]());
    isAfterG = e.key === "g" ? Date.now() : 0;
    if (page) location.hash = link(page.id);
    else if (!act(e.key)) return;
    e.preventDefault();
});

document.getElementById("skip").addEventListener("click", (e) => {
    e.preventDefault();
    document.getElementById("main").focus();
});

window.addEventListener("hashchange", show);

async function start() {
    if (!isKnown()) {
        showLogin();
        return;
    }
    try {
        await begin();
        showFrame();
    } catch (e) {
        if (e.status) {
            forget();
            showLogin();
        } else {
            showLogin(e.message);
        }
    }
}

start();
