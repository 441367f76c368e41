'use strict';
// The stack on an engine that is reached by TLS only, with agents that come to the broker by TLS only, as on another machine. Run by private_engine.sh, with SUTFLEET_ENGINE_TLS=1.
const test = require('node:test');
const assert = require('node:assert');
const fs = require('node:fs');
const path = require('node:path');
const mqtt = require('mqtt');
const { home, run, ran, docker, inside, inspect, container, byRole, until, secret, writeConf, Explorer } = require('./support.js');

const certs = path.join(process.env.SUTFLEET_PRIVATE_ENGINE, 'certs');
const suts = ['alpha', 'bravo', 'charlie'];
// The address of this network namespace on the containers' side: what another machine's agents would have.
const here = /inet ([0-9.]+)/.exec(run('ip', '-4', '-o', 'address', 'show', 'docker0'))[1];
const mine = (name) => path.join(certs, 'client', name);
Object.assign(process.env, {
  COMPOSE_FILE: 'compose.yaml:compose/tls-engine.yaml:compose/remote-agents.yaml:tests/e2e/tls_engine.yaml',
  SUTFLEET_DOCKER_HOST: 'tcp://engine.test:2376',
  SUTFLEET_DOCKER_CERTS: path.join(certs, 'client'),
  SUTFLEET_AGENT_HOST: here,
});
let explorer;
test.after(() => explorer?.close());
const engine = () => explorer.json('fleet/state')?.engine;
const lookNow = () => docker('kill', '-s', 'HUP', byRole('supervisor'));

test('agents run on it, their programs and confs delivered by volumes', async () => {
  run('docker-compose', 'up', '-d', '--no-build');
  explorer = await Explorer.open();
  for (const sut of suts) await explorer.until(`${sut}/agent`, (v) => v === 'ok', 120);
  assert.equal(engine(), 'ok');
  assert.equal((await explorer.job('alpha', 'true')).record.state, 'SUCCEEDED');
});

test('a client without a certificate of the engine\'s CA is refused', async () => {
  const ask = (...words) => ran('curl', '-sS', '--cacert', mine('ca.pem'), ...words, 'https://127.0.0.1:2376/version');
  assert.match((await ask('--cert', mine('cert.pem'), '--key', mine('key.pem'))).out, /ApiVersion/);
  const refused = await ask();
  assert.notEqual(refused.code, 0);
  assert.match(refused.out, /alert/);
});

test('wrong certificates are told, by file, and healed by right ones; agents and supervisor live on', async () => {
  const before = inspect(byRole('supervisor'));
  fs.copyFileSync(path.join(certs, 'other/ca.pem'), mine('ca.pem'));
  lookNow();
  await until(`the wrong CA is told (now: ${engine()})`, () =>
    /engine's certificate is refused: expected one .* of the CA in \/run\/engine-certs\/ca\.pem/.test(engine()));
  fs.copyFileSync(path.join(certs, 'engine/ca.pem'), mine('ca.pem'));
  await until('the engine answers again', () => engine() === 'ok');

  fs.renameSync(mine('key.pem'), mine('away'));
  lookNow();
  await until('the missing key is told', () => /cannot read \/run\/engine-certs\/key\.pem: No such file/.test(engine()));
  fs.renameSync(mine('away'), mine('key.pem'));
  await until('the engine answers again', () => engine() === 'ok');

  docker('rm', '-f', container('bravo'));
  await until('what was removed is made again', () => inspect(container('bravo'))?.State.Running);
  const now = inspect(byRole('supervisor'));
  assert.deepEqual([now.Id, now.RestartCount, now.State.StartedAt], [before.Id, before.RestartCount, before.State.StartedAt]);
  for (const sut of suts) await explorer.until(`${sut}/agent`, (v) => v === 'ok');
});

test('agents speak TLS with the broker, checked by the CA that they were given; nobody but agents is let in there', async () => {
  const url = `mqtts://${here}:8884`;
  for (const sut of suts) {
    assert.equal(JSON.parse((await inside(sut, 'cat', '/sut/.current/agent.json')).out).broker, url);
    assert.equal((await inside(sut, 'cat', '/sut/.current/.ca.pem')).out, fs.readFileSync(path.join(home, 'ca.pem'), 'utf8'));
  }
  const enter = (username, password, more) => new Promise((done) => {
    const client = mqtt.connect(url, { protocolVersion: 5, reconnectPeriod: 0, username, password, clientId: `sutfleet/${username}`, ...more });
    client.once('connect', () => client.end(true, {}, () => done('in')));
    client.once('error', (error) => client.end(true, {}, () => done(error.message)));
  });
  const kept = (file) => docker('exec', '-u', '10001', byRole('supervisor'), 'cat', `/var/lib/sutfleet-supervisor/${file}`).trim();
  const ca = fs.readFileSync(path.join(home, 'ca.pem'));
  await writeConf('parked', { enabled: false });
  const parked = await until('its credential', () => { try { return kept('credentials/parked'); } catch { return ''; } });
  await until('an agent is let in', async () => (await enter('parked', parked, { ca })) === 'in');
  assert.match(await enter('supervisor', kept('supervisor.password'), { ca }), /ot authorized/);
  assert.match(await enter('operator', secret('operator'), { ca }), /ot authorized/);
  assert.match(await enter('parked', parked), /certificate/);
});

test('a new CA reaches the agents by the engine: all are back, none was restarted, a job runs on', async () => {
  const before = suts.map((sut) => inspect(container(sut)).State.StartedAt);
  explorer.publish('alpha/submit', JSON.stringify({ id: 'through', command: 'while [ ! -e /tmp/go ]; do sleep 0.2; done' }));
  await explorer.until('alpha/job/through', (v) => v.includes('RUNNING'));
  const old = fs.readFileSync(path.join(home, 'ca.pem'), 'utf8');
  fs.unlinkSync(path.join(home, 'ca.key'));
  run('docker-compose', 'run', '--rm', 'init');
  assert.notEqual(fs.readFileSync(path.join(home, 'ca.pem'), 'utf8'), old);
  for (const sut of suts) await until(`${sut} has the new CA`, async () => (await inside(sut, 'cat', '/sut/.current/.ca.pem')).out === fs.readFileSync(path.join(home, 'ca.pem'), 'utf8'));
  await until('all are back', () => suts.every((sut) => explorer.get(`${sut}/agent`) === 'ok'), 120);
  await inside('alpha', 'touch', '/tmp/go');
  await explorer.until('alpha/job/through', (v) => v.includes('SUCCEEDED'), 120);
  assert.deepEqual(suts.map((sut) => inspect(container(sut)).State.StartedAt), before);
});
