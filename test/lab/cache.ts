import { createHash } from 'node:crypto'
import { closeSync, existsSync, openSync } from 'node:fs'
import { mkdir, rename } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { tryLock } from '../../src/host/system-calls.ts'
import { execute } from './process.ts'

/** What takes long to make is kept here between runs; the folder can be removed at any time when no lab runs. */
export function cacheFolder(): string {
  const { FORERUN_LAB_CACHE, XDG_CACHE_HOME } = process.env
  return FORERUN_LAB_CACHE ?? join(XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'forerun-lab')
}

/**
 * The path of a cached file or folder. `ingredients` are all that it is made of: others make another entry. `make` writes
 * to the path that it gets, which becomes the entry only when it returns; two processes that want the same wait for one.
 */
export async function cached(
  name: string,
  ingredients: unknown,
  make: (path: string) => Promise<void>,
): Promise<string> {
  const folder = cacheFolder()
  await mkdir(folder, { recursive: true })
  const key = createHash('sha256').update(JSON.stringify(ingredients)).digest('hex').slice(0, 24)
  const entry = join(folder, `${name}-${key}`)
  if (existsSync(entry)) return entry

  using _lock = await exclusively(`${entry}.lock`)
  if (existsSync(entry)) return entry
  const unfinished = `${entry}.new`
  await execute(['rm', '-rf', unfinished])
  await make(unfinished)
  await rename(unfinished, entry)
  return entry
}

/** Waits for the lock of a file, which the kernel drops when its holder dies. */
export async function exclusively(path: string): Promise<Disposable> {
  const fd = openSync(path, 'a')
  while (!tryLock(fd)) await sleep(100)
  return { [Symbol.dispose]: () => closeSync(fd) }
}

/** Tells whoever runs the lab what takes time; on standard error, which is nobody's result. */
export function announce(message: string): void {
  process.stderr.write(`lab: ${message}\n`)
}
