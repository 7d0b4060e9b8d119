import { accessSync, constants, statSync } from 'node:fs'
import { isAbsolute, join } from 'node:path'
import { ForerunError } from '../../errors.ts'

/**
 * The absolute path of an OCI runtime that is given as a path or as a name on `PATH`; units need it absolute.
 *
 * @throws ForerunError `runtime`.
 */
export function findRuntime(runtime: string, path: string = process.env.PATH ?? defaultPath): string {
  const candidates = isAbsolute(runtime) ? [runtime] : path.split(':').map((folder) => join(folder, runtime))
  const found = candidates.find(isExecutable)
  if (found !== undefined && isAbsolute(found) && !(runtime.includes('/') && !isAbsolute(runtime))) return found
  throw new ForerunError('runtime', `the runtime ${runtime} is not installed`, {
    hint: 'Install an OCI runtime, for example the package runc, or name one by its absolute path with --runtime.',
  })
}

const defaultPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return statSync(path).isFile()
  } catch {
    return false
  }
}
