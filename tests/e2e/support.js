// What the end-to-end tests share: the stack's settings, the engine, and a client like MQTT Explorer's
// (MQTT 3.1.1, subscribes everything, publishes at QoS 0).
'use strict';
const { execFile, execFileSync } = require('node:child_process');
const fs = require('node:fs');
const http = require('node:http');
const path = require('node:path');
const mqtt = require('mqtt');

const root = path.resolve(__dirname, '../..');
const need = (name) => {
  if (!process.env[name]) throw new Error(`${name} is not set: run tools/test`);
  return process.env[name];
};
const stack = need('COMPOSE_PROJECT_NAME');
const sutDir = need('SUTFLEET_SUT_DIR');
const home = need('SUTFLEET_HOME');
const port = need('SUTFLEET_MQTT_PORT');
const container = (sut) => (stack === 'sutfleet' ? sut : `${stack}-${sut}`);

const run = (program, ...args) => execFileSync(program, args, { cwd: root, encoding: 'utf8', maxBuffer: 256 << 20, stdio: ['ignore', 'pipe', 'pipe'] });
const docker = (...args) => run('docker', ...args).trim();
const inspect = (name) => {
  try { return JSON.parse(docker('inspect', '--type', 'container', name))[0]; } catch { return null; }
};
const byRole = (role) =>
  docker('ps', '-aq', '--filter', `label=io.sutfleet.stack=${stack}`, '--filter', `label=io.sutfleet.role=${role}`);

/** The engine's word on a container, without a process for each look; null when there is none. */
const look = (name) => new Promise((done, bad) => {
  const socketPath = process.env.SUTFLEET_SOCKET ?? '/var/run/docker.sock';
  http.get({ socketPath, path: `/containers/${encodeURIComponent(name)}/json` }, (answer) => {
    let text = '';
    answer.on('data', (part) => { text += part; });
    answer.on('end', () => done(answer.statusCode === 200 ? JSON.parse(text) : null));
  }).on('error', bad);
});
/** Runs a program while other tests go on. @return {Promise<{code: number, out: string}>} out: stdout and stderr */
const ran = (program, ...args) => new Promise((done) => {
  execFile(program, args, { cwd: root, encoding: 'utf8', maxBuffer: 64 << 20 }, (error, out, err) =>
    done({ code: error ? error.code ?? -1 : 0, out: out + err }));
});
const sutctl = (...words) => ran('docker', 'exec', byRole('supervisor'), 'sutctl', ...words);
const inside = (sut, ...words) => ran('docker', 'exec', container(sut), ...words);

const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
/** Waits for a condition; the limit is generous, and what was waited for, a text or what makes one then, is in the error. */
async function until(what, condition, seconds = 60) {
  const end = Date.now() + seconds * 1000;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (Date.now() > end) throw new Error(`after ${seconds} s still not: ${typeof what === 'function' ? what() : what}`);
    await sleep(50);
  }
}

const file = (sut) => path.join(sutDir, `${sut}.conf`);
/** A folder that is read meanwhile never has a half of it: conf is an object, JSON is YAML. */
function writeConf(sut, conf) {
  fs.writeFileSync(path.join(sutDir, `.${sut}.new`), JSON.stringify(conf));
  fs.renameSync(path.join(sutDir, `.${sut}.new`), file(sut));
}
/** Takes SUTs away with all that they leave. `apply`, because they may be most of the fleet. */
async function removeSuts(suts) {
  for (const sut of suts) fs.rmSync(file(sut), { force: true });
  const gone = async () => (await Promise.all(suts.map((sut) => look(container(sut))))).every((one) => !one);
  await until(`gone: ${suts}`, async () => (await gone()) || ((await sutctl('apply')), await sleep(1000), false), 120);
  await ran('docker', 'volume', 'rm', '-f', ...suts.map((sut) => `${stack}-${sut}-state`));
}

const secret = (user) => fs.readFileSync(path.join(home, `${user}.password`), 'utf8').trim();

/** A client like MQTT Explorer's: the newest value of each topic, and all messages in order. */
class Explorer {
  static async open(user = 'operator', password = secret(user)) {
    const it = new Explorer();
    it.tree = new Map();
    it.log = [];
    it.client = mqtt.connect(`mqtt://127.0.0.1:${port}`, { username: user, password, reconnectPeriod: 500 });
    it.client.on('message', (topic, payload, packet) => {
      const text = payload.toString();
      if (text === '') it.tree.delete(topic); else it.tree.set(topic, text);
      it.log.push({ topic, text, retain: packet.retain, at: Date.now() });
    });
    // What was cleared while it was away is not told: all that is retained comes again.
    it.client.on('connect', () => it.tree.clear());
    await new Promise((done, bad) => {
      let refused = (error) => { it.close(); bad(error); };
      it.client.once('connect', () => { refused = () => {}; done(); }); // later it comes back by itself
      it.client.on('error', (error) => refused(error));
    });
    await new Promise((done, bad) => it.client.subscribe(['#', '$SYS/#'], (error) => (error ? bad(error) : done())));
    return it;
  }
  get(topic) { return this.tree.get(topic) ?? ''; }
  json(topic) { try { return JSON.parse(this.get(topic)); } catch { return null; } }
  publish(topic, payload, retain = false) { this.client.publish(topic, payload, { qos: 0, retain }); }
  mark() { return this.log.length; }
  since(mark, topic) { return this.log.slice(mark).filter((m) => m.topic === topic); }
  until(topic, good, seconds) {
    return until(() => `${topic}, which says: ${this.get(topic)}; the client ${this.client.connected ? 'is' : 'is not'} connected, its last messages are ${
      this.log.slice(-5).map((m) => `${new Date(m.at).toISOString()} ${m.topic}`)}`, () => good(this.get(topic)), seconds);
  }
  /** Submits, and waits for the record's end. */
  async job(sut, text, seconds = 60) {
    const mark = this.mark();
    this.publish(`${sut}/submit`, text);
    const accepted = await until(`${sut} accepts`, () =>
      this.since(mark, `${sut}/submit_status`).map((m) => /^accepted (\S+):/.exec(m.text)).find(Boolean));
    const id = accepted[1];
    const record = await until(`job ${id} ends`, () => {
      const now = this.json(`${sut}/job/${id}`);
      return now && !['QUEUED', 'RUNNING'].includes(now.state) && now;
    }, seconds);
    return { id, record, mark };
  }
  /** Without waiting: the callback of a client that has no connection just then never comes. */
  close() { this.client.end(true); }
}

module.exports = {
  root, stack, sutDir, home, port, container, run, ran, docker, inspect, look, inside, sutctl, byRole, until, sleep, secret, Explorer,
  writeConf, removeSuts,
};
