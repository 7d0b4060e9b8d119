import type { Emit } from '../events.ts'

/** Owner and permissions of a new file or directory. */
export interface Ownership {
  /** 0 to 0o7777. */
  readonly mode: number
  readonly uid: number
  readonly gid: number
}

/** The bytes of a new file, or the path of the file that it is to be a copy of. */
export type FileContent = { readonly bytes: Uint8Array } | { readonly copyOf: string | Buffer }

/** How the runtime knows the container of a unit. */
export interface UnitContainer {
  readonly name: string
  readonly runtime: string
}

/** One change to the host, as a plan has it: a value that can be compared. `kinds.ts` knows how each is made and undone. */
export type Change =
  | ({ readonly kind: 'write-file'; readonly path: string; readonly content: FileContent } & Ownership)
  | ({ readonly kind: 'replace-file'; readonly path: string; readonly content: FileContent } & Ownership)
  | ({ readonly kind: 'make-symlink'; readonly path: string; readonly target: string } & Omit<Ownership, 'mode'>)
  | ({ readonly kind: 'replace-symlink'; readonly path: string; readonly target: string } & Omit<Ownership, 'mode'>)
  | ({ readonly kind: 'make-directory'; readonly path: string } & Ownership)
  | { readonly kind: 'remove-file'; readonly path: string }
  | { readonly kind: 'remove-empty'; readonly paths: readonly string[] }
  | { readonly kind: 'rename'; readonly path: string; readonly to: string }
  | { readonly kind: 'discard'; readonly path: string }
  | { readonly kind: 'place-volume'; readonly staged: string; readonly path: string }
  | { readonly kind: 'close-folder'; readonly path: string }
  | { readonly kind: 'reload'; readonly when: 'applied' | 'undone' }
  | { readonly kind: 'load'; readonly unit: string }
  | {
      readonly kind: 'unit-state' | 'stop'
      readonly unit: string
      readonly container: UnitContainer
    }
  | { readonly kind: 'mount'; readonly unit: string }
  | { readonly kind: 'unmount'; readonly unit: string; readonly when: 'applied' | 'finished' }
  | { readonly kind: 'create-tmpfiles'; readonly file: string; readonly absent: readonly string[] }
  | { readonly kind: 'remove-tmpfiles'; readonly lines: string }

/** What the journal holds of a change: JSON, and enough to undo or finish it without the process that made it. */
export type ChangeRecord =
  | { readonly kind: 'write-file'; readonly path: string; readonly temporary: string; readonly digest: string }
  | ReplacementRecord<'replace-file'>
  | { readonly kind: 'make-symlink'; readonly path: string; readonly target: string }
  | ReplacementRecord<'replace-symlink'>
  | { readonly kind: 'make-directory'; readonly path: string; readonly made: boolean }
  | { readonly kind: 'remove-file'; readonly path: string; readonly aside: string }
  | { readonly kind: 'remove-empty'; readonly paths: readonly string[] }
  | { readonly kind: 'rename'; readonly path: string; readonly to: string }
  | { readonly kind: 'discard'; readonly path: string; readonly to: string }
  | {
      readonly kind: 'place-volume'
      readonly staged: string
      readonly path: string
      /** Of the empty folder that lay there; absent where there was none. */
      readonly before?: Ownership
      /** Of the staged volume, as it was made. */
      readonly content: string
    }
  | { readonly kind: 'close-folder'; readonly path: string; readonly mode: number }
  | { readonly kind: 'reload'; readonly when: 'applied' | 'undone' }
  | { readonly kind: 'load'; readonly unit: string }
  | (ServiceRecord<'unit-state'> & {
      /** Of the unit as it was found; absent in journals of older versions. */
      readonly invocation?: string
      /** Active units that require it. */
      readonly dependants?: readonly string[]
    })
  | ServiceRecord<'stop'>
  | { readonly kind: 'mount'; readonly unit: string; readonly active: boolean }
  | {
      readonly kind: 'unmount'
      readonly unit: string
      readonly when: 'applied' | 'finished'
      readonly active: boolean
    }
  | { readonly kind: 'create-tmpfiles'; readonly file: string; readonly absent: readonly string[] }
  | { readonly kind: 'remove-tmpfiles'; readonly lines: string }

/** `aside` is a second name for what was at `path` before. */
interface ReplacementRecord<Kind extends 'replace-file' | 'replace-symlink'> {
  readonly kind: Kind
  readonly path: string
  readonly temporary: string
  readonly aside: string
}

/** `container` is what the runtime calls it; `active` is how the unit was found. */
interface ServiceRecord<Kind extends 'unit-state' | 'stop'> {
  readonly kind: Kind
  readonly unit: string
  readonly active: boolean
  readonly runtime: string
  readonly container: string
}

export type ChangeOf<Kind extends Change['kind']> = Extract<Change, { kind: Kind }>
export type RecordOf<Kind extends ChangeRecord['kind']> = Extract<ChangeRecord, { kind: Kind }>

/**
 * What a kind of change does. `prepare` looks and refuses, changing nothing; its record, which holds all that undoing
 * needs, is on the disk before `apply` begins.
 */
export interface ChangeKind<Kind extends Change['kind']> {
  prepare(change: ChangeOf<Kind>, host: ChangeHost): Promise<RecordOf<Kind>> | RecordOf<Kind>
  apply(change: ChangeOf<Kind>, record: RecordOf<Kind>, host: ChangeHost): Promise<void> | void
  /**
   * Puts back what was done, wholly, partly or not at all. May be repeated. Absent: there is nothing to put back. `containers` are
   * those of the transaction: others may have been changed since, where it was on trial.
   */
  undo?(record: RecordOf<Kind>, host: ChangeHost, containers: readonly string[]): Promise<void> | void
  /** Does, after the commit, what could not have been undone. May be repeated. */
  finish?(record: RecordOf<Kind>, host: ChangeHost): Promise<void> | void
}

/** What changes need of systemd and of the runtime; `operations` gives them the real ones. */
export interface ChangeHost {
  reload(): Promise<void>
  /** Waits for the job; a raised signal ends the wait. */
  start(unit: string): Promise<void>
  /** As `start`; of a unit that is active, and of those that require it, in one job that stops them before. */
  restart(unit: string): Promise<void>
  /** Waits for the job, and leaves no failed state behind. */
  stop(unit: string): Promise<void>
  /** Active, or on the way there. */
  isActive(unit: string): Promise<boolean>
  /** Which start of the unit runs, or was the last one. */
  invocation(unit: string): Promise<string>
  /** The active units that stop and restart with it. */
  dependants(unit: string): Promise<readonly string[]>
  /** Throws a ForerunError when systemd cannot load the unit. */
  requireLoaded(unit: string): Promise<void>
  createTmpfiles(file: string): Promise<void>
  /** Removes what lines of tmpfiles.d(5) say is to be removed. */
  removeTmpfiles(lines: string): Promise<void>
  /** Removes what a container that has stopped left in the runtime's state folder; nothing when there is nothing. */
  deleteRuntimeState(runtime: string, container: string): Promise<void>
  /** Whether a container that is none of these placed what lies there, or would find it there again. */
  isOthers(path: string, containers: readonly string[]): boolean
  /** Whether the next boot has to end what is in the journals. May be repeated. */
  recoverAtBoot(isWanted: boolean): void
  readonly emit: Emit
}

/** What a record is about, in a user's words. */
export function changeSubject(record: ChangeRecord): string {
  switch (record.kind) {
    case 'reload':
      return 'systemd'
    case 'load':
    case 'unit-state':
    case 'stop':
    case 'mount':
    case 'unmount':
      return record.unit
    case 'create-tmpfiles':
      return record.file
    case 'remove-tmpfiles':
      return 'the tmpfiles.d lines'
    case 'remove-empty':
      return record.paths.join(', ')
    default:
      return record.path
  }
}
