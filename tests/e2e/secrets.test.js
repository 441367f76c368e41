'use strict';
// Secrets: kept, delivered, exchanged, refused; and a search for their values in all that the stack wrote, published and can be asked.
const test = require('node:test');
const assert = require('node:assert');
const crypto = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');
const { spawnSync } = require('node:child_process');
const { root, stack, home, container, docker, look, ran, inside, byRole, until, Explorer, writeConf, removeSuts } = require('./support.js');

const sut = 's-one', other = 's-two';
const marker = (name) => `${name}-${crypto.randomBytes(12).toString('hex')}`;
const first = marker('first'), second = marker('second'), shared = marker('shared');
const lines = [marker('line1'), marker('line2')], late = marker('late');
const markers = [first, second, shared, ...lines, late];
const began = Math.floor(Date.now() / 1000);

/** As somebody without root on the host does it: in the supervisor's container, as its user. */
function secret(words, input = '') {
  const out = spawnSync('docker', ['exec', '-i', '-u', '10001', byRole('supervisor'), 'sutctl', 'secret', ...words], { input, encoding: 'utf8' });
  return { code: out.status, out: out.stdout + out.stderr };
}
const set = (words, value) => assert.deepEqual(secret(['set', ...words], value), { code: 0, out: '' });
const conf = {
  secrets: ['TOKEN', 'CERT', 'SHARED'],
  command: 'while :; do echo "it says $(cat $TOKEN_FILE)"; sleep 0.2; done',
  health: { heartbeat: '500ms', max_age: '10s', interval: '2s' },
};
const why = (name) => explorer.json(`fleet/sut/${name}`)?.conf.error ?? '';

let explorer;
test.before(async () => { explorer = await Explorer.open(); });
test.after(async () => {
  await explorer?.close();
  await removeSuts([sut, other]);
  for (const words of [[sut, 'TOKEN'], [sut, 'CERT'], [sut, 'LATE'], [other, 'TOKEN'], ['--shared', 'SHARED']]) secret(['rm', ...words]);
});

async function output(command) {
  const { id, record } = await explorer.job(sut, command);
  assert.equal(record.state, 'SUCCEEDED', JSON.stringify(record));
  return (await inside(sut, 'cat', `/var/lib/sutfleet/jobs/${id}/output.log`)).out;
}

test('a missing secret is a plain reason, and no container is made without it', async () => {
  set([sut, 'CERT'], `${lines.join('\n')}\n\n`);
  writeConf(sut, conf);
  await until('the reason', () => why(sut).includes(`secret TOKEN is missing: sutctl secret set ${sut} TOKEN`));
  assert.match(why(sut), /secret SHARED is missing/);
  assert.doesNotMatch(why(sut), /CERT/);
  assert.equal(await look(container(sut)), null);
  assert.match((await ran('docker', 'exec', byRole('supervisor'), 'sutctl', 'ps')).out, new RegExp(`${sut} .*secret TOKEN is missing`));
});

test('a parked one needs none', async () => {
  writeConf(sut, { ...conf, enabled: false });
  await until('parked', () => explorer.json(`fleet/sut/${sut}`)?.wanted === 'parked', 30);
  assert.equal(why(sut), '');
  writeConf(sut, conf);
  await until('the reason', () => why(sut).includes('secret TOKEN is missing'), 30);
});

test('what is kept arrives: files of the agent alone, read-only, named by variables', async () => {
  set([sut, 'TOKEN'], `${first}\n`);
  set(['--shared', 'SHARED'], shared);
  await explorer.until(`${sut}/agent`, (v) => v === 'ok', 120);
  assert.equal((await inside(sut, 'cat', '/run/secrets/TOKEN')).out, first);
  assert.equal((await inside(sut, 'cat', '/run/secrets/CERT')).out, `${lines.join('\n')}\n`);
  assert.equal((await inside(sut, 'cat', '/run/secrets/SHARED')).out, shared);
  assert.equal((await inside(sut, 'stat', '-L', '-c', '%a %u', '/run/secrets/TOKEN', '/run/secrets/CERT')).out, '400 10001\n400 10001\n');
  assert.equal(await output('echo $TOKEN_FILE $CERT_FILE $SHARED_FILE'), '/run/secrets/TOKEN /run/secrets/CERT /run/secrets/SHARED\n');
  assert.equal(await output('echo x 2>/dev/null >/run/secrets/NEW || echo refused; rm -f /run/secrets/TOKEN 2>/dev/null || echo refused'), 'refused\nrefused\n');
  const kept = path.join(home, 'secrets');
  assert.equal((fs.statSync(kept).mode & 0o777).toString(8), '700');
  for (const file of [`${sut}/TOKEN`, 'SHARED']) assert.equal((fs.statSync(path.join(kept, file)).mode & 0o777).toString(8), '600', file);
});

test('one that is changed is there without a new container or process, and the old value nowhere', async () => {
  const before = await look(container(sut));
  const command = (await inside(sut, 'pgrep', '-f', 'it says')).out;
  set([sut, 'TOKEN'], second);
  await until('the new value', async () => (await inside(sut, 'cat', '/run/secrets/TOKEN')).out === second, 20);
  const volume = path.join(docker('info', '-f', '{{.DockerRootDir}}'), 'volumes', `${stack}-${sut}-secrets`);
  await until('the old value is gone', async () => (await ran('grep', '-rlF', first, volume)).out === '', 20);
  assert.match((await ran('grep', '-rlF', second, volume)).out, /\/TOKEN\n$/);
  const after = await look(container(sut));
  assert.equal(after.Id, before.Id);
  assert.equal(after.State.StartedAt, before.State.StartedAt);
  assert.equal((await inside(sut, 'pgrep', '-f', 'it says')).out.split('\n')[0], command.split('\n')[0]);
  // One more key takes no new container either.
  set([sut, 'LATE'], late);
  writeConf(sut, { ...conf, secrets: [...conf.secrets, 'LATE'] });
  await until('one more', async () => (await inside(sut, 'cat', '/run/secrets/LATE')).out === late, 20);
  assert.equal((await look(container(sut))).Id, before.Id);
});

test('a second SUT, as another user: the shared one by another name, and no other', async () => {
  writeConf(other, { secrets: { MINE: 'SHARED' }, user: '4321', health: conf.health });
  await explorer.until(`${other}/agent`, (v) => v === 'ok', 120);
  assert.equal((await inside(other, 'cat', '/run/secrets/MINE')).out, shared);
  assert.equal((await inside(other, 'stat', '-L', '-c', '%a %u', '/run/secrets/MINE')).out, '400 4321\n');
  assert.equal((await inside(other, 'ls', '/run/secrets')).out, 'MINE\n');
});

test('placeholders are refused by the key, by sutctl and by the supervisor; what runs goes on', async () => {
  const before = (await look(container(sut))).Id;
  for (const value of ['changeme', '', '\n', 'update-me\n']) {
    const { code, out } = secret(['set', sut, 'TOKEN'], value);
    assert.equal(code, 4, value);
    assert.match(out, /TOKEN is empty or a placeholder: expected its real value/);
  }
  const file = path.join(home, 'secrets', sut, 'TOKEN');
  fs.writeFileSync(file, 'update-me\n');
  await until('the reason', () => why(sut).startsWith('secret TOKEN is empty or a placeholder'), 30);
  assert.equal((await look(container(sut))).Id, before);
  assert.equal((await inside(sut, 'cat', '/run/secrets/TOKEN')).out, second);
  fs.writeFileSync(file, second);
  await until('no reason any more', () => why(sut) === '', 30);
});

test('sutctl secret: names only, nothing from the command line, nothing repeated', () => {
  assert.match(secret(['ls']).out, new RegExp(`\\(shared\\) +SHARED[^]*${sut} +CERT[^]*${sut} +TOKEN`));
  const typed = 'typed-where-it-does-not-belong'; // no marker: the engine tells each exec's words in its events
  for (const words of [['set', sut, 'TOKEN', typed], ['set', sut, `TOKEN=${typed}`], ['set', typed], ['set', '--shared', sut, typed]]) {
    const { code, out } = secret(words, 'x');
    assert.equal(code, 2, out);
    assert.ok(!out.includes(typed), out);
  }
  assert.equal(secret(['rm', sut, 'NEVER']).code, 1);
});

test('no value in anything that the stack wrote, published or can be asked', async () => {
  const jobs = [
    'cat $TOKEN_FILE; cat $CERT_FILE >&2; echo "[$(cat $SHARED_FILE)]"',
    'set -x; true "$(cat $TOKEN_FILE)"; cat "$(cat $LATE_FILE)"; exit 3', // in an error of a tool
    'x=$(cat $TOKEN_FILE); ulimit -c unlimited 2>/dev/null; kill -SEGV $$', // a core of what has it in memory
  ];
  for (const job of jobs) await explorer.job(sut, job);
  assert.equal(await output('ulimit -c; ulimit -Hc'), '0\n0\n');
  await ran('docker', 'restart', container(sut)); // its evidence, the log of another life
  await explorer.until(`${sut}/agent`, (v) => v === 'ok', 120);
  const heard = explorer.log.filter((m) => m.topic === `${sut}/output` && m.text.includes('it says ***')).length;
  assert.ok(heard > 0, 'what was printed was masked');

  const broker = byRole('broker'), supervisor = byRole('supervisor');
  await ran('docker', 'kill', '-s', 'USR1', broker); // saves its store
  const places = { bus: JSON.stringify(explorer.log) };
  const ids = docker('ps', '-aq', '--filter', `label=io.sutfleet.stack=${stack}`).split('\n');
  for (const id of ids) {
    places[`inspect ${id}`] = docker('inspect', id);
    places[`log ${id}`] = (await ran('docker', 'logs', id)).out;
    places[`diff ${id}`] = docker('diff', id);
    const processes = await ran('docker', 'top', id, '-eo', 'pid');
    for (const pid of processes.out.split('\n').slice(1).map((line) => line.trim()).filter(Boolean))
      for (const file of ['environ', 'cmdline']) try { places[`${file} ${pid}`] = fs.readFileSync(`/proc/${pid}/${file}`, 'latin1'); } catch { /* it has ended */ }
  }
  for (const name of ['agent', 'broker', 'supervisor']) {
    const image = `sutfleet/${name}:${process.env.SUTFLEET_TAG}`;
    places[`history ${name}`] = docker('history', '--no-trunc', image) + docker('inspect', image);
  }
  places.volumes = docker('volume', 'inspect', ...docker('volume', 'ls', '-q', '--filter', `label=io.sutfleet.stack=${stack}`).split('\n'));
  places.events = docker('events', '--since', String(began), '--until', String(Math.ceil(Date.now() / 1000)), '--format', '{{json .}}');
  for (const words of [['ps', '--json'], ['describe', sut], ['events'], ['logs', sut], ['jobs', sut], ['secret', 'ls']])
    places[`sutctl ${words[0]}`] = (await ran('docker', 'exec', '-u', '10001', supervisor, 'sutctl', ...words)).out;
  places.plan = (await ran('docker', 'exec', '-u', '10001', supervisor, 'supervisor', '--plan')).out;
  const found = Object.entries(places).filter(([, text]) => markers.some((one) => text.includes(one))).map(([name]) => name);
  assert.deepEqual(found, []);

  // Files: all volumes but those where the secrets belong, and what is on the host beside the store.
  const volumes = docker('volume', 'ls', '-q', '--filter', `label=io.sutfleet.stack=${stack}`).split('\n').filter((name) => !name.endsWith('-secrets'));
  const folders = volumes.map((name) => path.join(docker('info', '-f', '{{.DockerRootDir}}'), 'volumes', name));
  const searched = await ran('grep', '-rlaF', ...markers.flatMap((one) => ['-e', one]), '--exclude-dir=secrets', ...folders, home);
  assert.equal(searched.out, '');
  assert.equal(searched.code, 1); // nothing found, nothing unread
  assert.ok(volumes.length >= 6, volumes.join());
  assert.equal((await ran('find', ...folders, '-name', 'core*', '-type', 'f')).out, '');
  // And the search finds what is there.
  assert.equal((await ran('grep', '-rlaF', second, path.join(home, 'secrets'))).out.trim(), path.join(home, 'secrets', sut, 'TOKEN'));
  for (const line of ['.sutfleet', 'sut']) assert.ok(fs.readFileSync(path.join(root, '.dockerignore'), 'utf8').split('\n').includes(line));
});

test('with the SUT its volume of secrets goes', async () => {
  await removeSuts([sut]);
  await until('gone', async () => (await ran('docker', 'volume', 'inspect', `${stack}-${sut}-secrets`)).code !== 0);
});
