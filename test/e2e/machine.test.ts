import assert from 'node:assert/strict'
import { existsSync, mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { buildBundle } from '../../packaging/build.ts'
import { busyboxImage, serviceExports } from '../lab/busybox.ts'
import { type LabMachine, makeMachine } from '../lab/qemu.ts'
import { type LabRegistry, startRegistry } from '../lab/registry.ts'
import { differences, type Snapshot, snapshot } from '../lab/snapshot.ts'
import { freshArchive } from './installed-host.ts'

/**
 * What needs a kernel of its own: control groups with controllers, and power cuts that lose what was not flushed. One
 * emulated machine for all, since each boot takes its time.
 */
let machine: LabMachine
let registry: LabRegistry
let limited: string

before(async () => {
  registry = await startRegistry()
  machine = await makeMachine()
  await machine.installForerun(await freshArchive())
  await machine.change((root) => buildBundle(join(root, 'opt'), { program: 'test/e2e/fault-main.ts' }))
  const image = await limitedImage()
  limited = (await registry.push(image, 'limited:latest')).replace('127.0.0.1', '10.0.2.2')
})
after(async () => {
  await machine?.[Symbol.asyncDispose]()
  await registry?.[Symbol.asyncDispose]()
})

/** Takes more memory than it may have when it is told to. */
const program = `echo it runs
trap 'exit 0' TERM
trap 'dd if=/dev/zero of=/dev/shm/big bs=1M count=60' USR1
while :; do sleep 0.2; done`

/** Limits in its config.json, as images for the old tool have them. */
function limitedImage() {
  const exports = serviceExports(['sh', '-c', program])
  const configuration = exports['config.json.template'] as { linux: object }
  const resources = { memory: { limit: 67_108_864 }, pids: { limit: 50 }, cpu: { shares: 512 } }
  return busyboxImage({
    exports: {
      ...exports,
      'config.json.template': { ...configuration, linux: { ...configuration.linux, resources } },
      hostfs: { '/etc/limited/conf': 'x' },
    },
  })
}

const faulty = '/usr/lib/forerun/node /opt/forerun.cjs'

/** Runs a script in the machine and takes the lines `NAME=VALUE` of its output apart. */
async function values(script: string): Promise<Record<string, string>> {
  const { status, output } = await machine.boot(script)
  assert.equal(status, 0, output)
  return Object.fromEntries([...output.matchAll(/^(\w+)=(.*)$/gm)].map(([, name = '', value = '']) => [name, value]))
}

describe('on a kernel of its own', () => {
  it("the container lives in its unit's control group, whose limits and figures are true", async () => {
    const found = await values(`set -e
      forerun install --system --now --tls-verify=false ${limited}
      group=$(systemctl show -P ControlGroup limited)
      until grep -q . /sys/fs/cgroup$group/payload/cgroup.procs 2>/dev/null; do sleep 0.2; done
      sleep 2
      echo group=$group
      pid=$(cat /sys/fs/cgroup$group/payload/cgroup.procs | head -1)
      echo cgroup=$(cut -d: -f3 /proc/$pid/cgroup)
      echo type=$(cat /sys/fs/cgroup$group/payload/cgroup.type)
      echo memory=$(cat /sys/fs/cgroup$group/payload/memory.max)
      echo pids=$(cat /sys/fs/cgroup$group/payload/pids.max)
      echo tasks=$(test $(systemctl show -P TasksCurrent limited) -ge 2 && echo counted)
      systemctl set-property --runtime limited MemoryMax=32M
      echo lowered=$(cat /sys/fs/cgroup$group/memory.max)
      systemctl kill --kill-who=main --signal=USR1 limited
      told() { journalctl -u limited -o cat | grep -c 'killed by the OOM killer' || true; }
      for second in $(seq 30); do if [ $(told) != 0 ]; then break; fi; sleep 1; done
      echo killed=$(told)
      until [ $(systemctl show -P NRestarts limited) = 1 ] && grep -q . /sys/fs/cgroup$group/payload/cgroup.procs; do sleep 0.5; done
      echo journal=$(journalctl -u limited -t limited -o cat | grep -c 'it runs')
      pid=$(head -1 /sys/fs/cgroup$group/payload/cgroup.procs)
      systemctl kill --signal=KILL limited
      until ! grep -q -x $pid /sys/fs/cgroup$group/payload/cgroup.procs 2>/dev/null; do sleep 0.2; done
      echo reached=yes
      systemctl stop limited
      echo gone=$(test -e /sys/fs/cgroup$group || echo yes)
      forerun uninstall limited
      sync
    `)
    assert.equal(found.group, '/system.slice/limited.service')
    assert.equal(found.cgroup, '/system.slice/limited.service/payload')
    assert.equal(found.type, 'domain')
    assert.equal(found.memory, '67108864')
    assert.equal(found.pids, '50')
    assert.equal(found.tasks, 'counted')
    assert.equal(found.lowered, '33554432')
    assert.notEqual(found.killed, '0', 'more memory than the unit may have is not to be had in the container')
    assert.match(found.journal ?? '', /^[12]$/)
    assert.equal(found.reached, 'yes', 'systemctl kill reaches the container')
    assert.equal(found.gone, 'yes')
  })

  it('what was installed is there after the power is cut at once, and starts', async () => {
    await machine.boot(`forerun install --system --tls-verify=false ${limited} && echo cut >/dev/ttyS1; sleep 60`, {
      cutAt: 'cut',
    })
    const found = await values('echo active=$(systemctl is-active limited); echo conf=$(cat /etc/limited/conf)')
    assert.deepEqual(found, { active: 'active', conf: 'x' })
  })

  it('what was uninstalled is gone after the power is cut at once', async () => {
    await machine.boot('forerun uninstall limited && echo cut >/dev/ttyS1; sleep 60', { cutAt: 'cut' })
    await machine.change(async (root) => {
      for (const path of ['etc/systemd/system/limited.service', 'etc/limited', 'var/lib/forerun/containers/limited']) {
        assert.ok(!existsSync(join(root, path)), path)
      }
    })
  })

  it('the next command undoes an install in whose middle the power was cut', async () => {
    const start = await files()
    await machine.boot(`${faulty} cut 9 applied install ${limited}`, { cutAt: 'cut' })
    assert.deepEqual(await journals(), ['00000001.jsonl'])
    const { status, output } = await machine.boot('forerun images prune && systemctl is-active limited')
    assert.notEqual(status, 0, output)
    assert.deepEqual(differences(start, await files()), [])
    assert.deepEqual(await journals(), [])
  })
})

function files(): Promise<Snapshot> {
  return machine.change(async (root) => {
    mkdirSync(join(root, 'var/lib/forerun'), { recursive: true })
    return snapshot(root, { except: ['/var/lib/forerun/store', '/lab', '/opt', '/var/lib/dbus', '/var/backups'] })
  })
}

function journals(): Promise<string[]> {
  return machine.change(async (root) => readdirSync(join(root, 'var/lib/forerun/journal')))
}
