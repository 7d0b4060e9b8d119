import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { type BreakingProxy, type Fault, startBreakingProxy } from '../lab/breaking-proxy.ts'
import { busyboxImage, serviceExports } from '../lab/busybox.ts'
import type { LabImage } from '../lab/image.ts'
import type { ExecResult } from '../lab/process.ts'
import { type InstalledHost, installedHost } from './installed-host.ts'

/** A host, and a real registry behind a proxy that breaks things. forerun waits one second for an answer there, and tries everything twice. */
export interface BrokenRegistry extends AsyncDisposable {
  readonly lab: InstalledHost
  readonly proxy: BreakingProxy
  /** The name of `image` through the proxy. */
  readonly reference: string
  /** Begins anew: with an empty store, these faults, and no counts. */
  spoil(rules: Rules): void
  /** Runs forerun, which has to end long before it is ended here. */
  bounded(...words: string[]): Promise<ExecResult>
  /** Files of the store, by their path in it. */
  storedFiles(): string[]
}

export type Rules = readonly (readonly [on: RegExp, fault: Fault, times?: number])[]

/** An image with one large layer. */
export const image = await busyboxImage({
  layers: [{ blob: randomBytes(6 * 1024 * 1024) }],
  exports: serviceExports(['sleep', 'infinity']),
  compression: 'none',
})
const [digest, size] = largestBlob(image)
/** Bytes of the large layer. */
export const layerSize = size
/** Requests for that layer. */
export const layer = new RegExp(`^GET .*/blobs/${digest}$`)
export const configuration = new RegExp(`^GET .*/blobs/${image.imageIds[0]}$`)
export const manifest = /^GET .*\/manifests\//
export const anything = /^GET \/v2\/./

export async function brokenRegistry(): Promise<BrokenRegistry> {
  await using made = new AsyncDisposableStack()
  const lab = made.use(await installedHost())
  mkdirSync(join(lab.host.root, 'etc/forerun'))
  writeFileSync(join(lab.host.root, 'etc/forerun/forerun.conf'), '[registry]\nretries = 1\ntimeout = 1\n')
  await lab.push('team/app:1', image)
  const proxy = made.use(await startBreakingProxy(lab.registry.address))
  const store = join(lab.host.root, 'var/lib/forerun/store')
  const owned = made.move()
  return {
    ...{ lab, proxy },
    reference: `${proxy.address}/team/app:1`,
    spoil(rules) {
      rmSync(store, { recursive: true, force: true })
      proxy.mend()
      for (const [on, fault, times] of rules) proxy.spoil(on, fault, times === undefined ? {} : { times })
    },
    bounded: (...words) => lab.host.exec(['forerun', ...words], { check: false, timeout: 15_000 }),
    storedFiles() {
      if (!existsSync(store)) return []
      const files = readdirSync(store, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
      return files.map(({ parentPath, name }) => relative(store, join(parentPath, name)))
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

function largestBlob({ blobs }: LabImage): [digest: string, size: number] {
  const sizes = [...blobs].map(([name, { length }]) => [name, length] as [string, number])
  const [largest] = sizes.sort(([, a], [, b]) => b - a)
  if (largest === undefined) throw new Error('the image has no blobs')
  return largest
}

/** As a `Retry-After` has it. */
export function inSeconds(seconds: number): string {
  return new Date(Date.now() + seconds * 1000).toUTCString()
}
