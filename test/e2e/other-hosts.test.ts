import assert from 'node:assert/strict'
import { basename } from 'node:path'
import { after, before, describe, test } from 'node:test'
import type { ContainerRow } from '../../src/operations/containers/list-containers.ts'
import type { VerifyResult } from '../../src/operations/integrity/verify.ts'
import { busyboxImage } from '../lab/busybox.ts'
import { freePort } from '../lab/free-port.ts'
import { etcdImage } from '../lab/images.ts'
import type { Snapshot } from '../lab/snapshot.ts'
import { changesSince, type InstalledHost, installedHost, until } from './installed-host.ts'

/**
 * The main job on later hosts than that of the other tests (Debian 12 with runc), with both runtimes side by side on each, so
 * that a host is booted and rebooted once for the two. Debian 12 is not among them: its crun, 1.8, raises RLIMIT_MEMLOCK for a
 * container with rules for devices, and a lab's host may lack CAP_SYS_RESOURCE.
 */
const hosts = [
  { suite: 'trixie', systemd: '257' },
  { suite: 'forky', systemd: '262' },
]
const runtimes = ['runc', 'crun']

for (const { suite, systemd } of hosts) {
  describe(`on Debian ${suite}`, () => {
    let lab: InstalledHost
    let untouched: Snapshot
    let images: { etcd: string; ordinary: string }
    /** Where the etcd of each runtime is reached. */
    const endpoints = new Map<string, string>()

    before(async () => {
      lab = await installedHost({ suite, settle: 1, packages: ['crun'], disks: { '/var/lib/forerun': 'tmpfs' } })
      images = {
        etcd: await lab.push('cluster/etcd', etcdImage()),
        ordinary: await lab.push('ordinary', ordinaryImage()),
      }
      untouched = lab.files()
    })

    after(() => lab[Symbol.asyncDispose]())

    test(`systemd is ${systemd}`, async () => {
      assert.match(await lab.shell('systemctl --version'), new RegExp(`^systemd ${systemd}\\b`))
    })

    for (const runtime of runtimes) {
      test(`etcd is installed and up at once with ${runtime}, and its own process is the unit's main one`, async () => {
        const [client, peer] = [await freePort(), await freePort()].map((port) => `http://127.0.0.1:${port}`)
        endpoints.set(runtime, String(client))
        const values = [`ETCD_LISTEN_CLIENT_URLS=${client}`, `ETCD_LISTEN_PEER_URLS=${peer}`]
        const words = values.flatMap((value) => ['--set', value])
        await lab.must('install', '--now', '--runtime', runtime, '--name', `etcd-${runtime}`, ...words, images.etcd)
        await assertContainerIsMain(`etcd-${runtime}`, '/usr/bin/etcd ')
        await lab.shell(`${etcdctl(runtime)} put /kept '${runtime} on ${suite}'`)
      })

      test(`an ordinary image is installed and up at once with ${runtime}, as its configuration says`, async () => {
        const name = `ordinary-${runtime}`
        await lab.must('install', '--now', '--runtime', runtime, '--name', name, images.ordinary)
        await until('it has written', async () => (await written(runtime)) !== '')
        await assertContainerIsMain(name, 'sh -c ')
        assert.equal(await written(runtime), '1:1 in /work, once')
        await lab.host.exec([runtime, 'exec', '--user', '0', name, 'touch', '/work/file'])
        const { stdout: status } = await lab.host.exec([runtime, 'exec', name, 'cat', '/proc/1/status'])
        assert.match(status, /^NoNewPrivs:\t1\nSeccomp:\t2$/m)
        const unshared = await lab.host.exec([runtime, 'exec', name, 'unshare', '-U', 'true'], { check: false })
        assert.match(unshared.stderr, /Operation not permitted/)
      })
    }

    test('all of them are listed as running, and verified', () => assertAllRunAndAreWhole())

    test('after a reboot without the registry all are up before containerd starts, with what they had written', async () => {
      await lab.registry.stop()
      await lab.host.reboot()
      assert.equal(await lab.property('containerd', 'ActiveState'), 'active')
      const containerd = Number(await lab.property('containerd', 'InactiveExitTimestampMonotonic'))
      for (const name of names()) {
        const up = Number(await lab.property(name, 'ActiveEnterTimestampMonotonic'))
        assert.ok(up > 0 && up <= containerd, `${name} ${up}, containerd ${containerd}`)
      }
      for (const runtime of runtimes) {
        assert.equal(await lab.shell(`${etcdctl(runtime)} get --print-value-only /kept`), `${runtime} on ${suite}`)
        await until('it has written again', async () => (await written(runtime)).includes('\n'))
        assert.equal(await written(runtime), '1:1 in /work, once\n1:1 in /work, once')
        await assertContainerIsMain(`etcd-${runtime}`, '/usr/bin/etcd ')
        await assertContainerIsMain(`ordinary-${runtime}`, 'sh -c ')
      }
      const programs = await lab.shell('for process in /proc/[0-9]*; do readlink $process/exe || true; done')
      assert.doesNotMatch(programs, /forerun|runc|crun/)
      await assertAllRunAndAreWhole()
    })

    for (const runtime of runtimes) {
      test(`with ${runtime} etcd goes to a next version and back, with its data`, async () => {
        await lab.registry.start()
        const name = `etcd-${runtime}`
        const get = () => lab.shell(`${etcdctl(runtime)} get --print-value-only /kept`)
        await lab.must('update', '--rebase', await lab.push('newer/etcd', etcdImage({ version: '4' })), name)
        await assertContainerIsMain(name, '/usr/bin/etcd ')
        assert.equal(await get(), `${runtime} on ${suite}`)
        await lab.must('rollback', name)
        await assertContainerIsMain(name, '/usr/bin/etcd ')
        assert.equal(await get(), `${runtime} on ${suite}`)
        assert.equal(await lab.shell(`readlink /var/lib/forerun/containers/${name}`), `${name}.0`)
      })

      test(`with ${runtime} a service whose process is killed is started again, and one that is stopped gets its signal`, async () => {
        const killed = await lab.property(`etcd-${runtime}`, 'MainPID')
        await lab.shell(`kill -KILL ${killed}`)
        await until('another etcd is up', async () => {
          const [pid, state] = await Promise.all(
            ['MainPID', 'ActiveState'].map((name) => lab.property(`etcd-${runtime}`, name)),
          )
          return pid !== killed && state === 'active'
        })
        assert.equal(await lab.shell(`${etcdctl(runtime)} get --print-value-only /kept`), `${runtime} on ${suite}`)
        await lab.must('stop', `ordinary-${runtime}`)
        assert.match(await lab.shell(`journalctl -b -u ordinary-${runtime} -o cat --no-pager`), /^got QUIT$/m)
        assert.deepEqual(
          await Promise.all(['ActiveState', 'Result'].map((name) => lab.property(`ordinary-${runtime}`, name))),
          ['inactive', 'success'],
        )
      })
    }

    test('uninstalling leaves nothing but the data, neither with the host nor with the runtimes', async () => {
      for (const name of names()) await lab.must('uninstall', name)
      for (const runtime of runtimes) assert.equal(await lab.shell(`${runtime} list --quiet`), '')
      assert.equal(await lab.shell('ls -A /var/lib/forerun/containers; pidof etcd || true'), '')
      await lab.shell(`cd /var/lib && rm -r ${names().join(' ')}`)
      assert.deepEqual(changesSince(untouched, lab), [])
    })

    async function assertAllRunAndAreWhole(): Promise<void> {
      const { json: rows } = await lab.must<ContainerRow[]>('containers', 'list', '--json')
      assert.deepEqual(
        rows.map(({ container, state, runtime }) => [container, state, basename(runtime)]),
        names().map((name) => [name, 'running', name.slice(-4)]),
      )
      const { json } = await lab.must<VerifyResult>('verify', '--json')
      assert.deepEqual([json.images, json.containers, json.damaged], [2, 4, []])
    }

    /** The runtime has left, or has become the container, and its group is below the unit's. */
    async function assertContainerIsMain(name: string, command: string): Promise<void> {
      const pid = await lab.property(name, 'MainPID')
      const line = await lab.shell(`tr '\\0' ' ' </proc/${pid}/cmdline`)
      assert.ok(`${line} `.startsWith(command), `${name}: ${line}`)
      const group = await lab.shell(`sed -n s/^0:://p /proc/${pid}/cgroup`)
      assert.match(group, new RegExp(`/system\\.slice/${name}\\.service/payload$`))
    }

    function etcdctl(runtime: string): string {
      return `etcd-${runtime}ctl --endpoints ${endpoints.get(runtime)}`
    }

    function written(runtime: string): Promise<string> {
      return lab.shell(`cat /var/lib/ordinary-${runtime}/data/log 2>/dev/null || true`)
    }
  })
}

function names(): string[] {
  return ['etcd-crun', 'etcd-runc', 'ordinary-crun', 'ordinary-runc']
}

/** Has a user, a folder, a volume and a stop signal of its own, and no /exports. */
function ordinaryImage() {
  const script = `
    trap 'echo got QUIT; exit 0' QUIT
    echo "$(id -u):$(id -g) in $(pwd), $*" >>/data/log
    sleep infinity & wait`
  return busyboxImage({
    entrypoint: ['sh', '-c', script, 'ordinary'],
    cmd: ['once'],
    layers: [{ data: { type: 'directory', mode: 0o750, uid: 1, gid: 1 }, work: { type: 'directory' } }],
    config: { User: 'daemon', WorkingDir: '/work', Volumes: { '/data': {} }, StopSignal: 'SIGQUIT' },
  })
}
