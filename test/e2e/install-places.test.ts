import assert from 'node:assert/strict'
import { cp, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import type { PulledImage } from '../../src/operations/transfer/pull.ts'
import { busyboxImage, serviceExports } from '../lab/busybox.ts'
import { containerTools } from '../lab/container-tools.ts'
import type { LayerFiles } from '../lab/layer.ts'
import { differences, type Snapshot } from '../lab/snapshot.ts'
import { type InstalledHost, installedHost } from './installed-host.ts'

/** Images that the real tools wrote to files, or hold themselves. */
let lab: InstalledHost
/** In the lab's registry. */
let reference: string
let diffIds: readonly string[]
/** What an installation from the registry gives. */
let tree: Snapshot

const exports = serviceExports(['sh', '-c', 'trap "exit 0" TERM; sleep infinity & wait'])

const files: LayerFiles = {
  srv: { type: 'directory', mode: 0o1777, uid: 3, gid: 4, mtime: 1_000_000_000 },
  'srv/setuid': { content: 'x', mode: 0o4755 },
  'srv/again': { type: 'link', target: 'srv/setuid' },
  'srv/pointer': { target: '../etc/passwd' },
  'srv/pipe': { type: 'fifo', mode: 0o600 },
  'srv/zero': { type: 'character-device', device: { major: 1, minor: 5 } },
  'srv/gone': 'x',
}
const layers = [files, { 'srv/.wh.gone': '', 'srv/ümlaut': 'y'.repeat(200_000) }]

/** Docker needs no network to keep images; Podman cannot lay an overlay over the host's own. */
const dockerSettings = {
  'storage-driver': 'vfs',
  iptables: false,
  ip6tables: false,
  bridge: 'none',
  'ip-forward': false,
}
const storageSettings =
  '[storage]\ndriver = "vfs"\nrunroot = "/run/containers/storage"\ngraphroot = "/var/lib/containers/storage"\n'

before(async () => {
  // Docker does not start before it has its settings.
  lab = await installedHost({ packages: ['buildah', 'docker.io', 'podman', 'skopeo', 'umoci'], allowDegraded: true })
  const etc = join(lab.host.root, 'etc')
  for (const folder of ['docker', 'containers']) await mkdir(join(etc, folder), { recursive: true })
  await writeFile(join(etc, 'docker/daemon.json'), JSON.stringify(dockerSettings))
  await writeFile(join(etc, 'containers/storage.conf'), storageSettings)
  reference = await lab.push('team/app:1', busyboxImage({ exports, layers }))
  await lab.shell(`podman pull -q --tls-verify=false ${reference}
    systemctl reset-failed docker.service docker.socket; systemctl restart docker; docker pull -q ${reference}`)
  const { json } = await lab.must<PulledImage>('pull', '--json', reference)
  diffIds = json.diffIds
  await emptyStore()
  tree = await installedTree(reference)
})

after(() => lab[Symbol.asyncDispose]())

/** What lies in the container's root. Of the image nothing is left on the host. */
async function installedTree(place: string): Promise<Snapshot> {
  await lab.must('install', '--system', '--name', 'tried', place)
  const root = '/var/lib/forerun/containers/tried.0/rootfs'
  const found = lab.host.snapshot({ paths: [root], times: true })
  assert.ok(found.size > 10)
  await lab.must('uninstall', 'tried')
  await emptyStore()
  return found
}

/** All of it is read from its place again. */
async function emptyStore(): Promise<void> {
  await lab.shell('rm -rf /var/lib/forerun/store')
}

/** Layers of the same diff ids, which the pull has verified, are the same files. */
async function pulls(place: string, name: string): Promise<void> {
  const { json, stderr } = await lab.must<PulledImage>('pull', '--json', place)
  assert.doesNotMatch(stderr, /in the store already/)
  assert.deepEqual(json.diffIds, diffIds)
  assert.equal(json.name, name)
  await emptyStore()
}

/** What the registry's image has been installed as, to the last attribute. */
async function installs(place: string): Promise<void> {
  assert.deepEqual(differences(tree, await installedTree(place)), [])
}

test('folders and archives that skopeo wrote', async () => {
  const from = `skopeo copy -q --src-tls-verify=false docker://${reference}`
  await lab.shell(`cd /srv; ${from} dir:dir; ${from} oci:layout:1; ${from} oci-archive:oci.tar:1
    ${from} docker-archive:docker.tar:team/app:1; gzip -k1 oci.tar docker.tar`)
  await pulls('dir:/srv/dir', 'localhost/dir:latest')
  await pulls('oci:/srv/layout', 'localhost/layout:1')
  await pulls('oci:/srv/layout:1', 'localhost/layout:1')
  for (const end of ['', '.gz']) {
    await pulls(`oci-archive:/srv/oci.tar${end}:1`, 'localhost/oci:1')
    await pulls(`docker-archive:/srv/docker.tar${end}`, 'docker.io/team/app:1')
  }
  const places = ['dir:/srv/dir', 'oci:/srv/layout', 'oci-archive:/srv/oci.tar', 'docker-archive:/srv/docker.tar.gz']
  for (const place of places) await installs(place)
})

test('folders and archives that Podman and Buildah wrote', async () => {
  const save = 'podman save -q --format'
  await lab.shell(`cd /srv; ${save} docker-archive ${reference} > p-docker.tar; ${save} oci-archive ${reference} > p-oci.tar
    ${save} docker-archive ${reference} | gzip -1 > p-docker.tar.gz
    ${save} docker-dir -o p-dir ${reference}; ${save} oci-dir -o p-layout ${reference}
    buildah push -q ${reference} oci-archive:b-oci.tar:2; buildah push -q ${reference} docker-archive:b-docker.tar:app:2`)
  for (const place of [
    'docker-archive:/srv/p-docker.tar',
    'dockertar:/srv/p-docker.tar.gz',
    'oci-archive:/srv/p-oci.tar',
  ]) {
    await pulls(place, reference)
  }
  await pulls('dir:/srv/p-dir', 'localhost/p-dir:latest')
  await pulls('oci:/srv/p-layout', reference)
  await pulls('oci-archive:/srv/b-oci.tar', 'localhost/b-oci:2')
  await pulls('docker-archive:/srv/b-docker.tar:app:2', 'docker.io/library/app:2')
})

test('a layout that umoci changed', async () => {
  await lab.shell(`cd /srv; skopeo copy -q --src-tls-verify=false docker://${reference} oci:umoci:1
    umoci config --image umoci:1 --tag 2 --config.label=a=b; umoci tag --image umoci:2 stable`)
  await pulls('oci:/srv/umoci:2', 'localhost/umoci:2')
  await pulls('oci:/srv/umoci:stable', 'localhost/umoci:stable')
  const { status, stderr } = await lab.forerun('pull', 'oci:/srv/umoci')
  assert.equal(status, 1)
  assert.match(stderr, /^forerun: '\/srv\/umoci' holds 2 images: 1, 2, stable$/m)
})

test('images of a Docker daemon, and archives that it saved', async () => {
  await installs(`docker-daemon:${reference}`)
  await pulls(`docker:${reference}`, reference)
  const id = await lab.shell(`docker images -q --no-trunc ${reference}`)
  await pulls(`docker-daemon:${id}`, reference)
  await pulls(`docker-daemon:${id.slice(7, 19)}`, reference)
  await lab.shell(`docker tag ${reference} team/other:2; cd /srv
    docker save ${reference} > d.tar; docker save ${reference} team/other:2 | gzip -1 > d2.tar.gz`)
  await pulls('docker-archive:/srv/d.tar', reference)
  await pulls('docker-archive:/srv/d2.tar.gz:team/other:2', 'docker.io/team/other:2')

  const missing = await lab.forerun('pull', 'docker:team/missing')
  assert.match(missing.stderr, /^forerun: .*no such image: .*team\/missing/im)
  await lab.shell('systemctl stop docker.service docker.socket')
  const silent = await lab.forerun('pull', `docker:${reference}`)
  assert.match(silent.stderr, /^forerun: the Docker daemon at unix:\/\/\/var\/run\/docker.sock does not run/m)
  assert.equal(silent.status, 1)
})

test('images of Podman’s storage, which leave nothing behind', async () => {
  const before = lab.files()
  await pulls(`containers-storage:${reference}`, reference)
  await installs(`containers-storage:${reference}`)
  const { stderr } = await lab.forerun('pull', 'containers-storage:team/missing')
  assert.match(stderr, /^forerun: .* has no image 'team\/missing'$/m)
  assert.deepEqual(
    differences(before, lab.files()).filter((line) => line.includes('/var/tmp')),
    [],
  )
})

test('what the newest tools write', async () => {
  await using tools = await containerTools()
  const from = `skopeo copy -q --src-tls-verify=false docker://${reference}`
  const script = `mkdir new; cd new; ${from} dir:dir; ${from} oci:layout:1; ${from} oci-archive:oci.tar:1
    ${from} docker-archive:docker.tar:team/app:1; podman pull -q --tls-verify=false ${reference}
    podman save -q ${reference} > podman.tar; podman save -q --format oci-archive ${reference} > podman-oci.tar
    umoci tag --image layout:1 2`
  await tools.run(['sh', '-ec', script])
  await cp(join(tools.folder, 'new'), join(lab.host.root, 'srv/new'), { recursive: true })
  await pulls('dir:/srv/new/dir', 'localhost/dir:latest')
  await pulls('oci:/srv/new/layout:2', 'localhost/layout:2')
  await pulls('oci-archive:/srv/new/oci.tar', 'localhost/oci:1')
  await pulls('docker-archive:/srv/new/docker.tar', 'docker.io/team/app:1')
  await pulls('docker-archive:/srv/new/podman.tar', reference)
  await pulls('oci-archive:/srv/new/podman-oci.tar', reference)
})

test('an archive in a pipe is refused, saying why', async () => {
  const { status, stderr } = await lab.host.exec(
    ['sh', '-c', 'mkfifo /srv/pipe; (cat /srv/docker.tar > /srv/pipe &) ; forerun pull docker-archive:/srv/pipe'],
    { check: false },
  )
  assert.equal(status, 1)
  assert.match(stderr, /'\/srv\/pipe' is a pipe/)
})
