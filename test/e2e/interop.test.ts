import assert from 'node:assert/strict'
import { copyFileSync, cpSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { gunzipSync } from 'node:zlib'
import { busyboxBinary } from '../lab/busybox.ts'
import { type ContainerTools, containerTools } from '../lab/container-tools.ts'
import { packLayer } from '../lab/layer.ts'
import { startRegistry } from '../lab/registry.ts'
import { differences, type Snapshot, snapshot } from '../lab/snapshot.ts'
import { type InstalledHost, installedHost } from './installed-host.ts'

/** Images go to and fro between forerun and the newest podman, skopeo and umoci; what comes out is the same, file by file. */
let lab: InstalledHost
let tools: ContainerTools
/** What umoci makes of the image that podman built. */
let expected: Snapshot
let imageId: string

const build = ['podman', 'build', '--isolation=chroot', '--network=host', '--timestamp=1700000000']
// The lab's machine may not raise limits, which podman does by default.
const limits = ['--ulimit=nofile=1024:1024', '--ulimit=nproc=1024:1024']

before(async () => {
  lab = await installedHost({ settle: 0.5 })
  tools = await containerTools()
  await writeContext(join(tools.folder, 'context'))
  await tools.run([...build, ...limits, '-t', 'local/app', 'context'])
  imageId = `sha256:${(await tools.run(['podman', 'image', 'inspect', '-f', '{{.Id}}', 'local/app'])).stdout.trim()}`
  await tools.run(['podman', 'save', '--quiet', '--format', 'oci-dir', '-o', 'layout', 'local/app'])
  await tools.run(['skopeo', 'copy', '--quiet', 'oci:layout', 'oci:plain:1'])
  await tools.run(['umoci', 'unpack', '--image', 'plain:1', 'bundle'])
  expected = filesOf(join(tools.folder, 'bundle/rootfs'))
  assert.match(expected.get('/odd/device') ?? '', /^character-device/)
  assert.match(expected.get('/odd/capable') ?? '', /security\.capability=/)
  assert.equal(expected.has('/etc/gone'), false)
})
after(async () => {
  // Of what `before` came to.
  await tools?.[Symbol.asyncDispose]()
  await lab?.[Symbol.asyncDispose]()
})

const pushes: Record<string, readonly string[]> = {
  gzip: ['--compression-format=gzip'],
  zstd: ['--compression-format=zstd'],
  'zstd:chunked': ['--compression-format=zstd:chunked'],
  "Docker's manifests": ['--format=v2s2'],
}

for (const [name, options] of Object.entries(pushes)) {
  test(`podman pushes with ${name}, forerun installs`, async () => {
    const reference = `${lab.registry.address}/pushed/${name.replaceAll(/\W/g, '').toLowerCase()}:1`
    await tools.run(['podman', 'push', '--quiet', '--tls-verify=false', ...options, 'local/app', reference])
    if (name === 'zstd:chunked') assert.match(await raw(reference), /zstd-chunked\.manifest-position/)
    await assertInstalls(reference)
  })
}

test('podman pushes a list of platforms with several compressions, forerun installs', async () => {
  const reference = `${lab.registry.address}/pushed/list:1`
  await tools.run(['podman', 'manifest', 'create', 'local/list'])
  await tools.run(['podman', 'manifest', 'add', 'local/list', 'local/app'])
  const push = ['podman', 'manifest', 'push', '--quiet', '--all', '--tls-verify=false', '--add-compression=zstd']
  await tools.run([...push, 'local/list', `docker://${reference}`])
  const { manifests } = JSON.parse(await raw(reference)) as { manifests: unknown[] }
  assert.equal(manifests.length, 2)
  await assertInstalls(reference)
})

for (const [format, scheme] of [
  ['docker-archive', 'docker-archive:'],
  ['oci-archive', 'oci-archive:'],
  ['oci-dir', 'oci:'],
  ['docker-dir', 'dir:'],
] as const) {
  test(`podman saves as ${format}, forerun installs from ${scheme}`, async () => {
    await tools.run(['podman', 'save', '--quiet', '--format', format, '-o', format, 'local/app'])
    cpSync(join(tools.folder, format), join(lab.host.root, 'root', format), { recursive: true })
    await assertInstalls(`${scheme}/root/${format}`)
  })
}

test('umoci changes the image, forerun installs', async () => {
  await tools.run(['skopeo', 'copy', '--quiet', 'oci:layout', 'oci:changed:1'])
  await tools.run(['umoci', 'unpack', '--image', 'changed:1', 'changing'])
  rmSync(join(tools.folder, 'changing/rootfs/etc/one'))
  writeFileSync(join(tools.folder, 'changing/rootfs/etc/new'), 'new\n')
  await tools.run(['umoci', 'repack', '--image', 'changed:1', 'changing'])
  await tools.run(['umoci', 'unpack', '--image', 'changed:1', 'changed-bundle'])
  cpSync(join(tools.folder, 'changed'), join(lab.host.root, 'root/changed'), { recursive: true })
  await assertInstalls('oci:/root/changed:1', filesOf(join(tools.folder, 'changed-bundle/rootfs')))
})

for (const format of ['gzip', 'zstd:chunked']) {
  test(`forerun pushes what it pulled with ${format}, podman and skopeo take it as it was`, async () => {
    const name = format.replaceAll(/\W/g, '')
    const reference = `${lab.registry.address}/source/${name}:1`
    const push = ['podman', 'push', '--quiet', '--tls-verify=false', `--compression-format=${format}`, 'local/app']
    await tools.run([...push, reference])
    await using target = await startRegistry()
    const copy = `${target.address}/copied/${name}:2`
    await lab.must('pull', reference)
    await lab.must('push', reference, copy)
    assert.equal(await raw(copy), await raw(reference))
    const elsewhere = ['podman', '--storage-driver=vfs', `--root=/tmp/${name}`, `--runroot=/tmp/${name}.run`]
    await tools.run([...elsewhere, 'pull', '--quiet', '--tls-verify=false', copy])
    const inspect = [...elsewhere, 'image', 'inspect', '-f', '{{.Id}}', copy]
    assert.equal(`sha256:${(await tools.run(inspect)).stdout.trim()}`, imageId)
    await tools.run(['skopeo', 'copy', '--quiet', '--src-tls-verify=false', `docker://${copy}`, `oci:${name}:1`])
    await tools.run(['umoci', 'unpack', '--image', `${name}:1`, `${name}-bundle`])
    assert.deepEqual(differences(expected, filesOf(join(tools.folder, `${name}-bundle/rootfs`))), [])
  })
}

test('forerun pushes to a layout and an archive, skopeo and umoci read them', async () => {
  const reference = `${lab.registry.address}/source/gzip:1`
  await lab.must('pull', reference)
  await lab.must('push', reference, 'oci:/root/out:1')
  await lab.must('push', reference, 'oci-archive:/root/out.tar:1')
  cpSync(join(lab.host.root, 'root/out'), join(tools.folder, 'out'), { recursive: true })
  cpSync(join(lab.host.root, 'root/out.tar'), join(tools.folder, 'out.tar'))
  const original = await raw(reference)
  for (const place of ['oci:out:1', 'oci-archive:out.tar:1']) {
    assert.equal((await tools.run(['skopeo', 'inspect', '--raw', place])).stdout.trim(), original)
  }
  await tools.run(['umoci', 'unpack', '--image', 'out:1', 'out-bundle'])
  assert.deepEqual(differences(expected, filesOf(join(tools.folder, 'out-bundle/rootfs'))), [])
})

test('what podman and skopeo log in to, forerun is let in to, and the other way round', async () => {
  await using guarded = await startRegistry({ auth: 'token', users: { ann: 'wonderland' } })
  const reference = `${guarded.address}/team/app:1`
  const login = ['--tls-verify=false', '-u', 'ann', '-p', 'wonderland']
  for (const tool of ['podman', 'skopeo']) {
    const authfile = `/root/${tool}.json`
    await tools.run([tool, 'login', '--authfile', `${tool}.json`, ...login, guarded.address])
    cpSync(join(tools.folder, `${tool}.json`), join(lab.host.root, authfile))
    if (tool === 'podman') {
      await tools.run([
        'podman',
        'push',
        '--quiet',
        '--tls-verify=false',
        '--authfile=podman.json',
        'local/app',
        reference,
      ])
    }
    await lab.must('pull', '--authfile', authfile, reference)
  }
  const input = 'wonderland\n'
  const words = ['login', '--authfile', '/root/forerun.json', '-u', 'ann', '--password-stdin', guarded.address]
  await lab.host.exec(['forerun', ...words], { input })
  cpSync(join(lab.host.root, 'root/forerun.json'), join(tools.folder, 'forerun.json'))
  await tools.run(['podman', 'pull', '--quiet', '--tls-verify=false', '--authfile=forerun.json', reference])
  await tools.run(['skopeo', 'inspect', '--tls-verify=false', '--authfile=forerun.json', `docker://${reference}`])
})

/** Installs the image and compares the container's files. */
async function assertInstalls(reference: string, wanted: Snapshot = expected): Promise<void> {
  rmSync(join(lab.host.root, 'var/lib/forerun/store'), { recursive: true, force: true })
  await lab.must('install', '--system', '--read-only', '--name', 'app', reference)
  try {
    const rootfs = filesOf(join(lab.host.root, 'var/lib/forerun/containers/app.0/rootfs'))
    assert.deepEqual(differences(wanted, rootfs), [])
  } finally {
    await lab.must('uninstall', 'app')
  }
}

/** The manifest as the registry has it. */
async function raw(reference: string): Promise<string> {
  return (await tools.run(['skopeo', 'inspect', '--raw', '--tls-verify=false', `docker://${reference}`])).stdout.trim()
}

/** A tree without the count of links, which a store that shares files has more of, and the place for a mount that forerun adds. */
function filesOf(root: string): Snapshot {
  return new Map(
    [...snapshot(root, { times: true, except: ['/etc/hosts'] })].map(([path, line]) => [
      path,
      line.replace(/ links=\d+/, ''),
    ]),
  )
}

const capability = `\x01\0\0\x02\0\x04${'\0'.repeat(14)}`

async function writeContext(folder: string): Promise<void> {
  mkdirSync(folder)
  copyFileSync(await busyboxBinary(), join(folder, 'busybox'))
  const odd = await packLayer({
    odd: { type: 'directory', mode: 0o1777 },
    'odd/device': { type: 'character-device', device: { major: 1, minor: 3 }, mode: 0o666 },
    'odd/pipe': { type: 'fifo' },
    'odd/owned': { content: 'text', uid: 1000, gid: 2000, mode: 0o4750, mtime: 1_000_000_000 },
    'odd/other name': { type: 'link', target: 'odd/owned' },
    'odd/link': { target: '../nowhere/ä' },
    'odd/ünïcode': 'text',
    // cap_net_bind_service, permitted and effective
    'odd/capable': { content: 'text', xattrs: { 'security.capability': capability } },
  })
  writeFileSync(join(folder, 'odd.tar'), gunzipSync(odd.bytes))
  writeFileSync(
    join(folder, 'Containerfile'),
    `FROM scratch
COPY --chmod=755 busybox /bin/busybox
ADD odd.tar /
RUN ["/bin/busybox", "sh", "-c", "/bin/busybox --install -s /bin; mkdir -p /etc /var/gone; echo 1 >/etc/one; echo 0 >/etc/gone; touch /var/gone/x"]
RUN rm -r /etc/gone /var/gone && mkdir /var/gone && echo two >/var/gone/y
LABEL description=made
ENTRYPOINT ["/bin/sleep", "infinity"]
`,
  )
}
