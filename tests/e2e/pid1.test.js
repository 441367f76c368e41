'use strict';
// agent-entry as PID 1 of real containers: stops, orphans, init steps, services, renewals and probes.
const test = require('node:test');
const assert = require('node:assert');
const http = require('node:http');
const net = require('node:net');
const { stack, container, docker, look, ran, inside, sutctl, until, Explorer, writeConf, removeSuts } = require('./support.js');

const state = '/var/lib/sutfleet';
const loop = 'while :; do sleep 0.1; done';
// What a command does to make a stop hard, and the code that the container has to end with.
const stops = {
  'p-polite': { code: 7, command: `trap 'echo last words; exit 7' TERM; echo up; ${loop}` },
  'p-int': { code: 7, signal: 'INT', command: `trap 'exit 7' TERM; echo up; ${loop}` },
  'p-quit': { code: 7, signal: 'QUIT', command: `trap 'exit 7' TERM; echo up; ${loop}` },
  'p-deaf': { code: 137, command: `trap '' TERM; echo up; ${loop}` },
  'p-stopped': { code: 7, command: `trap 'echo last words; exit 7' TERM; echo up; kill -STOP $$; ${loop}` },
  'p-daemons': { code: 143, command: 'for i in 1 2 3; do setsid sleep 1000 >/dev/null 2>&1 & done; echo up; exec sleep 1000' },
  'p-pipe': { code: 143, command: 'setsid sleep 1000 & echo up; exec sleep 1000' },
  'p-mute': { code: 143, command: 'echo up; exec sleep 1000 >&- 2>&-' },
};
// One or more for each test: none gets in the way of another.
const suts = [...Object.keys(stops), 'p-orphans', 'p-hup', 'p-house', 'p-keep', 'p-hung'];

let explorer, server, silent;
const listen = (one) => new Promise((done) => one.listen(0, '0.0.0.0', () => done(one.address().port)));
const count = async (sut, what) => Number((await inside(sut, 'sh', '-c', `grep -c '${what}' ${state}/log/agent.log`)).out);

test.before(async () => {
  explorer = await Explorer.open();
  server = http.createServer((request, answer) => {
    if (request.url === '/slow') return;
    answer.statusCode = request.url === '/ok' ? 200 : 503;
    answer.end('x');
  });
  silent = net.createServer(); // takes a connection, and then says nothing
  const [port, silentPort] = [await listen(server), await listen(silent)];
  const gateway = JSON.parse(docker('network', 'inspect', `${stack}-bus`))[0].IPAM.Config[0].Gateway;
  const url = (where) => `http://${gateway}:${port}${where}`;
  for (const [sut, { command }] of Object.entries(stops)) writeConf(sut, { command, timeouts: { stop: '3s' } });
  writeConf('p-orphans', { command: 'echo up; exec sleep 1000' });
  writeConf('p-hup', { command: "trap 'echo reloaded' HUP; echo up; while :; do sleep 0.1; done" });
  writeConf('p-house', {
    command: 'echo command; exec sleep 1000',
    init: [{ name: 'one', run: `echo one >> ${state}/trace` }, { name: 'two', run: `echo two >> ${state}/trace` }],
  });
  writeConf('p-keep', {
    services: [{ name: 'server', command: `echo $$ > ${state}/server.pid; echo serving; exec sleep 1000` }],
    renew: [{ name: 'token', run: 'echo renewed', every: '1s' }],
    probes: [
      { name: 'good', url: url('/ok'), every: '1s', timeout: '5s' },
      { name: 'bad', url: url('/broken'), every: '1s', timeout: '5s' },
      { name: 'late', url: url('/slow'), every: '1s', timeout: '1s' },
      { name: 'gone', url: `http://${gateway}:1/`, every: '1s', timeout: '5s' },
    ],
  });
  writeConf('p-hung', {
    command: 'n=0; while sleep 0.2; do n=$((n+1)); echo tick $n; done',
    services: [{ name: 'broken', command: 'exit 1' }, { name: 'fine', command: 'while sleep 0.5; do echo fine; done' }],
    renew: [{ name: 'hangs', run: 'exec sleep 1000', every: '1s' }, { name: 'fails', run: 'exit 5', every: '1s' }, { name: 'works', run: 'true', every: '1s' }],
    probes: [{ name: 'silent', url: `http://${gateway}:${silentPort}/`, every: '1s', timeout: '30s' }, { name: 'good', url: url('/ok'), every: '1s', timeout: '5s' }],
    health: { heartbeat: '1s', max_age: '20s', on_unhealthy: 'none' },
  });
});
test.after(async () => {
  server?.close().closeAllConnections();
  silent?.close();
  await explorer?.close();
  await removeSuts(suts);
});

test.describe('a stop ends an agent in time, with its command\'s code', { concurrency: true }, () => {
  for (const [sut, { code, command, signal }] of Object.entries(stops)) {
    test.it(`${sut}: ${command}`, async () => {
      await until(`${sut} is up`, () => explorer.log.some((m) => m.topic === `${sut}/output` && /^up$/m.test(m.text)), 120);
      const { Id, Config } = await look(container(sut));
      const mark = explorer.mark();
      // The supervisor starts it again at once: what it ended with is in the event.
      const waits = ran('docker', 'wait', Id);
      const begin = Date.now();
      assert.equal((await ran('docker', ...(signal ? ['kill', '-s', signal] : ['stop']), Id)).code, 0);
      assert.equal((await waits).out.trim(), String(code));
      const took = Date.now() - begin;
      assert.ok(took < Config.StopTimeout * 1000, `it took ${took} ms, until the engine killed it`);
      for (const topic of ['agent', 'submit_status'])
        await until(`${topic} offline`, () => explorer.since(mark, `${sut}/${topic}`).some((m) => m.text === 'offline'));
      await until('state offline', () => explorer.since(mark, `${sut}/state`).some((m) => JSON.parse(m.text).state === 'offline'));
      if (!command.includes('last words')) return;
      await until('its last words', () => explorer.since(mark, `${sut}/output`).some((m) => /^last words$/m.test(m.text)));
      await explorer.until(`${sut}/agent`, (v) => v === 'ok', 60); // in its next life
      assert.equal((await inside(sut, 'cat', `${state}/log/agent.log`)).out.match(/^last words$/gm).length, 1);
      assert.match((await ran('docker', 'logs', container(sut))).out, /^last words$/m);
    });
  }
});

test.describe('PID 1 and its household', { concurrency: true }, () => {
  test.it('HUP is the command\'s, and ends nothing', async () => {
    await until('its trap is set', () => explorer.log.some((m) => m.topic === 'p-hup/output' && /^up$/m.test(m.text)), 120);
    const before = (await look(container('p-hup'))).State.StartedAt, mark = explorer.mark();
    docker('kill', '-s', 'HUP', container('p-hup'));
    await until('it hears', () => explorer.since(mark, 'p-hup/output').some((m) => /^reloaded$/m.test(m.text)));
    assert.equal((await explorer.job('p-hup', 'true')).record.state, 'SUCCEEDED');
    assert.equal((await look(container('p-hup'))).State.StartedAt, before);
  });

  test.it('ten thousand orphans leave no zombie', async () => {
    await explorer.until('p-orphans/agent', (v) => v === 'ok', 120);
    const { record } = await explorer.job('p-orphans', 'i=0; while [ $i -lt 10000 ]; do (: &); i=$((i+1)); done', 180);
    assert.equal(record.state, 'SUCCEEDED');
    await until('no zombies', async () => (await inside('p-orphans', 'sh', '-c', 'grep -l "^State:.Z" /proc/[0-9]*/status 2>/dev/null | wc -l')).out.trim() === '0', 10);
    assert.equal((await ran('docker', 'top', container('p-orphans'), '-o', 'pid,args')).out.trim().split('\n').length, 3); // a head, PID 1, its command
  });

  test.it('init steps are done once, in order, before the command; again when sutctl asks', async () => {
    await explorer.until('p-house/agent', (v) => v === 'ok', 120);
    const trace = async () => (await inside('p-house', 'cat', `${state}/trace`)).out;
    assert.equal(await trace(), 'one\ntwo\n');
    const before = (await look(container('p-house'))).State.StartedAt;
    await ran('docker', 'kill', container('p-house'));
    await until('another life', async () => { const now = (await look(container('p-house'))).State; return now.Running && now.StartedAt !== before; });
    await until('its command runs', async () => (await count('p-house', '^command')) === 2);
    assert.equal(await trace(), 'one\ntwo\n');
    const again = async (...step) => until('reinit is taken', async () => (await sutctl('reinit', 'p-house', ...step)).code === 0);
    await again('two');
    await until('one step again', async () => (await trace()) === 'one\ntwo\ntwo\n');
    await explorer.until('p-house/state', (v) => v.includes('"ready"'));
    await again();
    await until('all steps again', async () => (await trace()) === 'one\ntwo\ntwo\none\ntwo\n');
    assert.equal((await sutctl('reinit', 'p-house', 'three')).code, 4);
  });

  test.it('a service that dies is started again; a renewal comes again and again', async () => {
    await explorer.until('p-keep/agent', (v) => v === 'ok', 120);
    const pid = async () => (await inside('p-keep', 'cat', `${state}/server.pid`)).out.trim();
    await until('two renewals', async () => (await count('p-keep', '^.renew token. renewed')) >= 2);
    await explorer.until('p-keep/credential/token', (v) => v.startsWith('state: ok | time: '));
    const first = await until('it serves', pid), mark = await count('p-keep', '^.server. serving');
    await inside('p-keep', 'sh', '-c', `kill -9 ${first}`);
    await until('it serves again', async () => (await count('p-keep', '^.server. serving')) > mark);
    await until('as another process', async () => ![first, ''].includes(await pid()));
  });

  test.it('probes: ok, error, timeout, nobody there', async () => {
    await explorer.until('p-keep/good', (v) => /^state: ok \| resp_t: \d+\.\d\d sec$/.test(v));
    await explorer.until('p-keep/bad', (v) => /^state: error \| resp_t: \d+\.\d\d sec \| .*503/.test(v));
    await explorer.until('p-keep/late', (v) => /^state: timeout \| resp_t: [12]\.\d\d sec$/.test(v));
    await explorer.until('p-keep/gone', (v) => /^state: error \| resp_t: \d+\.\d\d sec \| ./.test(v));
    const mark = explorer.mark();
    await until('again, each', () => ['good', 'bad', 'late', 'gone'].every((name) => explorer.since(mark, `p-keep/${name}`).length >= 2), 90);
  });

  test.it('none stops another: all of them broken at once', async () => {
    await explorer.until('p-hung/agent', (v) => v.startsWith('unhealthy: renew fails failed (5)'), 120);
    const tick = Number(/tick (\d+)/.exec((await until('ticks', () => explorer.log.findLast((m) => m.topic === 'p-hung/output' && /^tick/m.test(m.text)))).text)[1]);
    const mark = explorer.mark();
    const { record } = await explorer.job('p-hung', 'echo hi');
    assert.equal(record.state, 'SUCCEEDED');
    const heard = (what) => explorer.since(mark, 'p-hung/output').some((m) => what.test(m.text));
    await until('the command goes on', () => heard(new RegExp(`^tick ${tick + 20}$`, 'm')));
    await until('the good service goes on', () => heard(/^\[fine\] fine$/m));
    await until('the good probe goes on', () => explorer.since(mark, 'p-hung/good').some((m) => m.text.startsWith('state: ok')), 90);
    await explorer.until('p-hung/credential/works', (v) => v.startsWith('state: ok'));
    await explorer.until('p-hung/agent', (v) => /renew fails failed.*service broken in a crash loop/.test(v), 120);
    const begin = Date.now();
    assert.equal((await ran('docker', 'stop', container('p-hung'))).code, 0);
    assert.ok(Date.now() - begin < 20_000);
  });
});
