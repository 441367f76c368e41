'use strict';
// sutctl against the real supervisor, as `docker exec` runs it.
const test = require('node:test');
const assert = require('node:assert');
const { spawn, spawnSync } = require('node:child_process');
const { byRole, container, inspect, until, Explorer } = require('./support.js');

let explorer;
test.before(async () => { explorer = await Explorer.open(); });
test.after(() => explorer.close());

/** @return {{code: number, out: string, err: string}} */
function sutctl(...words) {
  const ran = spawnSync('docker', ['exec', byRole('supervisor'), ...words], { encoding: 'utf8', timeout: 90_000 });
  return { code: ran.status, out: ran.stdout, err: ran.stderr };
}

test('a converged fleet has nothing to do, says so, and takes the commands', async () => {
  await until('nothing to do', () => sutctl('sutctl', 'plan').out === 'nothing to do\n');
  assert.equal(sutctl('sutctl', 'apply').code, 0);
  assert.equal(sutctl('sutctl', 'reset', 'alpha').code, 0);
  assert.notEqual(sutctl('sutctl', 'reset', 'nosuch').code, 0);
  assert.match(sutctl('sutctl', 'version').out, /^sutctl \d/);
});

test('ps shows each SUT, as text and as JSON', () => {
  const rows = sutctl('sutctl', 'ps', '--json').out.trim().split('\n').map((line) => JSON.parse(line));
  assert.deepEqual(rows.map((row) => row.sut).sort(), ['alpha', 'bravo', 'charlie']);
  for (const row of rows) assert.equal(row.agent, 'ok');
});

test('events shows an action with its reason; an interrupt ends it with 130', async () => {
  const before = inspect(container('bravo')).State.StartedAt;
  const watching = new Promise((done) => {
    const child = spawn('docker', ['exec', byRole('supervisor'), 'timeout', '--preserve-status', '-s', 'INT', '12', 'sutctl', 'events', '-f']);
    let out = '';
    child.stdout.on('data', (text) => { out += text; });
    child.on('close', (code) => done({ code, out }));
  });
  explorer.publish('fleet/cmd/restart', 'bravo');
  await until('restarted', () => inspect(container('bravo')).State.StartedAt !== before);
  await explorer.until('bravo/agent', (v) => v === 'ok');
  const { code, out } = await watching;
  assert.equal(code, 130);
  assert.match(out, /bravo.*restart.*asked for/);
});

test('submit waits and ends with the job\'s own code; what is wrong has its code', () => {
  assert.equal(sutctl('sutctl', 'submit', '--wait', 'alpha', '--', 'echo out; exit 9').code, 9);
  assert.equal(sutctl('sutctl', 'submit', '--wait', '--timeout', '1s', 'alpha', '--', 'sleep 30').code, 124);
  assert.equal(sutctl('sutctl', 'cancel', 'alpha').code, 4); // no job runs
  assert.equal(sutctl('sutctl', 'submit', 'nosuch', '--', 'true').code, 4);
  assert.equal(sutctl('sutctl', 'no-such-command').code, 2);
});

test('validate names file, line, column and what was expected', () => {
  assert.equal(sutctl('sutctl', 'validate', '/sut/alpha.conf').code, 0);
  const bad = sutctl('sh', '-c', "printf 'description: x\\ncomand: y\\n' > /tmp/bad.conf; sutctl validate /tmp/bad.conf");
  assert.notEqual(bad.code, 0);
  assert.match(bad.out + bad.err, /bad\.conf:2:1: .*comand/);
});

test('drain refuses jobs until resume', async () => {
  assert.equal(sutctl('sutctl', 'drain', 'bravo').code, 0);
  await explorer.until('bravo/state', (v) => JSON.parse(v).state === 'draining');
  assert.equal(sutctl('sutctl', 'submit', 'bravo', '--', 'true').code, 4);
  assert.equal(sutctl('sutctl', 'resume', 'bravo').code, 0);
  assert.equal(sutctl('sutctl', 'submit', '--wait', 'bravo', '--', 'true').code, 0);
});

test('describe shows the conf with its origins and what was done', () => {
  const { out } = sutctl('sutctl', 'describe', 'alpha');
  assert.match(out, /alpha\.conf:\d+/);
  assert.match(out, /history, newest first\n\s+\d{4}-.*(create|start|deliver|restart)/);
  const all = JSON.parse(sutctl('sutctl', '--json', 'describe', 'bravo').out);
  assert.equal(all.agent, 'ok');
  assert.ok(all.conf.some((key) => key.key === 'timeouts.job' && key.origin === 'default'));
});

test('doctor finds the broker, the supervisor and its agents', () => {
  const lines = sutctl('sutctl', 'doctor', '--json').out.trim().split('\n').map((line) => JSON.parse(line));
  const grade = (check) => lines.filter((line) => line.check === check).map((line) => line.grade);
  for (const check of ['broker', 'credentials', 'supervisor', 'confs']) assert.deepEqual(grade(check), ['ok'], check);
});
