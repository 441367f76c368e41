'use strict';
// Who may come to the broker: credentials that are changed under load, users that go with their SUTs, a certificate that is
// renewed while all runs.
const test = require('node:test');
const assert = require('node:assert');
const fs = require('node:fs');
const path = require('node:path');
const tls = require('node:tls');
const { home, run, ran, docker, inspect, container, byRole, until, sleep, secret, sutctl, writeConf, removeSuts, Explorer } = require('./support.js');

let explorer;
test.before(async () => { explorer = await Explorer.open(); });
test.after(() => explorer.close());

const credential = (sut) => docker('exec', '-u', '10001', byRole('supervisor'), 'cat', `/var/lib/sutfleet-supervisor/credentials/${sut}`);
/** Whether the broker takes the password, asked on the programs' listener by a publish that the SUT may do. */
const taken = async (sut, password) => (await ran('docker', 'exec', byRole('broker'), 'mosquitto_pub', '-V', 'mqttv5', '-p', '1884', '-h', '127.0.0.1',
  '-i', `sutfleet/${sut}`, '-u', sut, '-P', password, '-t', `${sut}/metrics/probe`, '-m', '1')).code === 0;
/** Behind a broker that started anew, a text that is equal to an earlier one is a repeat. */
const unique = () => `true ${Math.random()}`;
const hostCtl = (...words) => {
  const program = path.join(process.env.SUTFLEET_TEST_PROGRAMS ?? path.join(__dirname, '../../build/dev/tests/e2e'), '../../tools/sutctl/sutctl');
  return ran('env', '-u', 'SUTFLEET_PASSWORD', `SUTFLEET_ENV_FILE=${path.join(home, 'client.env')}`, program, ...words);
};

test('an agent\'s credential is changed while jobs come: each id runs once, and all output arrives', async () => {
  const sut = 'bravo', count = 60;
  const started = inspect(container(sut)).State.StartedAt;
  const seen = new Set([credential(sut)]);
  const mark = explorer.mark();
  const publisher = (async () => {
    for (let i = 0; i < count; ++i) {
      await new Promise((done, bad) => explorer.client.publish(`${sut}/submit`, JSON.stringify({ id: `rot${process.pid}-${i}`, command: `echo out-${i}-end` }),
        { qos: 1 }, (error) => (error ? bad(error) : done())));
      await sleep(200);
    }
  })();
  for (let round = 0; round < 3; ++round) {
    const before = credential(sut);
    const { code, out } = await sutctl('credentials', 'rotate', sut);
    assert.equal(code, 0, out);
    await until('the broker has the new one', () => credential(sut) !== before);
    assert.ok(!seen.has(credential(sut)));
    seen.add(credential(sut));
    await until('the agent is back', () => explorer.since(mark, `${sut}/agent`).filter((m) => m.text === 'online').length > round);
  }
  await publisher;
  for (let i = 0; i < count; ++i) {
    const id = `rot${process.pid}-${i}`;
    const records = await until(`${id} ends`, () => {
      const all = explorer.since(mark, `${sut}/job/${id}`).filter((m) => m.text !== '').map((m) => JSON.parse(m.text));
      return all.some((one) => one.state === 'SUCCEEDED') && all;
    });
    assert.ok(records.every((one) => one.attempt === 1 && one.dropped === 0), JSON.stringify(records.at(-1)));
  }
  const lines = () => explorer.since(mark, `${sut}/output`).map((m) => m.text).join('\n');
  for (let i = 0; i < count; ++i) await until(`output ${i}`, () => new RegExp(`^out-${i}-end$`, 'm').test(lines()));
  assert.equal(inspect(container(sut)).State.StartedAt, started);
  const now = credential(sut);
  for (const old of seen) if (old !== now) assert.equal(await taken(sut, old), false, 'an old one is still taken');
});

test('the credential is a read-only file of the agent, and nowhere else', async () => {
  const sut = 'bravo', password = credential(sut);
  const inside = JSON.stringify(inspect(container(sut)));
  assert.ok(!inside.includes(password), 'it is in docker inspect');
  assert.equal(docker('exec', container(sut), 'cat', '/sut/.current/.credential'), password);
  assert.match(docker('exec', container(sut), 'stat', '-Lc', '%a', '/sut/.current/.credential'), /^400$/);
  assert.notEqual((await ran('docker', 'exec', container(sut), 'sh', '-c', 'echo x > /sut/.current/.credential')).code, 0);
  for (const role of ['broker', 'supervisor']) assert.ok(!(await ran('docker', 'logs', byRole(role))).out.includes(password), `it is in the log of the ${role}`);
  for (const { text } of explorer.log) assert.ok(!text.includes(password), 'it was published');
});

test('all credentials at once; afterwards everybody works, and no old one is taken', async () => {
  const suts = ['alpha', 'bravo', 'charlie'];
  const before = Object.fromEntries(suts.map((sut) => [sut, credential(sut)]));
  const old = { operator: secret('operator'), viewer: secret('viewer') };
  const console = docker('exec', byRole('supervisor'), 'cat', '/tmp/client.env');
  const { code, out } = await hostCtl('credentials', 'rotate', '--all');
  assert.equal(code, 0, out);
  for (const sut of suts) await until(`${sut} has another`, () => credential(sut) !== before[sut]);
  for (const user of ['operator', 'viewer']) {
    assert.notEqual(secret(user), old[user]);
    assert.ok(!out.includes(secret(user)), 'it was printed');
  }
  await until('the console has another', () => docker('exec', byRole('supervisor'), 'cat', '/tmp/client.env') !== console);
  await assert.rejects(Explorer.open('operator', old.operator));
  await assert.rejects(Explorer.open('console', /PASSWORD=(.*)/.exec(console)[1]));
  await explorer.close();
  explorer = await Explorer.open();
  await explorer.until('fleet/supervisor', (v) => v === 'online');
  for (const sut of suts) {
    await until(`${sut}'s old one is refused`, async () => !(await taken(sut, before[sut])));
    const mark = explorer.mark(); // while it was taken, asking took the agent's session for a moment
    await until(`${sut} is there`, () => explorer.since(mark, `${sut}/agent`).some((m) => !m.retain && m.text === 'ok'));
    assert.equal((await explorer.job(sut, unique())).record.state, 'SUCCEEDED');
  }
  assert.equal((await sutctl('ps')).code, 0);
  const shown = await hostCtl('credentials');
  assert.match(shown.out, new RegExp(`^SUTFLEET_PASSWORD=${secret('operator')}$`, 'm'));
  for (const words of [['ps'], ['doctor'], ['describe', 'alpha'], ['events']]) assert.ok(!(await hostCtl(...words)).out.includes(secret('operator')), words[0]);
});

test('a SUT that is removed takes its user along', async () => {
  writeConf('leaver', { description: 'comes and goes' });
  await explorer.until('leaver/agent', (v) => v === 'ok');
  const password = credential('leaver');
  await removeSuts(['leaver']);
  await until('its user is gone', async () => !(await taken('leaver', password)));
  assert.ok(!docker('exec', '-u', '10001', byRole('supervisor'), 'ls', '/var/lib/sutfleet-supervisor/credentials').split('\n').includes('leaver'));
});

test('users that were lost with the broker\'s files are there again, and the agents come back', async () => {
  const started = inspect(container('alpha')).State.StartedAt, password = credential('alpha');
  docker('exec', '-u', '10001', byRole('supervisor'), 'rm', '/var/lib/sutfleet-auth/agents.passwd');
  await until('the broker knows alpha no more', async () => !(await taken('alpha', password)));
  const mark = explorer.mark();
  docker('restart', '-t', '5', byRole('broker'));
  // Live: what was retained is from before.
  await until('alpha is back', () => explorer.since(mark, 'alpha/agent').some((m) => !m.retain && m.text === 'ok'), 90);
  assert.equal((await explorer.job('alpha', unique())).record.state, 'SUCCEEDED');
  assert.equal(inspect(container('alpha')).State.StartedAt, started);
});

const certificateAt = (port) => new Promise((done, bad) => {
  const socket = tls.connect({ host: '127.0.0.1', port, ca: fs.readFileSync(path.join(home, 'ca.pem')), servername: 'localhost' }, () => {
    done(socket.getPeerCertificate());
    socket.destroy();
  });
  socket.on('error', bad);
});

test('a certificate is renewed for both TLS ports while the agents run on', async () => {
  const ports = [process.env.SUTFLEET_MQTTS_PORT, process.env.SUTFLEET_WSS_PORT];
  const old = await certificateAt(ports[0]);
  const started = ['alpha', 'bravo', 'charlie'].map((sut) => inspect(container(sut)).State.StartedAt);
  const name = `renewed-${process.pid}.example.org`;
  run('env', `SUTFLEET_TLS_NAMES=${name}`, 'docker-compose', 'up', '-d', '--no-build', 'init');
  for (const port of ports)
    await until(`the new one on ${port}`, async () => {
      try { return (await certificateAt(port)).subjectaltname.includes(`DNS:${name}`); } catch { return false; }
    });
  assert.notEqual((await certificateAt(ports[1])).serialNumber, old.serialNumber);
  await explorer.until('fleet/supervisor', (v) => v === 'online');
  assert.equal((await explorer.job('bravo', unique())).record.state, 'SUCCEEDED');
  assert.deepEqual(['alpha', 'bravo', 'charlie'].map((sut) => inspect(container(sut)).State.StartedAt), started);
});

test('sutctl works over TLS with the settings that stand beside the CA', async () => {
  const file = path.join(home, 'remote.env');
  const env = fs.readFileSync(path.join(home, 'client.env'), 'utf8');
  for (const url of [`mqtts://127.0.0.1:${process.env.SUTFLEET_MQTTS_PORT}`, `wss://localhost:${process.env.SUTFLEET_WSS_PORT}`]) {
    fs.writeFileSync(file, env.replace(/^SUTFLEET_BROKER=.*$/m, `SUTFLEET_BROKER=${url}`), { mode: 0o600 });
    const program = path.join(process.env.SUTFLEET_TEST_PROGRAMS ?? path.join(__dirname, '../../build/dev/tests/e2e'), '../../tools/sutctl/sutctl');
    const { code, out } = await ran('env', '-u', 'SUTFLEET_PASSWORD', `SUTFLEET_ENV_FILE=${file}`, program, 'submit', '--wait', 'alpha', '--', 'echo over-tls');
    assert.equal(code, 0, out);
    assert.match(out, /over-tls/);
  }
  fs.rmSync(file);
});

test('an open bench is open, says so everywhere, and is closed again without its file', async () => {
  const openPort = Number(process.env.SUTFLEET_MQTT_PORT) + 2;
  const files = 'compose.yaml:compose/portainer.yaml';
  const up = (more) => run('env', `COMPOSE_FILE=${files}${more}`, `SUTFLEET_OPEN_MQTT_PORT=${openPort}`, `SUTFLEET_OPEN_WS_PORT=${openPort + 1}`,
    'docker-compose', 'up', '-d', '--no-build');
  const nobody = (port, id) => ran('mosquitto_pub', '-V', 'mqttv5', '-h', '127.0.0.1', '-p', String(port), '-i', id, '-t', 'bench/open', '-m', 'x');
  up(':compose/anonymous.yaml');
  try {
    await until('nobody is asked', async () => (await nobody(openPort, 'anybody')).code === 0);
    assert.notEqual((await nobody(openPort, 'sutfleet/alpha')).code, 0, 'an agent\'s session is its own all the same');
    await explorer.until('fleet/state', (v) => v.includes('degraded: the broker is open'));
    for (const role of ['broker', 'supervisor']) assert.match((await ran('docker', 'logs', byRole(role))).out, /OPEN BROKER/);
    assert.match((await hostCtl('ps')).out, /OPEN BROKER/);
    assert.match((await hostCtl('doctor')).out, /warn {2}broker .*open/);
  } finally {
    up('');
  }
  await until('closed', async () => (await nobody(process.env.SUTFLEET_MQTT_PORT, 'anybody')).code !== 0);
  await explorer.until('fleet/state', (v) => v.includes('"broker":"ok"'));
  assert.doesNotMatch((await hostCtl('ps')).out, /OPEN BROKER/);
});
