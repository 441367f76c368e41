'use strict';
// A fleet of real idle agents: from confs to all running and all `ok`, against the engine's own cost for the same
// containers; then what the fleet costs at rest, one changed conf, and the broker's return.
// usage: node fleet_agents.js COUNT
const { spawn, spawnSync } = require('node:child_process');
const fs = require('node:fs');
const http = require('node:http');
const os = require('node:os');
const path = require('node:path');
const readline = require('node:readline');
const { docker, inspect, container, byRole, sutDir, until, sleep, Explorer, removeSuts } = require('../e2e/support.js');

const count = Number(process.argv[2] ?? 50);
const image = `sutfleet/agent:${process.env.SUTFLEET_TAG}`;
const socketPath = process.env.SUTFLEET_SOCKET ?? '/var/run/docker.sock';
const rounds = count > 100 ? 1 : 3; // a few seconds each: the machine is not always as fast
const suts = Array.from({ length: count }, (_, i) => `fleet${i}`);
const seconds = (from) => (performance.now() - from) / 1000;
const row = (what, value, note = '') => console.log(`${what.padEnd(46)} ${value.padStart(9)}   ${note}`);

function call(method, target, body) {
  return new Promise((done, bad) => {
    const request = http.request({ socketPath, method, path: `/v1.41${target}`, headers: { 'Content-Type': 'application/json' } }, (answer) => {
      let text = '';
      answer.on('data', (part) => { text += part; });
      answer.on('end', () => (answer.statusCode < 400 ? done(text) : bad(new Error(`${target}: ${text}`))));
    });
    request.on('error', bad);
    request.end(body && JSON.stringify(body));
  });
}

async function eightAtOnce(names, work) {
  const left = [...names];
  await Promise.all(Array.from({ length: 8 }, async () => { while (left.length) await work(left.shift()); }));
}

/** The same container as an agent's, but that it only sleeps: several cannot be one agent. */
function like(agent) {
  const { Config: config, HostConfig: host } = agent;
  const labels = { 'io.sutfleet.bench': 'fleet' };
  return { Image: config.Image, Entrypoint: ['/bin/sleep'], Cmd: ['1000'], Env: config.Env, Labels: labels, Healthcheck: config.Healthcheck,
    StopTimeout: 0, User: config.User, HostConfig: host, NetworkingConfig: { EndpointsConfig: { [host.NetworkMode]: {} } } };
}

/** As many services as docker-compose 1.29 takes without hanging; above that, one service at that scale. */
function composeUp(spec, many) {
  const file = path.join(fs.mkdtempSync(path.join(os.tmpdir(), 'fleet-')), 'compose.json');
  const { Healthcheck: health, HostConfig: host } = spec;
  const volumes = Object.fromEntries(host.Mounts.map((one) => [one.Source, { external: true }]));
  const service = {
    image: spec.Image, entrypoint: spec.Entrypoint, command: spec.Cmd, labels: spec.Labels, user: spec.User,
    healthcheck: { test: health.Test, interval: `${health.Interval / 1e9}s`, timeout: `${health.Timeout / 1e9}s`, retries: health.Retries },
    read_only: host.ReadonlyRootfs, cap_drop: host.CapDrop, security_opt: host.SecurityOpt, pids_limit: host.PidsLimit, mem_limit: host.Memory,
    cpus: host.NanoCpus / 1e9, logging: { driver: host.LogConfig.Type, options: host.LogConfig.Config },
    tmpfs: Object.entries(host.Tmpfs).map(([at, options]) => `${at}:${options}`),
    volumes: host.Mounts.map((one) => ({ type: one.Type, source: one.Source, target: one.Target, read_only: one.ReadOnly ?? false, volume: { nocopy: true } })),
  };
  const each = many < 130 ? suts.slice(0, many) : ['fleet'];
  fs.writeFileSync(file, JSON.stringify({
    version: '2.4', services: Object.fromEntries(each.map((name) => [name, service])), volumes,
    networks: { default: { external: { name: spec.HostConfig.NetworkMode } } },
  }));
  const scale = each.length < many ? ['--scale', `fleet=${many}`] : [];
  const begin = performance.now();
  const ran = spawnSync('docker-compose', ['-p', 'sutfleet-bench-fleet', '-f', file, 'up', '-d', ...scale], { encoding: 'utf8' });
  const took = seconds(begin);
  fs.rmSync(path.dirname(file), { recursive: true });
  if (ran.status !== 0) throw new Error(`docker-compose up: ${ran.stderr}`);
  return many / took;
}

const bare = () => docker('ps', '-aq', '--filter', 'label=io.sutfleet.bench=fleet').split('\n').filter(Boolean);
const removeBare = () => eightAtOnce(bare(), (id) => call('DELETE', `/containers/${id}?force=1`));
const times = () => fs.readFileSync('/proc/stat', 'utf8').split('\n')[0].split(/\s+/).slice(1, 9).map(Number);
/** How much of the machine was in use between two `times`, 0 to 1. */
const busy = (from, to) => 1 - (to[3] + to[4] - from[3] - from[4]) / to.reduce((sum, value, i) => sum + value - from[i], 0);
/** Engine and kernel go on for a while after the last answer: not in the next one's time. */
async function quiet() {
  for (const end = Date.now() + 60_000; Date.now() < end;) {
    const from = times();
    await sleep(3000);
    if (busy(from, times()) < 0.05) return;
  }
}
/** CPU seconds of a process with all its threads. */
const cpu = (pid) => fs.readdirSync(`/proc/${pid}/task`)
  .reduce((sum, task) => sum + Number(fs.readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'utf8').split(' ')[0]) / 1e9, 0);

/** What a probe costs the whole machine, in CPU seconds: two times of equal length, one with many more of them than the fleet's own. */
async function probeCost(names, probes) {
  const use = async (work) => {
    const from = times();
    const before = probes();
    const begin = performance.now();
    await work();
    await sleep(Math.max(0, 20_000 - (performance.now() - begin)));
    return { cpu: busy(from, times()) * seconds(begin) * os.cpus().length, probes: probes() - before };
  };
  const anyway = await use(() => {});
  const more = await use(async () => {
    for (let i = 0; i < 200; i += 1) {
      const { Id: id } = JSON.parse(await call('POST', `/containers/${container(names[i % names.length])}/exec`, { Cmd: ['/opt/sutfleet/bin/healthcheck'], AttachStdout: true }));
      await call('POST', `/exec/${id}/start`, {});
    }
  });
  return (more.cpu - anyway.cpu) / (more.probes - anyway.probes);
}

async function main() {
  const running = new Set();
  let probes = 0; // of the fleet: the broker has its own, and agents that were made before have the interval of a smaller one
  const fleet = new Set(suts.map(container));
  const events = spawn('docker', ['events', '--filter', 'event=start', '--filter', 'event=exec_start', '--format', '{{.Actor.Attributes.name}} {{.Action}}']);
  readline.createInterface({ input: events.stdout }).on('line', (line) => {
    const [name, action] = line.split(' ');
    if (action === 'start') running.add(name);
    else if (fleet.has(name)) probes += 1;
  });
  const explorer = await Explorer.open();
  const isOk = (sut) => explorer.get(`${sut}/agent`) === 'ok';
  const write = (sut, more = '') => fs.writeFileSync(path.join(sutDir, `${sut}.conf`), `description: benchmark\n${more}`);
  write('pattern');
  await until('the pattern is ok', () => isOk('pattern'), 120);
  const spec = like(inspect(container('pattern')));

  const bareRun = async () => {
    await quiet();
    const from = performance.now();
    await eightAtOnce(suts, async (sut) => {
      const { Id: id } = JSON.parse(await call('POST', `/containers/create?name=${container(sut)}-bare`, spec));
      await call('POST', `/containers/${id}/start`);
    });
    const took = seconds(from);
    await removeBare();
    return took;
  };
  let bareTook = await bareRun();
  const loop = Math.min(count, 10);
  await quiet();
  let begin = performance.now();
  for (let i = 0; i < loop; i += 1)
    if (spawnSync('docker', ['run', '-d', '--label', 'io.sutfleet.bench=fleet', image, 'sleep', '1000']).status !== 0) throw new Error('docker run failed');
  const loopRate = loop / seconds(begin);
  await removeBare();
  await quiet();
  const composeRate = composeUp(spec, count);
  await removeBare();
  let took = 0;
  let allOk = 0;
  for (let round = 1; round <= rounds; round += 1) {
    bareTook += await bareRun();
    await quiet();
    running.clear();
    begin = performance.now();
    for (const sut of suts) write(sut);
    await until('all run', () => suts.every((sut) => running.has(container(sut))), 600);
    took += seconds(begin);
    await until('all ok', () => suts.every(isOk), 300);
    allOk += seconds(begin);
    if (round < rounds) await removeSuts(suts);
  }
  const bareRate = ((rounds + 1) * count) / bareTook;
  const rate = (rounds * count) / took;
  row('bare create + start, eight at once, 1/s', bareRate.toFixed(2));
  row('docker run -d in a loop, 1/s', loopRate.toFixed(2), `(${loop})`);
  row('docker-compose up -d, 1/s', composeRate.toFixed(2), `(${count}${count < 130 ? ' services' : ' of one service'})`);
  row('supervisor, from empty to all running, 1/s', rate.toFixed(2), `mean of ${rounds}; ratio to bare ${(rate / bareRate).toFixed(2)}, aim: at least 0.90`);
  row('to all ok, s', (allOk / rounds).toFixed(1));

  // At rest: their first probes are over, of which the engine tells one by one.
  await until('the engine calls all healthy', () => docker('ps', '-q', '--filter', 'health=healthy', '--filter', `name=${container('fleet')}`).split('\n').filter(Boolean).length >= count, 180);
  await sleep(15000);
  const pid = inspect(byRole('supervisor')).State.Pid;
  const intervals = [...new Set(suts.map((sut) => inspect(container(sut)).Config.Healthcheck.Interval / 1e9))];
  await quiet();
  const used = cpu(pid);
  const machine = times();
  const probed = probes;
  begin = performance.now();
  const longest = Math.max(...intervals);
  await sleep(Math.ceil(60 / longest) * longest * 1000); // whole intervals: a fleet that was made at once is probed at once
  const share = busy(machine, times()) * 100;
  const lasted = seconds(begin);
  const rest = (cpu(pid) - used) / lasted;
  const probesRate = (probes - probed) / lasted;
  const cost = await probeCost(suts, () => probes);
  row('supervisor at rest, % of a core', (rest * 100).toFixed(2), `${count} agents; aim: under 0.5 with 200`);
  row('health probe intervals chosen, s', intervals.join(' '));
  row('all at rest, % of the machine', share.toFixed(2), 'probes, heartbeats, engine and broker together');
  row('  of that, probes, % of the machine', (probesRate * cost / os.cpus().length * 100).toFixed(2), `aim: under 2; ${probesRate.toFixed(2)} a second, ${(cost * 1000).toFixed(0)} ms of CPU each`);
  const hung = container(suts[count - 1]);
  begin = performance.now();
  process.kill(inspect(hung).State.Pid, 'SIGSTOP');
  running.clear();
  await until('the hung agent runs again', () => running.has(hung), 120);
  row('a hung agent started again, s', seconds(begin).toFixed(1), 'aim: noticed within 25');

  const acted = [];
  for (const sut of suts.slice(0, 10)) {
    const mark = explorer.mark();
    begin = performance.now();
    write(sut, 'env: {BENCH: changed}\n');
    const event = () => explorer.since(mark, 'fleet/events').map((m) => JSON.parse(m.text)).find((e) => e.sut === sut);
    await until(`${sut} is acted on`, event, 30);
    acted.push(seconds(begin));
    const others = explorer.since(mark, 'fleet/events').map((m) => JSON.parse(m.text)).filter((e) => e.sut !== sut);
    if (others.length) row('  acted on beside it', String(others.length), others.map((e) => `${e.action} ${e.sut}`).join(', '));
  }
  row('a changed conf delivered, worst of 10, s', Math.max(...acted).toFixed(2), 'aim: under 1');

  const broker = byRole('broker');
  docker('stop', '-t', '10', broker);
  await sleep(5000);
  docker('start', broker);
  begin = performance.now();
  const mark = explorer.mark();
  await until('all are back', () => {
    const back = new Set(explorer.log.slice(mark).filter((m) => !m.retain && m.text === 'ok').map((m) => m.topic));
    return suts.every((sut) => back.has(`${sut}/agent`));
  }, 120);
  row('all agents back after the broker, s', seconds(begin).toFixed(1), 'aim: under 10');
  events.kill();
  await explorer.close();
}
main().then(() => process.exit(0), async (error) => {
  console.error(error.message);
  await removeBare().catch(() => {});
  process.exit(1);
});
