#!/usr/bin/env python3
"""AMQP over TLS: who gets in with what, certificates that change, peers that speak badly."""
import base64
import http.client
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import unittest

import pika
from pika import spec

from certs import Authority
from harness import DEADLINE, SLOW, OwnBrokers, StartError, needs_own_broker, wait_for
from wire import HEADER, Eof, Raw

C = spec.Connection


def setUpModule():
    global CA, OTHER, SERVER, CLIENT
    CA, OTHER = Authority(), Authority("another authority")
    SERVER = CA.make("server")
    CLIENT = CA.make("client", "/O=Warren/CN=guest", "DNS:other.example,email:guest@example.org")


def tearDownModule():
    CA.remove()
    OTHER.remove()


def client_context(cert=None, authority=None):
    context = ssl.create_default_context(cafile=(authority or CA).ca)
    if cert:
        context.load_cert_chain(*cert)
    return context


def settings(cert=None, *more):
    cert = cert or SERVER
    return ("listeners.ssl.default=0", "ssl_options.certfile=" + cert[0],
            "ssl_options.keyfile=" + cert[1], "ssl_options.cacertfile=" + CA.ca) + more


@needs_own_broker
class Tls(OwnBrokers):
    def connect(self, broker, context=None, name="localhost", header=HEADER):
        """Raw over TLS; .sock is the ssl socket."""
        def wrapped(addr):
            sock = socket.create_connection(addr, timeout=DEADLINE)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                return (context or client_context()).wrap_socket(sock, server_hostname=name)
            except BaseException:
                sock.close()
                raise
        conn = Raw(("127.0.0.1", broker.ports["amqps"]), header, wrapped)
        self.addCleanup(conn.kill)
        return conn

    def plain(self, broker):
        sock = socket.create_connection(("127.0.0.1", broker.ports["amqps"]), timeout=DEADLINE)
        self.addCleanup(sock.close)
        return sock

    def subject(self, conn):
        return dict(x[0] for x in conn.sock.getpeercert()["subject"])["commonName"]

    def still_serves(self, broker):
        conn = self.connect(broker).open()
        conn.channel(1)
        conn.close()


class Sessions(Tls):
    def setUp(self):
        self.broker = self.start(*settings(None, "debug.crash=true"))

    def test_versions(self):
        """1.2 and 1.3 are spoken, older ones refused."""
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = client_context()
            context.minimum_version = context.maximum_version = version
            conn = self.connect(self.broker, context).open()
            self.assertEqual(conn.sock.version(), version.name.replace("_", "."))
            conn.close()
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
        old.set_ciphers("ALL:@SECLEVEL=0")
        old.minimum_version = ssl.TLSVersion.TLSv1
        old.maximum_version = ssl.TLSVersion.TLSv1_1
        with self.assertRaises(ssl.SSLError):
            self.connect(self.broker, old)
        wait_for(lambda: "unsupported protocol" in self.broker.log(), "line in the log")

    def test_messages(self):
        """Bodies of all sizes there and back, many at once."""
        conn = self.connect(self.broker).open()
        conn.channel(1)
        conn.rpc(1, spec.Queue.Declare(queue="sizes"))
        bodies = [os.urandom(n) for n in (0, 1, 4095, 4096, 16384, 131064, 131065, 1000000)]
        for body in bodies:
            conn.publish(1, "", "sizes", body)
        conn.rpc(1, spec.Basic.Consume(queue="sizes", no_ack=True))
        for body in bodies:
            self.assertEqual(conn.message(1).body, body)
        for i in range(2000):
            conn.publish(1, "", "sizes", b"%d" % i)
        for i in range(2000):
            self.assertEqual(conn.message(1).body, b"%d" % i)
        conn.close()

    def test_slow_reader(self):
        """What the socket does not take waits, and comes whole."""
        reader = self.connect(self.broker).open()
        reader.channel(1)
        reader.rpc(1, spec.Queue.Declare(queue="slow"))
        reader.rpc(1, spec.Basic.Consume(queue="slow", no_ack=True))
        writer = self.connect(self.broker).open()
        writer.channel(1)
        writer.rpc(1, spec.Confirm.Select())
        body = os.urandom(3 << 20)
        for _ in range(8):
            writer.publish(1, "", "slow", body)
        got = 0
        while got < 8:
            ack = writer.expect(1, spec.Basic.Ack)
            got = ack.delivery_tag
        for _ in range(8):
            self.assertEqual(reader.message(1).body, body)

    def test_close_notify(self):
        """Both ends say the end in TLS: no truncation goes unseen."""
        conn = self.connect(self.broker).open()
        conn.cast(0, C.Close(200, "", 0, 0))
        conn.expect(0, C.CloseOk)
        self.assertEqual(conn.sock.recv(1), b"")  # an SSLEOFError without close_notify
        conn = self.connect(self.broker).open()
        conn.sock.settimeout(DEADLINE)
        conn.sock.unwrap()

    def test_pieces(self):
        """Records that come octet by octet, and AMQP's octets a record each."""
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = client_context().wrap_bio(incoming, outgoing, server_hostname="localhost")
        sock = self.plain(self.broker)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def run(call):
            while True:
                try:
                    return call()
                except ssl.SSLWantReadError:
                    data = outgoing.read()
                    for i in range(0, len(data), 7):
                        sock.sendall(data[i:i + 7])
                    incoming.write(sock.recv(16384))
        run(tls.do_handshake)
        for byte in HEADER:
            tls.write(bytes([byte]))
        self.assertEqual(run(lambda: tls.read(1)), b"\x01")

    def test_garbage(self):
        """Neither AMQP, nor HTTP, nor noise, nor half a hello harms anybody."""
        for data in (HEADER, b"GET / HTTP/1.1\r\n\r\n", os.urandom(5000), b"\x16\x03\x01\xff\xff",
                     b"\x16\x03\x01\x00\x05hello", b"\0" * 100):
            sock = self.plain(self.broker)
            sock.sendall(data)
            if data[:5] == b"\x16\x03\x01\xff\xff" or len(data) < 5:
                sock.close()
                continue
            try:
                while sock.recv(4096):
                    pass
            except ConnectionResetError:
                pass
        self.still_serves(self.broker)

    def test_renegotiation(self):
        """Nobody renegotiates: who asks for it hears no, and others go on."""
        client = subprocess.Popen(
            ["openssl", "s_client", "-tls1_2", "-CAfile", CA.ca, "-connect",
             "127.0.0.1:%d" % self.broker.ports["amqps"]], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.addCleanup(client.stdout.close)
        fuse = threading.Timer(3 * DEADLINE, client.kill)
        self.addCleanup(fuse.cancel)
        fuse.start()
        seen = b""
        while b"Verify return code: 0 (ok)" not in seen:
            line = client.stdout.readline()
            self.assertTrue(line, seen)
            seen += line
        try:
            client.stdin.write(b"R\n")
            client.stdin.close()
        except BrokenPipeError:
            pass
        self.assertRegex(client.stdout.read(), b"RENEGOTIATING[^$]*no renegotiation")
        client.wait()
        self.still_serves(self.broker)

    def test_damaged(self):
        """A record that was changed on its way ends the connection."""
        conn = self.connect(self.broker).open()
        raw = socket.socket(fileno=os.dup(conn.sock.fileno()))
        raw.sendall(b"\x17\x03\x03\x00\x20" + os.urandom(32))
        raw.close()
        with self.assertRaises((ssl.SSLError, Eof, OSError)):
            while True:
                conn.recv_any()
        self.still_serves(self.broker)

    def test_gone(self):
        """A peer that leaves in the middle of the handshake, at any byte of its hello."""
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = client_context().wrap_bio(incoming, outgoing, server_hostname="localhost")
        try:
            tls.do_handshake()
        except ssl.SSLWantReadError:
            pass
        hello = outgoing.read()
        for cut in range(1, len(hello) + 1, 37):
            sock = self.plain(self.broker)
            sock.sendall(hello[:cut])
            sock.close()
        self.still_serves(self.broker)

    def test_crash(self):
        """A connection that fails takes its session with it, and nothing else."""
        conn = self.connect(self.broker).open()
        name = "%s:%d -> 127.0.0.1:%d" % (conn.sock.getsockname() + (self.broker.ports["amqps"],))
        self.assertLess(self.broker.http("POST", "/api/debug/crash",
                                         {"process": name, "how": "segv"})[0], 300)
        with self.assertRaises((ssl.SSLError, Eof)):
            conn.recv_any()  # no close_notify
        self.still_serves(self.broker)

    def test_resumed(self):
        """A client may come back with the session that it had."""
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = client_context()
            context.minimum_version = context.maximum_version = version
            first = self.connect(self.broker, context).open()

            def resume(addr, context=context, session=first.sock.session):
                sock = socket.create_connection(addr, timeout=DEADLINE)
                return context.wrap_socket(sock, server_hostname="localhost", session=session)
            again = Raw(("127.0.0.1", self.broker.ports["amqps"]), HEADER, resume)
            self.addCleanup(again.kill)
            again.open()
            self.assertTrue(again.sock.session_reused)
            again.close()

    def test_pika(self):
        options = pika.SSLOptions(client_context(), "localhost")
        conn = pika.BlockingConnection(pika.ConnectionParameters(
            "127.0.0.1", self.broker.ports["amqps"], ssl_options=options))
        channel = conn.channel()
        channel.queue_declare("pika")
        channel.confirm_delivery()
        channel.basic_publish("", "pika", b"x" * 300000)
        self.assertEqual(channel.basic_get("pika", True)[2], b"x" * 300000)
        conn.close()

    def test_facts(self):
        """The log and the port on which plain AMQP is spoken tell who came wrongly."""
        sock = socket.create_connection(self.broker.addr, timeout=DEADLINE)
        with self.assertRaises((ssl.SSLError, OSError)):
            client_context().wrap_socket(sock, server_hostname="localhost")
        sock.close()
        wait_for(lambda: "sent a TLS hello" in self.broker.log(), "line in the log")


class Peers(Tls):
    def test_slow_handshake(self):
        """The handshake of TLS counts as part of AMQP's, which has its time."""
        broker = self.start(*settings(None, "handshake_timeout=500"))
        sock = self.plain(broker)
        sock.settimeout(20 * SLOW)
        sock.sendall(b"\x16\x03\x01\x02\x00")
        self.assertEqual(sock.recv(1), b"")
        self.still_serves_slowly(broker)

    def still_serves_slowly(self, broker):
        wait_for(lambda: "handshake timeout" in broker.log(), "line in the log")

    def test_verify(self):
        """With fail_if_no_peer_cert only those come in whom the authority vouches for."""
        expired = CA.make("expired", days=-1)
        stranger = OTHER.make("stranger")
        broker = self.start(*settings(None, "ssl_options.verify=verify_peer",
                                      "ssl_options.fail_if_no_peer_cert=true"))
        self.connect(broker, client_context(CLIENT)).open().close()
        for cert, why in ((None, "peer did not return a certificate"),
                          (expired, "certificate has expired"),
                          (stranger, "unable to get local issuer certificate")):
            with self.assertRaises((ssl.SSLError, Eof, OSError)):
                # In TLS 1.3 the client hears of it when it first reads.
                self.connect(broker, client_context(cert)).open()
            wait_for(lambda text=why: text in broker.log(), why)

    def test_optional(self):
        """Without fail_if_no_peer_cert one may come without a certificate, not with a bad one."""
        broker = self.start(*settings(None, "ssl_options.verify=verify_peer",
                                      "auth_mechanisms.1=PLAIN", "auth_mechanisms.2=EXTERNAL"))
        conn = self.connect(broker)
        self.assertEqual(conn.expect(0, C.Start).mechanisms, b"PLAIN")
        with self.assertRaises((ssl.SSLError, Eof, OSError)):
            self.connect(broker, client_context(OTHER.make("stranger"))).open()

    def external(self, broker, cert, mechanism="EXTERNAL", response=""):
        conn = self.connect(broker, client_context(cert))
        start = conn.expect(0, C.Start)
        conn.cast(0, C.StartOk({"capabilities": {"authentication_failure_close": True}},
                               mechanism, response, "en_US"))
        return conn, start.mechanisms.split()

    def test_external(self):
        """The certificate's common name is the user's, who needs no password."""
        nobody = CA.make("nobody")
        broker = self.start(*settings(
            None, "ssl_options.verify=verify_peer", "auth_mechanisms.1=PLAIN",
            "auth_mechanisms.2=EXTERNAL", "ssl_cert_login_from=common_name"))
        conn, offered = self.external(broker, CLIENT)
        self.assertEqual(offered, [b"PLAIN", b"EXTERNAL"])
        conn.expect(0, C.Tune)
        conn.cast(0, C.TuneOk(2047, 131072, 0))
        conn.cast(0, C.Open("/"))
        conn.expect(0, C.OpenOk)
        wait_for(lambda: "open, user guest" in broker.log(), "line in the log")
        conn.close()
        conn, _ = self.external(broker, nobody)
        conn.expect_close(0, 403, text="EXTERNAL")
        conn, offered = self.external(broker, None)
        self.assertEqual(offered, [b"PLAIN"])
        conn.expect_close(0, 503)

    def test_external_names(self):
        """The other names that a certificate has."""
        for more, fine in ((("ssl_cert_login_from=subject_alternative_name",
                             "ssl_cert_login_san_type=email"), "guest@example.org"),
                           (("ssl_cert_login_from=distinguished_name",), "CN=guest,O=Warren"),
                           (("ssl_cert_login_from=subject_alternative_name",
                             "ssl_cert_login_san_type=dns"), "other.example")):
            broker = self.start(*settings(None, "ssl_options.verify=verify_peer",
                                          "auth_mechanisms.1=EXTERNAL", "default_user=" + fine,
                                          *more))
            conn, offered = self.external(broker, CLIENT)
            self.assertEqual(offered, [b"EXTERNAL"])
            conn.expect(0, C.Tune)
            conn.kill()

    def test_not_offered(self):
        """EXTERNAL is not there unless it was asked for."""
        broker = self.start(*settings(None, "ssl_options.verify=verify_peer"))
        conn, offered = self.external(broker, CLIENT)
        self.assertEqual(offered, [b"PLAIN", b"AMQPLAIN"])
        conn.expect_close(0, 503)


    def test_index(self):
        """Of several subject alternative names of a kind the chosen one counts."""
        many = CA.make("many", san="DNS:first.example,email:a@example.org,DNS:second.example")
        for index, user, is_right in (
                ("0", "first.example", True), ("1", "second.example", True),
                ("0", "second.example", False), ("2", "first.example", False)):
            broker = self.start(*settings(
                None, "ssl_options.verify=verify_peer", "auth_mechanisms.1=EXTERNAL",
                "ssl_cert_login_from=subject_alternative_name", "ssl_cert_login_san_type=dns",
                "ssl_cert_login_san_index=" + index, "default_user=" + user))
            conn, _ = self.external(broker, many)
            if is_right:
                conn.expect(0, C.Tune)
            else:
                conn.expect_close(0, 403)
            conn.kill()

    def refused(self, broker, cert, why):
        with self.assertRaises((ssl.SSLError, Eof, OSError)):
            self.connect(broker, client_context(cert)).open()
        wait_for(lambda: why in broker.log(), why)

    def test_revoked(self):
        """A revoked certificate is refused, once it is in the list; one that no list speaks of
        only where a list must be there."""
        gone, near = CA.make("gone"), CA.intermediate("near-crl")
        far = self.chained("far", near)
        for check, far_is_right in (("peer", False), ("true", False), ("best_effort", True)):
            crl = CA.revoke()
            broker = self.start(*settings(
                None, "ssl_options.verify=verify_peer", "ssl_options.crl_check=" + check,
                "ssl_options.crlfile=" + crl))
            self.connect(broker, client_context(gone)).open().close()
            if far_is_right:
                self.connect(broker, client_context(far)).open().close()
            else:
                self.refused(broker, far, "unable to get certificate CRL")
            CA.revoke(gone[0])
            broker.proc.send_signal(signal.SIGHUP)
            wait_for(lambda b=broker: b.log().count("certificates: 2 read") == 2, "read again")
            self.refused(broker, gone, "certificate revoked")
            self.connect(broker, client_context(CLIENT)).open().close()
        CA.revoke(is_old=True)
        broker.proc.send_signal(signal.SIGHUP)
        wait_for(lambda: broker.log().count("certificates: 2 read") == 3, "read again")
        self.refused(broker, CLIENT, "CRL has expired")

    def chained(self, name, *authorities):
        """A certificate with those of its authorities behind it, the nearest one first."""
        cert, key = authorities[0].make(name)
        whole = CA.path(name + "-chain.pem")
        with open(whole, "wb") as to:
            for path in [cert] + [a.ca for a in authorities]:
                with open(path, "rb") as f:
                    to.write(f.read())
        return whole, key

    def test_chain(self):
        """What stands between the server's certificate and the root is sent along; of clients as
        many may stand there as depth says."""
        near = CA.intermediate("near")
        nearer = near.intermediate("nearer")
        server = self.chained("chained", near)
        for depth, alone, two in (("0", True, False), ("1", True, False), ("2", True, True)):
            broker = self.start(*settings(
                server, "ssl_options.verify=verify_peer", "ssl_options.depth=" + depth,
                "ssl_options.fail_if_no_peer_cert=true"))
            for cert, is_right in ((CLIENT, alone), (self.chained("two", nearer, near), two)):
                if is_right:
                    self.connect(broker, client_context(cert)).open().close()
                    continue
                with self.assertRaises((ssl.SSLError, Eof, OSError)):
                    self.connect(broker, client_context(cert)).open()
                wait_for(lambda b=broker: "certificate chain too long" in b.log() or
                         "unable to get" in b.log(), "line in the log")


class Files(Tls):
    def test_reload(self):
        """New files serve new connections once they are right; open ones go on."""
        first, second = CA.make("first"), CA.make("second")
        cert, key = CA.path("now.pem"), CA.path("now.key")

        def put(pair):
            for source, to in zip(pair, (cert, key)):
                with open(source, "rb") as f:
                    data = f.read()
                with open(to + ".new", "wb") as f:
                    f.write(data)
                os.rename(to + ".new", to)
        put(first)
        broker = self.start(*settings((cert, key)))
        old = self.connect(broker).open()
        old.channel(1)
        self.assertEqual(self.subject(old), "first")
        with open(cert, "w", encoding="ascii") as f:
            f.write("no certificate")
        broker.proc.send_signal(signal.SIGHUP)
        wait_for(lambda: "is no certificate in PEM" in broker.log(), "line in the log")
        self.assertEqual(self.subject(self.connect(broker)), "first")
        put(second)
        broker.proc.send_signal(signal.SIGHUP)
        wait_for(lambda: self.subject(self.connect(broker)) == "second", "new certificate")
        old.rpc(1, spec.Queue.Declare(queue="still"))
        put(first)
        wait_for(lambda: self.subject(self.connect(broker)) == "first",
                 "certificate that was found to be new", 30 * SLOW, 0.2)

    def test_names(self):
        """SNI: each name its certificate, the nearest one; any other the listener's own."""
        one = CA.make("one", san="DNS:one.example")
        star = CA.make("star", san="DNS:*.warren.example")
        broker = self.start(*settings(
            None, "ssl_options.sni.*.warren.example.certfile=" + star[0],
            "ssl_options.sni.*.warren.example.keyfile=" + star[1],
            "ssl_options.sni.one.example.certfile=" + one[0],
            "ssl_options.sni.one.example.keyfile=" + one[1]))
        for asked, want in (("one.example", "one"), ("ONE.example", "one"),
                            ("two.warren.example", "star"), ("localhost", "server")):
            self.assertEqual(self.subject(self.connect(broker, name=asked)), want)

    def test_wrong_files(self):
        """What is wrong with files is told at the start, in words."""
        locked = CA.make("locked", password="geheim")
        broken = CA.path("broken.pem")
        with open(broken, "w", encoding="ascii") as f:
            f.write("-----BEGIN CERTIFICATE-----\nno\n-----END CERTIFICATE-----\n")
        for more, why in (
                (settings((SERVER[0], "/nonexistent/key")), "No such file"),
                (settings((SERVER[0], CLIENT[1])), "does not belong to"),
                (settings((broken, SERVER[1])), "is no certificate"),
                (settings(locked), "cannot use the key"),
                (("listeners.ssl.default=0",), "ssl_options.certfile: is needed"),
                (settings(None, "ssl_options.versions.1=tlsv1.1"), "tlsv1.1"),
                (settings(None, "ssl_options.ciphers.1=NO-SUCH"), "NO-SUCH"),
                (settings(None, "ssl_options.verify=perhaps"), "verify_peer"),
                (settings(None, "ssl_options.sni.x=y"), "NAME.certfile"),
                (settings(None, "ssl_options.crl_check=true"), "without verify_peer"),
                (settings(None, "ssl_options.crl_check=true", "ssl_options.verify=verify_peer"),
                 "ssl_options.crlfile: is needed"),
                (settings(None, "ssl_options.crl_check=peer", "ssl_options.verify=verify_peer",
                          "ssl_options.crlfile=" + SERVER[0]), "has no lists"),
                (settings(None, "listeners.tcp.a=127.0.0.1:15999",
                          "listeners.ssl.b=127.0.0.1:15999"), "the same as")):
            with self.assertRaises(StartError) as caught:
                self.start(*more)
            self.assertEqual(caught.exception.code, 1)
            self.assertIn(why, caught.exception.text)
        self.still_serves(self.start(*settings(locked, "ssl_options.password=geheim",
                                               "ssl_options.honor_ecc_order=true")))

    def test_end(self):
        """A certificate that ends soon is told of."""
        broker = self.start(*settings(CA.make("short", days=3)))
        self.assertRegex(broker.log(), r"short\.pem expires in [23] days")

    def test_ciphers(self):
        broker = self.start(*settings(None, "ssl_options.versions.1=tlsv1.2",
                                      "ssl_options.ciphers.1=ECDHE-ECDSA-AES256-GCM-SHA384"))
        conn = self.connect(broker).open()
        self.assertEqual(conn.sock.cipher()[:2], ("ECDHE-ECDSA-AES256-GCM-SHA384", "TLSv1.2"))


class Management(Tls):
    def https(self, broker, path, context=None):
        """(status, JSON, common name of the certificate that was shown)."""
        conn = http.client.HTTPSConnection("localhost", broker.ports["https"], timeout=DEADLINE,
                                           context=context or client_context())
        try:
            conn.request("GET", path, headers={
                "Authorization": "Basic " + base64.b64encode(b"guest:guest").decode()})
            name = dict(x[0] for x in conn.sock.getpeercert()["subject"])["commonName"]
            answer = conn.getresponse()
            return answer.status, json.loads(answer.read()), name
        finally:
            conn.close()

    def test_https(self):
        """The whole API over TLS, beside the plain one; plain HTTP on its port gets nothing."""
        broker = self.start("management.ssl.port=0", "management.ssl.certfile=" + SERVER[0],
                            "management.ssl.keyfile=" + SERVER[1])
        status, overview, _ = self.https(broker, "/api/overview")
        self.assertEqual(status, 200)
        self.assertIn(("https", broker.ports["https"]),
                      [(x["protocol"], x["port"]) for x in overview["listeners"]])
        self.assertEqual(broker.get("/api/overview")["product_name"],
                         overview["product_name"])
        sock = socket.create_connection(("127.0.0.1", broker.ports["https"]), timeout=DEADLINE)
        self.addCleanup(sock.close)
        sock.sendall(b"GET /api/overview HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answer = b""
        try:
            while True:
                data = sock.recv(4096)
                if not data:
                    break
                answer += data
        except ConnectionResetError:
            pass
        self.assertNotIn(b"HTTP/1.1", answer)
        self.assertEqual(self.https(broker, "/api/overview")[0], 200)

    def test_reload(self):
        cert, key = CA.path("web.pem"), CA.path("web.key")
        for source, to in zip(SERVER, (cert, key)):
            shutil.copy(source, to)
        broker = self.start("management.ssl.port=0", "management.ssl.certfile=" + cert,
                            "management.ssl.keyfile=" + key)
        self.assertEqual(self.https(broker, "/api/whoami")[2], "server")
        for source, to in zip(CA.make("web2"), (cert, key)):
            shutil.copy(source, to)
        broker.proc.send_signal(signal.SIGHUP)
        wait_for(lambda: self.https(broker, "/api/whoami")[2] == "web2", "new certificate")

    def test_metrics(self):
        """Metrics over TLS have certificates and a port of their own."""
        cert, key = CA.make("metrics")
        broker = self.start("prometheus.ssl.port=0", "prometheus.ssl.certfile=" + cert,
                            "prometheus.ssl.keyfile=" + key)

        def found():
            return [x["port"] for x in broker.get("/api/overview")["listeners"]
                    if x["protocol"] == "https/prometheus"]
        port, = wait_for(found, "listener")
        conn = http.client.HTTPSConnection("localhost", port, timeout=DEADLINE,
                                           context=client_context())
        self.addCleanup(conn.close)
        conn.request("GET", "/metrics")
        self.assertEqual(dict(x[0] for x in conn.sock.getpeercert()["subject"])["commonName"],
                         "metrics")
        answer = conn.getresponse()
        self.assertEqual(answer.status, 200)
        self.assertIn(b"rabbitmq_build_info", answer.read())

    def test_shown(self):
        """What a connection and the health check tell of certificates."""
        broker = self.start(*settings(None, "ssl_options.verify=verify_peer"))
        conn = self.connect(broker, client_context(CLIENT)).open()
        row = wait_for(lambda: broker.get("/api/connections"), "row")[0]
        self.assertEqual((row["ssl"], row["ssl_protocol"]), (True, "TLSv1.3"))
        self.assertEqual(row["ssl_cipher"], conn.sock.cipher()[0])
        self.assertEqual(row["peer_cert_subject"], "CN=guest,O=Warren")
        self.assertEqual(row["peer_cert_issuer"], "CN=test authority")
        check = "/api/health/checks/certificate-expiration/"
        self.assertEqual(broker.http("GET", check + "2/weeks")[0], 200)
        status, found = broker.http("GET", check + "2/months")
        self.assertEqual(status, 503)
        self.assertIn(SERVER[0], [x["certfile"] for x in found["expired"]])


if __name__ == "__main__":
    unittest.main()
