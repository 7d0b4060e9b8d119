import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import type { ForerunEvent } from '../../src/events.ts'
import type { Change, ChangeHost } from '../../src/transaction/change.ts'
import { makeDirectory, makeSymlink, removeEmpty, removeFile, rename, writeFile } from '../../src/transaction/files.ts'
import { createTmpfiles, disable, enable, mount, reload, start, stop, unmount } from '../../src/transaction/units.ts'

const root = { mode: 0o644, uid: 0, gid: 0 }
const folderOwner = { mode: 0o755, uid: 0, gid: 0 }

/** Stands at the systemd interface, for faults at chosen moments: keeps links and states, and tells them. */
export function fakeHost(units: string, onEvent: (event: ForerunEvent) => void = () => {}): ChangeHost {
  const active = (unit: string): string => join(activeFolder(units), unit)
  const wants = join(units, 'multi-user.target.wants')
  return {
    emit: onEvent,
    reload: async () => {},
    async enable(unit) {
      mkdirSync(wants, { recursive: true })
      symlinkSync(join(units, unit), join(wants, unit))
    },
    async disable(unit) {
      rmSync(join(wants, unit), { force: true })
      if (existsSync(wants) && readdirSync(wants).length === 0) rmSync(wants, { recursive: true })
    },
    start: async (unit) => writeFileSync(active(unit), ''),
    stop: async (unit) => rmSync(active(unit), { force: true }),
    isActive: async (unit) => existsSync(active(unit)),
    requireLoaded: async () => {},
    links: async (unit) =>
      existsSync(join(wants, unit)) ? [{ path: join(wants, unit), target: readlinkSync(join(wants, unit)) }] : [],
    async createTmpfiles() {
      mkdirSync(join(units, '..', 'state', 'deep'), { recursive: true })
    },
    removeTmpfiles: async () => {},
    deleteRuntimeState: async () => {},
  }
}

/** Every name below a folder with its type, mode and content. */
export function listing(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((name) => {
      const status = lstatSync(join(folder, name))
      const mode = (status.mode & 0o7777).toString(8)
      if (status.isSymbolicLink()) return `${name} -> ${readlinkSync(join(folder, name))}`
      return status.isFile() ? `${name} ${mode} ${readFileSync(join(folder, name), 'utf8')}` : `${name}/ ${mode}`
    })
    .sort()
}

export function prepared(folder: string): { host: string; units: string; journal: string } {
  const host = join(folder, 'host')
  const units = join(host, 'units')
  mkdirSync(join(units, 'multi-user.target.wants'), { recursive: true })
  mkdirSync(join(host, 'staging'))
  writeFileSync(join(host, 'staging', 'file'), 'deployment')
  writeFileSync(join(units, 'old.service'), 'old unit')
  chmodSync(join(units, 'old.service'), 0o600)
  symlinkSync('../old.service', join(units, 'multi-user.target.wants', 'old.service'))
  mkdirSync(activeFolder(units))
  for (const unit of ['old.mount', 'old.service']) writeFileSync(join(activeFolder(units), unit), '')
  return { host, units, journal: join(folder, 'journal') }
}

export function allKinds(host: string, units: string): Change[] {
  return [
    reload('undone'),
    rename(join(host, 'staging'), join(host, 'new.0')),
    makeSymlink(join(host, 'new'), 'new.0', root),
    makeDirectory(join(host, 'bin'), folderOwner),
    writeFile(join(host, 'bin', 'tool'), { bytes: Buffer.from('tool') }, { ...root, mode: 0o755 }),
    writeFile(join(units, 'new.service'), { bytes: Buffer.from('unit') }, root),
    createTmpfiles('new.conf', [join(host, 'state'), join(host, 'state', 'deep')]),
    disable('old.service', { name: 'old', runtime: 'runc' }),
    reload('applied'),
    unmount('old.mount'),
    stop('old.service', { name: 'old', runtime: 'runc' }),
    removeFile(join(units, 'old.service')),
    removeEmpty([join(host, 'state')]),
    mount('new.mount'),
    enable('new.service', { name: 'new', runtime: 'runc' }),
    start('new.service', { name: 'new', runtime: 'runc' }),
  ]
}

/** Lies outside of what `listing(host)` tells. */
function activeFolder(units: string): string {
  return join(units, '..', '..', 'active')
}

export function activeUnits(units: string): string[] {
  return readdirSync(activeFolder(units))
}
