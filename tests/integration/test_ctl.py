#!/usr/bin/env python3
"""warrenctl against a broker: each command, its formats and its exit codes."""
import csv
import io
import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import unittest

import harness
from harness import Broker, BrokerCase, fresh, needs_own_broker, wait_for
from pika import spec

CTL = os.environ.get("WARRENCTL_BIN", "")
USAGE, DATA, NO_USER, UNAVAILABLE, SOFTWARE = 64, 65, 67, 69, 70
TEMPFAIL, NO_PERMISSION = 75, 77


def ctl(port, *args, stdin=None, env=None):
    """The finished program: .returncode, .stdout, .stderr."""
    own = dict(os.environ, HOME="/nonexistent", WARRENCTL_PORT=str(port))
    for name in ("WARRENCTL_HOST", "WARRENCTL_USERNAME", "WARRENCTL_PASSWORD"):
        own.pop(name, None)
    own.update(env or {})
    return subprocess.run([CTL] + list(args), capture_output=True, text=True, check=False,
                          input=stdin or "", env=own, timeout=3 * harness.DEADLINE)


RABBITMQ_COLUMNS = {
    "list_queues": "arguments auto_delete consumer_capacity consumer_utilisation consumers "
                   "disk_reads disk_writes durable exclusive exclusive_consumer_pid "
                   "exclusive_consumer_tag head_message_timestamp leader members memory "
                   "message_bytes message_bytes_persistent message_bytes_ram message_bytes_ready "
                   "message_bytes_unacknowledged messages messages_persistent messages_ram "
                   "messages_ready messages_ready_ram messages_unacknowledged "
                   "messages_unacknowledged_ram name online owner_pid pid policy slave_pids state "
                   "synchronised_slave_pids type",
    "list_exchanges": "arguments auto_delete durable internal name policy type",
    "list_bindings": "arguments destination_kind destination_name routing_key source_kind "
                     "source_name",
    "list_connections": "auth_mechanism channel_max channels client_properties connected_at "
                        "frame_max host name peer_cert_issuer peer_cert_subject "
                        "peer_cert_validity peer_host peer_port pid port protocol recv_cnt "
                        "recv_oct send_cnt send_oct send_pend ssl ssl_cipher ssl_hash "
                        "ssl_key_exchange ssl_protocol state timeout user vhost",
    "list_channels": "acks_uncommitted confirm connection consumer_count global_prefetch_count "
                     "messages_unacknowledged messages_uncommitted messages_unconfirmed name "
                     "number pid prefetch_count transactional user vhost",
    "list_consumers": "ack_required active activity_status arguments channel_pid consumer_tag "
                      "prefetch_count queue_name",
    "list_vhosts": "cluster_state default_queue_type description name tags tracing",
}


COMPLETIONS = {
    "list_q": ["list_queues"],
    "-q list_queues messages_r": ["messages_ram", "messages_ready", "messages_ready_ram"],
    "--formatter pr": ["pretty_table"],
    "help list_u": ["list_unresponsive_queues", "list_user_limits", "list_user_permissions",
                    "list_user_topic_permissions", "list_users"],
    "completion z": ["zsh"],
}


class Case(BrokerCase):
    def ctl(self, *args, code=0, **options):
        got = ctl(self.broker.mgmt[1], *args, **options)
        self.assertEqual(got.returncode, code, (args, got.stdout, got.stderr))
        return got

    def rows(self, *args):
        return json.loads(self.ctl(*args, "--formatter", "json").stdout)

    def lines(self, *args):
        """What a table has below its headline."""
        return [line.split("\t") for line in self.ctl("-s", *args).stdout.splitlines()]


@needs_own_broker
class Tool(Case):
    """What it does without asking for much."""

    def test_help(self):
        got = self.ctl("help").stdout
        for name in ("list_queues", "add_user", "set_policy", "--formatter"):
            self.assertIn(name, got)
        self.assertIn("messages_ready", self.ctl("help", "list_queues").stdout)
        self.assertEqual(self.ctl("--help", "list_queues").stdout,
                         self.ctl("help", "list_queues").stdout)
        self.assertRegex(self.ctl("--version").stdout, r"^warrenctl \d+\.\d+\.\d+\n$")

    def test_misused(self):
        for args in ([], ["no_such_command"], ["--no-such-option", "ping"], ["add_user"],
                     ["list_users", "stray"], ["ping", "--vhost", "/"],
                     ["list_queues", "no_such_column"], ["list_queues", "--formatter", "xml"],
                     ["ping", "--timeout", "soon"], ["help", "no_such_command"],
                     ["completion", "tcsh"]):
            got = self.ctl(*args, code=USAGE)
            self.assertEqual(got.stdout, "", args)
            self.assertTrue(got.stderr, args)

    def test_not_here(self):
        """What only RabbitMQ has is refused with a reason, what is misspelt with a proposal."""
        for name in ("stop_app", "reset", "join_cluster", "eval", "trace_on", "encode"):
            self.assertRegex(self.ctl(name, "x", code=USAGE).stderr,
                             "^Error: %s is not here: " % name)
        self.assertIn("Did you mean 'list_queues'?", self.ctl("list_queue", code=USAGE).stderr)

    def test_as_rabbitmqctl(self):
        """Under that name the version is the one that scripts choose by."""
        with tempfile.TemporaryDirectory() as folder:
            os.symlink(CTL, os.path.join(folder, "rabbitmqctl"))
            got = subprocess.run([os.path.join(folder, "rabbitmqctl"), "-q", "version"],
                                 capture_output=True, text=True, check=True)
        self.assertRegex(got.stdout, r"^3\.10\.\d+\n$")
        self.assertRegex(self.ctl("version").stdout, r"^0\.\d+\.\d+\n$")

    def test_nobody_answers(self):
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            got = ctl(unused.getsockname()[1], "--host", "127.0.0.1", "check_running")
        self.assertEqual(got.returncode, UNAVAILABLE)
        self.assertIn("unable to reach", got.stderr)

    def test_settings(self):
        """The command line goes before the environment, and that before the file."""
        with tempfile.NamedTemporaryFile("w", suffix=".conf") as f:
            f.write("# a comment\n[default]\nusername = nobody\n[ours]\nusername = guest\n"
                    "password = guest\nhostname = 127.0.0.1\n")
            f.flush()
            self.ctl("-c", f.name, "listeners", code=NO_PERMISSION)
            self.ctl("-c", f.name, "--node", "ours", "listeners")
            self.ctl("-c", f.name, "listeners", env={"WARRENCTL_USERNAME": "guest"})
            self.ctl("-c", f.name, "-u", "guest", "listeners", env={"WARRENCTL_USERNAME": "who"})
        self.ctl("-c", "/nonexistent/file", "listeners", code=78)

    def test_completion(self):
        """The shells that are here read their scripts."""
        scripts = {shell: self.ctl("completion", shell).stdout for shell in ("bash", "zsh", "fish")}
        for shell, script in scripts.items():
            self.assertIn("list_queues", script)
            if shutil.which(shell):
                got = subprocess.run([shell, "-n"], input=script, text=True, check=False,
                                     capture_output=True)
                self.assertEqual((got.returncode, got.stderr), (0, ""), shell)
        for words, wanted in COMPLETIONS.items():
            got = subprocess.run(
                ["bash", "-c", scripts["bash"] + "\nCOMP_WORDS=(warrenctl $0); "
                 "COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _warrenctl; echo ${COMPREPLY[@]}", words],
                text=True, check=True, capture_output=True)
            self.assertEqual(sorted(got.stdout.split()), wanted, words)
            if shutil.which("fish"):
                got = subprocess.run(["fish", "-c", scripts["fish"] + "\ncomplete -C $argv[1]",
                                      "warrenctl " + words], text=True, check=True,
                                     capture_output=True, env=dict(
                                         os.environ, PATH=os.path.dirname(CTL) + ":" +
                                         os.environ["PATH"]))
                found = [line.split("\t")[0] for line in got.stdout.splitlines()]
                self.assertEqual(sorted(found), wanted, words)

    def test_man(self):
        page = self.ctl("man").stdout
        self.assertTrue(page.startswith(".TH WARRENCTL 1"))
        if shutil.which("man"):
            got = subprocess.run(["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-"],
                                 input=page, text=True, check=False, capture_output=True)
            self.assertEqual(got.stderr, "")
            self.assertIn("list_queues", re.sub(".\b", "", got.stdout))


@needs_own_broker
class Node(Case):
    def test_environment(self):
        rows = {row["key"]: row for row in self.rows("environment")}
        self.assertEqual(rows["listeners.tcp.default"]["value"], "0")
        self.assertEqual(rows["listeners.tcp.default"]["origin"], "command line")
        self.assertNotIn("guest", rows["default_pass"]["value"])

    def test_log(self):
        """Levels, a reload, the last lines."""
        self.ctl("set_log_level", "debug")
        self.ctl("set_log_level", "queue", "error")
        self.assertEqual({row["key"]: row["value"] for row in self.rows("environment")}
                         ["log.queue.level"], "error")
        self.ctl("rotate_logs")
        wait_for(lambda: "configuration: log.level = info" in self.ctl("log_tail").stdout,
                 "what the reload took back")
        self.assertEqual(len(self.rows("log_tail", "-N", "3")), 3)
        self.ctl("set_log_level", "loud", code=UNAVAILABLE)
        self.ctl("log_tail", "-N", "many", code=USAGE)
        self.assertIn("user 'guest' from 127.0.0.1 changes the configuration", self.broker.log())

    def test_limits(self):
        """The alarms follow; a reload takes the limits back."""
        self.ctl("set_disk_free_limit", "1000TB")
        wait_for(lambda: "disk alarm set" in self.broker.log(), "the alarm")
        self.ctl("set_disk_free_limit", "1MB")
        wait_for(lambda: "disk alarm cleared" in self.broker.log(), "its end")
        self.ctl("set_vm_memory_high_watermark", "0.3")
        self.ctl("set_vm_memory_high_watermark", "absolute", "10GiB")
        values = {row["key"]: row["value"] for row in self.rows("environment")}
        self.assertEqual(values["vm_memory_high_watermark.relative"], "0.3")
        self.assertEqual(values["vm_memory_high_watermark.absolute"], str(10 << 30))
        self.ctl("set_vm_memory_high_watermark", "5", code=DATA)
        self.ctl("set_vm_memory_high_watermark", "some", "5", code=USAGE)
        self.ctl("set_disk_free_limit", "mem_relative", "x", code=DATA)
        self.ctl("reload_config")

    def test_listeners(self):
        ports = {row["protocol"]: row["port"] for row in self.rows("listeners")["listeners"]}
        self.assertEqual(ports["amqp"], self.broker.addr[1])
        self.assertIn("All listeners", self.ctl("check_port_connectivity").stdout)
        self.assertIn("interface: 127.0.0.1, port: %d, protocol: amqp" % self.broker.addr[1],
                      self.ctl("-q", "listeners").stdout.lower())
        self.assertRegex(self.ctl("-q", "check_running").stdout, "is fully booted and running\n$")

    def test_await(self):
        """What does not listen yet is waited for."""
        with socket.socket() as late:
            late.bind(("127.0.0.1", 0))
            late.settimeout(harness.DEADLINE)
            args = [CTL, "-H", "127.0.0.1", "-P", str(late.getsockname()[1]), "await_startup"]
            with subprocess.Popen(args, env=dict(os.environ, HOME="/nonexistent")) as p:
                with self.assertRaises(subprocess.TimeoutExpired):
                    p.wait(0.3)
                late.listen()
                while p.poll() is None:
                    conn, _ = late.accept()
                    with conn:
                        if conn.recv(4096):
                            conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
                            self.assertEqual(p.wait(harness.DEADLINE), 0)
        self.ctl("await_online_nodes", "1")
        self.ctl("await_online_nodes", "3", code=USAGE)
        with socket.socket() as never:
            never.bind(("127.0.0.1", 0))
            got = ctl(never.getsockname()[1], "--host", "127.0.0.1", "-t", "1", "await_startup")
            self.assertEqual(got.returncode, TEMPFAIL)

    def test_names(self):
        self.ctl("set_cluster_name", "ours")
        self.assertIn("Cluster name: ours\n", self.ctl("cluster_status").stdout)
        flags = {row["name"]: row["state"] for row in self.rows("list_feature_flags")}
        self.assertEqual(flags["user_limits"], "enabled")
        self.ctl("enable_feature_flag", "all")
        self.ctl("enable_feature_flag", "user_limits")
        self.ctl("enable_feature_flag", "no_such_flag", code=UNAVAILABLE)
        self.assertIn("stderr", self.ctl("log_location").stdout)

    def test_auth_attempts(self):
        self.ctl("authenticate_user", "guest", "wrong", code=DATA)
        rows = {row["protocol"]: row for row in self.rows("list_node_auth_attempt_stats")}
        self.assertGreater(rows["http"]["auth_attempts_failed"], 0)
        self.ctl("list_node_auth_attempt_stats", "--by-source")

    def test_stop(self):
        with Broker() as broker:
            got = ctl(broker.mgmt[1], "stop")
            self.assertEqual((got.returncode, got.stderr), (0, ""))
            self.assertEqual(broker.proc.wait(harness.DEADLINE), 0)
            self.assertRegex(broker.log(), r"stopped in order\n$")
            broker.proc.stdout.close()
            broker.start()

    def test_backup(self):
        with tempfile.TemporaryDirectory() as folder:
            self.ctl("backup", os.path.join(folder, "b"), "--wait")
            self.assertTrue(os.path.exists(os.path.join(folder, "b", "manifest.json")))
            self.ctl("backup", "not/absolute", code=UNAVAILABLE)


@needs_own_broker
class Lists(Case):
    def test_queues(self):
        """Columns by choice, each format, a hostile name."""
        conn = self.opened()
        name = fresh() + ",\"x\"\tü"
        conn.rpc(1, spec.Queue.Declare(queue=name, durable=True))
        row = [r for r in self.rows("list_queues", "name", "durable,messages")
               if r["name"] == name]
        self.assertEqual(row, [{"name": name, "durable": True, "messages": 0}])
        plain = name.replace("\t", "\\x09")
        self.assertIn([plain, "0"], self.lines("list_queues"))
        got = self.ctl("list_queues").stdout.splitlines()
        self.assertEqual(got[:3], ["Timeout: 60.0 seconds ...", "Listing queues for vhost / ...",
                                   "name\tmessages"])
        self.assertEqual(self.ctl("-q", "list_queues").stdout.splitlines()[0], "name\tmessages")
        table = csv.reader(io.StringIO(self.ctl("list_queues", "--formatter", "csv").stdout))
        self.assertIn([name, "0"], list(table))
        self.assertTrue(self.ctl("list_queues", "--formatter", "csv").stdout.startswith(
            '"name","messages"\n'))
        self.assertIn([plain], self.lines("list_queues", "name", "--online", "--local"))
        self.assertEqual(self.lines("list_queues", "name", "--offline"), [])
        self.assertEqual(self.lines("list_unresponsive_queues"), [])
        box = self.ctl("-q", "list_queues", "--formatter", "pretty_table").stdout.splitlines()
        self.assertEqual(len({len(line) for line in box}), 1, box)
        got = self.ctl("list_queues", "-p", "no such vhost", code=DATA)
        self.assertEqual(got.stderr, "Error: Virtual host 'no such vhost' does not exist\n")

    def test_columns(self):
        """Each that rabbitmqctl has is known, and arguments look as there."""
        conn = self.opened()
        name = fresh()
        conn.rpc(1, spec.Queue.Declare(queue=name, arguments={"x-max-length": 5, "s": "t"}))
        conn.rpc(1, spec.Basic.Consume(queue=name, consumer_tag="tag"))
        for command, columns in RABBITMQ_COLUMNS.items():
            rows = self.rows(command, *columns.split())
            self.assertTrue(rows, command)
            self.assertEqual(list(rows[0]), columns.split(), command)
        self.assertIn([name, '[{"x-max-length",5},{"s","t"}]'],
                      [[row[0], row[1]] for row in self.lines("list_queues", "name", "arguments")])

    def test_topology(self):
        """Exchanges, bindings, consumers, channels, connections."""
        conn = self.opened()
        name = fresh()
        conn.rpc(1, spec.Queue.Declare(queue=name))
        conn.rpc(1, spec.Queue.Bind(queue=name, exchange="amq.direct", routing_key="k"))
        conn.rpc(1, spec.Basic.Consume(queue=name, consumer_tag="tag"))
        self.assertIn(["amq.topic", "topic", "true"],
                      self.lines("list_exchanges", "name", "type", "durable"))
        self.assertIn(["amq.direct", "exchange", name, "queue", "k", "[]"],
                      self.lines("list_bindings"))
        consumers = self.lines("list_consumers", "queue_name", "consumer_tag", "ack_required")
        self.assertIn([name, "tag", "true"], consumers)
        self.assertIn(["guest", "1"], self.lines("list_channels", "user", "number"))
        mine = [row for row in self.rows("list_connections", "name", "pid", "vhost", "peer_port")
                if row["peer_port"] == conn.sock.getsockname()[1]]
        self.assertEqual(len(mine), 1)
        self.assertEqual(mine[0]["pid"], mine[0]["name"].replace(" ", ""))
        self.ctl("close_connection", mine[0]["name"] + "x", code=UNAVAILABLE)
        self.ctl("close_connection", mine[0]["pid"], "enough of it")
        conn.expect_close(0, 320, text="enough of it")

    def test_close_all(self):
        vhost, user = fresh("v"), fresh("u")
        self.ctl("add_vhost", vhost)
        self.ctl("add_user", user, "secret")
        self.ctl("set_permissions", "-p", vhost, user, ".*", ".*", ".*")
        conns = [self.raw(vhost=vhost, user=user, password="secret") for _ in range(2)]
        wait_for(lambda: self.lines("list_connections", "vhost").count([vhost]) == 2, "both")
        self.assertEqual(self.ctl("-q", "close_all_connections", "-p", vhost, "--limit", "1",
                                  "some of them").stdout, "Closed 1 connections\n")
        self.ctl("close_all_connections", "-p", vhost, "all of them")
        for conn in conns:
            conn.expect_close(0, 320)
        conn = self.raw(vhost=vhost, user=user, password="secret")
        wait_for(lambda: self.lines("list_connections", "user").count([user]) == 1, "the third")
        self.ctl("close_all_user_connections", user)
        conn.expect_close(0, 320)

    def test_queue(self):
        """Looking at messages, purging, deleting."""
        conn = self.opened()
        name = fresh()
        conn.rpc(1, spec.Queue.Declare(queue=name))
        conn.rpc(1, spec.Confirm.Select())
        for body in (b"one", b"two"):
            conn.publish(1, "", name, body)
            conn.expect(1, spec.Basic.Ack)
        self.assertEqual(json.loads(self.ctl("peek", name).stdout)["payload"], "one")
        self.assertEqual(json.loads(self.ctl("peek", name, "2").stdout)["payload"], "two")
        self.ctl("peek", name, "3", code=DATA)
        self.ctl("peek", name, "0", code=USAGE)
        conn.cast(1, spec.Basic.Get(queue=name))
        self.assertFalse(conn.message(1, spec.Basic.GetOk).redelivered)
        conn.cast(1, spec.Basic.Reject(delivery_tag=1, requeue=True))
        wait_for(lambda: [name, "2"] in self.lines("list_queues"), "both in place")
        self.ctl("delete_queue", name, "--if-empty", code=USAGE)
        self.ctl("purge_queue", name)
        wait_for(lambda: [name, "0"] in self.lines("list_queues"), "none")
        self.assertEqual(self.ctl("delete_queue", name, "--if-empty", "--if-unused").stdout,
                         "Deleting queue '%s' on vhost '/' if queue is empty and if queue is "
                         "unused ...\nQueue was successfully deleted with 0 ready messages\n"
                         % name)
        self.ctl("delete_queue", name, code=USAGE)
        self.ctl("purge_queue", name, code=UNAVAILABLE)


@needs_own_broker
class Access(Case):
    def test_users(self):
        user = fresh("u")
        got = self.ctl("add_user", user, stdin="secret\n")
        self.assertEqual(got.stdout.splitlines()[0], 'Adding user "%s" ...' % user)
        self.ctl("add_user", user, "again", code=SOFTWARE)
        self.ctl("authenticate_user", user, "secret")
        self.ctl("authenticate_user", user, "wrong", code=DATA)
        self.ctl("change_password", user, "other")
        self.ctl("authenticate_user", user, "secret", code=DATA)
        self.ctl("set_user_tags", user, "monitoring", "management")
        self.ctl("authenticate_user", user, "other")
        self.assertIn([user, "[monitoring, management]"], self.lines("list_users"))
        self.ctl("set_user_limits", user, '{"max-channels": 5}')
        self.assertEqual(self.ctl("-q", "list_user_limits", "--user", user).stdout,
                         '{"max-channels":5}\n')
        self.assertIn({"user": user, "limits": '{"max-channels":5}'},
                      self.rows("list_user_limits", "--global"))
        self.ctl("list_user_limits", "--user", user + "x", code=NO_USER)
        self.ctl("set_user_limits", user, "[]", code=UNAVAILABLE)
        self.ctl("clear_user_limits", user, "all")
        self.ctl("clear_password", user)
        self.ctl("authenticate_user", user, "other", code=DATA)
        self.ctl("delete_user", user)
        for args in (["set_user_tags", user, "x"], ["delete_user", user], ["clear_password", user],
                     ["change_password", user, "x"], ["set_permissions", user, "", "", ""],
                     ["clear_permissions", user], ["list_user_permissions", user],
                     ["set_user_limits", user, '{"max-channels": 5}']):
            self.assertEqual(self.ctl(*args, code=NO_USER).stderr,
                             'Error: User "%s" does not exist\n' % user)
        self.ctl("-u", "nobody", "list_users", code=NO_PERMISSION)

    def test_vhosts(self):
        vhost = fresh("v/ ")
        self.ctl("add_vhost", vhost, "--description", "a place", "--tags", "a,b")
        self.assertIn({"name": vhost, "description": "a place", "tags": ["a", "b"]},
                      self.rows("list_vhosts", "name", "description", "tags"))
        self.ctl("set_vhost_limits", "-p", vhost, '{"max-queues": 5, "max-connections": 7}')
        limits = {"max-queues": 5, "max-connections": 7}
        got = self.ctl("-q", "list_vhost_limits", "-p", vhost).stdout
        self.assertEqual(json.loads(got), limits)
        self.assertEqual(json.loads(self.rows("list_vhost_limits", "-p", vhost)["value"]), limits)
        self.assertIn(vhost, [row["vhost"] for row in self.rows("list_vhost_limits", "--global")])
        self.ctl("clear_vhost_limits", "-p", vhost)
        self.assertEqual(self.ctl("-q", "list_vhost_limits", "-p", vhost).stdout, "\n")
        self.ctl("set_vhost_tags", vhost, "c", "d")
        self.assertIn({"name": vhost, "description": "a place", "tags": ["c", "d"]},
                      self.rows("list_vhosts", "name", "description", "tags"))
        self.ctl("delete_vhost", vhost)
        for args in (["delete_vhost", vhost], ["set_vhost_tags", vhost, "x"],
                     ["list_permissions", "-p", vhost], ["list_parameters", "-p", vhost],
                     ["set_policy", "-p", vhost, "p", ".*", '{"max-length": 1}'],
                     ["set_permissions", "-p", vhost, "guest", "", "", ""],
                     ["list_vhost_limits", "-p", vhost]):
            self.assertEqual(self.ctl(*args, code=DATA).stderr,
                             "Error: Virtual host '%s' does not exist\n" % vhost)

    def test_permissions(self):
        user, vhost = fresh("u"), fresh("v")
        self.ctl("add_user", user, "x")
        self.ctl("add_vhost", vhost)
        self.ctl("set_permissions", "-p", vhost, user, "^c", "^w", "^r")
        self.assertIn([user, "^c", "^w", "^r"], self.lines("list_permissions", "-p", vhost))
        self.assertEqual(self.lines("list_user_permissions", user), [[vhost, "^c", "^w", "^r"]])
        self.ctl("set_topic_permissions", "-p", vhost, user, "amq.topic", "^a", "^b")
        self.assertEqual(self.lines("list_topic_permissions", "-p", vhost),
                         [[user, "amq.topic", "^a", "^b"]])
        self.assertEqual(self.lines("list_user_topic_permissions", user),
                         [[vhost, "amq.topic", "^a", "^b"]])
        self.ctl("clear_topic_permissions", "-p", vhost, user)
        self.ctl("clear_permissions", "-p", vhost, user)
        self.assertEqual(self.lines("list_user_permissions", user), [])
        self.ctl("set_permissions", "-p", vhost, user, "(", ".*", ".*", code=UNAVAILABLE)

    def test_policies(self):
        name = fresh("p")
        for kind in ("policy", "operator_policy"):
            listing = "list_" + kind[:-1] + "ies"
            got = self.ctl("set_" + kind, "--priority", "3", name, "^none", '{"max-length": 10}',
                           "--apply-to", "queues").stdout
            self.assertIn('for pattern "^none" to "{"max-length": 10}" with priority "3" for vhost'
                          ' "/" ...', got)
            self.assertIn(["/", name, "^none", "queues", '{"max-length":10}', "3"],
                          self.lines(listing))
            self.assertEqual(self.rows(listing)[0]["definition"], '{"max-length":10}')
            self.ctl("clear_" + kind, name)
            self.assertEqual(self.lines(listing), [])
            self.ctl("clear_" + kind, name, code=UNAVAILABLE)
        self.ctl("set_policy", name, "^none", "max-length: 10", code=UNAVAILABLE)
        self.ctl("set_policy", name, "^none", '{"no-such-key": 1}', code=UNAVAILABLE)
        self.ctl("set_policy", name, "^none", "{}", "--priority", "high", code=USAGE)

    def test_parameters(self):
        self.ctl("set_global_parameter", "g", '{"a": 1}')
        self.assertIn(["g", '{"a":1}'], self.lines("list_global_parameters"))
        self.ctl("clear_global_parameter", "g")
        self.ctl("clear_global_parameter", "g", code=UNAVAILABLE)
        self.ctl("set_parameter", "vhost-limits", "limits", '{"max-queues": 300}')
        self.assertIn(["vhost-limits", "limits", '{"max-queues":300}'],
                      self.lines("list_parameters"))
        self.assertEqual(json.loads(self.rows("list_parameters", "-p", "/")[0]["value"]),
                         {"max-queues": 300})
        self.ctl("clear_parameter", "vhost-limits", "limits")

    def test_definitions(self):
        """What is exported can be taken in by another broker."""
        user = fresh("u")
        self.ctl("add_user", user, "secret")
        got = self.ctl("export_definitions", "-").stdout
        with Broker() as other:
            port = other.mgmt[1]
            self.assertEqual(ctl(port, "import_definitions", stdin=got).returncode, 0)
            self.assertEqual(ctl(port, "authenticate_user", user, "secret").returncode, 0)
            self.assertEqual(ctl(port, "import_definitions", stdin="{").returncode, DATA)
        self.ctl("export_definitions", "/nonexistent/file", code=DATA)
        self.ctl("import_definitions", "/nonexistent/file", code=DATA)


@needs_own_broker
class Health(Case):
    def test_checks(self):
        for check in (["ping"], ["check_running"], ["check_alarms"], ["check_local_alarms"],
                      ["check_virtual_hosts"], ["check_protocol_listener", "amqp"], ["is_running"],
                      ["alarms"], ["node_health_check"],
                      ["check_port_listener", str(self.broker.addr[1])]):
            self.assertEqual(list(self.rows(*check)), ["message"])
        self.ctl("-u", "nobody", "ping")
        self.ctl("check_port_listener", "1", code=UNAVAILABLE)
        self.ctl("set_disk_free_limit", "1000TB")
        wait_for(lambda: "disk alarm set" in self.broker.log(), "the alarm")
        self.assertIn("disk", self.ctl("status").stdout)
        self.ctl("check_local_alarms", code=UNAVAILABLE)
        self.ctl("node_health_check", code=SOFTWARE)
        self.assertRegex(self.ctl("alarms").stdout, "^disk alarm on node .+\n$")
        self.ctl("reload_config")
        wait_for(lambda: "disk alarm cleared" in self.broker.log(), "its end")

    def test_status(self):
        text = self.ctl("status").stdout
        self.assertIn("OS PID: %d" % self.broker.proc.pid, text)
        self.assertIn("protocol: amqp", text)
        status = self.rows("status")
        self.assertEqual(status["pid"], self.broker.proc.pid)
        self.assertRegex(status["rabbitmq_version"], r"^3\.10\.\d+$")
        self.assertEqual(status["totals"]["virtual_host_count"], len(self.rows("list_vhosts")))
        cluster = self.rows("cluster_status")
        self.assertEqual(cluster["running_nodes"], [status["node"]])
        self.assertEqual(cluster["listeners"], {status["node"]: status["listeners"]})
        self.assertEqual(self.ctl("server_version").stdout.strip(), status["product_version"])
        self.assertIn("Queues in /", self.ctl("report").stdout)
        self.assertTrue(self.rows("memory_breakdown"))


if __name__ == "__main__":
    unittest.main()
