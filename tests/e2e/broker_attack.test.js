'use strict';
// What somebody may do who has the credential of one SUT, of `viewer`, or none: every kind of forbidden act is tried for
// real, and counted. `let through` is what an operator's client, which hears everything, saw of it.
const test = require('node:test');
const assert = require('node:assert');
const fs = require('node:fs');
const net = require('node:net');
const path = require('node:path');
const mqtt = require('mqtt');
const { home, docker, inspect, container, byRole, until, sleep, secret, writeConf, removeSuts, Explorer } = require('./support.js');

const victim = 'bravo', thief = 'thief'; // the thief is parked: nothing but this test has its credential
const rows = [];
let explorer, password, programs;

const env = (name) => process.env[name];
const ca = () => fs.readFileSync(path.join(home, 'ca.pem'));
const doors = () => ({
  1883: { url: `mqtt://127.0.0.1:${env('SUTFLEET_MQTT_PORT')}` },
  9001: { url: `ws://127.0.0.1:${env('SUTFLEET_WS_PORT')}` },
  8883: { url: `mqtts://localhost:${env('SUTFLEET_MQTTS_PORT')}`, ca: ca() },
  9443: { url: `wss://localhost:${env('SUTFLEET_WSS_PORT')}`, ca: ca() },
  1884: { url: `mqtt://${programs}:1884` },
  8884: { url: `mqtts://${programs}:8884`, ca: ca(), servername: 'broker' },
});
const forPrograms = [1884, 8884];
/** @return the connected client, or the error that the broker gave */
const enter = (door, options) => new Promise((done) => {
  const { url, ...more } = doors()[door];
  const client = mqtt.connect(url, { protocolVersion: 5, reconnectPeriod: 0, connectTimeout: 15000, ...more, ...options });
  client.once('connect', () => done(client));
  client.once('error', (error) => { client.end(true); done(error); });
  client.once('close', () => done(new Error('closed')));
  client.on('error', () => {});
});
const inside = (client) => client instanceof mqtt.MqttClient;
const leave = (client) => new Promise((done) => (inside(client) ? client.end(true, {}, done) : done()));
const asThief = (more) => enter(1884, { username: thief, password, clientId: `sutfleet/${thief}`, ...more });
const asViewer = (more) => enter(1883, { username: 'viewer', password: secret('viewer'), ...more });
const publish = (client, topic, payload, options) => new Promise((done) => {
  const end = () => { client.removeListener('close', end); done(); };
  client.once('close', end);
  client.publish(topic, payload, { qos: 1, ...options }, end);
});

/** A row of the table: `act` returns how many were let through. */
async function row(kind, attempts, act) {
  const through = await act();
  rows.push({ kind, attempts, refused: attempts - through, 'let through': through });
  assert.equal(through, 0, `${kind}: ${through} of ${attempts} let through`);
}
/** All that was published before by anybody has been heard by then: the broker is one thread, and keeps order. */
async function settled() {
  const token = `settled-${Math.random()}`;
  explorer.client.publish('attack/settled', token, { qos: 1 });
  await until('the operator hears itself', () => explorer.log.some((m) => m.text === token));
}
const heard = (mark, token) => explorer.log.slice(mark).filter((m) => m.text.includes(token)).length;

test.before(async () => {
  explorer = await Explorer.open();
  programs = Object.values(inspect(byRole('broker')).NetworkSettings.Networks)[0].IPAddress;
  writeConf(thief, { enabled: false });
  await explorer.until(`fleet/sut/${thief}`, (v) => v !== '');
  password = await until('its credential', () => {
    try { return docker('exec', '-u', '10001', byRole('supervisor'), 'cat', `/var/lib/sutfleet-supervisor/credentials/${thief}`); } catch { return ''; }
  });
  await until('the broker has it', async () => { const client = await asThief(); await leave(client); return inside(client); });
});
test.after(async () => {
  await removeSuts([thief]);
  await explorer.close();
  console.log(['kind', 'attempts', 'refused', 'let through'].join(' | '));
  for (const one of rows) console.log(Object.values(one).join(' | '));
});

const foreign = [`${victim}/submit`, `${victim}/cmd/restart`, `${victim}/agent`, `${victim}/state`, `${victim}/output`, `${victim}/job/x`, `${victim}/res/tail`,
  `${thief}/submit`, `${thief}/cmd/restart`, `${thief}/cmd/offer`, `${thief}`, `${thief}/`, `${thief}/job/x/y`, `${thief}x/agent`, `/${thief}/agent`, `${thief}/other`,
  'fleet/state', 'fleet/supervisor', 'fleet/events', 'fleet/cmd/apply', 'fleet/cmd/rotate', 'fleet/cmd/password', `fleet/sut/${victim}`, 'fleet/queue/any/submit',
  '$SYS/broker/uptime', '$CONTROL/dynamic-security/v1', 'attack/free'];

for (const [who, open] of [['a SUT', asThief], ['viewer', asViewer]])
  test(`${who} publishes where it may not`, () => row(`publish elsewhere, ${who}`, foreign.length * 6, async () => {
    const mark = explorer.mark(), token = `forged-${who}-${Math.random()}`;
    for (const qos of [0, 1, 2])
      for (const retain of [false, true]) {
        const client = await open();
        for (const topic of foreign) await publish(client, topic, token, { qos, retain });
        await leave(client);
      }
    await settled();
    return heard(mark, token);
  }));

for (const [who, open] of [['a SUT', asThief], ['viewer', asViewer]])
  test(`${who} deletes the retained tree`, async () => {
    const topics = [...explorer.tree.keys()].filter((topic) => !topic.startsWith('$') && !topic.startsWith(`${thief}/`) && topic !== 'attack/settled');
    await row(`clear a retained topic, ${who}`, topics.length, async () => {
      const mark = explorer.mark();
      const client = await open();
      for (const topic of topics) await publish(client, topic, '', { retain: true });
      await leave(client);
      await settled();
      // An agent may take one of its own away meanwhile: what is empty and stays so was deleted.
      return topics.filter((topic) => explorer.since(mark, topic).some((m) => m.text === '') && explorer.get(topic) === '').length;
    });
  });

test('a SUT reads what is not its own', () => {
  const filters = ['#', '+/submit', `${victim}/#`, `${victim}/submit`, `${victim}/cmd/+`, `${victim}/output`, 'fleet/#', 'fleet/queue/+/submit', '$SYS/#', '+/+', '+',
    '$share/all/#', `$share/all/${victim}/submit`, '$CONTROL/#'];
  return row('subscribe to what is not its own, a SUT', filters.length, async () => {
    let own = 0;
    const stolen = new Set();
    for (const filter of filters) {
      const client = await asThief();
      client.on('message', (topic) => {
        const allowed = topic === `${thief}/submit` || topic.startsWith(`${thief}/cmd/`) || topic === '$SYS/broker/uptime';
        if (allowed) ++own; else stolen.add(`${filter} gave ${topic}`);
      });
      await new Promise((done) => client.subscribe(filter, { qos: 1 }, done));
      for (const topic of [`${victim}/cmd/none`, `${victim}/other`, 'fleet/other', `${thief}/cmd/none`]) explorer.client.publish(topic, 'secret', { qos: 1 });
      await settled();
      await new Promise((done) => client.subscribe(`${thief}/cmd/+`, { qos: 1 }, done));
      const before = own;
      explorer.client.publish(`${thief}/cmd/none`, 'own', { qos: 1 });
      await until('it hears its own', () => own > before);
      await leave(client);
    }
    assert.deepEqual([...stolen], []);
    return stolen.size;
  });
});

test('a will elsewhere', () => {
  const wills = [`${victim}/agent`, `${victim}/submit`, `${thief}/submit`, 'fleet/supervisor', 'fleet/cmd/apply'];
  return row('a will elsewhere, a SUT and viewer', wills.length * 4, async () => {
    const mark = explorer.mark(), token = `will-${Math.random()}`;
    for (const open of [asThief, asViewer])
      for (const topic of wills)
        for (const retain of [false, true]) {
          const client = await open({ will: { topic, payload: token, qos: 1, retain } });
          if (!inside(client)) continue;
          await new Promise((done) => { client.once('close', done); client.stream.destroy(); }); // without a goodbye
        }
    // The broker publishes a will when it notices the end: a will of the thief's own is the proof that it has.
    const own = await asThief({ will: { topic: `${thief}/agent`, payload: `own-${token}`, qos: 1, retain: false } });
    own.stream.destroy();
    await until('an allowed will', () => explorer.since(mark, `${thief}/agent`).length > 0);
    await settled();
    return heard(mark, token) - heard(mark, `own-${token}`);
  });
});

test('another\'s client id', async () => {
  const ids = [`sutfleet/${victim}`, 'sutfleet/supervisor', 'sutfleet/fleet', 'sutfleet/', 'sutfleet', `sutfleet/${thief}/x`, victim, 'supervisor', ''];
  const stolen = ['alpha', victim, 'supervisor', 'fleet', 'operator', 'viewer', 'console/x', 'alpha/x', ''].map((name) => `sutfleet/${name}`);
  const cases = [...ids.map((clientId) => [1884, thief, password, clientId])];
  for (const door of [1883, 9001, 8883, 9443])
    for (const clientId of stolen) {
      cases.push([door, 'viewer', secret('viewer'), clientId]);
      cases.push([door, 'operator', secret('operator'), clientId]);
    }
  for (const [door] of [[1883], [9443]]) { // one that is its own is not refused; the other's is
    const own = await enter(door, { username: 'operator', password: secret('operator'), clientId: 'sutfleet/operator/tool' });
    assert.ok(inside(own));
    await leave(own);
    cases.push([door, 'viewer', secret('viewer'), 'sutfleet/operator/tool']);
  }
  const started = explorer.mark();
  await row('another\'s client id, a SUT, viewer and operator', cases.length, async () => {
    let through = 0;
    for (const [door, username, word, clientId] of cases) {
      const client = await enter(door, { username, password: word, clientId });
      if (inside(client)) ++through;
      await leave(client);
    }
    return through;
  });
  assert.equal(explorer.since(started, `${victim}/agent`).filter((m) => m.text === 'offline' || m.text === 'online').length, 0, 'its session was ended');
});

test('without a right password', async () => {
  const cases = [];
  for (const door of [1883, 9001, 8883, 9443, ...forPrograms])
    for (const [username, word] of [[undefined, undefined], ['', ''], ['operator', ''], ['operator', 'wrong'], ['nobody', secret('operator')], ['#', ''], ['+', ''],
      ['supervisor', secret('operator')], [`${victim}`, password], ['operator\u0000', secret('operator')]])
      cases.push([door, username, word]);
  for (const door of [1883, 9001, 8883, 9443]) cases.push([door, thief, password]); // a SUT's is worth nothing there
  for (const user of ['operator', 'viewer']) for (const door of forPrograms) cases.push([door, user, secret(user)]);
  cases.push([8884, 'supervisor', docker('exec', '-u', '10001', byRole('supervisor'), 'cat', '/var/lib/sutfleet-supervisor/supervisor.password')]);
  await row('come in without a right credential', cases.length, async () => {
    let through = 0;
    for (const [door, username, word] of cases) {
      const client = await enter(door, { username, password: word, ...(forPrograms.includes(door) ? { clientId: `sutfleet/${username || 'x'}` } : {}) });
      if (inside(client)) ++through;
      await leave(client);
    }
    return through;
  });
});

test('a message that is too large, where its sender may write', () => row('oversize payloads, a SUT and operator', 6, async () => {
  const mark = explorer.mark();
  const large = Buffer.alloc(6 << 20, 'x');
  for (const qos of [0, 1, 2]) {
    const sut = await asThief();
    await publish(sut, `${thief}/output`, large, { qos });
    await leave(sut);
    const operator = await enter(1883, { username: 'operator', password: secret('operator') });
    await publish(operator, 'attack/large', large, { qos });
    await leave(operator);
  }
  await settled();
  return explorer.log.slice(mark).filter((m) => m.text.length > (5 << 20)).length;
}));

const memory = () => {
  const [, number, unit] = /^([\d.]+)(\w+)/.exec(docker('stats', '--no-stream', '--format', '{{.MemUsage}}', byRole('broker')));
  return Math.round(Number(number) * { KiB: 1 / 1024, MiB: 1, GiB: 1024 }[unit]);
};
/** Jobs of the victim while something goes on: each that did not end well counts. */
async function jobs(count) {
  let bad = 0;
  for (let i = 0; i < count; ++i) {
    try { if ((await explorer.job(victim, `true ${Math.random()}`, 20)).record.state !== 'SUCCEEDED') ++bad; } catch { ++bad; }
  }
  return bad;
}

test('a flood of connections that never say a word', () => row('connection flood on each door (jobs that others lost by it)', 1000, async () => {
  const sockets = [];
  const ports = ['SUTFLEET_MQTT_PORT', 'SUTFLEET_WS_PORT', 'SUTFLEET_MQTTS_PORT', 'SUTFLEET_WSS_PORT'].map((name) => Number(env(name)));
  for (let i = 0; i < 1000; ++i) {
    const socket = net.connect(ports[i % 4], '127.0.0.1').on('error', () => {});
    sockets.push(socket);
    if (i % 100 === 99) await sleep(20);
  }
  const lost = await jobs(10);
  for (const socket of sockets) socket.destroy();
  await until('a new operator comes in again', async () => { const client = await enter(1883, { username: 'operator', password: secret('operator') }); await leave(client); return inside(client); });
  return lost;
}));

test('slow readers', () => row('slow readers of a flood (jobs that others lost by it)', 20, async () => {
  const readers = [];
  for (let i = 0; i < 20; ++i) {
    const client = await asViewer();
    await new Promise((done) => client.subscribe('attack/flood', { qos: 1 }, done));
    client.stream.pause(); // it reads no more
    client.stream.on('data', () => {});
    client.stream.pause();
    readers.push(client);
  }
  const before = memory();
  const part = Buffer.alloc(64 << 10, 'f');
  const operator = await enter(1883, { username: 'operator', password: secret('operator') });
  const flood = (async () => { for (let i = 0; i < 2400; ++i) await publish(operator, 'attack/flood', part); })(); // 150 MiB
  const lost = await jobs(10);
  await flood;
  const after = memory();
  console.log(`the broker's memory with 20 slow readers of 150 MiB: ${before} MiB before, ${after} MiB after`);
  for (const client of readers) client.stream.destroy();
  await leave(operator);
  assert.ok(after < 1024, `${after} MiB`);
  return lost;
}));
