import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, afterEach, before, test } from 'node:test'
import { buildBundle } from '../../packaging/build.ts'
import type { AdoptionResult } from '../../src/operations/containers/adopt.ts'
import type { ContainerInspection } from '../../src/operations/containers/inspect-container.ts'
import type { ContainerRow } from '../../src/operations/containers/list-containers.ts'
import type { UpdateResult } from '../../src/operations/containers/update.ts'
import { busyboxImage, type Exports, exportFiles, serviceExports } from '../lab/busybox.ts'
import { differences, type Snapshot } from '../lab/snapshot.ts'
import { atomicContainer, ostreeRepository } from './atomic-host.ts'
import { changesSince, type InstalledHost, installedHost } from './installed-host.ts'

/** Containers of Project Atomic's tool that forerun takes over. */
let lab: InstalledHost
let untouched: Snapshot

const checkouts = '/var/lib/containers/atomic'
const containers = '/var/lib/forerun/containers'

before(async () => {
  lab = await installedHost({ settle: 1 })
  await buildBundle(join(lab.host.root, 'opt'), { program: 'test/e2e/fault-main.ts' })
  await lab.shell(`mkdir -p ${checkouts} /ostree/repo/objects`)
  await lab.must('images', 'prune')
  untouched = lab.files()
})

/** What is left of a test is taken away by hand, as of that tool. */
afterEach(async () => {
  await lab.must('containers', 'delete', '--all', '--force')
  await lab.shell(
    `for link in $(find ${checkouts} -maxdepth 1 -type l); do systemctl disable --now $(basename $link) 2>/dev/null || true; done`,
  )
  await lab.shell(
    `rm -rf ${checkouts}/* /ostree/repo/objects/* /etc/systemd/system/old*.service* /etc/tmpfiles.d/old*.conf /run/old* /etc/old; systemctl daemon-reload`,
  )
})

after(() => lab[Symbol.asyncDispose]())

const version = (name: string) => lab.inside(name, 'cat', '/version')
const running = async (name: string) => [await lab.property(name, 'MainPID'), await lab.property(name, 'InvocationID')]
const adopt = (...words: string[]) => lab.must<AdoptionResult[]>('containers', 'adopt', '--json', ...words)

async function row(name: string): Promise<ContainerRow | undefined> {
  const { json } = await lab.must<ContainerRow[]>('containers', 'list', '--all', '--json')
  return json.find(({ container }) => container === name)
}

function newer(exports: Partial<Exports> = {}) {
  const loop = ['sh', '-c', 'trap "exit 0" TERM; sleep infinity & wait']
  return busyboxImage({
    layers: [{ version: 'new\n' }],
    exports: {
      ...serviceExports(loop, { env: ['WORD=$WORD'] }),
      'manifest.json': { version: '1.0', defaultValues: { WORD: 'default' } },
      ...exports,
    },
  })
}

test('a container is taken over as it runs, then updated, rolled back and uninstalled', async () => {
  const image = await lab.push('old/app', newer({ hostfs: { '/etc/old/conf': 'new\n', '/etc/old/mine': 'new\n' } }))
  await atomicContainer(lab, 'old', {
    image,
    slots: [0, 1],
    values: { WORD: 'mine', UUID: '2f6d8f5e-9e0a-4f43-8a32-1f2f38f0b8ea', HOST_UID: 0 },
    hostFiles: { '/etc/old/conf': 'one\n', '/etc/old/mine': 'one\n' },
  })
  await lab.shell('systemctl start old; echo mine >/etc/old/mine')
  assert.equal(await version('old'), '1\n')
  const repository = await ostreeRepository(lab)
  const [before, process] = [lab.files(), await running('old')]

  const listed = await row('old')
  assert.deepEqual(
    [listed?.state, listed?.owner, listed?.detail, listed?.image, listed?.other?.folder],
    ['running', 'atomic', 'of atomic, not taken over', image, `${checkouts}/old.0`],
  )
  assert.match((await lab.must('containers', 'list', '-f', 'state=running')).stdout, /^old .*running \(of atomic, not/m)
  const told = await lab.must<ContainerInspection>('containers', 'info', '--json', 'old')
  assert.deepEqual(
    told.json.files.map(({ path, state }) => `${path} ${state}`),
    [
      '/etc/old/conf as installed',
      '/etc/old/mine modified',
      '/etc/tmpfiles.d/old.conf as installed',
      '/etc/systemd/system/old.service as installed',
      '/etc/systemd/system/multi-user.target.wants/old.service as installed',
    ],
  )
  const early = await lab.forerun('update', 'old')
  assert.equal(early.status, 1)
  assert.match(early.stderr, /Take it over first: forerun containers adopt old$/m)
  assert.deepEqual(changesSince(before, lab), [])

  const { json } = await adopt('old')
  assert.deepEqual(json, [
    { name: 'old', outcome: 'adopted', image, folder: `${containers}/old.1`, canRollBack: true, running: true },
  ])
  assert.deepEqual(await running('old'), process)
  assert.equal(await version('old'), '1\n')
  assert.equal(await lab.property('old', 'NeedDaemonReload'), 'no')
  assert.equal(await lab.property('old', 'WorkingDirectory'), `${containers}/old.1`)
  assert.equal(await lab.shell(`cat ${checkouts}/old/rootfs/version ${checkouts}/old.0/rootfs/version`), '1\n0')
  assert.deepEqual([(await row('old'))?.owner, (await row('old'))?.state], ['forerun', 'running'])
  assert.match((await lab.must('containers', 'adopt', 'old')).stdout, /^old: taken over already$/m)
  assert.deepEqual((await adopt('--all')).json, [])
  await lab.must('images', 'prune')
  await lab.must('verify')
  assert.match((await lab.must('containers', 'diff', 'old')).stdout, /^-one\n\+mine$/m)

  await lab.host.reboot()
  assert.equal(await version('old'), '1\n')
  for (const wanted of ['0\n', '1\n']) {
    await lab.must('rollback', 'old')
    assert.equal(await version('old'), wanted)
  }

  const updated = (await lab.must<UpdateResult[]>('update', '--json', 'old')).json[0]
  assert.ok(updated?.outcome === 'updated' && updated.running)
  assert.equal(await version('old'), 'new\n')
  assert.equal(
    await lab.shell(`cat ${checkouts}/old/rootfs/version; cat /etc/old/conf /etc/old/mine`),
    'new\nnew\nmine',
  )
  const info = JSON.parse(await lab.shell(`cat ${containers}/old/info`))
  assert.deepEqual([info.values.WORD, info.values.UUID], ['mine', '2f6d8f5e-9e0a-4f43-8a32-1f2f38f0b8ea'])
  await lab.must('rollback', 'old')
  assert.equal(await version('old'), '1\n')
  assert.equal(await lab.shell('cat /etc/old/conf'), 'one')
  assert.equal(await lab.property('old', 'Delegate'), 'no')
  await lab.must('rollback', 'old')
  assert.equal(await version('old'), 'new\n')
  await lab.must('rollback', 'old')

  assert.equal(await ostreeRepository(lab), repository)
  const { stderr } = await lab.must('uninstall', 'old')
  assert.match(stderr, /Will not delete \/etc\/old\/mine as it was manually modified/)
  assert.equal(await ostreeRepository(lab), repository)
  assert.equal(await lab.shell(`find ${checkouts} ${containers} -mindepth 1`), '')
  await lab.shell('rm -r /etc/old /ostree/repo/objects/*')
  assert.deepEqual(changesSince(untouched, lab), [])
})

test('a failure or a death at any change leaves the container to its tool, and the service as it runs', async () => {
  await atomicContainer(lab, 'old', {
    image: 'registry.example.com/old',
    slots: [1, 0],
    hostFiles: { '/etc/old/x': 'x' },
  })
  await lab.shell('systemctl start old')
  const state = () => lab.host.snapshot({ except: ['/var/lib/forerun/store', '/usr/lib/forerun', '/opt'] })
  const fault = (...words: string[]) =>
    lab.host.exec(['/usr/lib/forerun/node', '/opt/forerun.cjs', ...words, 'adopt', 'old'], { check: false })
  const [start, process] = [state(), await running('old')]
  let total = 0
  for (let index = 0; ; index++) {
    const at = [`${index}`, index % 2 === 0 ? 'recorded' : 'applied']
    const killed = await fault('kill', ...at)
    if (killed.status === 0) break
    assert.equal(killed.status, 137, killed.stderr)
    assert.deepEqual(await running('old'), process)
    await lab.must('images', 'prune')
    assert.deepEqual(differences(start, state()), [], `killed at change ${at}`)
    const failed = await fault('fail', ...at)
    assert.match(failed.stderr, /fault at/)
    assert.deepEqual(differences(start, state()), [], `failed at change ${at}`)
    assert.deepEqual(await running('old'), process)
    total++
  }
  assert.ok(total > 15, `${total} changes`)
  assert.deepEqual(await running('old'), process)
  assert.equal((await row('old'))?.owner, 'forerun')
})

test('all are taken over but those that are damaged, and names may have dots', async () => {
  await atomicContainer(lab, 'old.0', { image: 'ostree:old', info: { 'installed-files-checksum': null } })
  await atomicContainer(lab, 'old-files', { image: 'docker:old:1', info: { 'has-container-service': false } })
  await atomicContainer(lab, 'old-torn', { image: 'x' })
  await lab.shell(`echo torn >${checkouts}/old-torn.0/info; ln -s nowhere.0 ${checkouts}/old-gone`)
  const listed = await lab.forerun<ContainerRow[]>('containers', 'list', '--all', '--json')
  assert.deepEqual(
    listed.json.map(({ container, state }) => `${container} ${state}`),
    ['old-files no service', 'old-gone damaged', 'old-torn damaged', 'old.0 inactive'],
  )
  const { status, stdout, stderr } = await lab.forerun('containers', 'adopt', '--all')
  assert.equal(status, 1)
  assert.match(
    stdout,
    /^old-files: taken over\nold-gone: failed: .*nowhere.*\nold-torn: failed: .*\nold\.0: taken over$/m,
  )
  assert.match(stderr, /'ostree:old' is in no registry. Update old\.0 with: forerun update --rebase IMAGE old\.0/)
  assert.match((await lab.forerun('update', 'old.0')).stderr, /'ostree:old' is in an ostree repository/)
  await lab.must('run', 'old.0')
  assert.equal(await version('old.0'), '0\n')
  await lab.must('update', '--rebase', await lab.push('dots/app', newer()), 'old.0')
  assert.equal(await version('old.0'), 'new\n')
})

test('what was changed since stays: a unit with its changes, a service that was disabled, a unit that is gone', async () => {
  const image = await lab.push('changed/app', newer())
  await atomicContainer(lab, 'old', { image })
  await atomicContainer(lab, 'old-bare', { image })
  await lab.shell(
    'sed -i "s/^Restart=.*/Restart=always/" /etc/systemd/system/old.service; systemctl daemon-reload; systemctl disable old; systemctl start old; rm /etc/systemd/system/old-bare.service',
  )
  const process = await running('old')
  await adopt('old')
  assert.deepEqual(await running('old'), process)
  assert.match(await lab.shell('cat /etc/systemd/system/old.service'), /Restart=always\nWorkingDirectory=.*forerun/)
  await lab.must('update', 'old')
  assert.equal(await version('old'), 'new\n')
  assert.match(
    await lab.shell('cat /etc/systemd/system/old.service'),
    /Restart=always\nWorkingDirectory=\/var\/lib\/forerun\/containers\/old\.1$/m,
  )
  assert.equal(await lab.shell('systemctl is-enabled old || true'), 'disabled')
  const { stderr } = await lab.must('containers', 'adopt', 'old-bare')
  assert.match(stderr, /old-bare\.service is missing/)
  await lab.must('update', 'old-bare')
  await lab.must('run', 'old-bare')
  assert.equal(await version('old-bare'), 'new\n')
})

test('a container on a tree of the user, in a place that the settings name, stays on that tree', async () => {
  const tree = '/srv/tree'
  await lab.shell('echo "checkout_path: /srv/atomic" >/etc/atomic.conf')
  await atomicContainer(lab, 'old', {
    image: 'registry.example.com/old',
    checkouts: '/srv/atomic',
    info: { remote: tree, runtime: null, 'has-container-service': null },
  })
  const exports = exportFiles(
    serviceExports(['sh', '-c', 'trap "exit 0" TERM; sleep infinity & wait'], { env: ['X=$X'] }),
  )
  for (const [path, content] of Object.entries(exports)) {
    if (typeof content !== 'string') continue
    mkdirSync(join(lab.host.root, tree, 'rootfs/exports'), { recursive: true })
    writeFileSync(join(lab.host.root, tree, 'rootfs', path), content)
  }
  await lab.shell(
    `cp -a /srv/atomic/old.0/rootfs ${tree}; rm -r /srv/atomic/old.0/rootfs; sed -i 's|"path": "rootfs"|"path": "${tree}/rootfs"|' /srv/atomic/old.0/config.json; systemctl start old`,
  )
  assert.equal(await version('old'), '0\n')
  const process = await running('old')
  await adopt('--all')
  assert.deepEqual(await running('old'), process)
  const updated = (await lab.must<UpdateResult[]>('update', '--json', '--set', 'X=1', 'old')).json[0]
  assert.ok(updated?.outcome === 'updated' && updated.running)
  assert.equal(await lab.shell(`readlink ${containers}/old ${containers}/old/rootfs`), `old.1\n${tree}/rootfs`)
  await lab.must('rollback', 'old')
  assert.equal(await version('old'), '0\n')
  await lab.must('uninstall', 'old')
  assert.equal(await lab.shell(`cat ${tree}/rootfs/version; ls /srv/atomic`), '0')
  await lab.shell('rm -r /srv/* /etc/atomic.conf')
})

test('what cannot be taken over is refused, and the host stays as it was', async () => {
  const image = await lab.push('refused/old', newer())
  await atomicContainer(lab, 'old', { image, slots: [0] })
  await atomicContainer(lab, 'old-user', { image, info: { remote: `${checkouts}/old` } })
  const refused = async (wanted: RegExp, ...words: string[]) => {
    const start = lab.files()
    const { status, stderr } = await lab.forerun('containers', 'adopt', ...words)
    assert.equal(status, 1)
    assert.match(stderr, wanted)
    assert.match(stderr, /^hint: /m)
    assert.deepEqual(changesSince(start, lab), [])
  }
  await refused(/it is the root of '.*old-user\.0', too/, 'old')
  await refused(/there is no container 'nothing'/, 'nothing')
  await refused(/is not a name for a container/, '../old')
  for (const words of [[], ['--all', 'old']])
    assert.equal((await lab.forerun('containers', 'adopt', ...words)).status, 2)
  await lab.shell(`rm -r ${checkouts}/old-user*; chown 1000 ${checkouts}/old.0`)
  await refused(/is not taken over: '.*old\.0' belongs to the user 1000/, 'old')
  await lab.shell(
    `chown 0 ${checkouts}/old.0; mkdir /mnt/other; mount -t tmpfs none /mnt/other; cp -a ${checkouts}/old.0 /mnt/other`,
  )
  await lab.shell(
    `rm -r ${checkouts}/old.0; mkdir ${checkouts}/old.0; mount --bind /mnt/other/old.0 ${checkouts}/old.0`,
  )
  await refused(/are on different file systems/, 'old')
  await lab.shell(
    `umount ${checkouts}/old.0 && cp -a /mnt/other/old.0 ${checkouts} && umount /mnt/other && rmdir /mnt/other`,
  )
  const user = await lab.host.exec(
    ['setpriv', '--reuid=65534', '--clear-groups', 'forerun', 'containers', 'adopt', 'old'],
    {
      check: false,
    },
  )
  assert.match(user.stderr, /this needs root/)
  await lab.shell('mv /etc/systemd/system/old.service /etc/tmpfiles.d/old.conf /root; systemctl daemon-reload')
  await lab.must('install', '--name', 'old', image)
  await refused(/forerun has a container 'old' of its own/, 'old')
})
