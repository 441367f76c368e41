'use strict';
// The engine dies. Run by private_engine.sh, with an engine that may be killed.
const test = require('node:test');
const assert = require('node:assert');
const fs = require('node:fs');
const path = require('node:path');
const { run, docker, inspect, container, byRole, until, Explorer } = require('./support.js');

const place = process.env.SUTFLEET_PRIVATE_ENGINE;
const suts = ['alpha', 'bravo', 'charlie'];
const running = (id) => { try { return JSON.parse(docker('inspect', id))[0].State.Running; } catch { return false; } };

test('after kill -9 of the engine, all of it comes back, and a job that ran is LOST', async () => {
  run('docker-compose', 'up', '-d', '--no-build');
  const explorer = await Explorer.open();
  for (const sut of suts) await explorer.until(`${sut}/agent`, (v) => v === 'ok', 120);
  explorer.publish('alpha/submit', JSON.stringify({ id: 'cut', command: 'sleep 600' }));
  await explorer.until('alpha/submit_status', (v) => v.startsWith('busy: cut'));
  const before = Object.fromEntries(suts.map((sut) => [sut, inspect(container(sut))]));
  const [broker, supervisor] = [byRole('broker'), byRole('supervisor')];

  process.kill(Number(fs.readFileSync(path.join(place, 'docker.pid'), 'utf8')), 'SIGKILL');
  run(path.join(__dirname, 'private_engine.sh'), '--launch');
  const back = Date.now();
  for (const id of [broker, supervisor]) await until(`${id} runs again, by its policy`, () => running(id));
  for (const sut of suts) {
    const now = await until(`${sut} runs again`, () => { const one = inspect(container(sut)); return one?.State.Running && one; });
    assert.equal(now.Id, before[sut].Id, `${sut} is the same container`);
    assert.notEqual(now.State.StartedAt, before[sut].State.StartedAt);
  }
  await until('the job that ran is LOST', () => explorer.json('alpha/job/cut')?.state === 'LOST');
  for (const sut of suts) await explorer.until(`${sut}/agent`, (v) => v === 'ok');
  for (const sut of suts)
    await until(`${sut} is not in quarantine`, () => explorer.json(`fleet/sut/${sut}`)?.quarantined === false);
  assert.ok(Date.now() - back < 30_000, `all ok ${Date.now() - back} ms after the engine's return`);
  assert.equal((await explorer.job('bravo', 'true')).record.state, 'SUCCEEDED');
  await explorer.close();
});
