import assert from 'node:assert/strict'
import { after, afterEach, before, test } from 'node:test'
import { busyboxImage, serviceExports } from '../lab/busybox.ts'
import { type InstalledHost, installedHost } from './installed-host.ts'

/** Where the host has not what an image asks for, or has its own mind. */
let lab: InstalledHost

before(async () => {
  lab = await installedHost({ withoutCapabilities: ['CAP_SYS_TIME'] })
})

afterEach(async () => {
  await lab.must('containers', 'delete', '--all', '--force')
  await lab.shell('rm -rf /etc/systemd/system/*.service.d && systemctl daemon-reload')
})

after(() => lab[Symbol.asyncDispose]())

const loop = ['sh', '-c', 'trap "exit 0" TERM; sleep infinity & wait']

test('a container follows its unit into the slice that an administrator gives it', async () => {
  await addSlice('moved', 'host-net.slice')
  await lab.must('install', '--now', await lab.push('moved', busyboxImage({ exports: serviceExports(loop) })))
  await lab.inside('moved', 'true')
  const { pid } = JSON.parse(await lab.shell('runc state moved'))
  const group = '/host.slice/host-net.slice/moved.service'
  assert.equal(await lab.property('moved', 'ControlGroup'), group)
  assert.equal(await lab.shell(`sed -n s/^0:://p /proc/${pid}/cgroup`), `${group}/payload`)
})

test('a unit that was moved after the installation does not start outside of its group, and says why', async () => {
  const exports = serviceExports(loop, { service: 'Restart=no' })
  await lab.must('install', await lab.push('later', busyboxImage({ exports })))
  await addSlice('later', 'other.slice')
  await lab.shell('systemctl daemon-reload; ! systemctl start later')
  const journal = await lab.shell('journalctl -u later -o cat --no-pager')
  assert.match(
    journal,
    /control group \/other\.slice\/later\.service.*and its container would be in \/system\.slice\/later/,
  )
  assert.doesNotMatch(await lab.shell('runc list'), /^later\b/m)
  await lab.shell(
    'rm /etc/systemd/system/later.service.d/50-slice.conf; systemctl daemon-reload; systemctl start later',
  )
})

test('a slice that only systemd can name is refused, and nothing stays', async () => {
  const exports = serviceExports(loop, { service: 'Slice=%p.slice' })
  const { status, stderr } = await lab.forerun('install', await lab.push('named', busyboxImage({ exports })))
  assert.equal(status, 1)
  assert.match(stderr, /^forerun: systemd has named\.service in named\.slice, and the container would be in/m)
  assert.equal(await lab.property('named', 'LoadState'), 'not-found')
})

test('labels of SELinux, a version that is not there and too many capabilities do not keep a service from running', async () => {
  const { 'config.json.template': configuration, ...exports } = serviceExports(loop)
  const { ociVersion: _, ...old } = configuration as { ociVersion: string; process: object; mounts: object[] }
  const template = JSON.stringify({
    ...old,
    process: { ...old.process, selinuxLabel: 'system_u:system_r:container_runtime_t:s0', capabilities: '@all' },
    mounts: [...old.mounts, { destination: '/absent', type: 'bind', source: '/srv/made-later', options: ['rbind'] }],
  }).replace('"@all"', '[ $ALL_PROCESS_CAPABILITIES ]')
  const tmpfiles = 'd /run/limited 0755 - - -\n'
  const image = busyboxImage({
    exports: { ...exports, 'config.json.template': template, 'tmpfiles.template': tmpfiles },
  })
  const { stderr } = await lab.must('install', await lab.push('limited', image))
  assert.match(stderr, /labels of SELinux are left out/)
  assert.match(stderr, /'\/srv\/made-later' is not there for limited to bind/)
  await lab.shell('mkdir /srv/made-later')
  await lab.must('run', 'limited')
  const status = await lab.inside('limited', 'grep', 'CapBnd', '/proc/1/status')
  const [, bounding] = /([0-9a-f]+)$/m.exec(status) ?? []
  const has = (number: bigint): boolean => ((BigInt(`0x${bounding}`) >> number) & 1n) === 1n
  // CAP_SYS_ADMIN, which the host has, and CAP_SYS_TIME, which it has not.
  assert.deepEqual([has(21n), has(25n)], [true, false])
})

async function addSlice(name: string, slice: string): Promise<void> {
  const folder = `/etc/systemd/system/${name}.service.d`
  await lab.shell(`mkdir -p ${folder}; printf '[Service]\\nSlice=${slice}\\n' >${folder}/50-slice.conf`)
}
