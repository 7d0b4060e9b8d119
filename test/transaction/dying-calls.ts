import childProcess from 'node:child_process'
import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import koffi from 'koffi'

/**
 * Makes this process die, as far as its files can tell, at one of its calls: that call and all later ones throw and do
 * nothing, but for a write, of which half is done. To be called before anything else has loaded libc.
 */
export function dyingCalls(): { arm(at: number): void; disarm(): number } {
  let at = Number.POSITIVE_INFINITY
  let count = 0

  function isDead(): boolean {
    count++
    return count >= at
  }

  function wrap<Arguments extends unknown[], Result>(
    call: (...args: Arguments) => Result,
    atDeath: (...args: Arguments) => void = () => {},
  ): (...args: Arguments) => Result {
    return (...args) => {
      if (!isDead()) return call(...args)
      if (count === at) atDeath(...args)
      throw new Error('the process is dead')
    }
  }

  const changing = [
    'chmodSync',
    'chownSync',
    'fchmodSync',
    'fchownSync',
    'fsyncSync',
    'ftruncateSync',
    'lchownSync',
    'linkSync',
    'mkdirSync',
    'openSync',
    'renameSync',
    'rmSync',
    'rmdirSync',
    'symlinkSync',
    'unlinkSync',
    'writeFileSync',
  ] as const
  const { writeSync } = fs
  for (const name of changing) Object.assign(fs, { [name]: wrap(fs[name] as (...args: unknown[]) => unknown) })
  Object.assign(fs, {
    writeSync: wrap(writeSync as (fd: number, bytes: Uint8Array, ...rest: number[]) => number, (fd, bytes) => {
      writeSync(fd, bytes, 0, Math.floor(bytes.length / 2))
    }),
  })
  Object.assign(childProcess, { spawn: wrap(childProcess.spawn as (...args: unknown[]) => unknown) })
  syncBuiltinESMExports()

  const { load } = koffi
  koffi.load = (...words: Parameters<typeof load>) => {
    const library = load(...words)
    const func = (declaration: string) => wrap(library.func(declaration) as (...args: unknown[]) => unknown)
    return new Proxy(library, { get: (target, name) => (name === 'func' ? func : Reflect.get(target, name)) })
  }

  return {
    /** The call that dies, counted from 1. */
    arm(call) {
      count = 0
      at = call
    },
    /** How many calls there were. */
    disarm() {
      at = Number.POSITIVE_INFINITY
      return count
    },
  }
}
