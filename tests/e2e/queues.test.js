'use strict';
// A queue that two SUTs serve, in the real stack.
const test = require('node:test');
const assert = require('node:assert');
const fs = require('node:fs');
const path = require('node:path');
const { spawnSync } = require('node:child_process');
const { stack, sutDir, container, docker, inspect, byRole, until, Explorer } = require('./support.js');

const suts = ['pool-a', 'pool-b'];
const queue = 'fleet/queue/lab';
let explorer;
test.before(async () => {
  explorer = await Explorer.open();
  for (const sut of suts) fs.writeFileSync(path.join(sutDir, `${sut}.conf`), 'queues: [lab]\n');
  for (const sut of suts) await explorer.until(`${sut}/submit_status`, (v) => v.startsWith('ready'), 120);
  await until('both serve it', () => explorer.json(`${queue}/status`)?.serves.length === 2);
});
test.after(async () => {
  for (const sut of suts) fs.unlinkSync(path.join(sutDir, `${sut}.conf`));
  await until('they are gone', () => suts.every((sut) => !inspect(container(sut))));
  explorer.close();
});

const submit = (id, command) => explorer.publish(`${queue}/submit`, JSON.stringify({ id, command }));
const record = (id) => explorer.json(`${queue}/job/${id}`);
const ended = async (id) => until(`${id} ends`, () => record(id)?.finished && record(id), 120);
const sutctl = (...words) => {
  const ran = spawnSync('docker', ['exec', byRole('supervisor'), 'sutctl', ...words], { encoding: 'utf8', timeout: 90_000 });
  return { code: ran.status, out: ran.stdout, err: ran.stderr };
};

test('jobs go to whichever is idle, each to one, and once', async () => {
  for (let n = 0; n < 20; n += 1) submit(`each-${n}`, `echo each-${n} >> /var/lib/sutfleet/ran; sleep 0.2`);
  for (let n = 0; n < 20; n += 1) assert.equal((await ended(`each-${n}`)).state, 'SUCCEEDED');
  submit('each-3', 'echo each-3 >> /var/lib/sutfleet/ran; sleep 0.2'); // the same again: the same job
  await until('it is known', () => explorer.json(`${queue}/status`).said === 'accepted each-3: known');
  const ran = suts.map((sut) => docker('exec', container(sut), 'cat', '/var/lib/sutfleet/ran').split('\n'));
  assert.ok(ran[0].length > 2 && ran[1].length > 2, JSON.stringify(ran));
  assert.deepEqual(ran.flat().sort(), Array.from({ length: 20 }, (_, n) => `each-${n}`).sort());
});

test('a SUT without `queues` serves one of its own name, and its status says with what it is busy', async () => {
  const own = () => explorer.json('fleet/queue/alpha/status');
  await until('it is idle', () => own()?.length === 0 && own().serves.join() === 'alpha' && !own().busy.alpha, 60);
  const id = `own-${Date.now()}`;
  explorer.publish('alpha/submit', JSON.stringify({ id, command: 'sleep 300' }));
  await until('it is busy with that', () => own().busy.alpha?.startsWith(`busy: ${id}`));
  explorer.publish('alpha/cmd/cancel', id);
  await until('it is idle again', () => !own().busy.alpha);
});

test('a queue that nobody serves is refused at once', async () => {
  const mark = explorer.mark();
  explorer.publish('fleet/queue/nobody/submit', 'true');
  await until('the answer', () => explorer.since(mark, 'fleet/queue/nobody/status').some((m) => m.text.includes("no SUT serves the queue 'nobody'")));
  assert.equal(sutctl('submit', '--queue', 'nobody', '--', 'true').code, 4);
});

test('where all SUTs of the queue are down a job is taken, and the answer says so', async () => {
  const conf = path.join(sutDir, 'dark-one.conf');
  fs.writeFileSync(conf, 'queues: [dark]\nenabled: false\n');
  try {
    await until('it serves it', () => explorer.json('fleet/queue/dark/status')?.serves.length === 1);
    explorer.publish('fleet/queue/dark/submit', JSON.stringify({ id: 'in-the-dark', command: 'true' }));
    await until('the answer', () => explorer.json('fleet/queue/dark/status').said === 'accepted in-the-dark: position 1; waits: dark-one is parked');
    assert.equal(explorer.json('fleet/queue/dark/job/in-the-dark').why, 'dark-one is parked');
    assert.equal(sutctl('cancel', '--queue', 'dark', 'in-the-dark').code, 0);
  } finally {
    fs.unlinkSync(conf);
    await until('nobody serves it, and nothing waits', () => explorer.get('fleet/queue/dark/status') === '', 60);
  }
});

test('while none can take it a job waits and says for what', async () => {
  for (const sut of suts) explorer.publish(`${sut}/cmd/drain`, ' ');
  for (const sut of suts) await explorer.until(`${sut}/submit_status`, (v) => v.includes('draining'));
  submit('waits', 'echo here');
  await until('the reason', () => /pool-a rejected: draining; pool-b rejected: draining/.test(record('waits')?.why ?? ''));
  explorer.publish('pool-b/cmd/resume', ' ');
  assert.equal((await ended('waits')).sut, 'pool-b');
  explorer.publish('pool-a/cmd/resume', ' ');
});

test('sutctl cancel --queue ends what waits, and what runs on the SUT that has it', async () => {
  submit('to-cancel', 'sleep 600');
  const { sut } = await until('it runs', () => record('to-cancel')?.state === 'RUNNING' && record('to-cancel'));
  for (const one of suts) explorer.publish(`${one}/cmd/drain`, ' ');
  for (const one of suts) await explorer.until(`${one}/submit_status`, (v) => /draining|busy/.test(v));
  submit('never-starts', 'echo never >> /var/lib/sutfleet/ran');
  await until('it waits', () => record('never-starts')?.state === 'QUEUED');
  const { code, out, err } = sutctl('cancel', '--queue', 'lab', 'never-starts');
  assert.deepEqual([code, out], [0, 'canceled never-starts\n'], err);
  assert.equal((await ended('never-starts')).state, 'CANCELED');
  assert.equal(sutctl('cancel', '--queue', 'lab', 'never-starts').code, 4);
  assert.equal(sutctl('cancel', '--queue', 'lab', 'nobody-knows-it').code, 4);
  assert.equal(sutctl('cancel', '--queue', 'lab').code, 2);
  assert.equal(sutctl('cancel', '--queue', 'lab', 'to-cancel').out, `canceling to-cancel on ${sut}\n`);
  assert.equal((await ended('to-cancel')).state, 'CANCELED');
  assert.equal(explorer.json(`${sut}/job/to-cancel`).state, 'CANCELED');
  for (const one of suts) explorer.publish(`${one}/cmd/resume`, ' ');
  for (const one of suts) await explorer.until(`${one}/submit_status`, (v) => v.startsWith('ready'));
  for (const one of suts) assert.ok(!docker('exec', container(one), 'cat', '/var/lib/sutfleet/ran').includes('never'));
});

test('a submit while the supervisor is away is taken when it is back; a job goes on without it', async () => {
  submit('long', 'sleep 3; exit 5');
  await until('it runs', () => record('long')?.state === 'RUNNING');
  docker('kill', byRole('supervisor'));
  submit('meanwhile', 'echo meanwhile');
  await new Promise((done) => setTimeout(done, 3500));
  docker('start', byRole('supervisor'));
  const long = await ended('long');
  assert.deepEqual([long.state, long.exit], ['FAILED', 5]);
  assert.equal((await ended('meanwhile')).state, 'SUCCEEDED');
});

test('the death of the SUT that has a job is told; the next jobs are not held up', async () => {
  submit('cut-off', 'sleep 600');
  const { sut } = await until('it runs', () => record('cut-off')?.state === 'RUNNING' && record('cut-off'));
  submit('next', 'echo next');
  docker('kill', container(sut));
  assert.equal((await ended('next')).state, 'SUCCEEDED');
  const lost = await ended('cut-off');
  assert.equal(lost.state, 'LOST');
  assert.match(lost.reason, /the agent ended while the job ran/);
});

/** Takes a SUT away while no supervisor sees it: conf, container and, if asked for, its state volume. */
function takeAway(sut, withState) {
  docker('stop', byRole('supervisor'));
  docker('rm', '-f', container(sut));
  if (withState) docker('volume', 'rm', `${stack}-${sut}-state`);
  fs.unlinkSync(path.join(sutDir, `${sut}.conf`));
  docker('start', byRole('supervisor'));
}
async function bringBack(sut) {
  fs.writeFileSync(path.join(sutDir, `${sut}.conf`), 'queues: [lab]\n');
  await explorer.until(`${sut}/submit_status`, (v) => v.startsWith('ready'), 120);
}

test('a SUT that is taken away while a job runs: its journal in the state volume tells, and without one the truth is told', async () => {
  for (const withState of [false, true]) {
    const id = `gone-${withState}`;
    submit(id, `echo ${id} >> /var/lib/sutfleet/ran; sleep 600`);
    const { sut } = await until('it runs', () => record(id)?.state === 'RUNNING' && record(id));
    takeAway(sut, withState);
    const lost = await ended(id);
    assert.deepEqual([lost.state, lost.sut], ['LOST', sut]);
    assert.match(lost.reason, withState
      ? new RegExp(`${sut} is gone: its state volume ${stack}-${sut}-state is gone, too, so that nobody knows whether the job ran`)
      : new RegExp(`${sut} is gone: its container went while the job ran`));
    await bringBack(sut);
    const ran = suts.map((one) => docker('exec', container(one), 'sh', '-c', 'cat /var/lib/sutfleet/ran || true')).join('\n').split('\n');
    assert.equal(ran.filter((line) => line === id).length, withState ? 0 : 1);
    assert.doesNotMatch(docker('exec', container(sut), 'ls', '/var/lib/sutfleet'), /withdrawn/);
  }
});

test('sutctl submit --queue waits, shows the output, and ends with the job\'s code', () => {
  const { code, out, err } = sutctl('submit', '--queue', 'lab', '--wait', '--', 'echo first; sleep 1; echo last; exit 3');
  assert.equal(code, 3, err);
  assert.equal(out, 'first\nlast\n');
  assert.match(err, /on pool-[ab]: FAILED, exit 3/);
});
