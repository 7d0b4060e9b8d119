import { realpathSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { hostPower, tmpfilesPower } from '../../bundle/host-power.ts'
import type { PlacedFile } from '../../host/placed-file.ts'

/** A file of the image on the host, as an administrator has to see it. */
export interface HostFileView {
  readonly path: string
  /** `line`: a line of tmpfiles.d makes or changes it at every boot. */
  readonly kind: 'file' | 'symlink' | 'directory' | 'line'
  /** 0 to 0o7777; absent for links and lines. */
  readonly mode?: number
  readonly uid: number
  readonly gid: number
  /** Where a link leads. */
  readonly target?: string
  /** Why it gives power over the host, see `hostPower`; mostly empty. */
  readonly power: readonly string[]
}

/** The host files of a plan; directories and tmpfiles lines only where they give power over the host. */
export function hostFileViews(
  files: readonly PlacedFile[],
  options: { unit: string; tmpfiles: string | undefined },
): HostFileView[] {
  const views = files.filter(({ role }) => role === 'host').map((file) => hostFileView(file, options.unit))
  const lines = tmpfilesPower(options.tmpfiles ?? '', options).map(
    ({ path, power }): HostFileView => ({ path, kind: 'line', uid: 0, gid: 0, power }),
  )
  return [...views.filter(({ kind, power }) => kind !== 'directory' || power.length > 0), ...lines]
}

function hostFileView(file: PlacedFile, unit: string): HostFileView {
  const { path, kind, uid, gid } = file
  const mode = kind === 'symlink' ? undefined : file.mode
  const places = [...new Set([path, realPlace(path)])]
  const power = [...new Set(places.flatMap((place) => hostPower({ path: place, kind, mode, uid }, { unit })))]
  if (file.kind === 'symlink') return { path, kind, uid, gid, target: file.target, power }
  return { path, kind: file.kind, mode: file.mode, uid, gid, power }
}

/** Where it will really lie: folders of the host above it may be links. */
function realPlace(path: string): string {
  const folder = dirname(path)
  try {
    return join(realpathSync(folder), basename(path))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    return folder === '/' ? path : join(realPlace(folder), basename(path))
  }
}
