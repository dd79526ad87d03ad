/* Before the first paint: the theme that was chosen, else the system's. */
(function () {
    var chosen = null;
    try {
        chosen = localStorage.getItem("warren-theme");
    } catch (e) {
        chosen = null; // No storage: the system's theme.
    }
    if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
})();
