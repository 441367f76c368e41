'use strict';
// Jobs while everything is killed: each job with an id that was acknowledged ran exactly once, or is LOST and says so.
// CHAOS_JOBS, CHAOS_SECONDS and CHAOS_SEED; the default is short. It prints what it did and counted. Run by
// private_engine.sh, the engine is killed as well.
const test = require('node:test');
const assert = require('node:assert');
const fs = require('node:fs');
const path = require('node:path');
const { run, stack, sutDir, container, docker, inspect, byRole, until, sleep, Explorer } = require('./support.js');

const jobs = Number(process.env.CHAOS_JOBS ?? 80);
const seconds = Number(process.env.CHAOS_SECONDS ?? 45);
const seed = Number(process.env.CHAOS_SEED ?? Math.floor(Math.random() * 1e9));
const engine = process.env.SUTFLEET_PRIVATE_ENGINE;
const suts = ['alpha', 'bravo', 'charlie', 'chaos'];
const pooled = ['chaos', 'chaos-2']; // serve the queue `lab`; the second has no jobs of its own
const all = [...new Set([...suts, ...pooled])];

/** mulberry32, one for each that goes its own way: the same faults and jobs for the same seed, whoever is quicker. */
function randomOf(way) {
  let state = seed + way;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
const random = randomOf(0); // of the faults
const pick = (list) => list[Math.floor(random() * list.length)];
const quietly = (...words) => { try { docker(...words); } catch { /* it does not run just now: the next fault may */ } };
async function pause(one) {
  quietly('pause', one);
  await sleep(random() * 3000);
  quietly('unpause', one);
}

const faults = {
  'kill the broker': async () => { quietly('kill', byRole('broker')); await sleep(random() * 1500); quietly('start', byRole('broker')); },
  'restart the broker': async () => quietly('restart', '-t', '5', byRole('broker')),
  'kill an agent': async () => quietly('kill', container(pick(all))),
  'restart an agent': async () => quietly('restart', '-t', '5', container(pick(all))),
  'pause an agent': async () => pause(container(pick(all))),
  'pause the broker': async () => pause(byRole('broker')),
  'pause the supervisor': async () => pause(byRole('supervisor')),
  'restart the supervisor': async () => quietly('restart', '-t', '5', byRole('supervisor')),
  'kill the supervisor': async () => { quietly('kill', byRole('supervisor')); await sleep(random() * 1000); quietly('start', byRole('supervisor')); },
  'cut an agent off': async () => {
    const one = container(pick(all));
    quietly('network', 'disconnect', '-f', `${stack}-bus`, one);
    await sleep(random() * 3000);
    quietly('network', 'connect', `${stack}-bus`, one);
  },
};
if (engine) {
  faults['kill the engine'] = async () => {
    process.kill(Number(fs.readFileSync(path.join(engine, 'docker.pid'), 'utf8')), 'SIGKILL');
    run(path.join(__dirname, 'private_engine.sh'), '--launch');
  };
}

const trail = []; // of the faults

/** The newest record of each job, from a journal. */
function recordsIn(text) {
  const records = new Map();
  for (const line of text.split('\n')) {
    if (!line.startsWith('{"id":"')) continue; // the line before it: digest and sizes
    // A request may follow the record on the line.
    let depth = 0, quoted = false, end = 0;
    for (; end < line.length; end += 1) {
      const c = line[end];
      if (quoted && c === '\\') end += 1;
      else if (c === '"') quoted = !quoted;
      else if (!quoted && c === '{') depth += 1;
      else if (!quoted && c === '}' && (depth -= 1) === 0) break;
    }
    const record = JSON.parse(line.slice(0, end + 1));
    records.set(record.id, record);
  }
  return records;
}
const journalOf = (sut) => recordsIn(docker('exec', container(sut), 'cat', '/var/lib/sutfleet/jobs.journal'));
const queuesJournal = () => recordsIn(docker('exec', '-u', '10001', byRole('supervisor'), 'cat', '/var/lib/sutfleet-supervisor/queues.journal'));

function isLostWithTheTruth(record) {
  assert.match(record.reason, /^the agent (ended|was stopped) while the job ran/, record.id);
  assert.ok(record.started && record.finished, record.id);
}

/** What one would look at first. */
async function tellAll(explorer) {
  const tell = (words) => { try { console.log(`$ docker ${words}\n${run('sh', '-c', `docker ${words} 2>&1`)}`); } catch (error) { console.log(error.message); } };
  console.log(trail.slice(-40).join('\n'));
  tell('ps -a');
  for (const [topic, text] of explorer.tree)
    if (/^fleet\/|\/(agent|state|submit_status|jobs)$/.test(topic)) console.log(`${topic} ${text}`);
  for (const sut of all) tell(`logs --tail 30 ${container(sut)}`);
  for (const role of ['supervisor', 'broker']) tell(`logs --tail 60 ${byRole(role)}`);
}

test(`chaos with ${jobs} jobs in ${seconds} s, seed ${seed}`, async (t) => {
  run('docker-compose', 'up', '-d', '--no-build');
  for (const sut of pooled) fs.writeFileSync(path.join(sutDir, `${sut}.conf`), 'description: for the chaos test\nqueues: [lab]\n');
  const explorer = await Explorer.open();
  t.after(() => explorer.close());
  for (const sut of all) await explorer.until(`${sut}/agent`, (v) => v === 'ok', 120);
  const acknowledged = new Set();
  explorer.client.on('message', (topic, payload) => { if (payload.length > 0) acknowledged.add(topic); });
  let submitting = true;
  const done = Object.fromEntries(Object.keys(faults).map((name) => [name, 0]));
  const trouble = (async () => {
    while (submitting) {
      await sleep(300 + random() * 2000);
      const name = pick(Object.keys(faults));
      trail.push(`${new Date().toISOString()} ${name}`);
      await faults[name]();
      // This test is no crash loop: without quarantine and backoff. Of all, for what was told before may have been lost.
      for (const sut of all) explorer.publish('fleet/cmd/reset', sut);
      trail.push(`${new Date().toISOString()} ${name}: done`);
      done[name] += 1;
      // So that a slow machine has its chance, too: the next one comes when somebody has got an answer again.
      const answered = acknowledged.size;
      for (const end = Date.now() + 20_000; submitting && acknowledged.size === answered && Date.now() < end;) await sleep(50);
    }
  })();
  // As sutctl does it: published under the same id until the agent's word is there.
  const one = async (to, id, pause) => {
    const command = `echo ${id} >> /var/lib/sutfleet/ran; sleep ${(pause * 1.5).toFixed(2)}`;
    const known = () => acknowledged.has(`${to}/job/${id}`);
    for (const end = Date.now() + 240_000; !known();) {
      if (Date.now() > end) throw new Error(`${id} was never acknowledged`);
      explorer.publish(`${to}/submit`, JSON.stringify({ id, command }));
      for (const again = Date.now() + 3000; Date.now() < again && !known();) await sleep(100);
    }
  };
  const lanes = Array.from({ length: 8 }, async (_, lane) => {
    const own = randomOf(1 + lane);
    for (let n = lane; n < jobs; n += 8) {
      await sleep((own() * 2 * 8 * seconds * 1000) / jobs);
      await one(suts[n % suts.length], `c${seed}-${n}`, own());
      if (n % 4 === 0) await one('fleet/queue/lab', `q${seed}-${n}`, own());
    }
  });
  // A text has no id: what the broker acknowledged may still be lost with it, or be delivered again.
  const texts = [];
  lanes.push((async () => {
    const own = randomOf(9);
    for (let n = 0; n < jobs / 20; n += 1) {
      await sleep((own() * 2 * seconds * 1000) / (jobs / 20));
      const mark = `t${seed}-${n}`;
      await new Promise((done) => explorer.client.publish(`${suts[n % suts.length]}/submit`,
        `echo ${mark} >> /var/lib/sutfleet/ran`, { qos: 1 }, (error) => { if (!error) texts.push(mark); done(); }));
    }
  })());
  try {
    await Promise.all(lanes);
  } catch (error) {
    await tellAll(explorer);
    throw error;
  } finally {
    submitting = false;
    await trouble;
  }

  const counts = { SUCCEEDED: 0, LOST: 0 }, queueCounts = { SUCCEEDED: 0, LOST: 0 };
  const ranOn = {};
  const textCounts = { sent: texts.length, ran: 0, 'ran again': 0, 'refused as a repeat': 0 };
  await until('the queue is empty', () => explorer.json('fleet/queue/lab/status')?.length === 0 && [...queuesJournal().values()].every((one) => one.state === 'ENDED' || !one.id.startsWith(`q${seed}-`)), 240);
  for (const sut of all) {
    await until(`${sut} is ok and idle`, () => {
      const now = explorer.json(`${sut}/jobs`);
      return explorer.get(`${sut}/agent`) === 'ok' && now && now.running === null && now.queued.length === 0;
    }, 180);
    const records = journalOf(sut);
    const ran = docker('exec', container(sut), 'cat', '/var/lib/sutfleet/ran').split('\n');
    ranOn[sut] = { ran, records };
    for (let number = suts.includes(sut) ? suts.indexOf(sut) : jobs; number < jobs; number += suts.length) {
      const id = `c${seed}-${number}`, record = records.get(id), times = ran.filter((line) => line === id).length;
      assert.ok(record, `${id} was acknowledged and is not in the journal`);
      assert.ok(times <= 1, `${id} ran ${times} times`);
      assert.ok(['SUCCEEDED', 'LOST'].includes(record.state), `${id} is ${record.state}: ${record.reason}`);
      if (record.state === 'SUCCEEDED') assert.equal(times, 1, `${id} is SUCCEEDED and did not run`);
      else isLostWithTheTruth(record);
      counts[record.state] += 1;
    }
    for (const mark of texts) {
      const times = ran.filter((line) => line === mark).length;
      textCounts.ran += Math.min(times, 1);
      textCounts['ran again'] += Math.max(times - 1, 0);
    }
    textCounts['refused as a repeat'] += [...records.values()].filter((one) => one.reason?.startsWith('duplicate of')).length;
    const started = [...records.values()].filter((one) => one.started).sort((a, b) => (a.started < b.started ? -1 : 1));
    await explorer.until(`${sut}/last_job`, (v) => v === started.at(-1).id, 75);
    await explorer.until(`${sut}/submit_status`, (v) => v.startsWith('ready'), 75);
    const shown = explorer.json(`${sut}/jobs`).done;
    const newest = [...records.values()].filter((one) => one.started && one.finished).sort((a, b) => (a.finished < b.finished ? 1 : -1));
    assert.ok(shown.includes(newest[0].id), `${sut}/jobs has not the newest, ${newest[0].id}`);
    for (const id of shown)
      await until(() => `${sut}/job/${id} agrees with the journal: ${explorer.get(`${sut}/job/${id}`)} and ${JSON.stringify(records.get(id))}`, () => {
        const [there, journalled] = [explorer.json(`${sut}/job/${id}`), records.get(id)];
        return ['state', 'exit', 'reason', 'attempt', 'started', 'finished'].every((key) => there && journalled && there[key] === journalled[key]);
      }, 75);
    const others = () => [...explorer.tree.keys()].filter((topic) => topic.startsWith(`${sut}/job/`) && !shown.includes(topic.slice(`${sut}/job/`.length)));
    await until(() => `no record of another job: ${others()}`, () => others().length === 0, 75);
  }
  const queued = queuesJournal();
  for (let number = 0; number < jobs; number += 4) {
    const id = `q${seed}-${number}`, record = queued.get(id);
    const times = pooled.map((sut) => ranOn[sut].ran.filter((line) => line === id).length).reduce((a, b) => a + b);
    assert.ok(record, `${id} was acknowledged and is not in the journal of the queues`);
    assert.ok(times <= 1, `${id} ran ${times} times`);
    assert.ok(['SUCCEEDED', 'LOST'].includes(record.result), `${id} is ${record.result}: ${record.reason}`);
    if (record.result === 'SUCCEEDED') assert.equal(times, 1, `${id} is SUCCEEDED and did not run`);
    assert.equal(ranOn[record.sut].records.get(id).state, record.result, `${id} of ${record.sut}`);
    queueCounts[record.result] += 1;
  }
  console.log(`seed ${seed}: faults ${JSON.stringify(done)} jobs ${JSON.stringify(counts)} of the queue ${JSON.stringify(queueCounts)} texts ${JSON.stringify(textCounts)}`);
  assert.equal(counts.SUCCEEDED + counts.LOST, jobs);
  for (const sut of pooled) fs.unlinkSync(path.join(sutDir, `${sut}.conf`));
  await until('the extra agents are gone', () => pooled.every((sut) => !inspect(container(sut))));
});
