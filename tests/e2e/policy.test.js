'use strict';
// A SUT that runs named commands only, in the real stack: by whoever submits, over whatever way.
const test = require('node:test');
const assert = require('node:assert');
const fs = require('node:fs');
const path = require('node:path');
const { spawnSync } = require('node:child_process');
const { sutDir, container, inspect, byRole, until, Explorer } = require('./support.js');

const conf = (shell) => `
queues: [named]
submit:
  shell: ${shell}
  commands:
    show: {run: [printf, '<%s>\\n', "{what}"], parameters: {what: {type: text, max_length: 20}}}
    slot: {run: [echo, "slot {n}"], parameters: {n: {type: integer, min: 0, max: 3}}}
`;
const file = path.join(sutDir, 'named.conf');
let explorer;
test.before(async () => {
  explorer = await Explorer.open();
  fs.writeFileSync(file, conf(false));
  await explorer.until('named/submit_status', (v) => v.startsWith('ready'), 120);
});
test.after(async () => {
  fs.unlinkSync(file);
  await until('it is gone', () => !inspect(container('named')));
  explorer.close();
});

const sutctl = (...words) => {
  const ran = spawnSync('docker', ['exec', byRole('supervisor'), 'sutctl', ...words], { encoding: 'utf8', timeout: 90_000 });
  return { code: ran.status, out: ran.stdout, err: ran.stderr };
};
const refused = async (payload, why) => {
  const mark = explorer.mark();
  explorer.publish('named/submit', payload);
  await until(why, () => explorer.since(mark, 'named/submit_status').some((m) => m.text.startsWith('rejected: ') && m.text.includes(why)));
};

test('a named command runs with its values as they are; the record says who submitted it', async () => {
  explorer.publish('named/submit', JSON.stringify({ id: 'n1', command: 'show', arguments: { what: '$(id) ; a "b"' } }));
  await explorer.until('named/output', (v) => v.includes('<$(id) ; a "b">'));
  const ran = sutctl('submit', 'named', '--wait', 'slot', 'n=2');
  assert.deepEqual([ran.code, ran.out.trim()], [0, 'slot 2'], ran.err);
  const record = await until('the record names somebody', () => {
    const one = explorer.json(`named/job/${explorer.get('named/last_job')}`);
    return one?.submitted_by.name && one;
  });
  assert.match(record.submitted_by.name, /@/);
  assert.equal(record.submitted_by.user, 'console');
  assert.equal(explorer.json('named/job/n1').submitted_by.user, 'operator');
});

test('all else is refused with what is allowed', async () => {
  await refused('id', "'id' is not allowed: expected one of show, slot");
  await refused('slot n=4', 'usage: slot n=0..3');
  await refused(JSON.stringify({ command: 'slot n=1', env: { LD_PRELOAD: '/tmp/x.so' } }), "'env' is not allowed");
  await refused(JSON.stringify({ command: 'slot n=1', provision_data: { url: 'x' } }), "'provision_data' is not allowed");
  const ran = sutctl('submit', 'named', '--', 'reboot');
  assert.equal(ran.code, 4);
  assert.match(ran.err, /'reboot' is not allowed: expected one of show, slot/);
});

test('describe and the retained report list the commands', async () => {
  const { shell, commands } = explorer.json('fleet/sut/named').submit;
  assert.deepEqual([shell, commands], [false, ['show what=TEXT', 'slot n=0..3']]);
  assert.match(sutctl('describe', 'named').out, /only these may be submitted\n {2}show what=TEXT\n {2}slot n=0\.\.3/);
});

test("a queue's job that no SUT of it lets run is refused, with the reason; one that it lets run runs", async () => {
  const queue = 'fleet/queue/named';
  explorer.publish(`${queue}/submit`, JSON.stringify({ id: 'q1', command: 'reboot' }));
  const record = await until('it ends', () => explorer.json(`${queue}/job/q1`)?.finished && explorer.json(`${queue}/job/q1`));
  assert.equal(record.state, 'REJECTED');
  assert.match(record.reason, /'reboot' is not allowed/);
  assert.equal(sutctl('submit', '--queue', 'named', '--wait', '--', 'slot', 'n=1').code, 0);
});

test('an edit of the conf counts at once, without a new container', async () => {
  const before = inspect(container('named')).Id;
  fs.writeFileSync(file, conf(true));
  await until('a shell text runs', () => sutctl('submit', 'named', '--wait', '--', 'echo "any text"').out.includes('any text'), 60);
  fs.writeFileSync(file, conf(false));
  await until('it is refused again', () => sutctl('submit', 'named', '--wait', '--', 'echo again').code === 4, 60);
  assert.equal(inspect(container('named')).Id, before);
});
