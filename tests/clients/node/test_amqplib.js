// amqplib as its users use it, promises and callbacks. The broker is in WARREN_TEST_AMQP=host:port,
// which is a port for TLS where WARREN_TEST_CA has the file of who vouches for it.
'use strict';
const assert = require('node:assert');
const fs = require('node:fs');
const test = require('node:test');
const amqp = require('amqplib');
const callbackApi = require('amqplib/callback_api');

const ca = process.env.WARREN_TEST_CA;
const options = ca ? { ca: [fs.readFileSync(ca)] } : {};
const url = `${ca ? 'amqps' : 'amqp'}://guest:guest@${process.env.WARREN_TEST_AMQP}`;
let names = 0;
const fresh = () => `node-${process.pid}-${Date.now()}-${names++}`;

async function withChannel(work, confirm) {
  const conn = await amqp.connect(url, options);
  try {
    const channel = confirm ? await conn.createConfirmChannel() : await conn.createChannel();
    await work(channel, conn);
  } finally {
    await conn.close();
  }
}

test('work queue with confirms', () => withChannel(async (ch) => {
  const q = fresh();
  await ch.assertQueue(q, { durable: true });
  for (let i = 0; i < 100; i++) {
    ch.sendToQueue(q, Buffer.from(`task ${i}`), { persistent: true, headers: { i } });
  }
  await ch.waitForConfirms();
  await ch.prefetch(5);
  const got = [];
  await new Promise((resolve, reject) => {
    ch.on('error', reject);
    ch.consume(q, (msg) => {
      if (msg === null) return; // The queue was deleted.
      assert.strictEqual(msg.properties.headers.i, got.length);
      got.push(msg.content.toString());
      ch.ack(msg);
      if (got.length === 100) resolve();
    }).catch(reject);
  });
  assert.deepStrictEqual(got, Array.from({ length: 100 }, (_, i) => `task ${i}`));
  assert.strictEqual((await ch.checkQueue(q)).messageCount, 0);
  assert.strictEqual((await ch.deleteQueue(q)).messageCount, 0);
}, true));

test('direct exchange and server-named queue', () => withChannel(async (ch) => {
  const x = fresh();
  await ch.assertExchange(x, 'direct', { durable: false });
  const { queue } = await ch.assertQueue('', { exclusive: true });
  await ch.bindQueue(queue, x, 'red');
  const come = new Promise((resolve) => ch.consume(queue, resolve, { noAck: true }));
  ch.publish(x, 'blue', Buffer.from('no'));
  ch.publish(x, 'red', Buffer.from('yes'));
  const msg = await come;
  assert.strictEqual(msg.content.toString(), 'yes');
  assert.strictEqual(msg.fields.exchange, x);
  await ch.unbindQueue(queue, x, 'red');
  await ch.deleteExchange(x);
}));

test('get, nack, redelivery, purge', () => withChannel(async (ch) => {
  const q = fresh();
  await ch.assertQueue(q);
  assert.strictEqual(await ch.get(q), false);
  ch.sendToQueue(q, Buffer.alloc(0));
  let msg = await ch.get(q);
  assert.strictEqual(msg.content.length, 0);
  ch.nack(msg);
  msg = await ch.get(q);
  assert.strictEqual(msg.fields.redelivered, true);
  ch.reject(msg, true);
  await ch.checkQueue(q);
  assert.strictEqual((await ch.purgeQueue(q)).messageCount, 1);
  await ch.deleteQueue(q);
}));

test('mandatory messages come back', () => withChannel(async (ch) => {
  const back = new Promise((resolve) => ch.on('return', resolve));
  ch.publish('', fresh(), Buffer.from('lost'), { mandatory: true });
  assert.strictEqual((await back).content.toString(), 'lost');
}));

test('a channel error leaves the connection', () => withChannel(async (ch, conn) => {
  ch.on('error', () => {});
  await assert.rejects(ch.checkQueue('never-there'), /404/);
  const other = await conn.createChannel();
  await other.assertQueue('', { exclusive: true });
}));

test('cancel and consumer cancelled by delete', () => withChannel(async (ch) => {
  const q = fresh();
  await ch.assertQueue(q);
  let gone;
  const told = new Promise((resolve) => { gone = resolve; });
  const { consumerTag } = await ch.consume(q, () => {});
  await ch.cancel(consumerTag);
  await ch.consume(q, (msg) => { if (msg === null) gone(); });
  await ch.deleteQueue(q);
  await told;
}));

test('large bodies over many channels', async () => {
  const conn = await amqp.connect(url, options);
  const body = Buffer.alloc(1 << 20, 'w');
  await Promise.all(Array.from({ length: 10 }, async () => {
    const ch = await conn.createChannel();
    const { queue } = await ch.assertQueue('', { exclusive: true });
    const come = new Promise((resolve) => ch.consume(queue, resolve, { noAck: true }));
    ch.sendToQueue(queue, body);
    assert.ok((await come).content.equals(body));
    await ch.close();
  }));
  await conn.close();
});

test('wrong password, unknown vhost', async () => {
  const wrong = url.replace('guest:guest', 'guest:wrong');
  await assert.rejects(amqp.connect(wrong, options), /403|ACCESS/);
  await assert.rejects(amqp.connect(`${url}/nope`, options), /530|NOT_ALLOWED|ConnectionClose/);
});

test('rpc with direct reply-to', async () => {
  const conn = await amqp.connect(url, options);
  const server = await conn.createChannel();
  const { queue } = await server.assertQueue('', { exclusive: true });
  await server.consume(queue, (msg) => {
    const answer = Buffer.from(String(2 * Number(msg.content.toString())));
    const { replyTo, correlationId } = msg.properties;
    server.sendToQueue(replyTo, answer, { correlationId });
    server.ack(msg);
  });
  const client = await conn.createChannel();
  const waiting = new Map();
  await client.consume('amq.rabbitmq.reply-to', (msg) => {
    waiting.get(msg.properties.correlationId)(msg.content.toString());
  }, { noAck: true });
  const ask = (n) => new Promise((resolve) => {
    waiting.set(String(n), resolve);
    client.sendToQueue(queue, Buffer.from(String(n)),
      { correlationId: String(n), replyTo: 'amq.rabbitmq.reply-to' });
  });
  const answers = await Promise.all(Array.from({ length: 200 }, (_, n) => ask(n)));
  assert.deepStrictEqual(answers, Array.from({ length: 200 }, (_, n) => String(2 * n)));
  await conn.close();
});

test('prefetch of a channel', () => withChannel(async (ch) => {
  const queues = [fresh(), fresh()];
  for (const q of queues) {
    await ch.assertQueue(q, { exclusive: true });
    for (let i = 0; i < 10; i++) ch.sendToQueue(q, Buffer.from(String(i)));
  }
  await ch.prefetch(3, true);
  let out = 0;
  let most = 0;
  let left = 20;
  await new Promise((resolve) => {
    for (const q of queues) {
      ch.consume(q, (msg) => {
        out += 1;
        most = Math.max(most, out);
        setTimeout(() => {
          out -= 1;
          ch.ack(msg);
          left -= 1;
          if (left === 0) resolve();
        }, 2);
      });
    }
  });
  assert.ok(most <= 3, `${most} were out`);
}));

test('a writer that waits for drain', () => withChannel(async (ch) => {
  const q = fresh();
  await ch.assertQueue(q, { exclusive: true });
  const body = Buffer.alloc(20000, 'd');
  for (let i = 0; i < 2000; i++) {
    if (!ch.sendToQueue(q, body)) await new Promise((resolve) => ch.once('drain', resolve));
  }
  await ch.waitForConfirms();
  assert.strictEqual((await ch.checkQueue(q)).messageCount, 2000);
}, true));

test('topics, and an exchange bound to an exchange', () => withChannel(async (ch) => {
  const [a, b] = [fresh(), fresh()];
  await ch.assertExchange(a, 'topic', { autoDelete: true });
  await ch.assertExchange(b, 'fanout', { autoDelete: true });
  await ch.bindExchange(b, a, 'log.#');
  const { queue } = await ch.assertQueue('', { exclusive: true });
  await ch.bindQueue(queue, b, '');
  const come = new Promise((resolve) => ch.consume(queue, resolve, { noAck: true }));
  ch.publish(a, 'other', Buffer.from('no'));
  ch.publish(a, 'log.info.disk', Buffer.from('yes'));
  assert.strictEqual((await come).content.toString(), 'yes');
}));

test('callback api', (_, done) => {
  callbackApi.connect(url, options, (err, conn) => {
    assert.ifError(err);
    conn.createChannel((err2, ch) => {
      assert.ifError(err2);
      ch.assertQueue('', { exclusive: true }, (err3, ok) => {
        assert.ifError(err3);
        ch.consume(ok.queue, (msg) => {
          assert.strictEqual(msg.content.toString(), 'hello');
          conn.close(done);
        }, { noAck: true });
        ch.sendToQueue(ok.queue, Buffer.from('hello'));
      });
    });
  });
});
