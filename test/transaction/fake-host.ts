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

const root = { mode: 0o644, uid: 0, gid: 0 }

/** Stands at the systemd interface, for faults at chosen moments: keeps states, and tells them. */
export function fakeHost(units: string, onEvent: (event: ForerunEvent) => void = () => {}): ChangeHost {
  const active = (unit: string): string => join(activeFolder(units), unit)
  return {
    emit: onEvent,
    reload: async () => {},
    start: async (unit) => writeFileSync(active(unit), ''),
    restart: async (unit) => writeFileSync(active(unit), ''),
    invocation: async (unit) => (existsSync(active(unit)) ? 'only' : ''),
    dependants: async () => [],
    stop: async (unit) => rmSync(active(unit), { force: true }),
    isActive: async (unit) => existsSync(active(unit)),
    requireLoaded: async () => {},
    async createTmpfiles() {
      mkdirSync(join(units, '..', 'state', 'deep'), { recursive: true })
    },
    removeTmpfiles: async () => {},
    deleteRuntimeState: async () => {},
    isOthers: () => false,
    recoverAtBoot() {},
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
  mkdirSync(join(host, 'old.0'))
  writeFileSync(join(host, 'old.0', 'file'), 'old deployment')
  writeFileSync(join(units, 'old.service'), 'old unit')
  writeFileSync(join(units, 'kept.service'), 'first content')
  chmodSync(join(units, 'old.service'), 0o600)
  symlinkSync('../old.service', join(units, 'multi-user.target.wants', 'old.service'))
  symlinkSync('kept.0', join(host, 'kept'))
  mkdirSync(activeFolder(units))
  for (const unit of ['old.mount', 'old.service']) writeFileSync(join(activeFolder(units), unit), '')
  return { host, units, journal: join(folder, 'journal') }
}

/** One change of every kind, and of some kinds two. */
export function allKinds(host: string, units: string): Change[] {
  const wants = join(units, 'multi-user.target.wants')
  const [older, newer] = ['old', 'new'].map((name) => ({
    unit: `${name}.service`,
    container: { name, runtime: 'runc' },
  })) as [ServiceOf, ServiceOf]
  return [
    { kind: 'reload', when: 'undone' },
    { kind: 'rename', path: join(host, 'staging'), to: join(host, 'new.0') },
    { kind: 'make-symlink', path: join(host, 'new'), target: 'new.0', uid: 0, gid: 0 },
    { kind: 'make-directory', path: join(host, 'bin'), ...root, mode: 0o755 },
    { kind: 'write-file', path: join(host, 'bin', 'tool'), content: bytes('tool'), ...root, mode: 0o755 },
    { kind: 'write-file', path: join(units, 'new.service'), content: bytes('unit'), ...root },
    { kind: 'replace-file', path: join(units, 'kept.service'), content: bytes('second content'), ...root },
    { kind: 'replace-symlink', path: join(host, 'kept'), target: 'kept.1', uid: 0, gid: 0 },
    { kind: 'create-tmpfiles', file: 'new.conf', absent: [join(host, 'state'), join(host, 'state', 'deep')] },
    { kind: 'unit-state', ...older },
    { kind: 'remove-file', path: join(wants, 'old.service') },
    { kind: 'reload', when: 'applied' },
    { kind: 'unmount', unit: 'old.mount', when: 'applied' },
    { kind: 'stop', ...older },
    { kind: 'remove-file', path: join(units, 'old.service') },
    { kind: 'discard', path: join(host, 'old.0') },
    { kind: 'remove-tmpfiles', lines: 'r /old' },
    { kind: 'remove-empty', paths: [join(host, 'state')] },
    { kind: 'load', unit: 'new.service' },
    { kind: 'mount', unit: 'new.mount' },
    { kind: 'unit-state', ...newer },
    { kind: 'make-symlink', path: join(wants, 'new.service'), target: '../new.service', uid: 0, gid: 0 },
  ]
}

interface ServiceOf {
  readonly unit: string
  readonly container: { readonly name: string; readonly runtime: string }
}

function bytes(text: string) {
  return { bytes: Buffer.from(text) }
}

/** Lies outside of what `listing(host)` tells. */
function activeFolder(units: string): string {
  return join(units, '..', '..', 'active')
}

export function activeUnits(units: string): string[] {
  return readdirSync(activeFolder(units))
}
