// amqplib as its users use it, promises and callbacks. The broker is in WARREN_TEST_AMQP=host:port.
'use strict';
const assert = require('node:assert');
const test = require('node:test');
const amqp = require('amqplib');
const callbackApi = require('amqplib/callback_api');

const url = `amqp://guest:guest@${process.env.WARREN_TEST_AMQP}`;
let names = 0;
const fresh = () => `node-${process.pid}-${Date.now()}-${names++}`;

async function withChannel(work, confirm) {
  const conn = await amqp.connect(url);
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
  const conn = await amqp.connect(url);
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
  await assert.rejects(amqp.connect(url.replace('guest:guest', 'guest:wrong')), /403|ACCESS/);
  await assert.rejects(amqp.connect(`${url}/nope`), /530|NOT_ALLOWED|ConnectionClose/);
});

test('callback api', (_, done) => {
  callbackApi.connect(url, (err, conn) => {
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
