'use strict';
// A user's day: a job by a bare text, a SUT added, changed and deleted by its file.
const test = require('node:test');
const assert = require('node:assert');
const fs = require('node:fs');
const path = require('node:path');
const { sutDir, container, docker, byRole, inspect, until, Explorer } = require('./support.js');

let explorer;
test.before(async () => { explorer = await Explorer.open(); });
test.after(() => explorer.close());

const others = () => ['alpha', 'bravo', 'charlie'].map((s) => inspect(container(s)).State.StartedAt);

test('a bare text is accepted with an id, runs, and ends as SUCCEEDED', async () => {
  const { id, record, mark } = await explorer.job('alpha', 'uname -a; for i in 1 2 3; do echo line $i; sleep 1; done');
  assert.equal(record.state, 'SUCCEEDED');
  assert.equal(record.exit, 0);
  assert.deepEqual(Object.keys(record.phases), ['test']);
  assert.equal(explorer.get('alpha/last_job'), id);
  const status = explorer.since(mark, 'alpha/submit_status').map((m) => m.text);
  // A heartbeat may repeat `ready` before the submit arrives.
  const accepted = status.indexOf(`accepted ${id}: position 1`);
  assert.ok(accepted >= 0, status.join('; '));
  assert.equal(status[accepted + 1], `busy: ${id}, 0 queued`);
  const output = explorer.since(mark, 'alpha/output').map((m) => m.text).join('\n');
  for (const line of ['line 1', 'line 2', 'line 3']) assert.match(output, new RegExp(`^${line}$`, 'm'));
  await explorer.until('alpha/submit_status', (v) => v.startsWith('ready'));
});

test('a line is on the bus soon after it is written', async () => {
  // Both clocks are this machine's. The median, so that a busy machine does not decide.
  const { mark } = await explorer.job('alpha', 'for i in 1 2 3 4 5 6 7 8 9; do echo at=$(date +%s%3N); sleep 0.2; done');
  const lags = explorer.since(mark, 'alpha/output').flatMap((m) =>
    m.text.split('\n').filter((l) => l.startsWith('at=')).map((l) => m.at - Number(l.slice(3)))).sort((a, b) => a - b);
  assert.equal(lags.length, 9);
  assert.ok(lags[4] <= 50, `lags in ms: ${lags}`);
});

test("charlie's conf, a testflinger-agent's, runs its phases", async () => {
  const { record } = await explorer.job('charlie', 'echo hello');
  assert.equal(record.state, 'SUCCEEDED', JSON.stringify(record));
  assert.ok(record.phases.test);
});

test('a failing job says with what; the queue goes on', async () => {
  const { record } = await explorer.job('bravo', 'exit 7');
  assert.equal(record.state, 'FAILED');
  assert.equal(record.exit, 7);
  assert.equal((await explorer.job('bravo', 'true')).record.state, 'SUCCEEDED');
});

test('the same id again starts nothing and gets the same record', async () => {
  const text = JSON.stringify({ id: 'once', command: 'echo once' });
  const first = await explorer.job('bravo', text);
  const mark = explorer.mark();
  explorer.publish('bravo/submit', text);
  await until('the answer', () => explorer.since(mark, 'bravo/job/once').length > 0);
  assert.deepEqual(explorer.json('bravo/job/once'), first.record);
  explorer.publish('bravo/submit', JSON.stringify({ id: 'once', command: 'echo other' }));
  await explorer.until('bravo/submit_status', (v) => v === 'rejected: id used: once');
  await explorer.until('bravo/submit_status', (v) => v.startsWith('ready'));
});

test('a conf that is saved makes an agent; nothing else is restarted', async () => {
  const before = others();
  const saved = Date.now();
  fs.copyFileSync(path.join(sutDir, 'bravo.conf'), path.join(sutDir, 'delta.conf'));
  await until('the container exists', () => inspect(container('delta')), 20);
  assert.ok(Date.now() - saved < 3000, `it took ${Date.now() - saved} ms`);
  await explorer.until('delta/agent', (v) => v === 'ok');
  await until('healthy', () => inspect(container('delta')).State.Health.Status === 'healthy');
  assert.deepEqual(others(), before);
});

test('what touches only the agent is delivered into its container, and the reason says what it was', async () => {
  const { Id, State } = inspect(container('delta'));
  const conf = path.join(sutDir, 'delta.conf');
  const reasons = (mark) => explorer.since(mark, 'fleet/events').map((m) => JSON.parse(m.text)).filter((e) => e.sut === 'delta' && e.action === 'deliver').map((e) => e.reason);
  const change = async (what, reason) => {
    const mark = explorer.mark();
    what();
    await until(() => `${reason}: ${reasons(mark)}`, () => reasons(mark).includes(reason), 20);
  };
  await change(() => fs.appendFileSync(conf, '\nprobes: [{name: web, url: "http://127.0.0.1:1/"}]\nqueues: [delta, lab]\n'), 'probes, queues changed');
  await explorer.until('delta/web', (v) => v.startsWith('state: '));
  await change(() => fs.appendFileSync(conf, '# only a remark\n'), 'delta.conf changed');
  await change(() => fs.writeFileSync(path.join(sutDir, 'delta_note.txt'), 'x'), 'delta_note.txt changed');
  await change(() => fs.unlinkSync(path.join(sutDir, 'delta_note.txt')), 'delta_note.txt changed');
  const now = inspect(container('delta'));
  assert.equal(now.Id, Id);
  assert.equal(now.State.StartedAt, State.StartedAt);
});

test('changed resources recreate only that agent, after its job', async () => {
  const before = others();
  const old = inspect(container('delta')).Id;
  const job = explorer.job('delta', 'sleep 4; echo done');
  await explorer.until('delta/submit_status', (v) => v.startsWith('busy'));
  fs.appendFileSync(path.join(sutDir, 'delta.conf'), '\nresources: {memory: 200m}\n');
  await explorer.until('fleet/sut/delta', (v) => v.includes('resources.memory changed: it shapes another container; waits for the running job'));
  assert.equal(inspect(container('delta')).Id, old);
  assert.equal((await job).record.state, 'SUCCEEDED');
  const fresh = await until('recreated', () => { const now = inspect(container('delta')); return now && now.Id !== old && now; });
  assert.equal(fresh.HostConfig.Memory, 200 * 1024 * 1024);
  await explorer.until('delta/agent', (v) => v === 'ok');
  assert.deepEqual(others(), before);
});

test('enabled: false takes the container away, and leaves its jobs; without it the agent is back with them', async () => {
  const before = others();
  const file = path.join(sutDir, 'delta.conf');
  const conf = fs.readFileSync(file, 'utf8');
  const { done } = explorer.json('delta/jobs');
  assert.ok(done.length > 0);
  fs.writeFileSync(file, `${conf}\nenabled: false\n`);
  await until('the container is gone', () => !inspect(container('delta')));
  await explorer.until('delta/submit_status', (v) => v === 'rejected: parked');
  await until('it is parked', () => explorer.json('delta/state')?.state === 'parked');
  assert.equal(explorer.json('fleet/sut/delta').wanted, 'parked');
  fs.writeFileSync(file, conf);
  await explorer.until('delta/submit_status', (v) => v.startsWith('ready'));
  await until('it is ready', () => explorer.json('delta/state')?.state === 'ready');
  assert.deepEqual(explorer.json('delta/jobs').done, done);
  assert.deepEqual(others(), before);
});

test('a deleted conf takes its agent and its retained topics with it, and nothing else', async () => {
  const before = others();
  fs.unlinkSync(path.join(sutDir, 'delta.conf'));
  await until('the container is gone', () => !inspect(container('delta')));
  // All but what was never retained: the tree is of all that was heard.
  const left = () => [...explorer.tree.keys()].filter((t) => (t.startsWith('delta/') && !/^delta\/(submit$|cmd\/|res\/)/.test(t)) || t === 'fleet/sut/delta');
  await until('the topics are gone', () => left().length === 0);
  const newcomer = await Explorer.open();
  await newcomer.until('alpha/agent', (v) => v === 'ok');
  assert.deepEqual([...newcomer.tree.keys()].filter((t) => t.startsWith('delta/')), []);
  await newcomer.close();
  assert.deepEqual(others(), before);
});

test('a parked SUT whose conf is deleted is gone for good, whatever the broker does', async () => {
  fs.writeFileSync(path.join(sutDir, 'foxtrot.conf'), 'enabled: false\n');
  await until('it is parked', () => explorer.json('foxtrot/state')?.state === 'parked');
  fs.unlinkSync(path.join(sutDir, 'foxtrot.conf'));
  const left = (tree) => [...tree.keys()].filter((t) => t.startsWith('foxtrot/') || t === 'fleet/sut/foxtrot');
  await until('the topics are gone', () => left(explorer.tree).length === 0);
  docker('restart', '-t', '5', byRole('broker')); // all that the supervisor still says it says again then
  const mark = explorer.mark();
  await until('all is said again', () => ['fleet/supervisor', 'fleet/sut/alpha', 'alpha/agent'].every((topic) => explorer.since(mark, topic).some((m) => !m.retain && m.text !== 'offline')), 90);
  await explorer.until('alpha/agent', (v) => v === 'ok');
  assert.deepEqual(left(explorer.tree), []);
});

test('a tree that somebody deletes is back within its minute', async () => {
  const topics = [...explorer.tree.keys()].filter((t) => t.startsWith('bravo/'));
  const mark = explorer.mark();
  for (const topic of topics) explorer.publish(topic, '', true);
  // Its minute may end the very moment after.
  await until('deleted', () => explorer.since(mark, 'bravo/jobs').some((m) => m.text === ''), 20);
  for (const topic of ['bravo/agent', 'bravo/state', 'bravo/submit_status', 'bravo/jobs', 'bravo/last_job'])
    await explorer.until(topic, (v) => v !== '', 75);
});
