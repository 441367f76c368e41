'use strict';
// A second stack on the same engine, without a broker: neither sees the other; and what keeps a container from being made is said plainly.
const test = require('node:test');
const assert = require('node:assert');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { stack, container, docker, inspect, byRole, ran, sutctl, until } = require('./support.js');

const other = `${stack}-other`;
const taken = `${other}-taken`; // a network on a device that a bridge has
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'sutfleet-test-'));
const write = (sut, conf) => fs.writeFileSync(path.join(folder, `${sut}.conf`), JSON.stringify(conf));
const found = (what, ...words) => docker(what, ...words, '-q', '--filter', `label=io.sutfleet.stack=${other}`).split('\n').filter(Boolean);
const logs = async () => (await ran('docker', 'logs', other)).out;

test.before(() => {
  fs.chmodSync(folder, 0o755);
  write('alpha', { description: 'of the other stack, with the same name' });
  const env = {
    SUTFLEET_STACK: other, SUTFLEET_NETWORK: `${stack}-bus`, SUTFLEET_BROKER: 'mqtt://127.0.0.1:1', SUTFLEET_STATE_DIR: '/tmp/state', SUTFLEET_AUTH_DIR: '/tmp/auth',
    SUTFLEET_SECRETS_DIR: '/tmp/secrets', SUTFLEET_AGENT_IMAGE: `sutfleet/agent:${process.env.SUTFLEET_TAG}`, SUTFLEET_ALLOW_MOUNTS: '/srv/no-such-folder,/dev/no-such-device',
    SUTFLEET_ALLOW_NETWORKS: `no-such-network,${taken}`,
  };
  const socket = process.env.SUTFLEET_SOCKET ?? '/var/run/docker.sock';
  docker('run', '-d', '--name', other, '--label', `io.sutfleet.stack=${other}`, '--label', 'io.sutfleet.role=supervisor', '--network', 'none', '--read-only', '--tmpfs', '/tmp',
    '-v', `${folder}:/sut:ro`, '-v', `${socket}:/var/run/docker.sock`, ...Object.entries(env).flatMap(([key, value]) => ['-e', `${key}=${value}`]), inspect(byRole('supervisor')).Config.Image);
});
test.after(async () => {
  docker('rm', '-f', other); // first: it would make its agents anew
  for (const id of found('ps', '-a')) docker('rm', '-f', '-v', id);
  for (const name of found('volume', 'ls')) docker('volume', 'rm', '-f', name);
  for (const id of found('network', 'ls')) docker('network', 'rm', id);
  fs.rmSync(folder, { recursive: true });
});

test('the same SUT name twice: each supervisor has its own agent, and plans nothing for the other', async () => {
  const first = inspect(container('alpha'));
  await until('the other stack has its own', () => inspect(`${other}-alpha`)?.State.Health?.Status === 'healthy', 90);
  assert.equal(inspect(`${other}-alpha`).Config.Labels['io.sutfleet.stack'], other);
  assert.equal(inspect(container('alpha')).State.StartedAt, first.State.StartedAt);
  assert.equal((await sutctl('plan')).out, 'nothing to do\n');
  assert.equal((await ran('docker', 'exec', other, 'supervisor', '--plan')).out, 'nothing to do\n');
});

test('a mount, a device and a network that are not there, or taken, have their own reasons, and hold up nobody', async () => {
  const devices = '/sys/class/net';
  const parent = fs.readdirSync(devices).find((one) => fs.existsSync(path.join(devices, one, 'brport'))); // of one of the running containers
  docker('network', 'create', '--label', `io.sutfleet.stack=${other}`, '-d', 'macvlan', '-o', `parent=${parent}`, taken);
  write('m-mount', { mounts: [{ source: '/srv/no-such-folder', target: '/data' }] });
  write('m-device', { devices: ['/dev/no-such-device'] });
  write('m-network', { network: 'no-such-network' });
  write('m-taken', { network: taken });
  for (const [sut, why] of [['m-mount', 'mount source missing'], ['m-device', 'device missing'], ['m-network', 'network missing'], ['m-taken', 'device taken']])
    await until(async () => `${sut} fails as ${why}`, async () => (await logs()).includes(`sut=${sut} create failed: ${why}: `), 60);
  write('beside', {});
  await until('one beside them runs', () => inspect(`${other}-beside`)?.State.Running, 60);
});

test('its conf gone, its agent goes, and the one of that name in this stack stays', async () => {
  const first = inspect(container('alpha'));
  fs.rmSync(path.join(folder, 'alpha.conf'));
  await until('gone', () => !inspect(`${other}-alpha`), 60);
  assert.equal(inspect(container('alpha')).State.StartedAt, first.State.StartedAt);
});
