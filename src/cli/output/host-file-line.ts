import type { HostFileView } from '../../operations/containers/host-files.ts'
import { printable } from './printable.ts'

/** A host file as `ls -l` shows it: what it is, its mode, its owner; `!` marks one that gives power over the host, and says why. */
export function hostFileLine({ path, kind, mode, uid, gid, target, power }: HostFileView): string {
  const mark = power.length > 0 ? '!' : ' '
  const what = kind === 'line' ? 'tmpfiles.d' : `${letters[kind]}${modeText(mode ?? 0o777)}`
  const arrow = target === undefined ? '' : ` -> ${printable(target)}`
  const why = power.length > 0 ? `: ${power.map(printable).join('; ')}` : ''
  return `${mark} ${what} ${owner(uid)}:${owner(gid)} ${printable(path)}${arrow}${why}`
}

const letters = { file: '-', symlink: 'l', directory: 'd' } as const

function owner(id: number): string {
  return id === 0 ? 'root' : `${id}`
}

function modeText(mode: number): string {
  const bit = (bits: number, letter: string): string => ((mode & bits) === bits ? letter : '-')
  const execute = (bits: number, special: number, letter: string): string => {
    if ((mode & special) === 0) return bit(bits, 'x')
    return (mode & bits) === bits ? letter : letter.toUpperCase()
  }
  return [
    ...[bit(0o400, 'r'), bit(0o200, 'w'), execute(0o100, 0o4000, 's')],
    ...[bit(0o040, 'r'), bit(0o020, 'w'), execute(0o010, 0o2000, 's')],
    ...[bit(0o004, 'r'), bit(0o002, 'w'), execute(0o001, 0o1000, 't')],
  ].join('')
}
