#!/usr/bin/env python3
"""Direct reply-to: requests and replies without a queue for the answers."""
import unittest

from pika import spec

from harness import EXTERNAL, BrokerCase, fresh, wait_for

B, Q = spec.Basic, spec.Queue
REPLY = "amq.rabbitmq.reply-to"


class ReplyTo(BrokerCase):
    def asker(self, **options):
        conn = self.opened()
        tag = conn.rpc(1, B.Consume(queue=REPLY, no_ack=True, **options)).consumer_tag
        return conn, tag

    def request(self, conn, key="", **props):
        """Publishes a request and gives the name to which it is to be answered."""
        key = key or self.server_queue()
        conn.publish(1, "", key, b"q", spec.BasicProperties(reply_to=REPLY, **props))
        server = self.opened()
        server.rpc(1, B.Consume(queue=key, no_ack=True))
        got = server.message(1)
        return server, got.props.reply_to, got

    def server_queue(self):
        conn, name = self.opened(), fresh()
        conn.rpc(1, Q.Declare(queue=name, auto_delete=True))
        return name

    def returned(self, conn, name):
        conn.publish(1, "", name, b"r", mandatory=True)
        method = conn.expect_one_of(1, (B.Return,))
        self.assertEqual(method.reply_code, 312)
        conn.content(1, method)

    def test_round_trip(self):
        conn, tag = self.asker(consumer_tag="mine")
        server, name, got = self.request(conn, correlation_id="c", headers={"a": 1}, priority=3,
                                         delivery_mode=2)
        self.assertRegex(name, r"^amq\.rabbitmq\.reply-to\..{20,}$")
        self.assertEqual((got.props.correlation_id, got.props.headers, got.props.priority,
                          got.props.delivery_mode, got.body), ("c", {"a": 1}, 3, 2, b"q"))
        for number in range(1, 4):
            server.publish(1, "", name, b"r%d" % number, spec.BasicProperties(correlation_id="c"))
            reply = conn.message(1)
            self.assertEqual((reply.method.consumer_tag, reply.method.delivery_tag,
                              reply.method.redelivered, reply.method.exchange,
                              reply.method.routing_key),
                             (tag, 1 if EXTERNAL else number, False, "", name))
            self.assertEqual((reply.body, reply.props.correlation_id), (b"r%d" % number, "c"))

    def test_large_reply(self):
        conn, _ = self.asker()
        server, name, _ = self.request(conn)
        body = bytes(range(256)) * 20000
        server.publish(1, "", name, body)
        self.assertTrue(conn.message(1).body == body)

    def test_consume_rules(self):
        conn = self.opened()
        for refused in (dict(no_ack=False), ):
            conn.cast(1, B.Consume(queue=REPLY, **refused))
            conn.expect_close(1, 406, 60, 20, "PRECONDITION_FAILED - reply consumer cannot ack")
            conn.channel(1)
        conn.rpc(1, B.Consume(queue=REPLY, no_ack=True, consumer_tag="t"))
        conn.cast(1, B.Consume(queue=REPLY, no_ack=True))
        conn.expect_close(1, 406, 60, 20, "reply consumer already set")
        conn.channel(1)
        conn.rpc(1, B.Consume(queue=REPLY, no_ack=True, consumer_tag="t"))
        if not EXTERNAL:
            conn.cast(1, B.Consume(queue=self.server_queue(), consumer_tag="t"))
            conn.expect_close(0, 530, 60, 20, "attempt to reuse consumer tag 't'")

    def test_request_without_consumer(self):
        conn = self.opened()
        conn.publish(1, "", "x", b"q", spec.BasicProperties(reply_to=REPLY))
        conn.expect_close(1, 406, 60, 40, "fast reply consumer does not exist")

    def test_cancel(self):
        """After a cancel the name is nobody's; a new consumer has another one."""
        conn, tag = self.asker()
        server, name, _ = self.request(conn)
        conn.rpc(1, B.Cancel(tag))
        self.returned(server, name)
        conn.publish(1, "", "x", b"q", spec.BasicProperties(reply_to=REPLY))
        conn.expect_close(1, 406, 60, 40)
        conn.channel(1)
        conn.rpc(1, B.Consume(queue=REPLY, no_ack=True))
        server.publish(1, "", name, b"late")
        conn.silent()

    def test_declare_asks_for_the_owner(self):
        conn, _ = self.asker()
        server, name, _ = self.request(conn)
        for passive in (True, False):
            ok = server.rpc(1, Q.Declare(queue=name, passive=passive))
            self.assertEqual((ok.queue, ok.message_count, ok.consumer_count), (name, 0, 1))
        for unknown in (name[:-1] + ("0" if name[-1] != "0" else "1"), REPLY + ".", REPLY + ".x",
                        REPLY + ".ff" + "0" * 32, REPLY + ".00"):
            server.cast(1, Q.Declare(queue=unknown, passive=True))
            server.expect_close(1, 404, 50, 10)
            server.channel(1)
        conn.close()

        def is_gone():
            server.cast(1, Q.Declare(queue=name, passive=True))
            method = server.expect_one_of(1, (Q.DeclareOk, spec.Channel.Close))
            if isinstance(method, Q.DeclareOk):
                return False
            server.cast(1, spec.Channel.CloseOk())
            server.channel(1)
            return True
        wait_for(is_gone, "the end of the name")

    @unittest.skipIf(EXTERNAL, "RabbitMQ returns also replies that it delivers")
    def test_gone_requester(self):
        """Unroutable: returned if mandatory, and confirmed in any case."""
        conn, _ = self.asker()
        server, name, _ = self.request(conn)
        server.rpc(1, spec.Confirm.Select())
        server.publish(1, "", name, b"r", mandatory=True)
        self.assertEqual(server.expect(1, B.Ack).delivery_tag, 1)  # and not returned
        conn.message(1)
        conn.rpc(1, spec.Channel.Close(200, "", 0, 0))
        server.publish(1, "", name, b"r", mandatory=True)
        server.message(1, B.Return)
        self.assertEqual(server.expect(1, B.Ack).delivery_tag, 2)
        server.publish(1, "", name, b"r")
        self.assertEqual(server.expect(1, B.Ack).delivery_tag, 3)

    def test_two_channels(self):
        """Each channel has a name of its own, and hears only what is sent to it."""
        conn, _ = self.asker()
        conn.channel(2)
        conn.rpc(2, B.Consume(queue=REPLY, no_ack=True))
        queue = self.server_queue()
        names = []
        for channel in (1, 2):
            conn.publish(channel, "", queue, b"q", spec.BasicProperties(reply_to=REPLY))
            server = self.opened()
            server.rpc(1, B.Consume(queue=queue, no_ack=True, consumer_tag="s"))
            names.append(server.message(1).props.reply_to)
            if channel == 2:
                break
            server.cast(1, B.Cancel("s"))
            server.expect(1, B.CancelOk)
            self.addCleanup(server.kill)
            queue = self.server_queue()
        self.assertNotEqual(*names)
        server.publish(1, "", names[1], b"two")
        self.assertEqual(conn.message(2).body, b"two")
        conn.silent()

    def test_names_cannot_be_used_otherwise(self):
        conn, _ = self.asker()
        server, name, _ = self.request(conn)
        for method in (B.Consume(queue=name), B.Get(queue=name), Q.Purge(queue=name),
                       Q.Bind(queue=name, exchange="amq.direct", routing_key="k"),
                       B.Get(queue=REPLY), Q.Purge(queue=REPLY)):
            server.cast(1, method)
            server.expect_close(1, 404)
            server.channel(1)

    @unittest.skipIf(EXTERNAL, "RabbitMQ returns also replies that it delivers")
    def test_who_does_not_read(self):
        """Replies to a client that does not read them are bounded, and hurt nobody."""
        conn, _ = self.asker()
        server, name, _ = self.request(conn)
        body = b"x" * (1 << 20)
        server.rpc(1, spec.Confirm.Select())
        lost = 0
        for _ in range(64):
            server.publish(1, "", name, body, mandatory=True)
            while True:
                method = server.expect_one_of(1, (B.Return, B.Ack))
                if isinstance(method, B.Ack):
                    break
                server.content(1, method)
                lost += 1
        self.assertGreater(lost, 20)
        for _ in range(64 - lost):
            self.assertEqual(len(conn.message(1).body), len(body))
        conn.silent()
        server.publish(1, "", name, b"again", mandatory=True)
        server.expect(1, B.Ack)
        self.assertEqual(conn.message(1).body, b"again")


if __name__ == "__main__":
    unittest.main()
