'use strict';
// Things that break: each is reported as what it is, and what can be cured is cured.
const test = require('node:test');
const assert = require('node:assert');
const fs = require('node:fs');
const path = require('node:path');
const mqtt = require('mqtt');
const { stack, sutDir, container, docker, inspect, ran, sutctl, byRole, until, sleep, secret, port, writeConf, removeSuts, Explorer } = require('./support.js');

let explorer;
test.before(async () => { explorer = await Explorer.open(); });
test.after(() => explorer.close());

test('docker kill of an agent: offline at once, started again, topics right', async () => {
  const mark = explorer.mark();
  const killed = Date.now();
  docker('kill', container('alpha'));
  const offline = await until('offline', () => explorer.since(mark, 'alpha/agent').find((m) => m.text === 'offline'), 20);
  assert.ok(offline.at - killed < 3000, `it took ${offline.at - killed} ms`);
  await until('running again', () => inspect(container('alpha')).State.Running);
  await explorer.until('alpha/agent', (v) => v === 'ok');
  await explorer.until('alpha/submit_status', (v) => v.startsWith('ready'));
  assert.equal(explorer.json('alpha/state').state, 'ready');
});

test('a job that ran when its agent was killed is LOST, and the queue goes on', async () => {
  explorer.publish('bravo/submit', JSON.stringify({ id: 'lost1', command: 'sleep 60' }));
  await explorer.until('bravo/submit_status', (v) => v.startsWith('busy: lost1'));
  explorer.publish('bravo/submit', JSON.stringify({ id: 'next1', command: 'echo next' }));
  await explorer.until('bravo/job/next1', (v) => v.includes('QUEUED'));
  docker('kill', container('bravo'));
  await until('LOST', () => explorer.json('bravo/job/lost1')?.state === 'LOST');
  await until('next ran', () => explorer.json('bravo/job/next1')?.state === 'SUCCEEDED');
});

test('a second supervisor of the stack is refused, with the name of the first, which hears nothing of it', async () => {
  const first = inspect(byRole('supervisor'));
  const mark = explorer.mark();
  const second = (...more) => ran('docker', 'run', '--rm', '--network', `${stack}-bus`, '--volumes-from', first.Id, '--tmpfs', '/tmp', '--cap-drop', 'ALL',
    '--cap-add', 'SETUID', '--cap-add', 'SETGID', ...first.Config.Env.filter((one) => one.startsWith('SUTFLEET_')).flatMap((one) => ['-e', one]), ...more, first.Config.Image);
  const byLock = await second();
  assert.equal(byLock.code, 4, byLock.out);
  assert.match(byLock.out, new RegExp(first.Id.slice(0, 12)));
  const byEngine = await second('-e', 'SUTFLEET_STATE_DIR=/tmp/state'); // with a lock of its own
  assert.equal(byEngine.code, 4, byEngine.out);
  assert.match(byEngine.out, new RegExp(`container ${first.Name.slice(1)} supervises the stack '${stack}' already`));
  assert.deepEqual(explorer.since(mark, 'fleet/supervisor').filter((m) => m.text !== 'online'), []);
});

test('the supervisor is killed: agents and jobs run on; it adopts them', async () => {
  const before = ['alpha', 'bravo', 'charlie'].map((s) => inspect(container(s)).State.StartedAt);
  const job = explorer.job('alpha', 'for i in 1 2 3 4 5 6; do echo n $i; sleep 1; done');
  await explorer.until('alpha/submit_status', (v) => v.startsWith('busy'));
  const supervisor = byRole('supervisor');
  docker('kill', supervisor);
  await explorer.until('fleet/supervisor', (v) => v === 'offline');
  docker('start', supervisor);
  await explorer.until('fleet/supervisor', (v) => v === 'online');
  assert.equal((await job).record.state, 'SUCCEEDED');
  await explorer.until('fleet/state', (v) => JSON.parse(v).ok === 3);
  assert.deepEqual(['alpha', 'bravo', 'charlie'].map((s) => inspect(container(s)).State.StartedAt), before);
});

test('the broker is killed: jobs run on, nothing of their output is lost, no agent is restarted', async () => {
  const before = inspect(container('alpha')).State.StartedAt;
  explorer.publish('alpha/submit', JSON.stringify({ id: 'outage', command: 'for i in $(seq 40); do echo out $i; sleep 0.1; done' }));
  await explorer.until('alpha/submit_status', (v) => v.startsWith('busy: outage'));
  const mark = explorer.mark();
  docker('kill', byRole('broker'));
  await sleep(1000); // the outage, not a wait for something
  docker('start', byRole('broker'));
  await explorer.until('alpha/job/outage', (v) => v !== '' && JSON.parse(v).state === 'SUCCEEDED');
  // The subscriber was away as well: what the agent says it dropped is the test, and the last line is here.
  await until('the last line', () => explorer.since(mark, 'alpha/output').some((m) => /(^|\n)out 40$/.test(m.text)));
  assert.equal(explorer.json('alpha/job/outage').dropped, 0);
  await explorer.until('alpha/agent', (v) => v === 'ok');
  await explorer.until('fleet/supervisor', (v) => v === 'online');
  assert.equal(inspect(container('alpha')).State.StartedAt, before);
});

test('a SUT that is added right behind a killed broker comes in, with sessions of clients that are away in its store', async () => {
  const away = mqtt.connect(`mqtt://127.0.0.1:${port}`, { username: 'viewer', password: secret('viewer'), clientId: 'away', protocolVersion: 5, clean: false,
    properties: { sessionExpiryInterval: 3600 } });
  await new Promise((done, bad) => { away.once('connect', done); away.once('error', bad); });
  await new Promise((done, bad) => away.subscribe('alpha/output', { qos: 1 }, (error) => (error ? bad(error) : done())));
  away.end(true);
  const started = ['alpha', 'bravo'].map((sut) => inspect(container(sut)).State.StartedAt);
  docker('kill', byRole('broker'));
  docker('start', byRole('broker'));
  const mark = explorer.mark();
  try {
    for (const sut of ['late', 'later']) {
      writeConf(sut, { description: 'added behind a killed broker' });
      await until(`${sut} is there`, () => explorer.since(mark, `${sut}/agent`).some((m) => m.text === 'ok'));
    }
    for (const sut of ['late', 'alpha', 'later', 'bravo']) assert.equal((await explorer.job(sut, `echo ${Math.random()}`)).record.state, 'SUCCEEDED');
  } finally {
    await removeSuts(['late', 'later']);
  }
  assert.deepEqual(['alpha', 'bravo'].map((sut) => inspect(container(sut)).State.StartedAt), started);
});

test('a supervisor that starts anew, and a broker, behind a conf that shapes another container: the running job ends first', async () => {
  writeConf('shaped', { description: 'shaped anew amid a job' });
  try {
    await explorer.until('shaped/agent', (v) => v === 'ok', 60);
    const before = inspect(container('shaped')).Id;
    const id = 'amid-a-new-shape';
    explorer.publish('shaped/submit', JSON.stringify({ id, command: 'sleep 15' }));
    await until('the job runs', () => explorer.json(`shaped/job/${id}`)?.state === 'RUNNING');
    docker('kill', byRole('supervisor'));
    docker('kill', byRole('broker'));
    writeConf('shaped', { description: 'shaped anew amid a job', resources: { memory: '300m' } });
    docker('start', byRole('supervisor'));
    docker('start', byRole('broker'));
    const record = await until('the job ends', () => {
      const now = explorer.json(`shaped/job/${id}`);
      return now && !['QUEUED', 'RUNNING'].includes(now.state) && now;
    }, 90);
    assert.equal(record.state, 'SUCCEEDED', JSON.stringify(record));
    await until('it is shaped anew', () => { const now = inspect(container('shaped')); return now && now.Id !== before && now.HostConfig.Memory === 300 * 1024 * 1024; }, 60);
    await explorer.until('shaped/agent', (v) => v === 'ok', 60);
  } finally {
    await removeSuts(['shaped']);
  }
});

test('five restarts within 30 min are a quarantine, said wherever one looks, over a new supervisor, until resume', async () => {
  // Each is waited for by what came after it began: while a program is run nothing is heard.
  const said = (mark, topic, text) => explorer.since(mark, topic).some((m) => m.text.includes(text));
  const restarted = async () => {
    const mark = explorer.mark();
    docker('restart', '-t', '5', byRole('supervisor'));
    const gone = await until('the supervisor went', () => 1 + explorer.log.findIndex((m, i) => i >= mark && m.topic === 'fleet/supervisor' && m.text === 'offline'));
    await until('it is back, and has looked', () => said(gone, 'fleet/supervisor', 'online') && said(gone, 'fleet/state', '"engine":"ok"'));
    return gone;
  };
  const killed = async () => {
    const mark = explorer.mark();
    docker('kill', container('looper'));
    await until('ended', () => said(mark, 'looper/agent', 'offline'));
    return mark;
  };
  writeConf('looper', { description: 'ends again and again' });
  try {
    await explorer.until('looper/agent', (v) => v === 'ok');
    // Four of them, minutes ago, as an earlier supervisor would have kept them.
    const past = [9, 8, 7, 6].map((minutes) => new Date(Date.now() - minutes * 60_000).toISOString()).join('\n');
    docker('exec', '-u', '10001', byRole('supervisor'), 'sh', '-c', `mkdir -p /var/lib/sutfleet-supervisor/restarts && echo '${past}' > /var/lib/sutfleet-supervisor/restarts/looper`);
    await restarted();
    const fifth = await killed();
    await until('started again', () => said(fifth, 'looper/agent', 'ok'));
    await killed();
    const isHeld = () => explorer.json('fleet/sut/looper')?.hold === 'quarantined: 5 restarts within 30 min; release by resume';
    await until('quarantined', isHeld);
    await until('its state', () => explorer.json('looper/state')?.state === 'quarantined');
    assert.equal(explorer.json('fleet/sut/looper').quarantined, true);
    assert.equal(explorer.json('fleet/sut/looper').evidence.exit_code, 137);
    assert.match((await sutctl('ps')).out, /^looper .*quarantined: 5 restarts/m);
    assert.match((await sutctl('plan')).out, /^hold looper: quarantined: 5 restarts within 30 min; release by resume$/m);
    const anew = await restarted();
    await until('still quarantined', () => said(anew, 'fleet/sut/looper', 'quarantined: 5 restarts') && isHeld());
    assert.equal(inspect(container('looper')).State.Running, false);
    const id = 'behind-a-quarantine';
    explorer.publish('looper/submit', JSON.stringify({ id, command: 'true' }));
    assert.equal((await sutctl('resume', 'looper')).code, 0);
    await until('what was submitted meanwhile ran', () => explorer.json(`looper/job/${id}`)?.state === 'SUCCEEDED');
    await until('its state is its own again', () => explorer.json('looper/state')?.state === 'ready');
  } finally {
    await removeSuts(['looper']);
  }
});

test('more than half of the fleet gone from the folder is held back, until apply', async () => {
  const extra = ['extra-a', 'extra-b', 'extra-c', 'extra-d'];
  for (const sut of extra) writeConf(sut, { description: 'one of most' });
  for (const sut of extra) await explorer.until(`${sut}/agent`, (v) => v === 'ok');
  docker('pause', byRole('supervisor')); // so that it sees all of them gone at once
  for (const sut of extra) fs.unlinkSync(path.join(sutDir, `${sut}.conf`));
  docker('unpause', byRole('supervisor'));
  const why = '4 of 7 agents would be removed: held back until `apply`';
  try {
    for (const sut of extra) await until(() => `${sut} is held: ${explorer.get(`fleet/sut/${sut}`)}`, () => explorer.json(`fleet/sut/${sut}`)?.hold === why, 30);
    assert.equal(explorer.json('fleet/state').held.length, 4);
    assert.match((await sutctl('plan')).out, new RegExp(`^hold extra-a: ${why}$`, 'm'));
    for (const sut of extra) assert.equal(inspect(container(sut)).State.Running, true);
  } finally {
    assert.equal((await sutctl('apply')).code, 0);
    await until('they are gone', () => extra.every((sut) => !inspect(container(sut))));
    await removeSuts(extra); // their volumes
  }
});

test('docker pause is reported as paused within 25 s, and nothing is restarted, then or after', async () => {
  const before = inspect(container('bravo')).State.StartedAt;
  const paused = Date.now();
  docker('pause', container('bravo'));
  try {
    await until('paused', () => explorer.json('fleet/sut/bravo')?.health === 'paused', 40);
    assert.ok(Date.now() - paused < 25000);
    await sleep(28000); // longer than max_age, so that its silence could be taken for a hang
  } finally {
    docker('unpause', container('bravo'));
  }
  await explorer.until('bravo/agent', (v) => v === 'ok');
  await until('healthy', () => explorer.json('fleet/sut/bravo')?.container.health === 'healthy');
  assert.equal(inspect(container('bravo')).State.StartedAt, before);
});

test('a stopped agent-entry is found out within 25 s, confirmed, restarted, and the evidence is kept', async () => {
  const stopped = Date.now();
  const mark = explorer.mark();
  // The loop's last turn is a little older than the last heartbeat: which of them is too old first is a matter of that moment.
  const stands = /(no heartbeat|the main loop has not moved) for \d+ s/;
  process.kill(inspect(container('charlie')).State.Pid, 'SIGSTOP');
  const seen = await until('unhealthy with its reason', () => explorer.since(mark, 'fleet/sut/charlie').find((m) =>
    stands.test(m.text)), 60);
  assert.ok(seen.at - stopped < 25000, `it took ${seen.at - stopped} ms`);
  const report = await until('restarted', () => { const now = explorer.json('fleet/sut/charlie'); return now?.last_action?.what === 'restart' && now; });
  assert.match(report.last_action.why, stands);
  assert.match(report.evidence.why, stands);
  const kept = docker('exec', '-u', '10001', byRole('supervisor'), 'cat', '/var/lib/sutfleet-supervisor/evidence/charlie.json');
  assert.deepEqual(JSON.parse(kept), report.evidence);
  await explorer.until('charlie/agent', (v) => v === 'ok');
});
