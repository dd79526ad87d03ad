"""Chromium without a window, and how a test uses the dashboard in it."""
import shutil
import tempfile

from selenium import webdriver
from selenium.common.exceptions import (ElementClickInterceptedException, JavascriptException,
                                        NoSuchElementException, StaleElementReferenceException,
                                        WebDriverException)
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from harness import wait_for

FLAGS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync",
         "--disable-dev-shm-usage", "--force-prefers-reduced-motion", "--window-size=1380,900"]
# What is not there yet, was just redrawn, or has a note above it that goes by itself.
PASSING = (NoSuchElementException, StaleElementReferenceException, JavascriptException,
           ElementClickInterceptedException, IndexError)


class Browser:
    """One Chromium with a profile of its own, which goes with it."""

    def __init__(self, base):
        self.base = base
        self.profile = tempfile.mkdtemp(prefix="warren-chromium-")
        options = webdriver.ChromeOptions()
        options.binary_location = shutil.which("chromium")
        for flag in FLAGS + ["--user-data-dir=" + self.profile]:
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        try:
            self.driver = webdriver.Chrome(service=Service(shutil.which("chromedriver")),
                                           options=options)
        except BaseException:
            shutil.rmtree(self.profile, ignore_errors=True)
            raise

    def close(self):
        try:
            self.driver.quit()
        finally:
            shutil.rmtree(self.profile, ignore_errors=True)

    def js(self, code, *args):
        return self.driver.execute_script(code, *args)

    def errors(self):
        """What the console complained of since it was last asked."""
        return [e["message"] for e in self.driver.get_log("browser") if e["level"] == "SEVERE"]

    def until(self, fn, what):
        """fn's value once it is true; what is not there yet, or was just redrawn, is looked for
        again."""
        def attempt():
            try:
                return fn()
            except PASSING:
                return None
        try:
            return wait_for(attempt, what)
        except AssertionError as e:
            raise AssertionError("%s\n%s\n%s" % (e, self.driver.current_url, self.text())) from e

    def text(self):
        try:
            return self.js("return document.body.innerText")
        except WebDriverException as e:
            return str(e)

    def all(self, css):
        return self.driver.find_elements(By.CSS_SELECTOR, css)

    def one(self, css, text=None):
        """The element that is shown and has this text, once there is one."""
        def look():
            for element in self.all(css):
                if element.is_displayed() and (text is None or element.text.strip() == text):
                    return element
            return None
        return self.until(look, css + (" “%s”" % text if text else ""))

    def click(self, css, text=None):
        """Finding and clicking are tried as one, because pages are redrawn as they live."""
        def attempt():
            element = self.one(css, text)
            self.js("arguments[0].scrollIntoView({block: 'center'})", element)
            element.click()
            return True
        self.until(attempt, "click on " + css)

    def fill(self, css, text):
        element = self.one(css)
        element.clear()
        element.send_keys(text)

    def keys(self, *keys):
        """Typed at whatever has the focus."""
        for key in keys:
            self.driver.switch_to.active_element.send_keys(key)

    def visit(self, where, heading=None):
        """A page of the dashboard, once it is shown."""
        self.js("location.hash = arguments[0]", where)
        if heading is not None:
            self.one("main h1", heading)

    def login(self, user="guest", password="guest"):
        self.driver.get(self.base)
        self.js("sessionStorage.clear(); localStorage.clear()")
        self.driver.get(self.base)
        self.fill("#user", user)
        self.fill("#password", password + Keys.ENTER)
        self.one("nav.side")

    def offences(self, axe, rules=None):
        """What axe-core finds wrong with the page for who can't see it or use a mouse."""
        self.driver.execute_cdp_cmd("Runtime.evaluate", {"expression": axe})
        found = self.driver.execute_async_script("""
            const [rules, done] = arguments;
            const options = {resultTypes: ["violations"]};
            if (rules) options.runOnly = rules;
            axe.run(document, options).then(r => done(r.violations.map(v =>
                [v.id, ...v.nodes.slice(0, 3).map(n => n.html.slice(0, 200))])),
                e => done(["axe failed: " + e]));""", rules)
        return found

    def width(self, pixels):
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
            "width": pixels, "height": 760, "deviceScaleFactor": 1, "mobile": pixels < 700})

    def scheme(self, name):
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {
            "features": [{"name": "prefers-color-scheme", "value": name}]})


__all__ = ["Browser", "Keys"]
