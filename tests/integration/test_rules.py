#!/usr/bin/env python3
"""Rules of exchange, queue and basic methods, a row for each: what is said, and at what level.

The tables are those of AMQP 0-9-1 as RabbitMQ's users know it; rows where RabbitMQ 3.10 differs say
so and are left out when the tests run against one.
"""
import unittest

from pika import spec

from harness import EXTERNAL, BrokerCase, fresh
from wire import raw_method

B, C, Q, T, X = spec.Basic, spec.Confirm, spec.Queue, spec.Tx, spec.Exchange
P = spec.BasicProperties


def declare(exchange, kind="direct", **options):
    return X.Declare(exchange=exchange, type=kind, **options)


class Place:
    """What each row finds: on connection `conn`, channel 1; made anew for it."""

    def __init__(self, case):
        self.case, self.conn, self.other = case, case.opened(), case.opened()
        self.q, self.durable, self.locked, self.busy = (fresh() for _ in range(4))
        self.x, self.auto, self.internal, self.topic, self.headers = (fresh("x") for _ in range(5))
        self.nq, self.nx = fresh("none"), fresh("none")
        rpc = self.conn.rpc
        rpc(1, Q.Declare(queue=self.durable, durable=True, arguments={"x-max-length": 1000}))
        self.other.rpc(1, Q.Declare(queue=self.locked, exclusive=True))
        rpc(1, Q.Declare(queue=self.busy))
        self.other.rpc(1, B.Consume(queue=self.busy, consumer_tag="other"))
        rpc(1, declare(self.x, arguments={"alternate-exchange": "amq.fanout"}))
        rpc(1, declare(self.auto, auto_delete=True))
        rpc(1, declare(self.internal, internal=True))
        rpc(1, declare(self.topic, "topic"))
        rpc(1, declare(self.headers, "headers"))
        rpc(1, Q.Declare(queue=self.q))  # the last, so that "" means it
        self.conn.publish(1, "", self.q, b"m")

    def remove(self):
        self.conn.kill()
        self.other.kill()
        conn = self.case.opened()
        for queue in (self.q, self.durable, self.busy):
            conn.delete_queue(queue)
        for exchange in (self.x, self.auto, self.internal, self.topic, self.headers):
            conn.rpc(1, X.Delete(exchange=exchange))
        conn.kill()


class Ok:
    """The answer's class and what must be in it; None: nothing is answered."""

    def __init__(self, cls, **fields):
        self.cls, self.fields = cls, fields

    def check(self, case, conn):
        if self.cls:
            got = conn.expect(1, self.cls)
            for name, value in self.fields.items():
                case.assertEqual(getattr(got, name), value, name)
        conn.silent()


class Refused:
    """A close: of the channel, or of the connection (hard)."""

    def __init__(self, code, text="", hard=False):
        self.code, self.text, self.hard = code, text, hard

    def check(self, _case, conn):
        conn.expect_close(0 if self.hard else 1, self.code, text=self.text)
        if not self.hard:
            conn.channel(1)
            conn.silent()


def no(code, text="", hard=False):
    return Refused(code, text, hard)


EXCHANGES = [  # what, method or methods, answer
    ("unknown type", lambda p: declare(p.nx, "nope"), no(406, "unknown exchange type"), "503"),
    ("new amq.*", lambda p: declare("amq.new"), no(403)),
    ("amq.* again", lambda p: declare("amq.topic", "topic", durable=True), Ok(X.DeclareOk)),
    ("amq.* inequivalent", lambda p: declare("amq.topic", "fanout", durable=True), no(406)),
    ("amq.* passive", lambda p: declare("amq.match", passive=True), Ok(X.DeclareOk)),
    ("default: declare", lambda p: declare(""), no(403)),
    ("default: passive", lambda p: declare("", passive=True), no(403)),
    ("default: delete", lambda p: X.Delete(exchange=""), no(403)),
    ("default: bind", lambda p: Q.Bind(queue=p.q, exchange="", routing_key="k"), no(403)),
    ("default: unbind", lambda p: Q.Unbind(queue=p.q, exchange="", routing_key="k"), no(403)),
    ("default: bind as destination",
     lambda p: X.Bind(source=p.x, destination="", routing_key="k"), no(403)),
    ("default: bind as source",
     lambda p: X.Bind(source="", destination=p.x, routing_key="k"), no(403)),
    ("passive missing", lambda p: declare(p.nx, passive=True), no(404, "no exchange '")),
    ("passive missing, nowait", lambda p: declare(p.nx, passive=True, nowait=True), no(404)),
    ("passive ignores the rest", lambda p: declare(p.x, "fanout", passive=True, durable=True),
     Ok(X.DeclareOk)),
    ("inequivalent type", lambda p: declare(p.topic, "fanout"),
     no(406, "inequivalent arg 'type' for exchange '")),
    ("inequivalent durable", lambda p: declare(p.topic, "topic", durable=True),
     no(406, "received 'true' but current is 'false'")),
    ("inequivalent auto_delete", lambda p: declare(p.topic, "topic", auto_delete=True), no(406)),
    ("inequivalent internal", lambda p: declare(p.topic, "topic", internal=True), no(406)),
    ("inequivalent alternate-exchange",
     lambda p: declare(p.x, arguments={"alternate-exchange": "other"}),
     no(406, "inequivalent arg 'alternate-exchange'")),
    ("missing alternate-exchange", lambda p: declare(p.x), no(406)),
    ("other arguments are ignored", lambda p: declare(p.topic, "topic", arguments={"x": 1}),
     Ok(X.DeclareOk)),
    ("alternate-exchange of another type",
     lambda p: declare(p.nx, arguments={"alternate-exchange": 1}), no(406)),
    ("delete missing", lambda p: X.Delete(exchange=p.nx), Ok(X.DeleteOk)),
    ("delete amq.*", lambda p: X.Delete(exchange="amq.fanout"), no(403)),
    ("delete amq.* that is missing", lambda p: X.Delete(exchange="amq.none"),
     no(403, "deletion of system exchange 'amq.none'")),
    ("bind: no source", lambda p: X.Bind(source=p.nx, destination=p.x), no(404)),
    ("bind: no destination", lambda p: X.Bind(source=p.x, destination=p.nx), no(404)),
    ("unbind: no binding", lambda p: X.Unbind(source=p.x, destination=p.topic), Ok(X.UnbindOk)),
    ("unbind: no exchange", lambda p: X.Unbind(source=p.nx, destination=p.x), Ok(X.UnbindOk)),
    ("if_unused, in use", lambda p: [Q.Bind(queue=p.q, exchange=p.x, routing_key="k"),
                                     X.Delete(exchange=p.x, if_unused=True)], no(406, "in use")),
    ("if_unused, bound to another", lambda p: [X.Bind(source=p.topic, destination=p.auto),
                                               X.Delete(exchange=p.auto, if_unused=True)],
     Ok(X.DeleteOk)),
    ("auto-delete not yet", lambda p: declare(p.auto, passive=True), Ok(X.DeclareOk)),
    ("auto-delete", lambda p: [Q.Bind(queue=p.q, exchange=p.auto, routing_key="k"),
                               Q.Unbind(queue=p.q, exchange=p.auto, routing_key="k"),
                               declare(p.auto, passive=True)], no(404)),
    ("CR and LF", lambda p: declare("\r" + p.x + "\n", passive=True), Ok(X.DeclareOk)),
    ("name of 255 bytes", lambda p: [declare(p.nx.ljust(255, "x")),
                                     X.Delete(exchange=p.nx.ljust(255, "x"))], Ok(X.DeleteOk)),
]
EXCHANGES += [("predeclared " + name, lambda p, n=name: declare(n, passive=True), Ok(X.DeclareOk))
              for name in ("amq.direct", "amq.fanout", "amq.topic", "amq.headers", "amq.match",
                           "amq.rabbitmq.trace")]

QUEUES = [
    ("'' with nothing declared", None, None),
    ("passive ''", lambda p: Q.Declare(queue="", passive=True), no(404)),
    ("passive missing", lambda p: Q.Declare(queue=p.nq, passive=True), no(404, "no queue '")),
    ("passive missing, nowait", lambda p: Q.Declare(queue=p.nq, passive=True, nowait=True),
     no(404)),
    ("passive counts", lambda p: Q.Declare(queue=p.q, passive=True),
     Ok(Q.DeclareOk, message_count=1, consumer_count=0)),
    ("passive counts consumers", lambda p: Q.Declare(queue=p.busy, passive=True),
     Ok(Q.DeclareOk, message_count=0, consumer_count=1)),
    ("passive ignores the rest",
     lambda p: Q.Declare(queue=p.q, passive=True, durable=True, auto_delete=True),
     Ok(Q.DeclareOk)),
    ("new amq.*", lambda p: Q.Declare(queue="amq.new"), no(403)),
    ("'' is the last one", lambda p: Q.Purge(queue=""), Ok(Q.PurgeOk, message_count=1)),
    ("inequivalent durable", lambda p: Q.Declare(queue=p.q, durable=True),
     no(406, "inequivalent arg 'durable' for queue '")),
    ("inequivalent auto_delete", lambda p: Q.Declare(queue=p.q, auto_delete=True), no(406)),
    ("inequivalent argument",
     lambda p: Q.Declare(queue=p.durable, durable=True, arguments={"x-max-length": 1}), no(406)),
    ("argument missing", lambda p: Q.Declare(queue=p.durable, durable=True), no(406)),
    ("argument added", lambda p: Q.Declare(queue=p.q, arguments={"x-message-ttl": 1}), no(406)),
    ("equal whatever the width", lambda p: Q.Declare(
        queue=p.durable, durable=True, arguments={"x-max-length": 1000, "x-other": "y"}),
     Ok(Q.DeclareOk)),
    ("no type is classic", lambda p: Q.Declare(queue=p.q, arguments={"x-queue-type": "classic"}),
     Ok(Q.DeclareOk)),
    ("exclusive where it is not", lambda p: Q.Declare(queue=p.q, exclusive=True), no(405)),
    ("durable and exclusive", lambda p: [Q.Declare(queue=p.nq, durable=True, exclusive=True),
                                         Q.Declare(queue=p.nq, durable=False, exclusive=True)],
     Ok(Q.DeclareOk)),
    ("bind: no queue", lambda p: Q.Bind(queue=p.nq, exchange=p.x), no(404, "no queue '")),
    ("bind: no exchange", lambda p: Q.Bind(queue=p.q, exchange=p.nx), no(404, "no exchange '")),
    ("bind twice", lambda p: [Q.Bind(queue=p.q, exchange=p.x, routing_key="k"),
                              Q.Bind(queue=p.q, exchange=p.x, routing_key="k")], Ok(Q.BindOk)),
    ("bind: x-match", lambda p: Q.Bind(queue=p.q, exchange=p.headers,
                                       arguments={"x-match": "some"}), no(406)),
    ("bind: x-match of another type",
     lambda p: Q.Bind(queue=p.q, exchange=p.headers, arguments={"x-match": 1}), no(406)),
    ("unbind: no binding", lambda p: Q.Unbind(queue=p.q, exchange=p.x, routing_key="no"),
     Ok(Q.UnbindOk)),
    ("unbind: no exchange", lambda p: Q.Unbind(queue=p.q, exchange=p.nx), Ok(Q.UnbindOk)),
    ("purge missing", lambda p: Q.Purge(queue=p.nq), no(404)),
    ("purge leaves what is unacked", lambda p: [B.Get(queue=p.q), Q.Purge(queue=p.q)],
     Ok(Q.PurgeOk, message_count=0)),
    ("delete missing", lambda p: Q.Delete(queue=p.nq), Ok(Q.DeleteOk, message_count=0)),
    ("delete counts", lambda p: [Q.Delete(queue=p.q), Q.Declare(queue=p.q)],
     Ok(Q.DeclareOk, message_count=0)),
    ("delete if_empty", lambda p: Q.Delete(queue=p.q, if_empty=True), no(406, "not empty")),
    ("delete if_unused", lambda p: Q.Delete(queue=p.busy, if_unused=True), no(406, "in use")),
    ("delete if_unused, unused", lambda p: [Q.Delete(queue=p.q, if_unused=True),
                                            Q.Declare(queue=p.q)], Ok(Q.DeclareOk)),
    ("nowait: nothing is said", lambda p: Q.Declare(queue=p.q, nowait=True), Ok(None)),
    ("nowait: but errors", lambda p: Q.Declare(queue=p.q, durable=True, nowait=True), no(406)),
    ("bad name is not UTF-8", lambda p: raw_method(1, 50, 10, b"\0\0\x02\xff\xfe\0\0\0\0\0"),
     no(501, hard=True), "drops the connection"),
]
QUEUES = [row for row in QUEUES if row[1]]
QUEUES += [("locked: " + what, act, no(405, "cannot obtain exclusive access to locked queue '"))
           for what, act in (
               ("declare", lambda p: Q.Declare(queue=p.locked, exclusive=True)),
               ("declare otherwise", lambda p: Q.Declare(queue=p.locked, durable=True)),
               ("passive", lambda p: Q.Declare(queue=p.locked, passive=True)),
               ("bind", lambda p: Q.Bind(queue=p.locked, exchange=p.x, routing_key="k")),
               ("consume", lambda p: B.Consume(queue=p.locked)),
               ("get", lambda p: B.Get(queue=p.locked)),
               ("purge", lambda p: Q.Purge(queue=p.locked)),
               ("delete", lambda p: Q.Delete(queue=p.locked)))]
QUEUES += [("locked: unbind of nothing",
            lambda p: Q.Unbind(queue=p.locked, exchange=p.x, routing_key="k"), Ok(Q.UnbindOk))]
QUEUES += [("bad argument %s=%r" % pair,
            lambda p, pair=pair: Q.Declare(queue=p.nq, arguments=dict([pair])), no(406, pair[0]))
           for pair in (
               ("x-message-ttl", -1), ("x-message-ttl", "1"), ("x-expires", 0), ("x-expires", -1),
               ("x-expires", "soon"), ("x-max-length", -1), ("x-max-length", "1"),
               ("x-max-length-bytes", -1), ("x-max-priority", 256), ("x-max-priority", -1),
               ("x-overflow", "spill"), ("x-overflow", 1), ("x-dead-letter-exchange", 1),
               ("x-dead-letter-routing-key", "k"), ("x-queue-type", "heap"), ("x-queue-type", 1),
               ("x-single-active-consumer", "yes"))]
QUEUES += [("quorum %s" % options, lambda p, o=options: Q.Declare(
    arguments={"x-queue-type": "quorum"}, **{"queue": p.nq, **o}), no(406))
           for options in ({}, {"durable": True, "exclusive": True}, {"queue": "", "durable": True},
                           {"durable": True, "auto_delete": True})]
QUEUES += [("'' with nothing declared: " + what, ("fresh", act),
            no(404, "no previously declared queue"))
           for what, act in (
               ("bind", lambda p: Q.Bind(queue="", exchange=p.x, routing_key="k")),
               ("unbind", lambda p: Q.Unbind(queue="", exchange=p.x, routing_key="k")),
               ("consume", lambda p: B.Consume(queue="")),
               ("get", lambda p: B.Get(queue="")),
               ("purge", lambda p: Q.Purge(queue="")),
               ("delete", lambda p: Q.Delete(queue="")))]


def put(exchange, key, props=None, **options):
    return ("put", exchange, key, props, options)


BASIC = [
    ("publish: no exchange", lambda p: put(p.nx, "k"), no(404, "no exchange '")),
    ("publish: internal", lambda p: put(p.internal, "k"), no(403, "internal exchange")),
    ("publish: immediate", lambda p: put("", p.q, immediate=True), no(540, hard=True)),
    ("publish: locked queue", lambda p: [put("", p.locked), B.Qos()], Ok(B.QosOk)),
    ("publish: CC is no array", lambda p: put("", p.q, P(headers={"CC": "q"})), no(406)),
    ("publish: BCC is no array", lambda p: put("", p.q, P(headers={"BCC": 1})), no(406)),
    ("publish: expiration", lambda p: put("", p.q, P(expiration="1s")), no(406)),
    ("publish: delivery mode", lambda p: put("", p.q, P(delivery_mode=3)),
     no(406, "delivery_mode")),
    ("publish: delivery mode 0", lambda p: put("", p.q, P(delivery_mode=0)), no(406)),
    ("publish: negative expiration", lambda p: put("", p.q, P(expiration="-1")), no(406)),
    ("publish: somebody's user_id", lambda p: put("", p.q, P(user_id="root")), no(406, "user_id")),
    ("publish: one's own user_id", lambda p: [put("", p.q, P(user_id="guest")), B.Qos()],
     Ok(B.QosOk)),
    ("publish: reply-to of nobody", lambda p: put("", p.q, P(reply_to="amq.rabbitmq.reply-to")),
     no(406, "fast reply consumer does not exist")),
    ("confirm.select twice", lambda p: [C.Select(), C.Select()], Ok(C.SelectOk)),
    ("confirm.select after tx.select", lambda p: [T.Select(), C.Select()],
     no(406, "cannot switch from tx to confirm mode")),
    ("tx.select after confirm.select", lambda p: [C.Select(), T.Select()],
     no(406, "cannot switch from confirm to tx mode")),
    ("tx.select twice", lambda p: [T.Select(), T.Select()], Ok(T.SelectOk)),
    ("tx.commit without select", lambda p: T.Commit(), no(406, "channel is not transactional")),
    ("tx.rollback without select", lambda p: T.Rollback(), no(406, "channel is not transactional")),
    ("tx.commit of nothing", lambda p: [T.Select(), T.Commit(), T.Commit()], Ok(T.CommitOk)),
    ("tx.rollback of nothing", lambda p: [T.Select(), T.Rollback(), T.Rollback()],
     Ok(T.RollbackOk)),
    ("tx: ack twice", lambda p: [T.Select(), B.Get(queue=p.q), B.Ack(1), B.Ack(1)],
     no(406, "unknown delivery tag 1")),
    ("tx: ack unknown", lambda p: [T.Select(), B.Ack(1)], no(406, "unknown delivery tag 1")),
    ("tx: publish, no exchange", lambda p: [T.Select(), put(p.nx, "k")],
     no(404, "no exchange '")),
    ("tx: publish, immediate", lambda p: [T.Select(), put("", p.q, immediate=True)],
     no(540, hard=True)),
    ("consume: no queue", lambda p: B.Consume(queue=p.nq), no(404, "no queue '")),
    ("consume: tag of one's own", lambda p: B.Consume(queue=p.busy, consumer_tag="t"),
     Ok(B.ConsumeOk, consumer_tag="t")),
    ("consume: tag again", lambda p: [B.Consume(queue=p.busy, consumer_tag="t"),
                                      B.Consume(queue=p.busy, consumer_tag="t")],
     no(530, "attempt to reuse consumer tag 't'", hard=True)),
    ("consume: no_local is ignored", lambda p: B.Consume(queue=p.busy, no_local=True),
     Ok(B.ConsumeOk)),
    ("consume: exclusive where others are", lambda p: B.Consume(queue=p.busy, exclusive=True),
     no(403, "in exclusive use")),
    ("consume: priority", lambda p: B.Consume(queue=p.busy, arguments={"x-priority": -5}),
     Ok(B.ConsumeOk)),
    ("consume: priority is a word", lambda p: B.Consume(queue=p.q, arguments={"x-priority": "hi"}),
     no(406, "x-priority")),
    ("consume: x-cancel-on-ha-failover",
     lambda p: B.Consume(queue=p.busy, arguments={"x-cancel-on-ha-failover": True}),
     Ok(B.ConsumeOk)),
    ("consume: other arguments", lambda p: B.Consume(queue=p.busy, arguments={"x-what": [1]}),
     Ok(B.ConsumeOk)),
    ("consume: nowait", lambda p: B.Consume(queue=p.busy, consumer_tag="t", nowait=True), Ok(None)),
    ("consume replies, to be acked", lambda p: B.Consume(queue="amq.rabbitmq.reply-to"), no(406)),
    ("cancel unknown", lambda p: B.Cancel("unknown"), Ok(B.CancelOk, consumer_tag="unknown")),
    ("cancel-ok of nothing", lambda p: [B.CancelOk("x"), B.Qos()], Ok(B.QosOk), "503"),
    ("get: no queue", lambda p: B.Get(queue=p.nq), no(404)),
    ("get: empty", lambda p: B.Get(queue=p.busy), Ok(B.GetEmpty)),
    ("ack unknown", lambda p: B.Ack(1), no(406, "unknown delivery tag 1")),
    ("nack unknown", lambda p: B.Nack(1), no(406, "unknown delivery tag 1")),
    ("reject unknown", lambda p: B.Reject(1), no(406, "unknown delivery tag 1")),
    ("ack 0", lambda p: B.Ack(0), no(406, "unknown delivery tag 0")),
    ("ack 0 multiple with none out", lambda p: [B.Ack(0, multiple=True), B.Qos()], Ok(B.QosOk)),
    ("nack 0 multiple with none out", lambda p: [B.Nack(0, multiple=True), B.Qos()], Ok(B.QosOk)),
    ("ack multiple beyond the last", lambda p: B.Ack(5, multiple=True), no(406)),
    ("nack multiple up to a settled one", lambda p: [B.Get(queue=p.q), B.Ack(1), B.Nack(
        1, multiple=True)], no(406, "unknown delivery tag 1")),
    ("ack multiple up to a settled one, others out",
     lambda p: [put("", p.q), B.Get(queue=p.q), B.Get(queue=p.q), B.Ack(2),
                B.Ack(2, multiple=True)], no(406, "unknown delivery tag 2")),
    ("ack of what lay in a queue that is gone",
     lambda p: [B.Get(queue=p.q), Q.Delete(queue=p.q), B.Ack(1), B.Qos()], Ok(B.QosOk)),
    ("ack twice", lambda p: [B.Get(queue=p.q), B.Ack(1), B.Ack(1)], no(406)),
    ("ack what needs none", lambda p: [B.Get(queue=p.q, no_ack=True), B.Ack(1)], no(406)),
    ("prefetch_size", lambda p: B.Qos(prefetch_size=10), no(540, hard=True)),
    ("prefetch of the channel", lambda p: B.Qos(prefetch_count=10, global_qos=True), Ok(B.QosOk)),
    ("recover, requeue", lambda p: B.Recover(requeue=True), Ok(B.RecoverOk)),
    ("recover, no requeue", lambda p: B.Recover(requeue=False), no(540, hard=True)),
    ("recover-async", lambda p: [raw_method(1, 60, 100, b"\x01"), B.Qos()], Ok(B.QosOk)),
    ("flow on", lambda p: spec.Channel.Flow(active=True), Ok(spec.Channel.FlowOk, active=True)),
    ("flow off", lambda p: spec.Channel.Flow(active=False), no(540, hard=True)),
]


class Rules(BrokerCase):
    def act(self, place, what):
        if isinstance(what, bytes):
            place.conn.send(what)
        elif isinstance(what, tuple):
            _, exchange, key, props, options = what
            place.conn.publish(1, exchange, key, b"m", props, **options)
        else:
            place.conn.cast(1, what)

    def answer(self, place, what):
        """Of a step that is not the last."""
        if isinstance(what, B.Get):
            place.conn.content(1, place.conn.expect(1, B.GetOk))
        elif isinstance(what, (bytes, tuple, B.Ack, B.Nack, B.CancelOk)):
            return
        else:
            scope = type(what).NAME.split(".")[0]
            place.conn.expect(1, getattr(getattr(spec, scope), type(what).__name__ + "Ok"))

    def check(self, rows):
        for what, act, want, *differs in rows:
            if EXTERNAL and differs:
                continue
            with self.subTest(what):
                place = Place(self)
                if isinstance(act, tuple):
                    act = act[1]
                    place.conn.rpc(1, spec.Channel.Close(200, "", 0, 0))
                    place.conn.channel(1)
                steps = act(place)
                steps = steps if isinstance(steps, list) else [steps]
                for step in steps[:-1]:
                    self.act(place, step)
                    self.answer(place, step)
                self.act(place, steps[-1])
                want.check(self, place.conn)
                place.remove()

    def test_exchanges(self):
        self.check(EXCHANGES)

    def test_queues(self):
        self.check(QUEUES)

    def test_basic(self):
        self.check(BASIC)

    def test_server_names(self):
        """amq.gen- and 22 characters, in an alphabet that every client can bear."""
        conn = self.opened()
        name = conn.rpc(1, Q.Declare(queue="", exclusive=True)).queue
        self.assertRegex(name, r"^amq\.gen-[A-Za-z0-9_-]{22}$")
        tag = conn.rpc(1, B.Consume(queue="")).consumer_tag
        self.assertRegex(tag, r"^amq\.ctag-[A-Za-z0-9_-]{22}$")

    def test_exclusive_consumer_leaves(self):
        conn, queue = self.opened(), fresh()
        conn.rpc(1, Q.Declare(queue=queue, auto_delete=True))
        conn.rpc(1, B.Consume(queue=queue, exclusive=True, consumer_tag="e"))
        for exclusive in (True, False):
            other = self.opened()
            other.cast(1, B.Consume(queue=queue, exclusive=exclusive))
            other.expect_close(1, 403, 60, 20, "in exclusive use")
        conn.rpc(1, B.Cancel("e"))
        self.opened().cast(1, Q.Declare(queue=queue, passive=True))

    def test_priorities(self):
        """The higher first, as long as it may get any; equals in turn."""
        conn, queue = self.opened(), fresh()
        conn.rpc(1, Q.Declare(queue=queue, exclusive=True))
        for tag, limit, priority in (("low", 3, -1), ("high", 2, 10), ("none", 1, None)):
            conn.rpc(1, B.Qos(prefetch_count=limit))
            conn.rpc(1, B.Consume(queue=queue, consumer_tag=tag,
                                  arguments={"x-priority": priority} if priority else None))
        for _ in range(7):
            conn.publish(1, "", queue, b"m")
        got = [conn.message(1) for _ in range(6)]
        self.assertEqual([m.method.consumer_tag for m in got],
                         ["high", "high", "none", "low", "low", "low"])
        conn.silent()
        conn.cast(1, B.Ack(got[1].tag))
        self.assertEqual(conn.message(1).method.consumer_tag, "high")

    def test_cancel_notify(self):
        """A deleted queue's consumers are told, if their client can understand that."""
        for capabilities in ({"consumer_cancel_notify": True}, {}):
            conn, queue = self.opened(capabilities=capabilities), fresh()
            conn.rpc(1, Q.Declare(queue=queue))
            conn.rpc(1, B.Consume(queue=queue, consumer_tag="t"))
            self.opened().delete_queue(queue)
            if capabilities:
                told = conn.expect(1, B.Cancel)
                self.assertEqual((told.consumer_tag, told.nowait), ("t", True))
            conn.silent()


if __name__ == "__main__":
    unittest.main()
