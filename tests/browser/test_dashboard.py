#!/usr/bin/env python3
"""The dashboard as an operator uses it, in Chromium."""
import os
import shutil
import sys
import unittest
import urllib.parse

from pika import spec

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import Broker, BrokerCase, fresh, needs_own_broker, wait_for

try:
    from browser import Browser, Keys
    WHY_NOT = None if shutil.which("chromium") and shutil.which("chromedriver") else \
        "no chromium or chromedriver"
except ImportError as e:
    WHY_NOT = "no selenium: %s" % e

PAGES = [("overview", "Overview"), ("queues", "Queues"), ("exchanges", "Exchanges"),
         ("connections", "Connections"), ("channels", "Channels"), ("consumers", "Consumers"),
         ("users", "Users"), ("vhosts", "Vhosts"), ("policies", "Policies"), ("limits", "Limits"),
         ("definitions", "Definitions"), ("processes", "Processes"), ("log", "Log"),
         ("user/guest", "guest"), ("vhost/%2F", "/"), ("exchange/%2F/amq.topic", "amq.topic")]
HOSTILE = ["<img src=x onerror=\"window.hit=1\">", "'\"`${alert(1)}",
           "\u202eright to left \u05e9\u05dc",
           "a/b?c#d%25&<b>bold</b>", "long " + "x" * 250]


def find_axe():
    for folder in os.environ.get("NODE_PATH", "").split(":"):
        path = os.path.join(folder, "axe-core", "axe.min.js")
        if os.path.exists(path):
            with open(path, encoding="utf-8") as f:
                return f.read()
    return None


AXE = find_axe()


def link(page, *names):
    return "#/" + "/".join([page] + [urllib.parse.quote(n, safe="") for n in names])


@needs_own_broker
@unittest.skipIf(WHY_NOT, WHY_NOT)
class Dashboard(BrokerCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        try:
            cls.browser = Browser("http://127.0.0.1:%d/" % cls.broker.mgmt[1])
            cls.browser.login()
        except BaseException:
            cls.failed_here = True
            cls.tearDownClass()
            raise

    @classmethod
    def tearDownClass(cls):
        if hasattr(cls, "browser"):
            cls.browser.close()
        super().tearDownClass()

    def setUp(self):
        self.browser.errors()

    def tearDown(self):
        self.assertEqual(self.browser.errors(), [])

    def declare(self, name):
        """A queue, and the connection that declared it."""
        conn = self.opened()
        conn.rpc(1, spec.Queue.Declare(queue=name))
        return conn

    def channel_of(self, conn):
        """The name of its only channel."""
        port = ":%d -> " % conn.sock.getsockname()[1]
        return next(c["name"] for c in self.broker.get("/api/channels") if port in c["name"])

    def messages(self, name):
        return self.broker.get("/api/queues/%2F/" + urllib.parse.quote(name, safe=""))["messages"]

    def test_each_page_opens(self):
        name = fresh("page")
        conn = self.declare(name)
        conn.rpc(1, spec.Basic.Consume(queue=name, consumer_tag="its-tag"))
        for page, heading in PAGES + [("queue/%2F/" + name, name)]:
            with self.subTest(page):
                self.browser.visit("#/" + page, heading)
                self.browser.one(".live.on")
                self.assertEqual(self.browser.all(".failed"), [])
                self.assertEqual(self.browser.errors(), [])

    def test_a_queue_by_hand(self):
        """Declared, published to, looked at, purged and deleted, all by forms and buttons."""
        b, name = self.browser, fresh("by hand")
        b.visit("#/queues", "Queues")
        b.click("button", "Declare a queue")
        b.fill("dialog input[name=name]", name)
        b.click("dialog button.chip", "x-message-ttl")
        b.fill("dialog .pair input[placeholder=value]", "3600000")
        b.click("dialog button", "Declare")
        b.click("tbody a", name)
        b.one("main h1", name)
        b.one(".args .val", "3600000")
        b.click("[role=tab]", "Publish")
        b.fill("textarea[name=payload]", "hello <b>there</b>")
        b.click("form.stay button", "Publish")
        wait_for(lambda: self.messages(name) == 1, "the message in the queue")
        b.one(".verdict", "Messages wait, and none goes out.")
        b.click("[role=tab]", "Messages")
        b.click("button", "Peek")
        b.one(".message pre", "hello <b>there</b>")
        self.assertEqual(self.messages(name), 1)
        first = b.one(".message .nr").text
        b.click(".message button", "Move")  # to the end of the same queue
        b.fill("dialog input[name=name]", name)
        b.click("dialog button", "Move")
        b.until(lambda: b.one(".message .nr").text != first, "the message at its new place")
        b.one(".message pre", "hello <b>there</b>")
        b.click(".heading button", "Purge")
        b.click("dialog button", "Purge")
        wait_for(lambda: self.messages(name) == 0, "the purge")
        b.click(".heading button", "Delete")
        b.click("dialog button", "Delete")
        b.one("main h1", "Queues")
        wait_for(lambda: self.broker.http("GET", "/api/queues/%2F/" + urllib.parse.quote(name))[0]
                 == 404, "the queue to be gone")

    def test_what_becomes_of_got_messages(self):
        """Given back or taken out, as was chosen when getting."""
        b, name = self.browser, fresh("got")
        conn = self.opened()
        conn.rpc(1, spec.Queue.Declare(queue=name))
        for body in (b"one", b"two"):
            conn.publish(1, "", name, body)
        wait_for(lambda: self.messages(name) == 2, "both messages")
        b.visit(link("queue", "/", name), name)
        b.click("[role=tab]", "Messages")
        for mode, says, left in (
                ("ack_requeue_true", "2 messages got and given back", 2),
                ("reject_requeue_true", "2 messages got and given back", 2),
                ("reject_requeue_false", "1 message rejected out of the queue", 1),
                ("ack_requeue_false", "1 message taken out of the queue", 0)):
            b.fill("input[aria-label='How many']", says[0])
            b.click("button", "Get")
            b.click("dialog select[name=ackmode] option[value=%s]" % mode)
            b.click("dialog button", "Get")
            b.until(lambda: not b.all("dialog") and says in b.text(), says)
            wait_for(lambda: self.messages(name) == left, mode)

    def test_an_exchange_by_hand(self):
        """Declared, bound, published through with a property, and unbound."""
        b, name, queue = self.browser, fresh("exchange"), fresh("bound")
        self.declare(queue)
        b.visit("#/exchanges", "Exchanges")
        b.click("button", "Declare an exchange")
        b.fill("dialog input[name=name]", name)
        b.click("dialog button", "Declare")
        b.visit(link("exchange", "/", name), name)
        b.click("button", "Bind")
        b.fill("dialog input[name=destination]", queue)
        b.fill("dialog input[name=routing_key]", "the.key")
        b.click("dialog footer button", "Bind")
        b.one("tbody a", queue)
        b.one(".total", "1 binding")
        b.click("[role=tab]", "Publish")
        b.fill("input[name=routing_key]", "the.key")
        b.fill("textarea[name=payload]", "aGVsbG8=")
        b.click("form.stay input[name=is_base64]")
        b.click("form.stay button.chip", "correlation_id")
        b.fill("form.stay .pair input[placeholder=value]", "its-number")
        b.click("form.stay button", "Publish")
        wait_for(lambda: self.messages(queue) == 1, "the message in the queue")
        b.click("[role=tab]", "Bindings")
        b.click("tbody button", "Unbind")
        b.one(".empty", "Nothing is bound here: what is published goes nowhere.")
        b.visit(link("queue", "/", queue), queue)
        b.click("button", "Peek")
        b.one(".message pre", "hello")
        b.one(".message dd", "its-number")

    def test_a_channel(self):
        """From the list of channels to one, what it holds, and to its queue and connection."""
        b, name = self.browser, fresh("of a channel")
        conn = self.declare(name)
        conn.rpc(1, spec.Basic.Qos(prefetch_count=7))
        conn.rpc(1, spec.Basic.Consume(queue=name, consumer_tag="tag of a channel"))
        for _ in range(9):
            self.broker.http("POST", "/api/exchanges/%2F/amq.default/publish",
                             {"properties": {}, "routing_key": name, "payload": "x",
                              "payload_encoding": "string"})
        channel = self.channel_of(conn)
        b.visit("#/channels", "Channels")
        b.click("tbody a", channel)
        b.one("main h1", channel)
        b.one(".facts dd", "7 messages")  # as many as its prefetch lets be unacked
        b.one("tbody td", "tag of a channel")
        b.click("tbody a", name)
        b.one("main h1", name)
        b.visit(link("channel", channel), channel)
        b.click(".facts a", channel.rsplit(" ", 1)[0])
        b.one(".kicker", "Connection")
        b.click("tbody a", channel)
        b.one(".kicker", "Channel")

    def test_columns_are_chosen(self):
        """Those that are left out, and those that are not shown by default, stay chosen."""
        b, name = self.browser, fresh("of columns")
        self.declare(name)

        def heads():
            return [e.text for e in b.all("thead th") if e.is_displayed()]

        b.visit("#/queues", "Queues")
        b.one("tbody a", name)
        self.assertNotIn("Memory", heads())
        self.assertIn("State", heads())
        b.click(".chooser summary")
        b.click(".chooser input[name=memory]")
        b.click(".chooser input[name=state]")
        b.keys(Keys.ESCAPE)
        b.until(lambda: not b.all(".chooser[open]"), "the menu closed")
        for _ in range(2):
            b.until(lambda: "Memory" in heads() and "State" not in heads(), "the chosen columns")
            cells = [e for e in b.all("tbody tr:first-child > *") if e.is_displayed()]
            self.assertEqual(len(cells), len(heads()))
            b.visit("#/log", "Log")
            b.visit("#/queues", "Queues")
            b.one("tbody a", name)
        b.js("localStorage.removeItem('warren-columns')")

    def test_where_the_memory_is(self):
        b = self.browser
        b.visit("#/overview", "Overview")
        b.until(lambda: " at which publishers are blocked" in b.one(".memory p").text,
                "the sum of all parts")
        self.assertRegex(b.one(".memory dd").text, r"\d B|iB")

    def test_a_vhost_by_hand(self):
        """Added, chosen, opened to a user, and deleted; the chooser knows it at once."""
        b, name = self.browser, fresh("vhost")
        choices = "return [...document.querySelectorAll('#vhost option')].map(o => o.text)"
        b.visit("#/vhosts", "Vhosts")
        b.click("button", "Add a vhost")
        b.fill("dialog input[name=name]", name)
        b.click("dialog button", "Add")
        b.until(lambda: name in b.js(choices), "the vhost to be offered")
        b.click("tbody a", name)
        b.one("main h1", name)
        self.broker.http("PUT", "/api/users/vera", {"password": "v", "tags": ""})
        self.addCleanup(self.broker.http, "DELETE", "/api/users/vera")
        b.click("button", "Set permissions")
        b.one("dialog select[name=user]").send_keys("vera")
        b.click("dialog button", "Set")
        b.one("tbody a", "vera")
        b.visit("#/users", "Users")
        b.until(lambda: any("vera" in row.text and name in row.text for row in b.all("tbody tr")),
                "what she may open")
        b.visit(link("vhost", name), name)
        b.click(".heading button", "Delete")
        b.click("dialog button", "Delete")
        b.one("main h1", "Vhosts")
        b.until(lambda: name not in b.js(choices), "the vhost to be offered no more")

    @unittest.skipUnless(AXE, "no axe-core")
    def test_for_who_cannot_see_it(self):
        b, name = self.browser, fresh("axe")
        conn = self.declare(name)
        conn.rpc(1, spec.Basic.Consume(queue=name, consumer_tag="its-tag"))
        self.addCleanup(b.scheme, "")
        b.scheme("light")
        channel = self.channel_of(conn)
        for page, heading in PAGES + [("queue/%2F/" + name, name),
                                      (link("channel", channel)[2:], channel)]:
            with self.subTest(page):
                b.visit("#/" + page, heading)
                b.one(".live.on")
                self.assertEqual(b.offences(AXE), [])
        b.scheme("dark")
        self.assertEqual(b.offences(AXE, ["color-contrast"]), [])
        b.visit("#/queues", "Queues")
        b.click(".chooser summary")
        b.one(".chooser input")
        self.assertEqual(b.offences(AXE), [])
        b.click("button", "Declare a queue")
        b.one("dialog[open] input")
        self.assertEqual(b.offences(AXE), [])
        b.keys(Keys.ESCAPE)

    def test_hostile_names(self):
        b = self.browser
        for name in HOSTILE:
            with self.subTest(name):
                self.declare(name)
                b.visit("#/queues", "Queues")
                b.fill(".filter", name[:20])
                b.until(lambda n=name: b.js(
                    "return [...document.querySelectorAll('tbody th a')].some("
                    "a => a.textContent === arguments[0])", n), "the name in the list")
                b.visit(link("queue", "/", name))
                b.until(lambda n=name: b.js(
                    "return document.querySelector('main h1').textContent === arguments[0]", n),
                    "the name as a heading")
                made = b.js("return document.querySelectorAll('main img, main b').length")
                self.assertEqual(made, 0)
                self.assertIsNone(b.js("return window.hit ?? null"))

    def test_by_keyboard_alone(self):
        b, name = self.browser, fresh("keys")
        b.login()
        b.js("document.activeElement.blur()")
        b.keys("g", "q")
        b.one("main h1", "Queues")
        b.keys("/")
        self.assertEqual(b.driver.switch_to.active_element.get_attribute("type"), "search")
        b.keys(Keys.ESCAPE, "?")
        b.one("dialog h2", "Keyboard")
        b.keys(Keys.ESCAPE)
        b.until(lambda: not b.all("dialog"), "the help to close")
        for _ in range(60):
            if b.driver.switch_to.active_element.text == "Declare a queue":
                break
            b.keys(Keys.TAB)
        b.keys(Keys.ENTER)
        b.one("dialog[open]")
        focused = b.driver.switch_to.active_element
        self.assertEqual(focused.get_attribute("name"), "name")
        for _ in range(60):  # The focus goes round inside.
            b.keys(Keys.TAB)
            focused = b.driver.switch_to.active_element
            self.assertTrue(b.js("const f = arguments[0]; return f === document.body || "
                                 "Boolean(f.closest('dialog'))", focused))
            if focused.get_attribute("name") == "name":
                break
        b.keys(name, Keys.ENTER)
        wait_for(lambda: self.broker.http("GET", "/api/queues/%2F/" + name)[0] == 200,
                 "the queue that was declared")

    def test_skip_link(self):
        b = self.browser
        b.visit("#/queues", "Queues")
        b.js("document.getElementById('skip').focus()")
        b.keys(Keys.ENTER)
        self.assertEqual(b.driver.switch_to.active_element.get_attribute("id"), "main")

    def test_phone(self):
        b, name = self.browser, fresh("phone")
        self.declare(name)
        self.addCleanup(b.driver.execute_cdp_cmd, "Emulation.clearDeviceMetricsOverride", {})
        b.width(360)
        for page, heading in PAGES + [("queue/%2F/" + name, name)]:
            with self.subTest(page):
                b.visit("#/" + page, heading)
                self.assertLessEqual(b.js("return document.documentElement.scrollWidth"), 360)
        b.click("button[aria-label=Menu]")
        b.click("nav.side a", "Queues")
        b.one("main h1", "Queues")

    def test_light_and_dark(self):
        b = self.browser
        ground = "return getComputedStyle(document.documentElement).backgroundColor"
        b.scheme("light")
        light = b.js(ground)
        b.scheme("dark")
        dark = b.until(lambda: b.js(ground) != light and b.js(ground), "the dark theme")
        b.click("button[aria-label='Light theme']")
        self.assertEqual(b.js(ground), light)
        b.click("button[aria-label='Dark theme']")
        self.assertEqual(b.js(ground), dark)
        b.js("localStorage.clear(); delete document.documentElement.dataset.theme")
        b.scheme("")

    def test_killing_a_process(self):
        b = self.browser
        b.visit("#/processes", "Processes")
        b.fill(".filter", "alarms")
        b.click("tbody button.link", "alarms")
        b.click("dialog button", "Kill")
        b.click("dialog:last-of-type form button", "Kill")
        b.until(lambda: b.all("dialog") == [], "the dialogs to close")
        b.fill(".filter", "alarms")
        b.until(lambda: b.one("tbody .badge.warn").text == "1", "the restart to be counted")
        b.click("tbody button.link", "alarms")
        b.until(lambda: "crash of alarms" in b.one("dialog details pre").text, "its crash report")
        b.keys(Keys.ESCAPE)

    def test_log(self):
        b = self.browser
        b.visit("#/log", "Log")
        conn = self.opened()
        port = str(conn.sock.getsockname()[1])
        b.until(lambda: any(port in e.text for e in b.all(".log li")), "the new connection's line")
        b.fill(".filter", "no such line")
        b.until(lambda: b.all(".log li") == [], "no line to match")


@needs_own_broker
@unittest.skipIf(WHY_NOT, WHY_NOT)
class Logins(unittest.TestCase):
    def test_refusal_rights_and_restart(self):
        with Broker() as broker:
            browser = Browser("http://127.0.0.1:%d/" % broker.mgmt[1])
            self.addCleanup(browser.close)
            self.refused(browser)
            self.only_management(broker, browser)
            self.new_password(broker, browser)
            self.alarm(broker, browser)
            self.restart(broker, browser)

    def refused(self, b):
        b.driver.get(b.base)
        b.fill("#user", "guest")
        b.fill("#password", "wrong" + Keys.ENTER)
        b.one(".wrong", "That user and password are not known here.")
        self.assertEqual(b.driver.get_cookies(), [])

    def only_management(self, broker, b):
        """Sees what it may, and is told so where it may not."""
        broker.http("PUT", "/api/users/tina", {"password": "t", "tags": "management"})
        broker.http("PUT", "/api/permissions/%2F/tina", {"configure": "", "write": "", "read": ""})
        b.login("tina", "t")
        titles = [a.text for a in b.all("nav.side li a")]
        self.assertIn("Queues", titles)
        self.assertNotIn("Users", titles)
        b.visit("#/users", "This page can't be shown")
        b.visit("#/queues", "Queues")
        b.one(".live.on")

    def new_password(self, broker, b):
        """Who is logged in with the old one has to log in anew, and can."""
        broker.http("PUT", "/api/users/tina", {"password": "new", "tags": "management"})
        b.one(".wrong", "Your login is no longer good. Please log in again.")
        self.assertIsNone(b.js("return sessionStorage.getItem('warren-login')"))
        b.fill("#user", "tina")
        b.fill("#password", "new" + Keys.ENTER)
        b.one("main h1", "Queues")

    def limit_disk(self, broker, value):
        status = broker.http("PUT", "/api/warren/config",
                             {"key": "disk_free_limit.absolute", "value": value})[0]
        self.assertIn(status, (200, 204))

    def alarm(self, broker, b):
        """It is said on each page, and by the overview's tile."""
        b.login()
        b.visit("#/overview", "Overview")
        b.one(".live.on")
        self.assertEqual(b.js("return document.querySelector('.alarms').textContent"), "")
        self.limit_disk(broker, "8000TB")
        b.one(".alarms", "Disk alarm: publishers wait")
        b.until(lambda: "Disk free" in b.one(".tile.bad").text, "the tile to say so, too")
        self.limit_disk(broker, "1MB")
        b.until(lambda: not b.all(".tile.bad"), "the alarm to go")

    def restart(self, broker, b):
        b.login()
        b.visit("#/queues", "Queues")
        b.one(".live.on")
        port = broker.mgmt[1]
        broker.stop()
        b.one(".lost")
        broker.start(["--mgmt-port", str(port)])
        b.one(".live.on")
        b.until(lambda: not b.js("return document.querySelector('.lost').checkVisibility()"),
                "the warning to go")


if __name__ == "__main__":
    unittest.main()
