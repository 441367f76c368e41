'use strict';
// Images that come by a context: from an archive, by a build, or not at all; and what takes an agent's state away, or its job.
const test = require('node:test');
const assert = require('node:assert');
const crypto = require('node:crypto');
const fs = require('node:fs');
const http = require('node:http');
const path = require('node:path');
const { stack, container, run, docker, look, ran, inside, sutctl, byRole, until, Explorer, writeConf, removeSuts } = require('./support.js');

const folder = process.env.SUTFLEET_CONTEXT_DIR;
const state = '/var/lib/sutfleet';
const image = (name) => `sutfleet/test-context-${name}:${process.env.SUTFLEET_TAG}`;
const health = { heartbeat: '500ms', max_age: '10s', interval: '2s' };
const recipe = 'FROM scratch\nCOPY busybox /bin/sh\nCOPY busybox /bin/busybox\n';
const confs = {
  'x-archive': { context: 'x-archive', health },
  'x-sum': { context: 'x-sum', health },
  'x-out': { context: 'x-out', health },
  'x-other': { context: 'x-other', health },
  'x-pull': { context: 'x-pull', health },
  'x-refused': { context: 'x-refused', health },
  'x-one': { context: 'x-build', health },
  'x-two': { context: 'x-build', health },
  'x-fail': { context: 'x-fail', health },
  'x-none': { context: 'x-none', health },
  'x-bad': { context: 'x-bad', health },
  'x-podman': { context: 'x-podman', health },
  'x-plain': { image: image('nosuch'), health },
  'x-purge': { command: 'echo up; exec sleep 1000', timeouts: { stop: '2s' }, health },
  'x-now': { command: 'echo up; exec sleep 1000', timeouts: { stop: '2s' }, health },
};
const suts = Object.keys(confs);
const names = ['archive', 'sum', 'out', 'build', 'fail', 'none', 'podman', 'other'];

/** JSON is YAML; as a person writes it, whole or not at all. */
function writeContext(name, context) {
  fs.writeFileSync(path.join(folder, `.${name}.new`), typeof context === 'string' ? context : JSON.stringify(context));
  fs.renameSync(path.join(folder, `.${name}.new`), path.join(folder, `${name}.yaml`));
}
function writeFolder(name, dockerfile) {
  fs.mkdirSync(path.join(folder, name), { recursive: true });
  fs.copyFileSync('/bin/busybox', path.join(folder, name, 'busybox'));
  fs.writeFileSync(path.join(folder, name, 'Dockerfile'), dockerfile);
}

/** A registry of one image, by what `docker save` wrote of it. @return {Promise<{server, image}>} image: to pull */
async function registryOf(archive, work) {
  fs.mkdirSync(work);
  run('tar', '-C', work, '-xf', archive);
  const [{ Config, Layers }] = JSON.parse(fs.readFileSync(path.join(work, 'manifest.json')));
  const blobs = new Map();
  const entry = (file, mediaType) => {
    const content = fs.readFileSync(path.join(work, file));
    const digest = `sha256:${crypto.createHash('sha256').update(content).digest('hex')}`;
    blobs.set(digest, content);
    return { mediaType, size: content.length, digest };
  };
  const type = 'application/vnd.docker.distribution.manifest.v2+json';
  const manifest = JSON.stringify({ schemaVersion: 2, mediaType: type, config: entry(Config, 'application/vnd.docker.container.image.v1+json'),
    layers: Layers.map((layer) => entry(layer, 'application/vnd.docker.image.rootfs.diff.tar.gzip')) });
  const server = http.createServer((request, answer) => {
    const digest = decodeURIComponent(request.url).split('/').pop();
    if (request.url === '/v2/') return answer.end('{}');
    if (request.url.includes('/manifests/')) {
      answer.setHeader('Content-Type', type);
      answer.setHeader('Content-Length', manifest.length);
      answer.setHeader('Docker-Content-Digest', `sha256:${crypto.createHash('sha256').update(manifest).digest('hex')}`);
      return answer.end(request.method === 'HEAD' ? undefined : manifest);
    }
    if (!blobs.has(digest)) return answer.writeHead(404).end('{}');
    answer.setHeader('Content-Length', blobs.get(digest).length);
    return answer.end(request.method === 'HEAD' ? undefined : blobs.get(digest));
  });
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  return { server, image: `127.0.0.1:${server.address().port}/lab/pulled:1` };
}

let explorer, sum, registry;
test.before(async () => {
  const archives = path.join(folder, 'images');
  fs.mkdirSync(archives, { recursive: true });
  writeFolder('x-build', recipe);
  docker('build', '-q', '-t', image('archive'), '--label', 'came=by the archive', path.join(folder, 'x-build'));
  docker('save', '-o', path.join(archives, 'a.tar'), image('archive'));
  fs.chmodSync(path.join(archives, 'a.tar'), 0o644);
  sum = crypto.createHash('sha256').update(fs.readFileSync(path.join(archives, 'a.tar'))).digest('hex');
  fs.copyFileSync(path.join(archives, 'a.tar'), path.join(folder, 'outside.tar'));
  fs.rmSync(path.join(archives, 'link.tar'), { force: true });
  fs.symlinkSync('../outside.tar', path.join(archives, 'link.tar'));
  registry = await registryOf(path.join(archives, 'a.tar'), path.join(folder, 'registry'));
  for (const name of names) await ran('docker', 'image', 'rm', '-f', image(name));
  writeContext('x-pull', { image: registry.image, build: true, pull: true }); // there is no folder to build
  writeContext('x-refused', { image: '127.0.0.1:9/lab/none:1', pull: true });
  writeContext('x-other', { image: image('other'), archive: { file: 'a.tar', sha256: sum } });
  writeContext('x-archive', { image: image('archive'), archive: { file: 'a.tar', sha256: sum }, build: true });
  writeContext('x-sum', { image: image('sum'), archive: { file: 'a.tar', sha256: '0'.repeat(64) }, build: true });
  writeContext('x-out', { image: image('out'), archive: { file: 'link.tar', sha256: sum } });
  writeContext('x-build', { image: image('build'), archive: { file: 'not-there.tar', sha256: sum }, build: { args: { UNUSED: 'a b' } } });
  writeFolder('x-fail', `${recipe}RUN echo on its way; exit 3\n`);
  writeContext('x-fail', { image: image('fail'), build: true });
  writeContext('x-none', { image: image('none') });
  writeContext('x-bad', 'image: lab/x:1\nbild: true\n');
  writeContext('x-podman', { engine: 'podman', image: image('podman'), build: true });
  explorer = await Explorer.open();
  for (const sut of suts) writeConf(sut, confs[sut]);
});
test.after(async () => {
  await explorer?.close();
  registry?.server.close();
  await removeSuts(suts);
  for (const name of names) await ran('docker', 'image', 'rm', '-f', image(name));
  for (const one of [...names, 'bad', 'pull', 'refused']) {
    fs.rmSync(path.join(folder, `x-${one}.yaml`), { force: true });
    fs.rmSync(path.join(folder, `x-${one}`), { force: true, recursive: true });
  }
  await ran('docker', 'image', 'rm', '-f', registry?.image ?? '');
  for (const one of ['images/a.tar', 'images/link.tar', 'outside.tar', 'registry']) fs.rmSync(path.join(folder, one), { force: true, recursive: true });
});

async function isOk(sut) {
  await explorer.until(`${sut}/agent`, (v) => v === 'ok', 120);
  await until(`${sut}: healthy`, async () => (await look(container(sut)))?.State.Health.Status === 'healthy');
}
const report = (sut) => explorer.json(`fleet/sut/${sut}`);
const events = (action, name) => explorer.log.filter((m) => m.topic === 'fleet/events').map((m) => JSON.parse(m.text))
  .filter((one) => one.action === action && `${one.reason} `.includes(`${image(name)} `));

test.describe('images by contexts', { concurrency: true }, () => {
  test.it('an archive with the right sum is loaded', async () => {
    await isOk('x-archive');
    assert.equal(docker('image', 'inspect', '-f', '{{.Config.Labels.came}}', image('archive')), 'by the archive');
    assert.equal(events('build', 'archive').length, 0);
    assert.ok(events('load', 'archive').some((one) => one.result === 'ok'));
  });

  test.it('one with another sum is not, and nothing else is tried in its place', async () => {
    await until('the reason', () => report('x-sum')?.hold?.includes(`has the sha256 ${sum}: expected ${'0'.repeat(64)}; it is not loaded`), 120);
    assert.equal(await look(container('x-sum')), null);
    assert.equal(events('build', 'sum').length, 0);
    assert.notEqual((await ran('docker', 'image', 'inspect', image('sum'))).code, 0);
  });

  test.it('a link does not lead out of the archives', async () => {
    await until('the reason', () => report('x-out')?.hold?.includes("'link.tar' is a link"), 120);
    assert.equal(await look(container('x-out')), null);
  });

  test.it('an archive without the image says what it has', async () => {
    await until('the reason', () => report('x-other')?.hold?.includes(`contexts/images/a.tar has no image ${image('other')}: Loaded image: ${image('archive')}`), 120);
    assert.equal(await look(container('x-other')), null);
  });

  test.it('a pull, where it is allowed and nothing else is there; one that is refused says so in the engine\'s words', async () => {
    await isOk('x-pull');
    assert.equal((await look(container('x-pull'))).Config.Image, registry.image);
    await until('the reason', () => /pulling 127\.0\.0\.1:9\/lab\/none:1: .*connection refused/.test(report('x-refused')?.hold ?? ''), 120);
  });

  test.it('two SUTs with one context: it is built once, and its output is seen', async () => {
    await Promise.all(['x-one', 'x-two'].map(isOk));
    assert.equal((await look(container('x-one'))).Image, (await look(container('x-two'))).Image);
    assert.equal(events('build', 'build').filter((one) => one.result === 'begun').length, 1);
    assert.match(events('build', 'build').map((one) => one.output ?? '').join(''), /Step 1\/\d+ : FROM scratch/);
    assert.match((await ran('docker', 'logs', byRole('supervisor'))).out, /context=x-build build: Step 1\/\d+ : FROM scratch/);
    const { record } = await explorer.job('x-one', 'true');
    assert.equal(record.state, 'SUCCEEDED');
  });

  test.it('a build that fails: the engine\'s own words; a repaired one is built at once', async () => {
    await until('the reason', () => report('x-fail')?.hold?.includes("The command '/bin/sh -c echo on its way; exit 3' returned a non-zero code: 3"), 120);
    assert.match((await sutctl('ps')).out, /x-fail.*returned a non-zero code: 3/);
    assert.match(report('x-fail').last_action.result, /returned a non-zero code: 3/);
    assert.match(events('build', 'fail').map((one) => one.output ?? '').join(''), /on its way/);
    const once = await ran('docker', 'exec', byRole('supervisor'), 'supervisor', '--plan');
    assert.match(once.out, new RegExp(`hold x-fail: image ${image('fail')} is not on this engine: build contexts/x-fail/`));
    assert.match((await sutctl('plan')).out, /hold x-fail: image missing: building .*returned a non-zero code: 3/);
    writeFolder('x-fail', recipe);
    await isOk('x-fail');
  });

  test.it('no way to it, a context that is wrong, one for another engine, and an image without a context: each says so', async () => {
    await until('none', () => report('x-none')?.hold?.includes(`${image('none')} is not on this engine: expected an 'archive', a 'build' or 'pull: true' in contexts/x-none.yaml`), 120);
    await until('bad', () => /context 'x-bad': contexts\/x-bad\.yaml:2:1: .*bild/.test(report('x-bad')?.conf.error ?? ''));
    await until('podman', () => /for the engine podman.*no image is made and no container is made or changed/.test(report('x-podman')?.conf.error ?? ''));
    await until('plain', () => report('x-plain')?.last_action?.result === `image missing: ${image('nosuch')} is not on this engine`, 120);
    for (const sut of ['x-none', 'x-bad', 'x-podman', 'x-plain']) assert.equal(await look(container(sut)), null);
    assert.match((await sutctl('ps')).out, /x-none.*is not on this engine/);
    await isOk('x-purge');
    docker('tag', (await look(container('x-purge'))).Image, image('none')); // somebody brings it
    await sutctl('reset', 'x-none');
    await isOk('x-none');
    const { code, out } = await sutctl('validate', '/sut');
    assert.equal(code, 1);
    assert.match(out, /x-bad\.conf:1:\d+: 'context': \/contexts\/x-bad\.yaml:2:1: .*bild/);
    assert.match(out, /x-podman\.yaml: warning: it is for the engine podman/);
  });
});

test.describe('what a person asks of a SUT', { concurrency: true }, () => {
  const begin = async (sut) => {
    await isOk(sut);
    const mark = explorer.mark();
    explorer.publish(`${sut}/submit`, JSON.stringify({ id: `${sut}-long`, command: 'echo begun; sleep 1000' }));
    await until('it runs', () => explorer.json(`${sut}/jobs`)?.running === `${sut}-long`);
    return mark;
  };

  test.it('reset --purge: not by mistake, not under a job; then all of the old life is gone', async () => {
    await isOk('x-purge');
    const { id } = await explorer.job('x-purge', 'echo kept > artifacts/file');
    await begin('x-purge');
    const before = (await look(container('x-purge'))).Id;
    const unsure = await sutctl('reset', 'x-purge', '--purge');
    assert.equal(unsure.code, 2);
    assert.match(unsure.out, /expected --yes/);
    const busy = await sutctl('reset', 'x-purge', '--purge', '--yes');
    assert.equal(busy.code, 4);
    assert.match(busy.out, /a job runs on x-purge: .*--now/);
    assert.equal((await look(container('x-purge'))).Id, before);
    assert.equal((await sutctl('reset', 'x-purge', '--purge', '--now', '--yes')).code, 0);
    await until('made anew', async () => { const now = await look(container('x-purge')); return now && now.Id !== before; }, 120);
    await isOk('x-purge');
    for (const old of [id, 'x-purge-long']) {
      assert.notEqual((await inside('x-purge', 'test', '-e', `${state}/jobs/${old}`)).code, 0);
      await until(`no ${old}`, () => explorer.get(`x-purge/job/${old}`) === '');
    }
    assert.deepEqual(explorer.json('x-purge/jobs').done, []);
    assert.equal(report('x-purge').history.some((one) => one.what === 'purge' && one.result === 'ok'), true);
    const fresh = await explorer.job('x-purge', JSON.stringify({ id: 'x-purge-long', command: 'true' })); // its id is free again
    assert.equal(fresh.record.state, 'SUCCEEDED');
  });

  test.it('reset --purge of a SUT whose conf is gone takes its volume away', async () => {
    await isOk('x-two');
    fs.rmSync(path.join(process.env.SUTFLEET_SUT_DIR, 'x-two.conf'));
    await until('gone', async () => !(await look(container('x-two'))), 60);
    assert.equal((await ran('docker', 'volume', 'inspect', `${stack}-x-two-state`)).code, 0);
    assert.equal((await sutctl('reset', 'x-two', '--purge', '--yes')).code, 0);
    await until('no volume', async () => (await ran('docker', 'volume', 'inspect', `${stack}-x-two-state`)).code !== 0);
  });

  test.it('restart waits for the job, restart --now does not; a changed conf that waits is acted on by it', async () => {
    await begin('x-now');
    const startedAt = async () => (await look(container('x-now')))?.State.StartedAt;
    const before = await startedAt();
    explorer.publish('fleet/cmd/restart', 'x-now'); // the bare name, as ever
    await until('it waits', () => report('x-now')?.hold === 'asked to restart; waits for the running job');
    assert.equal(await startedAt(), before);
    assert.equal((await sutctl('restart', 'x-now', '--now')).code, 0);
    await until('restarted', async () => { const now = await startedAt(); return now && now !== before; });
    await until('the job is lost', () => explorer.json('x-now/job/x-now-long')?.state === 'LOST');
    await isOk('x-now');
    explorer.publish('x-now/submit', JSON.stringify({ id: 'x-now-next', command: 'sleep 1000' }));
    await until('it runs', () => explorer.json('x-now/jobs')?.running === 'x-now-next');
    const old = (await look(container('x-now'))).Id;
    writeConf('x-now', { ...confs['x-now'], resources: { pids: 300 } });
    await until('it waits', () => report('x-now')?.hold === 'resources.pids changed: it shapes another container; waits for the running job');
    assert.equal((await sutctl('restart', 'x-now', '--now')).code, 0);
    await until('made anew', async () => { const now = await look(container('x-now')); return now && now.Id !== old; });
    await isOk('x-now');
    await until('the job is lost', () => explorer.json('x-now/job/x-now-next')?.state === 'LOST');
  });

  test.it('a restart that waits comes behind the running job, not behind the queue', async () => {
    const mark = explorer.mark();
    explorer.publish('x-now/submit', JSON.stringify({ id: 'x-now-third', command: 'sleep 1000' }));
    await until('it runs', () => explorer.json('x-now/jobs')?.running === 'x-now-third');
    explorer.publish('x-now/submit', JSON.stringify({ id: 'x-now-behind', command: 'true' }));
    await until('it is queued', () => explorer.json('x-now/job/x-now-behind')?.state === 'QUEUED');
    explorer.publish('fleet/cmd/restart', 'x-now');
    await until('the agent starts no other', () => explorer.json('x-now/state')?.why === 'no job is started: asked to restart; waits for the running job');
    explorer.publish('x-now/cmd/cancel', 'x-now-third');
    await until('the one behind ran', () => explorer.json('x-now/job/x-now-behind')?.state === 'SUCCEEDED');
    assert.equal(explorer.json('x-now/job/x-now-third').state, 'CANCELED');
    const seen = explorer.log.slice(mark);
    const stopped = seen.findIndex((m) => m.topic === 'x-now/agent' && m.text === 'offline');
    const ran = seen.findIndex((m) => m.topic === 'x-now/job/x-now-behind' && m.text.includes('SUCCEEDED'));
    assert.ok(stopped >= 0 && stopped < ran, `offline is message ${stopped}, the job's end ${ran}`);
  });
});
