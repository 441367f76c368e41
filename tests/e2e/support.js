// What the end-to-end tests share: the stack's settings, the engine, and a client like MQTT Explorer's
// (MQTT 3.1.1, subscribes everything, publishes at QoS 0).
'use strict';
const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
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

const run = (program, ...args) => execFileSync(program, args, { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
const docker = (...args) => run('docker', ...args).trim();
const inspect = (name) => {
  try { return JSON.parse(docker('inspect', '--type', 'container', name))[0]; } catch { return null; }
};
const byRole = (role) =>
  docker('ps', '-aq', '--filter', `label=io.sutfleet.stack=${stack}`, '--filter', `label=io.sutfleet.role=${role}`);

const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
/** Waits for a condition; the limit is generous, and what was waited for is in the error. */
async function until(what, condition, seconds = 60) {
  const end = Date.now() + seconds * 1000;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (Date.now() > end) throw new Error(`after ${seconds} s still not: ${what}`);
    await sleep(50);
  }
}

const secret = (user) => fs.readFileSync(path.join(home, `${user}.password`), 'utf8').trim();

/** A client like MQTT Explorer's: the newest value of each topic, and all messages in order. */
class Explorer {
  static async open(user = 'operator') {
    const it = new Explorer();
    it.tree = new Map();
    it.log = [];
    it.client = mqtt.connect(`mqtt://127.0.0.1:${port}`, { username: user, password: secret(user), reconnectPeriod: 500 });
    it.client.on('message', (topic, payload, packet) => {
      const text = payload.toString();
      if (text === '') it.tree.delete(topic); else it.tree.set(topic, text);
      it.log.push({ topic, text, retain: packet.retain, at: Date.now() });
    });
    await new Promise((done, bad) => { it.client.once('connect', done); it.client.once('error', bad); });
    await new Promise((done, bad) => it.client.subscribe(['#', '$SYS/#'], (error) => (error ? bad(error) : done())));
    return it;
  }
  get(topic) { return this.tree.get(topic) ?? ''; }
  json(topic) { try { return JSON.parse(this.get(topic)); } catch { return null; } }
  publish(topic, payload, retain = false) { this.client.publish(topic, payload, { qos: 0, retain }); }
  mark() { return this.log.length; }
  since(mark, topic) { return this.log.slice(mark).filter((m) => m.topic === topic); }
  until(topic, good, seconds) {
    return until(`${topic} (now: ${this.get(topic)})`, () => good(this.get(topic)), seconds);
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
  close() { return new Promise((done) => this.client.end(true, {}, done)); }
}

module.exports = { root, stack, sutDir, home, port, container, run, docker, inspect, byRole, until, sleep, secret, Explorer };
