import assert from 'node:assert/strict'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { controlGroups } from '../lab/cgroup.ts'
import { bootHost } from '../lab/host.ts'
import { execute, started } from '../lab/process.ts'
import { differences } from '../lab/snapshot.ts'

test('a host keeps its files through a reboot and a crash, and nothing else changes', async () => {
  await using host = await bootHost()
  const before = host.snapshot()
  await host.exec(['sh', '-c', 'echo kept >/etc/kept'])
  const expected = ['+ /etc/kept file 644 0:0 links=1 size=5']
  const seen = () => differences(before, host.snapshot()).map((line) => line.replace(/ [0-9a-f]{64}.*/, ''))
  assert.deepEqual(seen(), expected)
  await host.reboot()
  assert.deepEqual(seen(), expected)
  await host.kill()
  assert.throws(() => host.start(['true']), /not up/)
  await host.boot()
  assert.deepEqual(seen(), expected)
})

test('a failed unit ends the boot with its name, unless it is allowed', async () => {
  await using host = await bootHost()
  const unit = '[Service]\nType=oneshot\nExecStart=/bin/false\n'
  writeFileSync(join(host.root, 'etc/systemd/system/broken.service'), unit)
  await host.exec(['systemctl', 'add-wants', 'multi-user.target', 'broken.service'])
  await assert.rejects(host.reboot(), /degraded.*broken\.service/s)
})

test('a lab leaves nothing on the machine, whether it ends in order, by a signal, or killed', async () => {
  const script = `
    import { bootHost } from '${import.meta.resolve('../lab/host.ts')}'
    const host = await bootHost()
    console.log(host.name)
    if (process.argv[1] === 'end') await host[Symbol.asyncDispose]()
    else await new Promise((resolve) => setTimeout(resolve, 60_000))
  `
  for (const way of ['end', 'SIGINT', 'SIGKILL'] as const) {
    const lab = started([process.execPath, '--input-type=module', '-e', script, way], { check: false })
    const name = await new Promise<string>((resolve) =>
      lab.child.stdout?.once('data', (text) => resolve(String(text).trim())),
    )
    assert.ok(name.startsWith('forerun-lab-'))
    if (way !== 'end') lab.signal(way)
    await lab.finished
    // What a killed one left goes when the next one comes.
    if (way === 'SIGKILL') await (await bootHost())[Symbol.asyncDispose]()
    await sleep(100)
    assert.ok(!readFileSync('/proc/self/mounts', 'utf8').includes(name), `${way} left a mount`)
    assert.ok(!existsSync(join(tmpdir(), name)), `${way} left a folder`)
    const { stdout } = await execute(['pgrep', '-f', name], { check: false })
    assert.equal(stdout, '', `${way} left a process`)
    if (way !== 'SIGINT') assert.ok(!controlGroups('forerun-lab-').includes(name), `${way} left a control group`)
  }
})
