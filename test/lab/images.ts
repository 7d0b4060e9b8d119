import { lstat, readdir, readFile, readlink } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { debianPackage } from './busybox.ts'
import { cached } from './cache.ts'
import { assembleImage, type LabImage, readLayout, writeLayout } from './image.ts'
import { type LayerFile, type LayerFiles, packLayer, sha256 } from './layer.ts'
import { execute } from './process.ts'

/**
 * Two real system containers made of Debian packages, for `registry.push`. Their metadata lies in the folder `images`.
 *
 * etcd: the key-value store, with its data under /var/lib/NAME on the host and `etcdctl` installed there as /usr/local/bin/NAMEctl.
 * It tells systemd when it is ready. Another version is another image with the same programs; one with a script runs that in
 * place of etcd, which lies in /usr/bin/etcd.real then.
 */
export async function etcdImage({ version = '3', script, unit, manifest }: EtcdVariant = {}): Promise<LabImage> {
  const [server, client] = [await debianPackage('etcd-server'), await debianPackage('etcd-client')]
  const etcdctl = join(client, 'usr/bin/etcdctl')
  const application = {
    ...(await fileAt(join(server, 'usr/bin/etcd'), script === undefined ? 'usr/bin/etcd' : 'usr/bin/etcd.real')),
    ...(script === undefined ? {} : { 'usr/bin/etcd': { content: `#!/bin/sh\n${script}\n`, mode: 0o755 } }),
    ...(await fileAt(etcdctl, 'usr/bin/etcdctl')),
    'var/lib/etcd': { type: 'directory', mode: 0o700 },
  } satisfies LayerFiles
  const hostfs: LayerFiles = {
    ...folders('exports/hostfs/usr/local/bin'),
    ...(await fileAt(etcdctl, 'exports/hostfs/usr/local/bin/etcdctl')),
    ...(unit === undefined
      ? {}
      : { 'exports/service.template': unit(await readFile(join(sources, 'etcd/service.template'), 'utf8')) }),
    ...(manifest === undefined
      ? {}
      : {
          'exports/manifest.json': JSON.stringify({
            ...JSON.parse(await readFile(join(sources, 'etcd/manifest.json'), 'utf8')),
            ...manifest,
          }),
        }),
  }
  const labels = { 'atomic.type': 'system', 'atomic.summary': 'etcd, a key-value store', 'atomic.version': version }
  return await systemImage('etcd', {
    application,
    exports: hostfs,
    config: { Entrypoint: ['/usr/bin/etcd'], Labels: labels },
  })
}

interface EtcdVariant {
  readonly version?: string
  readonly script?: string
  /** Makes the unit's template of that of the image. */
  readonly unit?: (template: string) => string
  /** Keys in place of those of the image's manifest.json. */
  readonly manifest?: object
}

/**
 * netconf: takes a network from etcd and writes it to /run/NAME/subnet.env on the host, which containerd reads; a stand-in
 * for flannel. It requires etcd.service, comes before containerd.service, and is up when the file is there.
 */
export async function netconfImage(): Promise<LabImage> {
  const client = await debianPackage('etcd-client')
  const application = {
    ...(await fileAt(join(client, 'usr/bin/etcdctl'), 'usr/bin/etcdctl')),
    ...(await filesBelow(join(sources, 'netconf/rootfs'), '')),
  }
  const labels = { 'atomic.type': 'system', 'atomic.requires': 'etcd' }
  return await systemImage('netconf', { application, config: { Entrypoint: ['/usr/bin/netconf'], Labels: labels } })
}

const sources = join(import.meta.dirname, 'images')

interface Parts {
  readonly application: LayerFiles
  /** Beside those of the image's folder. */
  readonly exports?: LayerFiles
  readonly config: Readonly<Record<string, unknown>>
}

/** Three layers: what the programs need, the programs, and /exports. Packed once; then read from the cache. */
async function systemImage(name: string, { application, exports = {}, config }: Parts): Promise<LabImage> {
  const base = await baseFiles()
  const metadata = {
    ...folders('exports'),
    ...(await filesBelow(join(sources, name), 'exports', /^rootfs/)),
    ...exports,
  }
  const all = [base, application, metadata]
  const ingredients = { config, layers: all.map((files) => Object.entries(files).map(fingerprint)) }
  const layout = await cached(`image-${name}`, ingredients, async (path) => {
    const layers = await Promise.all(all.map((files) => packLayer(files)))
    await writeLayout(assembleImage(layers, { config }), path)
  })
  return await readLayout(layout)
}

function fingerprint([path, file]: [string, LayerFile]) {
  if (typeof file === 'string' || file instanceof Uint8Array) return [path, sha256(Buffer.from(file))]
  return [path, { ...file, content: sha256(Buffer.from(file.content ?? '')) }]
}

/** A small system with the C library, a shell and its tools, as Debian builds them. */
async function baseFiles(): Promise<LayerFiles> {
  const files: Record<string, LayerFile> = { ...folders('usr/bin', 'usr/lib', 'usr/lib64', 'etc', 'var/lib') }
  for (const name of ['dev', 'proc', 'root', 'run', 'sys']) files[name] = { type: 'directory' }
  for (const name of ['bin', 'lib', 'lib64']) files[name] = { target: `usr/${name}` }
  files.sbin = { target: 'usr/bin' }
  files.tmp = { type: 'directory', mode: 0o1777 }
  files['etc/passwd'] = 'root:x:0:0:root:/root:/bin/sh\n'
  files['etc/group'] = 'root:x:0:\n'
  const library = await filesBelow(await debianPackage('libc6'), '', /^(etc|usr\/share|usr\/lib\/[^/]+\/gconv)(\/|$)/)
  for (const [path, file] of Object.entries(library)) {
    // A release that keeps them apart is made one in which /lib and the like are links.
    const merged = /^(lib|lib64)(\/|$)/.test(path) ? `usr/${path}` : path
    if (!(merged in files)) files[merged] = file
  }
  const busybox = join(await debianPackage('busybox-static'), 'bin/busybox')
  Object.assign(files, await fileAt(busybox, 'usr/bin/busybox'))
  for (const applet of (await execute([busybox, '--list'])).stdout.trim().split('\n')) {
    if (applet !== 'busybox') files[`usr/bin/${applet}`] = { target: 'busybox' }
  }
  return files
}

async function fileAt(source: string, path: string): Promise<LayerFiles> {
  return { [path]: { content: await readFile(source), mode: (await lstat(source)).mode & 0o7777 } }
}

/** The folders on the way to a path, and itself. */
function folders(...paths: string[]): LayerFiles {
  const files: Record<string, LayerFile> = {}
  for (const path of paths) {
    const parts = path.split('/')
    for (const [index] of parts.entries()) files[parts.slice(0, index + 1).join('/')] = { type: 'directory' }
  }
  return files
}

/** All that lies in a folder of the machine, to be put into a folder of the layer. `except` sees paths relative to the former. */
async function filesBelow(folder: string, into: string, except?: RegExp): Promise<LayerFiles> {
  const files: Record<string, LayerFile> = {}
  const visit = async (directory: string) => {
    for (const entry of (await readdir(directory, { withFileTypes: true })).sort((a, b) =>
      a.name < b.name ? -1 : 1,
    )) {
      const source = join(directory, entry.name)
      const inside = relative(folder, source)
      if (except?.test(inside)) continue
      const path = join(into, inside)
      if (entry.isSymbolicLink()) files[path] = { target: await readlink(source) }
      else if (entry.isFile()) Object.assign(files, await fileAt(source, path))
      else if (entry.isDirectory()) {
        files[path] = { type: 'directory' }
        await visit(source)
      }
    }
  }
  await visit(folder)
  return files
}
