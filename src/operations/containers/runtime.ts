import { isAbsolute } from 'node:path'
import { ForerunError } from '../../errors.ts'
import { findProgram, isExecutable } from '../../host/find-program.ts'

/**
 * The absolute path of an OCI runtime that is given as a path or as a name on `PATH`; units need it absolute. A name is looked
 * up as `findProgram` does.
 *
 * @throws ForerunError `runtime`.
 */
export function findRuntime(runtime: string, path: string | undefined = process.env.PATH): string {
  const found = isAbsolute(runtime) ? runtime : runtime.includes('/') ? undefined : findProgram(runtime, path)
  if (found !== undefined && isExecutable(found)) return found
  throw new ForerunError('runtime', `the runtime ${runtime} is not installed`, {
    hint: 'Install an OCI runtime, for example the package runc, or name one by its absolute path with --runtime.',
  })
}
