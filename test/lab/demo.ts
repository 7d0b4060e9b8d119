import assert from 'node:assert/strict'
import { makeArchive } from '../../packaging/archive.ts'
import { buildBundle } from '../../packaging/build.ts'
import type { Architecture } from '../../packaging/npm-package.ts'
import { bootHost, type LabHost } from './host.ts'
import { etcdImage, netconfImage } from './images.ts'
import { startRegistry } from './registry.ts'

/**
 * `npm run demo`, the main job: two system containers are installed on a host, which is then booted again; they are up
 * before the container daemon starts, and nothing of forerun is running. Every claim that is printed was checked; what
 * does not hold ends the demo with an error. Times are those of the host's own clock.
 */
async function demo(): Promise<void> {
  say('building forerun and its archive')
  await buildBundle()
  const archive = await makeArchive(process.arch as Architecture)

  await using registry = await startRegistry()
  say(`a registry listens at ${registry.address}`)
  const etcd = await registry.push(await etcdImage(), 'demo/etcd:latest')
  const netconf = await registry.push(await netconfImage(), 'demo/netconf:latest')
  say(`pushed ${etcd} and ${netconf}, built from Debian packages`)

  await using host = await bootHost()
  await host.installForerun(archive)
  const { stdout: version } = await host.exec(['forerun', '--version'])
  say(`booted the host ${host.name}, with systemd, runc, containerd, and forerun ${version.trim()}`)

  await show(host, ['forerun', 'install', '--system', etcd])
  await show(host, ['forerun', 'install', '--system', netconf])
  for (const unit of ['etcd', 'netconf']) {
    assert.equal(await systemctl(host, 'is-enabled', unit), 'enabled')
    assert.equal(await systemctl(host, 'is-active', unit), 'inactive', `${unit} runs before the reboot`)
  }
  say('both are enabled and none is running; rebooting')
  await registry.stop()
  await host.reboot()
  say('the host is up again, the registry is gone')

  await checkServices(host)
  await checkKeySpace(host)
  const boot = await checkOrder(host)
  await checkNoForerun(host)
  console.log(`demo: etcd answered ${boot.answered.toFixed(1)} s after the reboot; containerd started after it`)
}

async function checkServices(host: LabHost): Promise<void> {
  for (const unit of ['etcd', 'netconf', 'containerd']) assert.equal(await systemctl(host, 'is-active', unit), 'active')
  say('etcd, netconf and containerd are active')
}

async function checkKeySpace(host: LabHost): Promise<void> {
  const value = `value-${process.pid}`
  await show(host, ['etcdctl', 'put', '/demo/key', value])
  const { stdout } = await show(host, ['etcdctl', 'get', '--print-value-only', '/demo/key'])
  assert.equal(stdout.trim(), value)
  const { stdout: file } = await show(host, ['cat', '/run/netconf/subnet.env'])
  const subnet = /^NETCONF_SUBNET=\S+$/m.exec(file)?.[0]
  assert.ok(subnet, 'netconf wrote no subnet')
  const pid = await property(host, 'containerd', 'MainPID')
  const { stdout: environment } = await host.exec(['cat', `/proc/${pid}/environ`])
  assert.ok(environment.split('\0').includes(subnet), 'containerd was started without the file of netconf')
  say('etcd gives back what was put; containerd was started with what netconf wrote')
}

/** Times are microseconds of the host's monotonic clock, which goes on counting through the reboots of a container. */
async function checkOrder(host: LabHost): Promise<{ answered: number }> {
  const time = async (unit: string, name: string) => Number(await property(host, unit, `${name}TimestampMonotonic`))
  const booted = Number((await host.exec(['systemctl', 'show', '--value', '-p', 'UserspaceTimestampMonotonic'])).stdout)
  const up = { etcd: await time('etcd', 'ActiveEnter'), netconf: await time('netconf', 'ActiveEnter') }
  const answered = await firstAnswer(host)
  // The moment at which systemd began to start it, before any process of it ran.
  const containerd = await time('containerd', 'InactiveExit')
  assert.ok(booted > 0 && up.etcd > booted, 'etcd has not been started since the boot')
  assert.ok(
    (await property(host, 'netconf', 'After')).split(' ').includes('etcd.service'),
    'netconf is not ordered after etcd',
  )
  assert.ok(up.etcd <= answered && answered <= up.netconf, 'netconf was up without an answer of etcd')
  for (const unit of ['etcd', 'netconf']) {
    const after = (await property(host, 'containerd', 'After')).split(' ')
    assert.ok(after.includes(`${unit}.service`), `containerd is not ordered after ${unit}`)
  }
  assert.ok(up.netconf <= containerd, 'containerd was started before netconf was up')
  const seconds = (moment: number) => (moment - booted) / 1_000_000
  const line = Object.entries({
    'etcd up': up.etcd,
    'its first answer': answered,
    'netconf up': up.netconf,
    'containerd starting': containerd,
  })
  say(line.map(([what, moment]) => `${what} at ${seconds(moment).toFixed(2)} s`).join(', '))
  return { answered: seconds(answered) }
}

/** When netconf had its first answer: it says so in the journal. */
async function firstAnswer(host: LabHost): Promise<number> {
  const { stdout } = await host.exec(['journalctl', '-b', '-u', 'netconf', '-o', 'json', '--no-pager'])
  for (const line of stdout.trim().split('\n')) {
    const { MESSAGE: message, __MONOTONIC_TIMESTAMP: moment } = JSON.parse(line)
    if (typeof message === 'string' && message.startsWith('network ')) return Number(moment)
  }
  throw new Error(`netconf had no answer from etcd\n${stdout}`)
}

async function checkNoForerun(host: LabHost): Promise<void> {
  const script = 'for process in /proc/[0-9]*; do readlink "$process/exe" || true; done'
  const { stdout } = await host.exec(['sh', '-c', script])
  const programs = stdout.trim().split('\n')
  assert.ok(
    programs.some((program) => program.endsWith('/etcd')),
    'no process of the host could be seen',
  )
  const running = programs.filter((program) => program.includes('forerun'))
  assert.deepEqual(running, [])
  say('no process of forerun is running')
}

async function show(host: LabHost, argv: readonly string[]) {
  console.log(`# ${argv.join(' ')}`)
  const result = await host.exec(argv)
  process.stdout.write(result.stderr + result.stdout)
  return result
}

async function systemctl(host: LabHost, verb: string, unit: string): Promise<string> {
  return (await host.exec(['systemctl', verb, unit], { check: false })).stdout.trim()
}

async function property(host: LabHost, unit: string, name: string): Promise<string> {
  return (await host.exec(['systemctl', 'show', '--value', '-p', name, unit])).stdout.trim()
}

function say(message: string): void {
  console.log(`demo: ${message}`)
}

try {
  await demo()
} catch (error) {
  console.error(`demo: failed: ${error instanceof Error ? error.message : String(error)}`)
  process.exitCode = 1
}
