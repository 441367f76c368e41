'use strict';
// A conf saved -> its container runs -> `ok` on its topic, against `docker run -d` of the same image, by turns.
// "Runs" is the engine's own start event for both. usage: node conf_to_agent.js COUNT
const { spawn, spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const readline = require('node:readline');
const { docker, inspect, container, sutDir, until, Explorer } = require('../e2e/support.js');

const count = Number(process.argv[2] ?? 20);
const image = `sutfleet/agent:${process.env.SUTFLEET_TAG}`;
const now = () => performance.timeOrigin + performance.now();
const at = (samples, share) => [...samples].sort((a, b) => a - b)[Math.min(samples.length - 1, Math.floor(share * samples.length))];
const ms = (samples) => `p50 ${at(samples, 0.5).toFixed(0).padStart(6)}  p99 ${at(samples, 0.99).toFixed(0).padStart(6)}`;

async function main() {
  const starts = new Map(); // container name -> ms
  const events = spawn('docker', ['events', '--filter', 'event=start', '--format', '{{.Actor.Attributes.name}} {{.TimeNano}}']);
  readline.createInterface({ input: events.stdout }).on('line', (line) => {
    const [name, nanos] = line.split(' ');
    starts.set(name, Number(BigInt(nanos) / 1000n) / 1000);
  });
  const explorer = await Explorer.open();
  const bare = [], running = [], ok = [];
  for (let i = 0; i < count; i += 1) {
    const name = `${container('bench')}-bare${i}`, sut = `bench${i}`;
    let begin = now();
    if (spawnSync('docker', ['run', '-d', '--name', name, image, 'sleep', '100']).status !== 0) throw new Error('docker run failed');
    await until('the start event', () => starts.has(name));
    bare.push(starts.get(name) - begin);
    docker('rm', '-f', name);
    begin = now();
    fs.writeFileSync(path.join(sutDir, `${sut}.conf`), 'description: benchmark\n');
    const mark = explorer.mark();
    const seen = await until(`${sut} ok`, () => explorer.since(mark, `${sut}/agent`).find((m) => m.text === 'ok'));
    running.push(starts.get(container(sut)) - begin);
    ok.push(seen.at - begin);
    fs.unlinkSync(path.join(sutDir, `${sut}.conf`));
    await until(`${sut} gone`, () => !inspect(container(sut)));
  }
  events.kill();
  await explorer.close();
  console.log(`conf saved to running, ms     ${ms(running)}   (${count}); aim: p50 under 1000`);
  console.log(`conf saved to ok, ms          ${ms(ok)}`);
  console.log(`docker run -d, same image, ms ${ms(bare)}`);
  console.log(`ratio of the p50 to running   ${(at(running, 0.5) / at(bare, 0.5)).toFixed(2).padStart(6)}       aim: at most 1.5`);
}
main().catch((error) => { console.error(error.message); process.exit(1); });
