import { closeSync, ftruncateSync, mkdirSync, openSync, readFileSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { ForerunError } from '../errors.ts'
import { tryLock } from './system-calls.ts'

/**
 * The lock that one command at a time holds while it changes the store or the host: flock(2), so that the kernel drops
 * it when the holder dies. Waits for another holder, telling `onWait` its process id once. Released by `using`.
 *
 * @throws ForerunError `interrupted` when the signal ends the wait.
 */
export async function acquireLock(
  path: string,
  options: { signal: AbortSignal; onWait: (holder: string) => void },
): Promise<Disposable> {
  mkdirSync(dirname(path), { recursive: true })
  const fd = openSync(path, 'a+', 0o600)
  try {
    let told = false
    while (!tryLock(fd)) {
      if (!told) options.onWait(readFileSync(path, 'utf8').trim())
      told = true
      await sleep(50, undefined, { signal: options.signal }).catch((cause) => {
        throw new ForerunError('interrupted', 'interrupted while waiting for another forerun command', { cause })
      })
    }
    ftruncateSync(fd)
    writeSync(fd, `${process.pid}\n`)
  } catch (error) {
    closeSync(fd)
    throw error
  }
  return { [Symbol.dispose]: () => closeSync(fd) }
}
