import { execFileSync } from 'node:child_process'
import { mkdir, mkdtemp, readdir, readFile, rename, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { announce, cached } from './cache.ts'
import { assembleImage, type ImageOptions, type LabImage } from './image.ts'
import { type Compression, type Layer, type LayerFile, type LayerFiles, packLayer } from './layer.ts'
import { execute } from './process.ts'

/**
 * Small images that really run, made in far less than a second: Debian's static busybox, and whatever a test wants.
 *
 *     const image = await busyboxImage({ entrypoint: ['sleep', 'infinity'], labels: { 'atomic.type': 'system' } })
 *     const image = await busyboxImage({ exports: serviceExports(['sleep', 'infinity']) })       // a system container
 *     const image = await busyboxImage({ exports: { manifest: {…}, hostfs: { '/etc/x': 'text' } }, compression: 'zstd' })
 *     const image = await busyboxImage({ layers: [{ 'a/b': 'text' }, { 'a/.wh.b': '' }], format: 'docker', platforms: ['linux/amd64', 'linux/arm64'] })
 *     const reference = await registry.push(image, 'test/busy:1')      // '127.0.0.1:PORT/test/busy:1'
 *
 * For a layer of bytes that lie or are cut short, use `packLayer`, `layerOf` and `assembleImage` themselves.
 */
export interface BusyboxOptions extends ImageOptions {
  readonly entrypoint?: readonly string[]
  readonly cmd?: readonly string[]
  readonly env?: readonly string[]
  readonly labels?: Readonly<Record<string, string>>
  readonly exports?: Exports
  /** A layer each, above busybox and beneath /exports. */
  readonly layers?: readonly LayerFiles[]
  readonly compression?: Compression
}

/** What is to lie under /exports; objects are written as JSON. */
export interface Exports {
  readonly 'config.json.template'?: string | object
  readonly 'config.json'?: string | object
  readonly 'service.template'?: string
  readonly 'tmpfiles.template'?: string
  readonly 'manifest.json'?: string | object
  /** Path on the host -> file. */
  readonly hostfs?: LayerFiles
}

export async function busyboxImage(options: BusyboxOptions = {}): Promise<LabImage> {
  const { compression = 'gzip', layers = [], exports } = options
  const packed = [await busyboxLayer(compression)]
  for (const files of layers) packed.push(await packLayer(files, { compression }))
  if (exports !== undefined) packed.push(await packLayer(exportFiles(exports), { compression }))
  const { entrypoint, cmd, env, labels } = options
  const config = {
    Env: env ?? ['PATH=/usr/sbin:/usr/bin:/sbin:/bin'],
    ...(entrypoint && { Entrypoint: entrypoint }),
    ...(cmd && { Cmd: cmd }),
    ...(labels && { Labels: labels }),
    ...options.config,
  }
  return assembleImage(packed, { ...options, config })
}

/** The files that carry /exports in a layer. */
export function exportFiles(exports: Exports): LayerFiles {
  const files: Record<string, LayerFile> = { exports: { type: 'directory' } }
  for (const [name, content] of Object.entries(exports)) {
    if (name === 'hostfs') continue
    files[`exports/${name}`] = typeof content === 'string' ? content : `${JSON.stringify(content, null, 2)}\n`
  }
  if (exports.hostfs !== undefined) files['exports/hostfs'] = { type: 'directory' }
  for (const [path, file] of Object.entries(exports.hostfs ?? {})) files[join('exports/hostfs', path)] = file
  return files
}

/** The metadata of a service that runs these words as root, on the host's network, by default with a read-only root. */
export function serviceExports(
  args: readonly string[],
  options: {
    env?: readonly string[]
    mounts?: readonly object[]
    unit?: string
    service?: string
    readonly?: boolean
    capabilities?: readonly string[]
  } = {},
): { 'config.json.template': object; 'service.template': string } {
  const { env = [], mounts = [], unit = '', service = '', readonly = true, capabilities = [] } = options
  return {
    'config.json.template': {
      ociVersion: '1.0.2',
      process: {
        user: { uid: 0, gid: 0 },
        args,
        env: ['PATH=/usr/sbin:/usr/bin:/sbin:/bin', ...env],
        cwd: '/',
        noNewPrivileges: true,
        capabilities: { bounding: capabilities, effective: capabilities, permitted: capabilities },
      },
      root: { path: 'rootfs', readonly },
      hostname: '$NAME',
      mounts: [...ordinaryMounts, ...mounts],
      linux: {
        namespaces: ['pid', 'ipc', 'uts', 'mount'].map((type) => ({ type })),
        readonlyPaths: ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger'],
      },
    },
    'service.template': `[Unit]
Description=$NAME
${unit}
[Service]
ExecStart=$EXEC_START
ExecStop=$EXEC_STOP
Restart=on-failure
WorkingDirectory=$DESTDIR
${service}
[Install]
WantedBy=multi-user.target
`,
  }
}

/** What nearly every container has. */
export const ordinaryMounts: readonly object[] = [
  { destination: '/proc', type: 'proc', source: 'proc' },
  {
    destination: '/dev',
    type: 'tmpfs',
    source: 'tmpfs',
    options: ['nosuid', 'strictatime', 'mode=755', 'size=65536k'],
  },
  {
    destination: '/dev/pts',
    type: 'devpts',
    source: 'devpts',
    options: ['nosuid', 'noexec', 'newinstance', 'mode=0620'],
  },
  { destination: '/dev/shm', type: 'tmpfs', source: 'shm', options: ['nosuid', 'noexec', 'nodev', 'mode=1777'] },
  { destination: '/sys', type: 'sysfs', source: 'sysfs', options: ['nosuid', 'noexec', 'nodev', 'ro'] },
  { destination: '/tmp', type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'nodev', 'mode=1777'] },
  { destination: '/run', type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'nodev', 'mode=755'] },
]

/** The path of Debian's static busybox, from the cache. */
export async function busyboxBinary(): Promise<string> {
  return join(await debianPackage('busybox-static'), 'bin/busybox')
}

/** The folder of one Debian package's files alone, from the cache, without installing it. */
export async function debianPackage(name: string): Promise<string> {
  return await cached(`package-${name}`, { name, arch: process.arch }, async (path) => {
    announce(`fetching the Debian package ${name}`)
    const scratch = await mkdtemp(join(tmpdir(), 'forerun-lab-package-'))
    try {
      await download(name, scratch)
      const [file = ''] = await readdir(scratch)
      await mkdir(`${path}.files`, { recursive: true })
      await execute(['dpkg-deb', '-x', join(scratch, file), `${path}.files`])
      await rename(`${path}.files`, path)
    } finally {
      await rm(scratch, { recursive: true })
    }
  })
}

async function download(name: string, folder: string): Promise<void> {
  // Without apt's own user, who may not write to the folder.
  const words = ['apt-get', 'download', '-q', '-o', 'APT::Sandbox::User=root', name]
  if ((await execute(words, { cwd: folder, check: false })).status === 0) return
  await execute(['apt-get', 'update', '-q'], { timeout: 600_000 })
  await execute(words, { cwd: folder, timeout: 600_000 })
}

const layers = new Map<Compression, Promise<Layer>>()

function busyboxLayer(compression: Compression): Promise<Layer> {
  const known = layers.get(compression) ?? makeBusyboxLayer(compression)
  layers.set(compression, known)
  return known
}

async function makeBusyboxLayer(compression: Compression): Promise<Layer> {
  const binary = await busyboxBinary()
  const applets = execFileSync(binary, ['--list'], { encoding: 'utf8' }).trim().split('\n')
  const files: Record<string, LayerFile> = {}
  for (const name of ['bin', 'dev', 'etc', 'proc', 'root', 'run', 'sys', 'var', 'var/lib'])
    files[name] = { type: 'directory' }
  files.tmp = { type: 'directory', mode: 0o1777 }
  files['etc/passwd'] =
    'root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1:daemon:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n'
  files['etc/group'] = 'root:x:0:\ndaemon:x:1:\naudio:x:29:daemon\nnogroup:x:65534:\n'
  files['bin/busybox'] = { content: await readFile(binary), mode: 0o755 }
  for (const name of applets) if (name !== 'busybox') files[`bin/${name}`] = { target: 'busybox' }
  return await packLayer(files, { compression })
}
