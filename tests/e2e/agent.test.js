'use strict';
// The health of an agent, line by line as docs/reference.md has it: each test breaks one thing in a real container and looks for
// the verdict and its one line of a reason wherever a person would: the engine's probe, `agent`, `state`, `sutctl ps`.
// Then what must not make an agent unhealthy.
const test = require('node:test');
const assert = require('node:assert');
const { spawn } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const readline = require('node:readline');
const {
  root, stack, container, docker, look, ran, inside, sutctl, byRole, until, sleep, Explorer, writeConf, removeSuts,
} = require('./support.js');

const programs = process.env.SUTFLEET_TEST_PROGRAMS ?? path.join(root, 'build/dev/tests/e2e');
const fakeClock = process.env.SUTFLEET_FAKE_CLOCK ?? path.join(root, 'build/dev/tests/libfake_clock.so');
const clockImage = `sutfleet/test-clock:${process.env.SUTFLEET_TAG}`;
const state = '/var/lib/sutfleet';

// Says what is appended to the file `said`, byte by byte as it comes.
const parrot = `: > ${state}/said; echo up; exec tail -n +1 -f ${state}/said`;
const quick = { heartbeat: '500ms', max_age: '3s', interval: '2s', on_unhealthy: 'none' };
const patient = { heartbeat: '1s', max_age: '8s', interval: '3s' }; // of those that must stay well, whatever else runs here
const confs = {
  'h-main': { command: 'exec sleep 1000', health: quick },
  'h-again': { command: 'exec sleep 1000', health: { ...quick, on_unhealthy: 'restart' } },
  'h-cut': { command: 'exec sleep 1000', health: { ...quick, on_unhealthy: 'restart' } },
  'h-pump': { command: 'exec sleep 1000', health: quick },
  'h-crash': { command: 'exit 3', restart: 'always', health: { ...quick, on_unhealthy: 'restart' } },
  'h-silence': { command: parrot, health: { ...quick, silence: '3s' } },
  'h-lines': { command: parrot, health: { ...quick, unhealthy_on: ['Kernel panic.*syncing'], clear_on: ['login: $'] } },
  'h-init': { command: 'echo command runs; exec sleep 1000', init: [{ name: 'flash', run: `[ -e ${state}/go ] || exit 3` }], health: { ...quick, on_unhealthy: 'restart' } },
  'h-renew': { command: 'exec sleep 1000', renew: [{ name: 'token', run: `[ ! -e ${state}/no ] || exit 4`, every: '1s' }], health: { ...quick, on_unhealthy: 'restart' } },
  'h-disk': { command: 'n=0; while sleep 0.05; do n=$((n+1)); echo line $n; done', log: { max_bytes: '64k', keep: 2 }, health: { ...quick, on_unhealthy: 'restart' } },
  'n-quiet': { command: 'exec sleep 100000', health: patient },
  'n-hogs': { command: 'while sleep 1; do echo tick; done', health: patient },
  'n-clock': { command: 'while sleep 1; do echo tick; done', image: clockImage, health: { ...patient, silence: '10s' } },
};
const suts = Object.keys(confs);
const well = suts.filter((sut) => sut.startsWith('n-'));

let explorer, engineSaid = [], watch;
const began = {};

const started = async (sut) => (await look(container(sut))).State.StartedAt;
const say = (sut, text) => inside(sut, 'sh', '-c', `printf '${text}' >> ${state}/said`);

test.before(async () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'sutfleet-clock-'));
  fs.copyFileSync(fakeClock, path.join(folder, 'fake_clock.so'));
  fs.writeFileSync(path.join(folder, 'Dockerfile'), `FROM sutfleet/agent:${process.env.SUTFLEET_TAG}
COPY fake_clock.so /fake_clock.so
ENV LD_PRELOAD=/fake_clock.so FAKE_CLOCK=${state}/clock
`);
  docker('build', '-q', '-t', clockImage, folder);
  fs.rmSync(folder, { recursive: true });
  docker('volume', 'create', '--label', `io.sutfleet.stack=${stack}`, '--opt', 'type=tmpfs', '--opt', 'device=tmpfs',
    '--opt', 'o=size=2m,mode=0777', `${stack}-h-disk-state`);
  explorer = await Explorer.open();
  watch = spawn('docker', ['events', '--filter', 'event=health_status', '--filter', `label=io.sutfleet.stack=${stack}`,
    '--format', '{{.Actor.Attributes.name}} {{.Action}}'], { stdio: ['ignore', 'pipe', 'inherit'] });
  readline.createInterface({ input: watch.stdout }).on('line', (line) => engineSaid.push(line)); // the client writes a line in pieces
  for (const sut of suts) writeConf(sut, confs[sut]);
});
test.after(async () => {
  watch?.kill();
  await explorer?.close();
  await removeSuts(suts);
  await ran('docker', 'image', 'rm', clockImage);
});

async function isOk(sut) {
  await explorer.until(`${sut}/agent`, (v) => v === 'ok', 120);
  await until(`${sut}: healthy`, async () => (await look(container(sut)))?.State.Health.Status === 'healthy', 60);
}

/** The engine's own verdict; its probe says why, in one line. */
async function engineSaysUnhealthy(sut, why) {
  const health = await until(`${sut}: the engine says unhealthy: ${why}`, async () => {
    const now = (await look(container(sut)))?.State.Health;
    return now?.Status === 'unhealthy' && why.test(now.Log.at(-1).Output) && now;
  }, 90);
  assert.equal(health.Log.at(-1).ExitCode, 1);
  assert.match(health.Log.at(-1).Output, /^[^\n]+\n$/);
}

async function psSaysUnhealthy(sut, why) {
  let row;
  await until(`sutctl ps: ${sut} unhealthy: ${why}`, async () => {
    row = (await sutctl('ps')).out.split('\n').find((line) => line.startsWith(`${sut} `)) ?? '';
    return (/^\S+\s+\S+\s+unhealthy\s/.test(row) && why.test(row)) || (await sleep(500), false);
  }, 60).catch((error) => { throw new Error(`${error.message}; now: ${row}`); });
}

/** The same reason wherever one looks. */
async function unhealthyEverywhere(sut, why) {
  await explorer.until(`${sut}/agent`, (v) => v.startsWith('unhealthy: ') && why.test(v) && !v.includes('\n'), 90);
  await until(`${sut}/state says why`, () => why.test(explorer.json(`${sut}/state`)?.why ?? ''));
  await Promise.all([engineSaysUnhealthy(sut, why), psSaysUnhealthy(sut, why)]);
}

/** Stops one thread, as a debugger does. @return how it is let go */
async function freeze(sut, thread) {
  const child = spawn(path.join(programs, 'freeze_thread'), [String((await look(container(sut))).State.Pid), thread]);
  await new Promise((done, bad) => {
    child.stdout.once('data', done);
    child.once('exit', () => bad(new Error(`the thread ${thread} of ${sut} cannot be stopped`)));
  });
  const ended = new Promise((done) => { child.once('exit', done); });
  return () => { child.stdin.end(); return ended; };
}

const held = (sut, why) => until(`${sut}: held: ${why}`, () => why.test(explorer.json(`fleet/sut/${sut}`)?.hold ?? ''), 60);

test.describe('what makes an agent unhealthy', { concurrency: true }, () => {
  test.it('a main loop that is stuck', async () => {
    await isOk('h-main');
    const before = await started('h-main');
    const letGo = await freeze('h-main', 'agent-entry');
    try {
      await engineSaysUnhealthy('h-main', /^the main loop has not moved for \d+ s, allowed are 3 s$/m);
      await psSaysUnhealthy('h-main', /the main loop has not moved for \d+ s/);
      assert.equal(explorer.get('h-main/agent'), 'ok'); // it cannot say so itself
    } finally {
      await letGo();
    }
    await isOk('h-main');
    assert.equal(await started('h-main'), before);
  });

  test.it('a main loop that stays stuck: restarted by force, and the evidence is kept', async () => {
    await isOk('h-again');
    const before = await started('h-again');
    const letGo = await freeze('h-again', 'agent-entry');
    const report = await until('restarted', () => { const now = explorer.json('fleet/sut/h-again'); return now?.last_action?.what === 'restart' && now; }, 90);
    assert.match(report.last_action.why, /^unhealthy: the main loop has not moved for \d+ s/);
    assert.match(report.evidence.why, /the main loop has not moved|no heartbeat on the bus/);
    await isOk('h-again');
    assert.notEqual(await started('h-again'), before);
    await letGo();
  });

  test.it('only unreachable: degraded, and not restarted', async () => {
    await isOk('h-cut');
    const before = await started('h-cut');
    docker('network', 'disconnect', '-f', `${stack}-bus`, container('h-cut'));
    try {
      await until('its probe is fine', async () => /^degraded: broker away/.test((await look(container('h-cut'))).State.Health.Log.at(-1).Output), 60);
      await until('unreachable', () => { const now = explorer.json('fleet/sut/h-cut'); return now?.health === 'degraded' && /unreachable: its probe is fine/.test(now.why); }, 90);
    } finally {
      docker('network', 'connect', '--alias', 'h-cut', `${stack}-bus`, container('h-cut'));
    }
    await isOk('h-cut');
    assert.equal(await started('h-cut'), before);
  });

  test.it('an output pump that is stuck', async () => {
    await isOk('h-pump');
    const before = await started('h-pump');
    const letGo = await freeze('h-pump', 'pump');
    try {
      await unhealthyEverywhere('h-pump', /the output pump has not moved for/);
    } finally {
      await letGo();
    }
    await isOk('h-pump');
    assert.equal(await started('h-pump'), before);
  });

  test.it('a crash loop of the command; the restart waits for the running job', async () => {
    await explorer.until('h-crash/submit_status', (v) => v.startsWith('ready'), 60);
    const before = await started('h-crash');
    const job = explorer.job('h-crash', `while [ ! -e ${state}/go ]; do sleep 0.2; done`, 120);
    await unhealthyEverywhere('h-crash', /command in a crash loop: ended \d+ times in 10 min, last with 3/);
    await held('h-crash', /crash loop.*; waits for the running job/);
    assert.equal(await started('h-crash'), before);
    await inside('h-crash', 'touch', `${state}/go`);
    assert.equal((await job).record.state, 'SUCCEEDED');
    const report = await until('restarted', () => { const now = explorer.json('fleet/sut/h-crash'); return now?.last_action?.what === 'restart' && now; });
    assert.match(report.last_action.why, /^unhealthy: command in a crash loop/);
    assert.match(report.evidence.health_log, /crash loop/);
  });

  test.it('silence, where the conf calls it a fault', async () => {
    await unhealthyEverywhere('h-silence', /silence: no output of the command for more than 3s/);
    const talk = setInterval(() => say('h-silence', 'x\\n'), 1000);
    try { await isOk('h-silence'); } finally { clearInterval(talk); }
  });

  test.it('a line that matches unhealthy_on, across two writes, until one matches clear_on', async () => {
    await isOk('h-lines');
    await say('h-lines', 'Kernel pa');
    await explorer.until('h-lines/output', (v) => v.endsWith('Kernel pa'));
    await say('h-lines', 'nic - not syncing\\n');
    await unhealthyEverywhere('h-lines', /the output matches 'Kernel panic\.\*syncing': Kernel panic - not syncing/);
    await say('h-lines', 'harmless\\n');
    await explorer.until('h-lines/output', (v) => v.endsWith('harmless'));
    assert.match(explorer.get('h-lines/agent'), /^unhealthy/);
    await say('h-lines', 'alpha login: '); // no newline comes
    await isOk('h-lines');
  });

  test.it('an init step that failed: never an idle Up, not restarted, and sutctl reinit does it again', async () => {
    await unhealthyEverywhere('h-init', /init flash failed \(3\)/);
    const before = await started('h-init');
    await held('h-init', /init flash failed \(3\).*; a restart would not help/);
    assert.equal(explorer.json('h-init/state').state, 'init');
    explorer.publish('h-init/submit', JSON.stringify({ id: 'waits', command: 'true' }));
    await explorer.until('h-init/job/waits', (v) => v.includes('"QUEUED"'));
    assert.equal((await sutctl('reinit', 'h-init', 'nosuch')).code, 4);
    await inside('h-init', 'touch', `${state}/go`);
    const said = await sutctl('reinit', 'h-init', 'flash');
    assert.match(said.out, /^does again: flash$|is running: wait for its end$|/m);
    await isOk('h-init');
    await until('the job ran', () => explorer.json('h-init/job/waits')?.state === 'SUCCEEDED');
    assert.equal(await started('h-init'), before);
  });

  test.it('a renewal that failed; it recovers by itself', async () => {
    await isOk('h-renew');
    const before = await started('h-renew');
    await inside('h-renew', 'touch', `${state}/no`);
    await unhealthyEverywhere('h-renew', /renew token failed \(4\)/);
    assert.match(explorer.get('h-renew/credential/token'), /^state: error \|.*renew token failed \(4\)/);
    await held('h-renew', /renew token failed \(4\).*; a restart would not help/);
    await inside('h-renew', 'rm', `${state}/no`);
    await isOk('h-renew');
    await explorer.until('h-renew/credential/token', (v) => v.startsWith('state: ok'));
    assert.equal(await started('h-renew'), before);
  });

  test.it('no room for logs: stdout and MQTT go on, and it recovers when there is room', async () => {
    await isOk('h-disk');
    const before = await started('h-disk');
    await inside('h-disk', 'sh', '-c', `cat /dev/zero > ${state}/filler; for n in 1 2 3 4 5 6 7 8; do cat /dev/zero > ${state}/filler$n; done 2>/dev/null`);
    await unhealthyEverywhere('h-disk', /no room for logs, make some on the state volume/);
    await held('h-disk', /no room for logs.*; a restart would not help/);
    const line = Number(/line (\d+)/.exec(explorer.get('h-disk/output'))[1]) + 20;
    await explorer.until('h-disk/output', (v) => Number(/line (\d+)$/.exec(v)?.[1]) >= line);
    await until('stdout goes on', async () => (await ran('docker', 'logs', '--tail', '5', container('h-disk'))).out.includes('line ' + String(line).slice(0, -1)));
    await inside('h-disk', 'sh', '-c', `rm ${state}/filler*`);
    await isOk('h-disk');
    const end = `line ${/line (\d+)$/.exec(explorer.get('h-disk/output'))[1]}\n`;
    await until('the file has all again', async () => (await inside('h-disk', 'sh', '-c', `cat ${state}/log/agent.log`)).out.includes(end));
    assert.equal(await started('h-disk'), before);
  });

  // What must not: watched to the end of this file; the first things to bear are here.

  test.it('not a machine that is busy: four hogs', async () => {
    await isOk('n-hogs');
    began['n-hogs'] = await started('n-hogs');
    const { record } = await explorer.job('n-hogs', 'for i in 1 2 3 4; do (while :; do :; done) & done; sleep 20', 120);
    assert.equal(record.state, 'SUCCEEDED');
  });

  test.it('not a quiet command', async () => {
    await isOk('n-quiet');
    began['n-quiet'] = await started('n-quiet');
  });

  test.it('not a clock that is set, by an hour or a year, back or forward', async () => {
    await isOk('n-clock');
    began['n-clock'] = await started('n-clock');
    const hour = 3600, year = 365 * 24 * hour;
    for (const offset of [hour, -hour, year, -year]) {
      await inside('n-clock', 'sh', '-c', `echo ${offset} > ${state}/clock.new && mv ${state}/clock.new ${state}/clock`);
      const off = Number((await inside('n-clock', 'date', '+%s')).out) - Date.now() / 1000;
      assert.ok(Math.abs(off - offset) < 120, `the clock is off by ${off}, not ${offset}`);
      const mark = explorer.mark();
      const { record } = await explorer.job('n-clock', 'echo done');
      assert.equal(record.state, 'SUCCEEDED');
      assert.ok(Math.abs(Date.parse(record.submitted) / 1000 - Date.now() / 1000 - offset) < 120, record.submitted); // it does see that clock
      await until('five heartbeats', () => explorer.since(mark, 'n-clock/agent').length >= 5); // with its own clock
      assert.equal((await inside('n-clock', '/opt/sutfleet/bin/healthcheck')).code, 0);
    }
  });
});

test('nor a broker that is away for more than a minute: degraded, and nothing is restarted or missing', async () => {
  const broker = byRole('broker');
  explorer.publish('n-quiet/submit', JSON.stringify({ id: 'outage', command: 'for i in $(seq 700); do echo out $i; sleep 0.1; done' }));
  await explorer.until('n-quiet/submit_status', (v) => v.startsWith('busy'));
  docker('kill', broker);
  const gone = Date.now();
  try {
    for (const sut of well) {
      await until(`${sut}: its probe says that the broker is away`, async () =>
        /^degraded: broker away/.test((await look(container(sut))).State.Health.Log.at(-1).Output), 60);
    }
    await sleep(65_000 - (Date.now() - gone)); // the outage, not a wait for something
    for (const sut of well) assert.equal((await look(container(sut))).State.Health.Status, 'healthy');
  } finally {
    docker('start', broker);
  }
  for (const sut of well) await isOk(sut);
  await until('the job ended', () => explorer.json('n-quiet/job/outage')?.state === 'SUCCEEDED', 90);
  assert.equal(explorer.json('n-quiet/job/outage').dropped, 0);
});

test('none of those was ever unhealthy, to anybody, or started again', async () => {
  for (const sut of well) {
    assert.equal(await started(sut), began[sut], sut);
    assert.ok(!engineSaid.includes(`${container(sut)} health_status: unhealthy`), sut);
    assert.ok(engineSaid.includes(`${container(sut)} health_status: healthy`), `${sut} was not watched`);
    for (const probe of (await look(container(sut))).State.Health.Log) assert.equal(probe.ExitCode, 0, probe.Output);
    assert.deepEqual(explorer.log.filter((m) => m.topic === `${sut}/agent` && m.text.startsWith('unhealthy')), [], sut);
  }
});
