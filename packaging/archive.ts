import { createWriteStream, existsSync } from 'node:fs'
import { readdir, readFile, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { parseArgs } from 'node:util'
import { createGzip, gzipSync } from 'node:zlib'
import { type Pack, pack } from 'tar-stream'
import manifest from '../package.json' with { type: 'json' }
import { buildBundle, compiledName, outputFolder } from './build.ts'
import { type Architecture, koffiPackage, nodePackage } from './npm-package.ts'

/**
 * Makes the self-contained archive of what `buildBundle` made: `forerun/` with the bundle, its own Node and koffi's binary for one architecture, to be
 * unpacked beneath /usr/lib with a link to `forerun/forerun` in /usr/bin. Equal inputs give equal bytes.
 *
 * @returns its path: `dist/forerun-VERSION-linux-ARCHITECTURE.tar.gz`.
 */
export async function makeArchive(architecture: Architecture): Promise<string> {
  const path = archivePath(architecture)
  const unfinished = `${path}.new`
  const node = await compressedNode(architecture)
  const parts = Readable.from([gzipSync(await ownFiles(architecture), { level: 9 }), await readFile(node)])
  await pipeline(parts, createWriteStream(unfinished))
  await rename(unfinished, path)
  return path
}

export function archivePath(architecture: Architecture): string {
  return join(outputFolder, `forerun-${manifest.version}-linux-${architecture}.tar.gz`)
}

/**
 * How Node is started, to take no more memory than it needs. What is received from a network lies in few objects that hold
 * much: the more room V8 gives to young ones, the more of it waits to be freed. And what one thread has freed, another
 * can use only if the C library has them share it.
 */
export const nodeStart = {
  environment: ['MALLOC_ARENA_MAX=2'],
  options: ['--max-semi-space-size=1'],
} as const

/**
 * What Node obeys of the environment: other programs' wishes, and in `sudo -E` those of another user, must not load code into
 * forerun, turn off the checks of TLS, or write files as root.
 */
const nodeVariables = [
  ...['NODE_OPTIONS', 'NODE_PATH', 'NODE_REPL_EXTERNAL_MODULE', 'NODE_REPL_HISTORY', 'NODE_ICU_DATA', 'NODE_DEBUG'],
  ...['NODE_DEBUG_NATIVE', 'NODE_EXTRA_CA_CERTS', 'NODE_TLS_REJECT_UNAUTHORIZED', 'NODE_USE_SYSTEM_CA'],
  ...['NODE_USE_ENV_PROXY', 'NODE_COMPILE_CACHE', 'NODE_COMPILE_CACHE_PORTABLE', 'NODE_DISABLE_COMPILE_CACHE'],
  ...[
    'NODE_V8_COVERAGE',
    'NODE_REDIRECT_WARNINGS',
    'NODE_NO_WARNINGS',
    'NODE_PENDING_DEPRECATION',
    'NODE_TEST_CONTEXT',
  ],
  ...['NODE_PENDING_PIPE_INSTANCES', 'NODE_PRESERVE_SYMLINKS', 'NODE_PRESERVE_SYMLINKS_MAIN', 'NODE_DISABLE_COLORS'],
  ...['NODE_SKIP_PLATFORM_CHECK', 'NODE_CHANNEL_FD', 'NODE_CHANNEL_SERIALIZATION_MODE', 'NODE_UNIQUE_ID'],
  ...['OPENSSL_CONF', 'OPENSSL_MODULES', 'OPENSSL_ENGINES'],
]

/** The shell's script that users call. */
export const launcher = `#!/bin/sh
# Runs forerun with the Node that lies beside it, also when this file is reached by a symbolic link.
self=$(PATH=/usr/bin:/bin readlink -f -- "$0") || exit 127
unset ${nodeVariables.join(' ')}
export FORERUN_CALLED_AS="$0"
${nodeStart.environment.join(' ')} exec "\${self%/*}/node" ${nodeStart.options.join(' ')} "\${self%/*}/forerun.cjs" "$@"
`

const root = join(import.meta.dirname, '..')

/** The beginning of the archive: all but Node, without the end of an archive. */
async function ownFiles(architecture: Architecture): Promise<Buffer> {
  const archive = pack()
  const koffi = await koffiPackage(architecture)
  add(archive, 'forerun/', { type: 'directory' })
  add(archive, 'forerun/forerun', { content: Buffer.from(launcher), mode: 0o755 })
  add(archive, 'forerun/forerun.cjs', { content: await readFile(join(outputFolder, 'forerun.cjs')), mode: 0o755 })
  add(archive, 'forerun/lib/', { type: 'directory' })
  const others = (name: string): boolean => name.endsWith('.cache') && name !== compiledName(architecture)
  const names = (await readdir(join(outputFolder, 'lib'))).filter((name) => name !== 'koffi.node' && !others(name))
  for (const name of names.sort()) {
    add(archive, `forerun/lib/${name}`, { content: await readFile(join(outputFolder, 'lib', name)) })
  }
  add(archive, 'forerun/lib/koffi.node', { content: await koffi.file(`linux_${architecture}/koffi.node`) })
  add(archive, 'forerun/LICENSE', { content: await readFile(join(root, 'LICENSE')) })
  add(archive, 'forerun/LICENSE.koffi', { content: await readFile(join(root, 'node_modules/koffi/LICENSE.txt')) })
  const licenses = await readFile(join(outputFolder, 'LICENSE.packages'))
  add(archive, 'forerun/LICENSE.packages', { content: licenses })
  for (const folder of ['man', 'systemd']) {
    for (const { name, content } of await shippedFiles(folder)) add(archive, `forerun/${folder}/${name}`, { content })
  }
  return await collect(archive, { ended: false })
}

/** Man pages, and units, which nothing enables. */
async function shippedFiles(kind: string): Promise<{ name: string; content: Buffer }[]> {
  const folder = join(import.meta.dirname, kind)
  const names = (await readdir(folder)).filter((name) => /\.(?:\d|service|timer)$/.test(name)).sort()
  return await Promise.all(names.map(async (name) => ({ name, content: await readFile(join(folder, name)) })))
}

/**
 * The end of the archive: Node, compressed once. A gzip file may consist of several compressed parts (RFC 1952, 2.2), so
 * that packing the same Node again takes no time.
 */
async function compressedNode(architecture: Architecture): Promise<string> {
  const source = await nodePackage(architecture)
  const path = `${source.path}.tar.gz`
  if (existsSync(path)) return path
  const archive = pack()
  add(archive, 'forerun/LICENSE.node', { content: await source.file('LICENSE') })
  add(archive, 'forerun/node', { content: await source.file('bin/node'), mode: 0o755 })
  await pipeline(
    Readable.from([await collect(archive, { ended: true })]),
    createGzip(),
    createWriteStream(`${path}.new`),
  )
  await rename(`${path}.new`, path)
  return path
}

interface Entry {
  readonly type?: 'directory'
  readonly content?: Buffer
  readonly mode?: number
}

function add(archive: Pack, name: string, { type, content = Buffer.alloc(0), mode }: Entry): void {
  const usual = type === 'directory' ? 0o755 : 0o644
  archive.entry(
    { name, type: type ?? 'file', mode: mode ?? usual, uid: 0, gid: 0, uname: 'root', gname: 'root', mtime: epoch },
    content,
  )
}

const epoch = new Date(Number(process.env.SOURCE_DATE_EPOCH ?? 0) * 1000)

async function collect(archive: Pack, { ended }: { ended: boolean }): Promise<Buffer> {
  archive.finalize()
  const chunks: Buffer[] = []
  for await (const chunk of archive as AsyncIterable<Buffer>) chunks.push(chunk)
  const bytes = Buffer.concat(chunks)
  // Two blocks of zeros end an archive.
  return ended ? bytes : bytes.subarray(0, bytes.length - 1024)
}

if (import.meta.main) {
  const { values } = parseArgs({ options: { arch: { type: 'string', multiple: true, default: ['x64', 'arm64'] } } })
  await buildBundle()
  for (const architecture of values.arch) {
    if (architecture !== 'x64' && architecture !== 'arm64') throw new Error(`no archive is made for '${architecture}'`)
    console.log(await makeArchive(architecture))
  }
}
