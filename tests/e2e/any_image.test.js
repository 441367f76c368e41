'use strict';
// Agents in images that know nothing of us, as other users, without rights, and with too little memory or too many processes.
const test = require('node:test');
const assert = require('node:assert');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { stack, container, docker, look, ran, inside, until, Explorer, writeConf, removeSuts } = require('./support.js');

const state = '/var/lib/sutfleet';
const image = (name) => `sutfleet/test-${name}:${process.env.SUTFLEET_TAG}`;
const dockerfiles = {
  // Nothing but a static busybox.
  scratch: 'FROM scratch\nCOPY busybox /bin/sh\nCOPY busybox /bin/busybox\n',
  // Somebody's: a user with a name, and all that could get in our way.
  foreign: `FROM debian:bookworm-slim
RUN echo 'ci:x:4321:4322::/home/ci:/bin/sh' >> /etc/passwd && echo 'ci:x:4322:' >> /etc/group && mkdir /cache && chown 4321:4322 /cache
ENV LD_LIBRARY_PATH=/nowhere OF_THE_IMAGE=yes
USER ci
WORKDIR /home/ci
VOLUME /cache
STOPSIGNAL SIGWINCH
HEALTHCHECK CMD false
ENTRYPOINT ["/bin/false"]
CMD ["nonsense"]
`,
};
const health = { heartbeat: '500ms', max_age: '10s', interval: '2s' };
const confs = {
  'i-scratch': { image: image('scratch'), command: 'echo up; while :; do /bin/busybox sleep 1; done', health },
  'i-base': { image: 'debian:bookworm-slim', command: 'echo up; exec sleep 1000', health },
  'i-bare': { image: 'debian:bookworm-slim', health },
  'i-foreign': { image: image('foreign'), command: "trap 'exit 9' TERM; echo up; while :; do sleep 0.1; done", health },
  'i-user': { command: 'echo up; exec sleep 1000', health },
  'i-nobody': { image: image('foreign'), user: 'nosuch', health },
  'i-rights': { image: 'debian:bookworm-slim', user: '0:0', cap_add: ['NET_BIND_SERVICE'], mounts: [{ source: `${stack}-shared`, target: '/shared', mode: 'rw' }], health },
  'i-memory': { command: 'echo up; exec sleep 100000', restart: 'always', resources: { memory: '96m' }, health },
  'i-pids': { command: 'exec sleep 100000', // one that has to fork would fail
               resources: { pids: 120 }, timeouts: { stop: '2s' }, health },
};
const suts = Object.keys(confs);

let explorer;
test.before(async () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'sutfleet-images-'));
  fs.copyFileSync('/bin/busybox', path.join(folder, 'busybox'));
  for (const [name, text] of Object.entries(dockerfiles)) {
    fs.writeFileSync(path.join(folder, 'Dockerfile'), text);
    docker('build', '-q', '-t', image(name), folder);
  }
  fs.rmSync(folder, { recursive: true });
  explorer = await Explorer.open();
  for (const sut of suts) writeConf(sut, confs[sut]);
});
test.after(async () => {
  await explorer?.close();
  await removeSuts(suts);
  await ran('docker', 'volume', 'rm', '-f', `${stack}-shared`);
  for (const name of Object.keys(dockerfiles)) await ran('docker', 'image', 'rm', image(name));
});

async function isOk(sut) {
  await explorer.until(`${sut}/agent`, (v) => v === 'ok', 120);
  await until(`${sut}: healthy`, async () => (await look(container(sut)))?.State.Health.Status === 'healthy');
}
const startedAt = async (sut) => (await look(container(sut))).State.StartedAt;
/** Runs a job that has to succeed. @return what it wrote */
async function output(sut, command) {
  const { id, record } = await explorer.job(sut, command);
  assert.equal(record.state, 'SUCCEEDED', JSON.stringify(record));
  const shell = sut === 'i-scratch' ? ['/bin/busybox', 'cat'] : ['cat'];
  return (await inside(sut, ...shell, `${state}/jobs/${id}/output.log`)).out;
}

test.describe('any image', { concurrency: true }, () => {
  test.it('FROM scratch with a static busybox: agent, job, probe', async () => {
    await isOk('i-scratch');
    assert.equal(await output('i-scratch', 'echo "$((6 * 7)) of $SUTFLEET_SUT"'), '42 of i-scratch\n');
    assert.match((await inside('i-scratch', '/opt/sutfleet/bin/healthcheck')).out, /^ok/);
    await until('the command ran', () => explorer.log.some((m) => m.topic === 'i-scratch/output' && m.text === 'up'));
  });

  test.it('the plain base image', async () => {
    await isOk('i-base');
    assert.equal(await output('i-base', 'id -u'), '0\n');
  });

  test.it('an image with a user, an entrypoint, a probe, a volume and a stop signal of its own', async () => {
    await isOk('i-foreign');
    assert.equal(await output('i-foreign', 'id -un; pwd -P >/dev/null; echo $OF_THE_IMAGE'), 'ci\nyes\n');
    assert.equal((await inside('i-foreign', 'stat', '-c', '%u', state)).out, '4321\n');
    const { Id, Mounts } = await look(container('i-foreign'));
    const cache = Mounts.find((one) => one.Destination === '/cache').Name;
    const waits = ran('docker', 'wait', Id);
    assert.equal((await ran('docker', 'stop', Id)).code, 0);
    assert.equal((await waits).out.trim(), '9'); // by TERM, not after the time for a KILL
    await isOk('i-foreign');
    writeConf('i-foreign', { ...confs['i-foreign'], resources: { pids: 300 } });
    await until('made anew', async () => { const now = await look(container('i-foreign')); return now && now.Id !== Id; });
    await isOk('i-foreign');
    assert.notEqual((await ran('docker', 'volume', 'inspect', cache)).code, 0); // a nameless volume goes with its container
  });

  test.it('a user that the image does not have is named, and is no guess', async () => {
    await until('the reason', () => explorer.get('fleet/sut/i-nobody').includes("no user 'nosuch' in the image's /etc/passwd"), 120);
    assert.equal(await look(container('i-nobody')), null);
  });

  test.it('another user, another image: what the state volume holds goes on with it', async () => {
    await isOk('i-user');
    assert.equal((await inside('i-user', 'id', '-u')).out, '10001\n');
    const { id } = await explorer.job('i-user', 'umask 077; mkdir artifacts/deep; echo kept > artifacts/deep/file; ln -s /etc/passwd artifacts/link');
    for (const [change, uid] of [[{ user: '4321' }, '4321'], [{ image: 'debian:bookworm-slim' }, '0'], [{ image: image('foreign') }, '4321']]) {
      const before = (await look(container('i-user'))).Id;
      writeConf('i-user', { ...confs['i-user'], ...change });
      await until('made anew', async () => { const now = await look(container('i-user')); return now && now.Id !== before; }, 120);
      await isOk('i-user');
      assert.equal((await inside('i-user', 'id', '-u')).out.trim(), uid);
      assert.equal((await inside('i-user', 'cat', `${state}/jobs/${id}/artifacts/deep/file`)).out, 'kept\n');
      assert.equal((await inside('i-user', 'find', state, '!', '-uid', uid)).out, '');
      await until('the old job is known', () => explorer.json('i-user/jobs')?.done.includes(id));
      assert.equal(await output('i-user', 'id -u'), `${uid}\n`);
    }
  });

  test.it('no rights but those that the conf adds, a root that cannot be written', async () => {
    for (const sut of ['i-bare', 'i-rights']) await isOk(sut);
    const caps = async (sut) => BigInt(`0x${/^CapEff:\s*(\w+)$/m.exec(await output(sut, 'grep CapEff /proc/self/status'))[1]}`);
    assert.equal(await caps('i-bare'), 0n);
    assert.equal(await caps('i-rights'), 1n << 10n); // CAP_NET_BIND_SERVICE
    for (const sut of ['i-bare', 'i-rights']) {
      assert.equal(await output(sut, 'touch /x /usr/x 2>/dev/null || echo refused; echo x > /tmp/x && cat /tmp/x'), 'refused\nx\n');
      assert.equal(await output(sut, 'touch /sut/x /opt/sutfleet/x 2>/dev/null || echo refused'), 'refused\n');
    }
    assert.equal(await output('i-rights', 'echo here > /shared/file; cat /shared/file'), 'here\n'); // a volume by its name
  });
});

test.describe('what a job eats', { concurrency: true }, () => {
  test.it('memory: the job is FAILED: out of memory; PID 1 and the command live', async () => {
    await isOk('i-memory');
    const before = await startedAt('i-memory');
    const command = (await inside('i-memory', 'pgrep', '-f', 'sleep 100000')).out;
    assert.equal((await inside('i-memory', 'cat', '/proc/1/oom_score_adj')).out, '0\n');
    assert.equal(await output('i-memory', 'cat /proc/$$/oom_score_adj'), '1000\n');
    const mark = explorer.mark();
    const eaters = [
      ['exec tail /dev/zero', 137, 'test: out of memory'],
      ["python3 -c 'x = bytearray(10**9)'; exit $?", 137, 'test: out of memory'],
      ['tail /dev/zero; exit 2', 2, 'test ended with 2; out of memory: the kernel killed a process meanwhile'], // as make does
    ];
    for (const [command, exit, reason] of eaters) {
      const { record } = await explorer.job('i-memory', command, 120);
      assert.equal(record.state, 'FAILED', command);
      assert.equal(record.reason, reason, command);
      assert.equal(record.exit, exit, command);
    }
    assert.equal(await output('i-memory', 'echo goes on'), 'goes on\n');
    assert.equal(await startedAt('i-memory'), before);
    assert.deepEqual(explorer.since(mark, 'i-memory/agent').filter((m) => m.text !== 'ok'), []);
    assert.ok(command.length > 0);
  });

  test.it('processes: a fork bomb stops no heartbeat, and nothing of it is left', async () => {
    await isOk('i-pids');
    const before = await startedAt('i-pids');
    const bomb = (each) => `exec python3 -c '
import os
while True:
  try:
    if os.fork() == 0: ${each}
  except OSError: pass'`;
    for (const command of ['b() { b | b & }; b; sleep 1000', bomb('pass'), bomb('os.setsid()')]) {
      const mark = explorer.mark(), begin = Date.now();
      const { record } = await explorer.job('i-pids', JSON.stringify({ command, timeout: '5s' }), 120);
      assert.equal(record.state, 'TIMED_OUT', JSON.stringify(record));
      const beats = [begin, ...explorer.since(mark, 'i-pids/agent').map((m) => m.at), Date.now()];
      const gap = Math.max(...beats.slice(1).map((at, i) => at - beats[i]));
      assert.ok(gap < 5000, `no heartbeat for ${gap} ms`);
      assert.deepEqual(explorer.since(mark, 'i-pids/agent').filter((m) => m.text !== 'ok'), []);
      const left = async () => (await ran('docker', 'top', container('i-pids'), '-eo', 'pid,args')).out.trim().split('\n').slice(1)
        .filter((line) => !/bin\/agent-entry|sleep 100000|healthcheck/.test(line));
      await until(`nothing left of: ${command}`, async () => (await left()).length === 0, 10).catch(async (error) => {
        throw new Error(`${error.message}: ${await left()}`);
      });
      assert.equal(await output('i-pids', 'echo next'), 'next\n');
    }
    assert.equal(await startedAt('i-pids'), before);
    await isOk('i-pids');
  });
});
