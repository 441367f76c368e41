'use strict';
// How containers are locked, against the list in docs/security.md; the CIS checks; and all that a taken-over agent tries, from
// inside, with its credential: a table of attempts, none of which may get through.
const test = require('node:test');
const assert = require('node:assert');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const mqtt = require('mqtt');
const { root, stack, container, docker, look, ran, inside, byRole, until, sleep, Explorer, writeConf, removeSuts, port } = require('./support.js');

const attacker = 'h-attacker', victim = 'h-victim';
const health = { heartbeat: '500ms', max_age: '10s', interval: '2s' };
let explorer;
test.before(async () => {
  explorer = await Explorer.open();
  // Its agent is stopped for a while, and nobody shall see to it.
  writeConf(attacker, { health: { ...health, max_age: '1h', on_unhealthy: 'none' } });
  writeConf(victim, { command: 'exec sleep 100000', health });
  for (const sut of [attacker, victim]) await explorer.until(`${sut}/agent`, (v) => v === 'ok', 120);
});
test.after(async () => {
  await explorer?.close();
  await removeSuts([attacker, victim]);
});

// The list ---------------------------------------------------------------------------------------------------------

/** The rows of the table in docs/security.md: who, what, is. */
function list() {
  const text = fs.readFileSync(path.join(root, 'docs/security.md'), 'utf8');
  const rows = text.slice(text.indexOf('| who | what | is |')).split('\n\n')[0].split('\n').slice(2);
  return rows.map((row) => row.split('|').slice(1, 4).map((cell) => cell.trim())).map(([who, what, is]) => ({ who, what: what.slice(1, -1), is }));
}
function everything() {
  const ids = docker('ps', '-aq', '--filter', `label=io.sutfleet.stack=${stack}`).split('\n');
  return JSON.parse(docker('inspect', ...ids)).map((one) => {
    const labels = one.Config.Labels;
    const who = labels['io.sutfleet.sut'] ? 'agent' : labels['io.sutfleet.role'] ?? labels['com.docker.compose.service'];
    return { who, name: one.Name.slice(1), one };
  });
}
function valueOf(one, what) {
  if (!what.startsWith('process ')) return what.split('.').reduce((at, key) => at?.[key], one);
  const line = new RegExp(`^${what.slice(8)}:\\s*(\\S+)`, 'm').exec(fs.readFileSync(`/proc/${one.State.Pid}/status`, 'utf8'));
  return line?.[1];
}
/** @return {boolean} whether a value is as the list's last column says */
function fits(value, is) {
  const text = JSON.stringify(value ?? null);
  const wanted = /`([^`]*)`/.exec(is)?.[1];
  const empty = value === null || value === undefined || value === '' || (typeof value === 'object' && Object.keys(value).length === 0);
  if (is === 'none') return empty;
  if (is.startsWith('has ')) return text.includes(wanted);
  if (is.startsWith('without ')) return !text.includes(wanted);
  if (is.startsWith('above ')) return Number(value) > Number(wanted);
  if (is.startsWith('plain on ')) return ['1883/tcp', '9001/tcp'].every((at) => value[at].every((one) => one.HostIp === wanted));
  const sorted = (one) => JSON.stringify(Array.isArray(one) ? [...one].sort() : one);
  return sorted(value) === sorted(JSON.parse(wanted));
}

test('all that runs is locked as docs/security.md says', () => {
  const rows = list(), found = everything();
  assert.ok(rows.length > 30, 'the table was not found');
  for (const who of ['agent', 'broker', 'supervisor', 'init']) assert.ok(found.some((one) => one.who === who), `no ${who}`);
  assert.deepEqual(found.filter(({ who }) => !['agent', 'broker', 'supervisor', 'init'].includes(who)).map(({ name }) => name), []);
  const wrong = [];
  let compared = 0;
  for (const { who, what, is } of rows)
    for (const { who: its, name, one } of found) {
      if (who !== 'all' && who !== its && !(who === 'running' && one.State.Running)) continue;
      const value = valueOf(one, what);
      compared += 1;
      if (!fits(value, is)) wrong.push(`${name}: ${what} is ${JSON.stringify(value)}, expected ${is}`);
    }
  assert.deepEqual(wrong, []);
  for (const { who, name, one } of found) // what is not dumpable is root's in /proc
    if (who === 'agent' || who === 'supervisor') assert.equal(fs.statSync(`/proc/${one.State.Pid}/environ`).uid, 0, name);
  console.log(`# ${compared} values of ${found.length} containers compared with ${rows.length} rows`);
});

test('the CIS checks that apply', async () => {
  const { code, out } = await ran('tools/cis');
  assert.equal(code, 0, out);
  const count = (word) => out.split('\n').filter((line) => line.startsWith(word)).length;
  console.log(`# CIS: ${count('PASS')} pass, ${count('FAIL')} fail, ${count('WHY NOT')} do not apply`);
  assert.ok(count('PASS') >= 20, out);
});

test('the programs are hardened: PIE, full RELRO, stack protector, fortified calls', async () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'sutfleet-elf-'));
  const programs = ['/usr/local/bin/supervisor', '/usr/local/bin/sutctl', ...['agent-entry', 'agent-entry-tls', 'healthcheck', 'http-probe'].map((one) => `/opt/sutfleet/agent-tree/bin/${one}`),
                    '/opt/sutfleet/sutctl/bin/sutctl'];
  const here = programs.map((from, i) => path.join(folder, `${i}-${path.basename(from)}`));
  programs.forEach((from, i) => docker('cp', `${byRole('supervisor')}:${from}`, here[i]));
  const { code, out } = await ran('tests/e2e/elf_hardening.sh', ...here);
  fs.rmSync(folder, { recursive: true });
  assert.equal(code, 0, out);
});

// What a conf asks for ------------------------------------------------------------------------------------------------

test('a conf that asks for more of the host than its owner gave is refused by line and key', async () => {
  const asks = [
    [{ mounts: [{ source: '/etc', target: '/x' }] }, "'mounts': expected a path that SUTFLEET_ALLOW_MOUNTS has (now: none), found '/etc'"],
    [{ mounts: [{ source: '/var/run/docker.sock', target: '/x' }] }, "'mounts': expected a path without the engine's or the kernel's own in it"],
    [{ mounts: [{ source: `${stack}-supervisor-state`, target: '/x' }] }, "'mounts': expected a volume that is not the fleet's own"],
    [{ devices: ['/dev/mem'] }, "'devices': expected a device that SUTFLEET_ALLOW_MOUNTS has"],
    [{ cap_add: ['SYS_ADMIN'] }, "'cap_add': expected one that is the container's own business"],
    [{ cap_add: ['ALL'] }, "'cap_add': expected one that is the container's own business"],
    [{ network: 'host' }, "'network': expected a network of the engine's: never the host's or another container's"],
    [{ network: `container:${container(victim)}` }, "'network': expected a network of the engine's: never the host's or another container's"],
  ];
  const names = asks.map((_, i) => `h-asks-${i}`);
  asks.forEach(([conf], i) => writeConf(names[i], conf));
  for (const [i, [, reason]] of asks.entries()) {
    await until(names[i], () => (explorer.json(`fleet/sut/${names[i]}`)?.conf.error ?? '').includes(reason), 30);
    assert.match(explorer.json(`fleet/sut/${names[i]}`).conf.error, new RegExp(`^${names[i]}\\.conf:1:\\d+: `));
    assert.equal(await look(container(names[i])), null);
  }
  await removeSuts(names);
});

// From inside -----------------------------------------------------------------------------------------------------------

const attempts = []; // {kind, what, said}: said is empty when it was refused
const record = (kind, what, said) => attempts.push({ kind, what, said });

/** x86-64's numbers, for perl's syscall(); -1 and errno when refused. */
const calls = {
  'trace PID 1 (ptrace ATTACH)': 'syscall(101, 16, 1, 0, 0)',
  'trace PID 1 (ptrace SEIZE)': 'syscall(101, 0x4206, 1, 0, 0)',
  'read the memory of PID 1 (process_vm_readv)': '$b = "x" x 64; $l = pack("PQ", $b, 64); $r = pack("QQ", 0x400000, 64); syscall(310, 1, $l, 1, $r, 1, 0)',
  'take a descriptor of PID 1 (pidfd_getfd)': '$p = syscall(434, 1, 0); $p < 0 ? -1 : syscall(438, $p, 3, 0)',
  'become root (setuid)': 'syscall(105, 0)',
  'mount': '$a = "none"; $t = "/tmp"; $f = "tmpfs"; syscall(165, $a, $t, $f, 0, 0)',
  'a user name space (unshare)': 'syscall(272, 0x10000000)',
  'a mount name space (unshare)': 'syscall(272, 0x20000)',
  'chroot': '$t = "/tmp"; syscall(161, $t)',
  'a block device (mknod)': '$t = "/tmp/disk"; syscall(133, $t, 0060666, 0x800)',
  'load a module (init_module)': '$m = "x"; syscall(175, $m, 1, $m)',
  'a file by its handle (open_by_handle_at)': '$h = pack("IIQ", 8, 1, 2); syscall(304, -100, $h, 0)',
  'bpf': '$a = "\\0" x 64; syscall(321, 0, $a, 64)',
  'the clock (settimeofday)': '$t = pack("QQ", 1, 0); syscall(164, $t, 0)',
  'reboot': 'syscall(169, 0xfee1dead, 672274793, 0x89abcdef, 0)',
  'a raw packet': 'syscall(41, 17, 3, 0x300)',
};
const shell = {
  process: {
    'environment of PID 1': 'cat /proc/1/environ',
    'memory of PID 1': 'head -c 1 /proc/1/mem',
    'map of PID 1': 'grep . /proc/1/maps',
    'descriptors of PID 1': 'ls /proc/1/fd | grep .',
    'root of PID 1': 'ls /proc/1/root/',
    'kill -9 of PID 1': 'kill -9 1; sleep 1; test ! -d /proc/1',
    'stop PID 1': 'kill -STOP 1; sleep 1; grep "^State:.T" /proc/1/status',
  },
  files: {
    'write /': 'touch /x', 'write /etc': 'touch /etc/x', 'write the programs': 'touch /opt/sutfleet/bin/x', 'write the conf': 'touch /sut/x',
    'exchange the conf': 'ln -sfn /tmp /sut/.current', 'write where secrets are': 'mkdir -p /run/secrets/x',
    'core_pattern': 'echo "|/tmp/x" > /proc/sys/kernel/core_pattern', sysrq: 'echo h > /proc/sysrq-trigger',
    release_agent: 'for f in $(find /sys/fs/cgroup -name release_agent 2>/dev/null); do echo /tmp/x > $f && exit 0; done; exit 1',
    'own limits': 'for f in $(find /sys/fs/cgroup -name pids.max -o -name memory.limit_in_bytes -o -name memory.max 2>/dev/null); do echo max > $f && exit 0; done; exit 1',
    'kernel memory': 'head -c 1 /dev/mem || head -c 1 /dev/kmem || head -c 1 /proc/kcore', 'a disk': 'ls /dev/sd* /dev/vd* /dev/nvme* /dev/loop*',
    'remount the root': 'mount -o remount,rw /', "the host's own": 'ls /var/lib/docker /host',
    'the kernel log': 'dmesg | grep .',
  },
  engine: {
    'socket': 'ls /var/run/docker.sock /run/docker.sock /run/containerd/containerd.sock /run/podman/podman.sock',
    'by curl': 'curl -s -m 3 --unix-socket /var/run/docker.sock http://x/version',
  },
};

/** The same at what a job may have: so that no attempt is refused for a tool that is missing. */
const controls = ['sleep 5 & cat /proc/$!/environ', 'sleep 5 & head -c 1 /proc/$!/maps', 'sleep 5 & ls /proc/$!/fd | grep .', 'touch /tmp/x', 'ls /dev/null', 'mount | grep .',
                  'sleep 5 & kill -STOP $!; sleep 1; grep "^State:.T" /proc/$!/status; kill -9 $!', 'curl --version', 'perl -e "exit(syscall(39) > 0 ? 0 : 1)"', 'dmesg --version'];

test('from inside: processes, files, system calls', async () => {
  for (const script of controls) {
    const { record: job } = await explorer.job(attacker, `( ${script} ) >/dev/null 2>&1`);
    assert.equal(job.state, 'SUCCEEDED', script);
  }
  for (const [kind, some] of Object.entries(shell))
    for (const [what, script] of Object.entries(some)) {
      const { record: job } = await explorer.job(attacker, `( ${script} ) >/dev/null 2>&1`);
      record(kind, what, job.state === 'SUCCEEDED' ? 'it worked' : '');
    }
  if (process.arch === 'x64')
    for (const [what, code] of Object.entries(calls)) {
      const { record: job } = await explorer.job(attacker, `exec perl -e 'my ($a,$b,$f,$h,$l,$m,$p,$r,$t); my $x = do { ${code} }; exit($x < 0 ? 1 : 0)'`);
      assert.ok([0, 1].includes(job.exit), `${what}: ${JSON.stringify(job)}`);
      record('system call', what, job.exit === 0 ? 'it worked' : '');
    }
  // A child's descriptors: its three, and the one that ls has to look with.
  const { id } = await explorer.job(attacker, 'ls /proc/self/fd; grep -E "^(CapBnd|CapEff|NoNewPrivs)" /proc/self/status');
  const seen = (await inside(attacker, 'cat', `/var/lib/sutfleet/jobs/${id}/output.log`)).out;
  record('process', 'descriptors that a child inherits', /^0\n1\n2\n3\nCap/.test(seen) ? '' : seen);
  record('process', 'capabilities to be had', /CapEff:\t0+\nCapBnd:\t0+\nNoNewPrivs:\t1\n/.test(seen) ? '' : seen);
  await explorer.until(`${attacker}/agent`, (v) => v === 'ok', 60);
  // What PID 1 needs of /proc although it is root's there: its children's rank.
  const { record: ranked } = await explorer.job(attacker, 'test "$(cat /proc/self/oom_score_adj)" = 1000 && test "$(ulimit -Hc)" = 0');
  assert.equal(ranked.state, 'SUCCEEDED');
  assert.equal((await inside(attacker, 'cat', '/proc/1/oom_score_adj')).out, '0\n');
});

test('from inside: ports and networks', async () => {
  const network = `${stack}-attack`;
  docker('network', 'create', '--label', `io.sutfleet.stack=${stack}`, network);
  const image = `sutfleet/agent:${process.env.SUTFLEET_TAG}`;
  const listen = 'use Socket; socket(S, PF_INET, SOCK_STREAM, 0); bind(S, sockaddr_in(8000, INADDR_ANY)); listen(S, 5); sleep 1000';
  const target = docker('run', '-d', '--rm', '--network', network, '--entrypoint', 'perl', image, '-e', listen);
  try {
    const address = JSON.parse(docker('inspect', target))[0].NetworkSettings.Networks[network].IPAddress;
    const supervisor = JSON.parse(docker('inspect', byRole('supervisor')))[0].NetworkSettings.Networks[`${stack}-bus`].IPAddress;
    const gateway = JSON.parse(docker('network', 'inspect', `${stack}-bus`))[0].IPAM.Config[0].Gateway;
    // Exits with 0 when one of the ports takes a connection.
    const scan = (host, ports) => `exec perl -MSocket -e 'for my $p (${ports}) { socket(S, PF_INET, SOCK_STREAM, 0); ` +
      `setsockopt(S, SOL_SOCKET, SO_SNDTIMEO, pack("qq", 2, 0)); exit 0 if connect(S, sockaddr_in($p, inet_aton("${host}"))); close S } exit 1'`;
    const open = async (host, ports) => (await explorer.job(attacker, scan(host, ports), 300)).record.exit === 0;
    assert.ok(await open('broker', '1884'), 'the scan finds what is there');
    record('network', "another network's container", (await open(address, '8000')) ? 'it answered' : '');
    record('network', 'any port of the supervisor', (await open(supervisor, '1..20000')) ? 'it answered' : '');
    record('network', 'the engine by the gateway', (await open(gateway, '2375, 2376, 2377, 4243')) ? 'it answered' : '');
    record('network', "the host's loopback by the gateway", (await open(gateway, port)) ? 'it answered' : '');
  } finally {
    await ran('docker', 'rm', '-f', target);
    await ran('docker', 'network', 'rm', network);
  }
});

// With its credential ---------------------------------------------------------------------------------------------------

/** Where the attacker's agent finds its broker, seen from the host. */
async function broker() {
  const conf = JSON.parse((await inside(attacker, 'cat', '/sut/.current/agent.json')).out);
  const url = new URL(conf.broker);
  const address = JSON.parse(docker('inspect', byRole('broker')))[0].NetworkSettings.Networks[`${stack}-bus`].IPAddress;
  return { url: `${url.protocol}//${address}:${url.port}`, rejectUnauthorized: false };
}
const connect = (where, options) => new Promise((done) => {
  const client = mqtt.connect(where.url, { reconnectPeriod: 0, connectTimeout: 10000, rejectUnauthorized: false, ...options });
  client.once('connect', () => done(client));
  client.once('error', () => { client.end(true); done(null); });
  client.once('close', () => done(null));
});

test('with its credential: other topics, other names, other users', async () => {
  const where = await broker();
  const password = (await inside(attacker, 'cat', '/sut/.current/.credential')).out;
  docker('kill', '-s', 'STOP', container(attacker)); // its agent would take the session back
  try {
    const refusedLogin = async (what, options, at = where) => {
      const client = await connect(at, options);
      record('login', what, client ? 'it was let in' : '');
      client?.end(true);
    };
    await refusedLogin('anonymous', {});
    for (const username of ['operator', 'viewer', 'supervisor', 'fleet', victim]) await refusedLogin(`as ${username} with its own password`, { username, password });
    await refusedLogin('on the listener of people', { username: attacker, password }, { url: `mqtt://127.0.0.1:${port}` });
    const before = explorer.mark();
    const taken = await connect(where, { username: attacker, password, clientId: `sutfleet/${victim}` });
    await sleep(1500); // three heartbeats
    record('session', "another's client id", explorer.since(before, `${victim}/agent`).some((m) => m.text === 'offline') ? 'the other lost its session' : '');
    taken?.end(true);

    const marked = explorer.mark();
    const client = await connect(where, { username: attacker, password, clientId: `sutfleet/${attacker}`, clean: true,
                                          will: { topic: `${victim}/agent`, payload: 'forged', retain: true, qos: 1 } });
    const heard = [];
    assert.ok(client, 'its own credential is taken');
    client.on('message', (topic, payload, packet) => heard.push({ topic, text: payload.toString(), retain: packet.retain }));
    const wanted = ['#', `${victim}/#`, `${victim}/submit`, `${victim}/cmd/+`, '+/submit', 'fleet/#', 'fleet/queue/+/submit', '$SYS/#', `$share/x/${victim}/submit`, '+/+'];
    for (const filter of wanted) await new Promise((done) => client.subscribe(filter, { qos: 1 }, done));
    // What others get meanwhile. The agent's own submit is the proof that the subscription works.
    for (const topic of [`${victim}/submit`, `${victim}/cmd/x`, 'fleet/cmd/x', 'fleet/queue/x/submit', 'lab/x']) explorer.publish(topic, 'secret to others');
    explorer.publish(`${attacker}/submit`, 'for the attacker');
    await until('its own', () => heard.some((m) => m.text === 'for the attacker'), 20);
    for (const filter of wanted) {
      const others = heard.filter((m) => !m.topic.startsWith(`${attacker}/`) && m.topic !== '$SYS/broker/uptime');
      record('subscribe', filter, others.length ? JSON.stringify(others[0]) : '');
    }
    const topics = [`${attacker}/submit`, `${attacker}/cmd/restart`, `${victim}/submit`, `${victim}/cmd/cancel`, `${victim}/agent`, `${victim}/state`, `${victim}/job/x`,
                    'fleet/cmd/restart', 'fleet/state', 'fleet/supervisor', 'fleet/events', `fleet/sut/${victim}`, 'fleet/queue/x/submit', 'lab/x', '$SYS/x'];
    for (const topic of topics) await new Promise((done) => { client.publish(topic, 'forged', { qos: 1, retain: topic.endsWith('agent') }, () => done()); setTimeout(done, 1000); });
    await new Promise((done) => { client.publish(`${attacker}/output`, 'the last one', { qos: 1 }, () => done()); setTimeout(done, 3000); });
    await until('the allowed one', () => explorer.since(marked, `${attacker}/output`).some((m) => m.text === 'the last one'), 20);
    for (const topic of topics) record('publish', topic, explorer.since(marked, topic).some((m) => m.text === 'forged') ? 'it was published' : '');
    client.stream.destroy(); // without a goodbye: the will is due
    await sleep(1500);
    record('session', "a will on another's topic", explorer.since(marked, `${victim}/agent`).some((m) => m.text === 'forged') ? 'it was published' : '');
  } finally {
    docker('kill', '-s', 'CONT', container(attacker));
  }
  await explorer.until(`${attacker}/agent`, (v) => v === 'ok', 120);
});

test('the table: nothing got through', () => {
  const kinds = [...new Set(attempts.map(({ kind }) => kind))];
  for (const kind of kinds) {
    const its = attempts.filter((one) => one.kind === kind);
    console.log(`# ${kind}: ${its.length} attempts, ${its.filter(({ said }) => !said).length} refused, ${its.filter(({ said }) => said).length} let through`);
  }
  assert.ok(attempts.length >= 60, `${attempts.length} attempts only`);
  assert.deepEqual(attempts.filter(({ said }) => said), []);
});
