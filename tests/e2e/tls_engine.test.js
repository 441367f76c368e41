'use strict';
// The stack on an engine that is reached by TLS only. Run by private_engine.sh, with SUTFLEET_ENGINE_TLS=1.
const test = require('node:test');
const assert = require('node:assert');
const fs = require('node:fs');
const path = require('node:path');
const { run, ran, docker, inspect, container, byRole, until, Explorer } = require('./support.js');

const certs = path.join(process.env.SUTFLEET_PRIVATE_ENGINE, 'certs');
const suts = ['alpha', 'bravo', 'charlie'];
const mine = (name) => path.join(certs, 'client', name);
Object.assign(process.env, {
  COMPOSE_FILE: 'compose.yaml:compose/tls-engine.yaml:tests/e2e/tls_engine.yaml',
  SUTFLEET_DOCKER_HOST: 'tcp://engine.test:2376',
  SUTFLEET_DOCKER_CERTS: path.join(certs, 'client'),
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
