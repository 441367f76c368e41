'use strict';
// Brings the stack up the way a user does, by compose, and looks at what is there.
const test = require('node:test');
const assert = require('node:assert');
const { stack, run, ran, docker, inspect, container, byRole, until, Explorer, secret, port } = require('./support.js');

test('compose brings up broker, supervisor and one agent per conf, all ok', async () => {
  run('docker-compose', 'up', '-d', '--no-build');
  const explorer = await Explorer.open();
  for (const sut of ['alpha', 'bravo', 'charlie']) {
    await explorer.until(`${sut}/agent`, (v) => v === 'ok', 120);
    await until(`${sut} healthy`, () => inspect(container(sut)).State.Health.Status === 'healthy');
    await explorer.until(`${sut}/submit_status`, (v) => v === `ready: publish a command to ${sut}/submit`);
    assert.equal(explorer.json(`${sut}/state`).state, 'ready');
  }
  assert.equal(explorer.get('fleet/supervisor'), 'online');
  await explorer.close();
});

test('the compose file is right for docker-compose, with the profile portainer too', () => {
  const text = run('docker-compose', '--profile', 'portainer', 'config');
  assert.match(text, /portainer\/portainer-ce/);
  for (const role of ['broker', 'supervisor'])
    assert.equal(JSON.parse(docker('inspect', byRole(role)))[0].HostConfig.RestartPolicy.Name, 'always');
});

test('the engine tells Portainer what it shows: agents inside the stack, with their health', () => {
  const names = docker('ps', '--filter', `label=com.docker.compose.project=${stack}`, '--format', '{{.Names}} {{.Status}}').split('\n');
  for (const sut of ['alpha', 'bravo', 'charlie']) assert.ok(names.some((line) => line.startsWith(`${container(sut)} `) && line.includes('(healthy)')), names.join('; '));
  assert.equal(inspect(container('alpha')).Config.Labels['com.docker.compose.service'], 'alpha');
});

test('compose lists agents, calls none of them an orphan, and removes none', async () => {
  // The filters of Compose 2's `ps`.
  const names = docker('ps', '--format', '{{.Names}}', ...[`com.docker.compose.project=${stack}`, 'com.docker.compose.oneoff=False', 'com.docker.compose.config-hash']
    .flatMap((label) => ['--filter', `label=${label}`])).split('\n');
  for (const sut of ['alpha', 'bravo', 'charlie']) assert.ok(names.includes(container(sut)), names.join(' '));
  const before = inspect(container('alpha')).State.StartedAt;
  const again = await ran('docker-compose', 'up', '-d', '--no-build');
  assert.equal(again.code, 0, again.out);
  assert.doesNotMatch(again.out, /orphan/i);
  const refused = await ran('docker-compose', 'up', '-d', '--no-build', '--remove-orphans');
  assert.notEqual(refused.code, 0);
  assert.match(refused.out, /COMPOSE_IGNORE_ORPHANS and --remove-orphans cannot be combined/);
  assert.equal(inspect(container('alpha')).State.StartedAt, before);
});

test('an agent is locked down and has what it needs', () => {
  const alpha = inspect(container('alpha'));
  assert.equal(alpha.HostConfig.ReadonlyRootfs, true);
  assert.deepEqual(alpha.HostConfig.CapDrop, ['ALL']);
  assert.equal(alpha.HostConfig.RestartPolicy.Name, 'no');
  assert.equal(alpha.HostConfig.Privileged, false);
  assert.equal(alpha.Config.Hostname, 'alpha');
  assert.equal(docker('exec', alpha.Id, 'id', '-u'), '10001');
  assert.equal(docker('exec', alpha.Id, 'cat', '/sut/alpha.conf').length > 0, true);
});

test('sutctl works in the supervisor container', () => {
  const out = docker('exec', byRole('supervisor'), 'sutctl', 'ps');
  assert.match(out, /alpha\s+ready\s+ok/);
});

test('the stock clients work as operator; viewer may not publish, nobody else may connect', async () => {
  const common = ['-h', '127.0.0.1', '-p', port];
  const operator = ['-u', 'operator', '-P', secret('operator')];
  assert.equal(run('mosquitto_sub', ...common, ...operator, '-t', 'alpha/agent', '-C', '1', '-W', '20').trim(), 'ok');
  assert.throws(() => run('mosquitto_sub', ...common, '-t', '#', '-C', '1', '-W', '5'));
  assert.throws(() => run('mosquitto_sub', ...common, '-u', 'operator', '-P', 'wrong', '-t', '#', '-C', '1', '-W', '5'));
  const explorer = await Explorer.open();
  const mark = explorer.mark();
  run('mosquitto_pub', ...common, '-u', 'viewer', '-P', secret('viewer'), '-t', 'alpha/submit', '-m', 'id');
  run('mosquitto_pub', ...common, ...operator, '-t', 'bravo/submit', '-m', 'true');
  await until('the operator is heard', () => explorer.since(mark, 'bravo/submit').length === 1);
  assert.equal(explorer.since(mark, 'alpha/submit').length, 0);
  await explorer.close();
});
