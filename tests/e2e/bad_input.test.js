'use strict';
// Each bad input gives the error that says what to do, and everything else goes on.
const test = require('node:test');
const assert = require('node:assert');
const fs = require('node:fs');
const path = require('node:path');
const { sutDir, container, docker, inspect, until, Explorer } = require('./support.js');

let explorer;
test.before(async () => { explorer = await Explorer.open(); });
test.after(() => explorer.close());

const conf = (name) => path.join(sutDir, `${name}.conf`);
const started = () => ['alpha', 'bravo', 'charlie'].map((s) => inspect(container(s)).State.StartedAt);

test('confs that break a rule are reported with their place, and touch nothing', async () => {
  const before = started();
  const bad = [
    ['bad-syntax', 'command: [a', /^bad-syntax\.conf:\d+:\d+: /],
    ['bad-key', 'description: x\ncomand: y\n', /^bad-key\.conf:2:1: .*comand/],
    ['bad-twice', 'description: x\ndescription: y\n', /^bad-twice\.conf:2:1: .*description/],
    ['bad-value', 'resources: {cpus: many}\n', /^bad-value\.conf:1:\d+: .*cpus/],
  ];
  for (const [name, text, error] of bad) {
    fs.writeFileSync(conf(name), text);
    await until(`${name} is reported`, () => error.test(explorer.json(`fleet/sut/${name}`)?.conf.error ?? ''));
    assert.equal(inspect(container(name)), null);
  }
  fs.writeFileSync(conf('bad-rights'), 'description: x\n', { mode: 0o000 });
  fs.mkdirSync(conf('bad-folder'));
  fs.symlinkSync('nowhere', conf('bad-link'));
  for (const name of ['bad-folder', 'bad-link', 'bad-rights'])
    await until(`${name} is reported`, () => explorer.json(`fleet/sut/${name}`)?.conf.error);
  fs.writeFileSync(conf('Bad_Name'), 'description: x\n');
  await explorer.until('fleet/state', (v) => v.includes('Bad_Name.conf'));
  assert.deepEqual(started(), before);
  for (const name of [...bad.map((b) => b[0]), 'bad-link', 'bad-rights', 'Bad_Name']) fs.unlinkSync(conf(name));
  fs.rmdirSync(conf('bad-folder'));
  await until('the reports are gone', () => ![...explorer.tree.keys()].some((t) => t.startsWith('fleet/sut/bad-')));
});

test("a broken edit leaves the running agent as it is", async () => {
  const text = fs.readFileSync(conf('bravo'), 'utf8');
  const before = started();
  fs.writeFileSync(conf('bravo'), 'phases: [\n');
  await until('reported', () => explorer.json('fleet/sut/bravo')?.conf.error);
  assert.equal((await explorer.job('bravo', 'true')).record.state, 'SUCCEEDED');
  fs.writeFileSync(conf('bravo'), text);
  await until('right again', () => explorer.json('fleet/sut/bravo')?.conf.error === null);
  assert.deepEqual(started(), before);
});

test('submits that cannot run are refused with a reason, and the next one runs', async () => {
  const rejected = async (payload, why, retain = false) => {
    explorer.publish('alpha/submit', payload, retain);
    await explorer.until('alpha/submit_status', (v) => v.startsWith('rejected: ') && v.includes(why));
  };
  await rejected('   ', 'empty');
  await rejected(Buffer.from([0x61, 0, 0xff]), 'NUL');
  await rejected('x'.repeat(300 * 1024), 'too large');
  await rejected('x'.repeat(3 * 1024 * 1024), 'too large');
  await rejected('{"comand": "x"}', "unknown key 'comand'");
  await rejected('echo retained', 'retained', true);
  await until('the retained submit is cleared', () => !explorer.tree.has('alpha/submit'));
  const mark = explorer.mark();
  explorer.publish('alpha/submit', ''); // MQTT Explorer's recursive delete
  assert.equal((await explorer.job('alpha', 'echo still here')).record.state, 'SUCCEEDED');
  assert.equal(explorer.since(mark, 'alpha/submit_status').filter((m) => m.text === 'rejected: empty').length, 0);
});

test("a foreign container with a SUT's name is reported and never touched", async () => {
  const id = docker('create', '--name', container('echo9'), '--label', 'owner=somebody', `sutfleet/agent:${process.env.SUTFLEET_TAG}`, 'sleep', '1');
  try {
    fs.writeFileSync(conf('echo9'), 'description: x\n');
    await until('reported', () => (explorer.json('fleet/sut/echo9')?.last_action?.result ?? '').startsWith('name taken'));
    assert.equal(inspect(container('echo9')).Id, id);
  } finally {
    docker('rm', '-f', id);
  }
  await explorer.until('echo9/agent', (v) => v === 'ok', 90);
  fs.unlinkSync(conf('echo9'));
  await until('gone', () => !inspect(container('echo9')));
});
