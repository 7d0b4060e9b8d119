import { type ErrorCode, ForerunError } from '../errors.ts'
import { CallTimeout, ConnectionLost, Refusal } from './connection.ts'

/**
 * What became of a call to systemd, as one error for a user. `action` says what was to be done, beginning with a verb:
 * `start etcd.service`. An error that is not from the connection is a bug and comes back as it is.
 */
export function callFailure(action: string, error: unknown, options: { unit?: string | undefined } = {}): unknown {
  if (error instanceof ConnectionLost) {
    return new ForerunError('systemd', `the connection to systemd was lost while trying to ${action}`, {
      hint: `systemd may still be doing it. ${lookAt(options.unit)}, then try again.`,
      cause: error,
    })
  }
  if (error instanceof CallTimeout) {
    return new ForerunError('systemd', `cannot ${action}: systemd does not answer`, {
      hint: 'See if the host is overloaded or shutting down: systemctl is-system-running.',
      cause: error,
    })
  }
  if (error instanceof Refusal) return refusalFailure(action, error, options.unit)
  return error
}

function refusalFailure(action: string, refusal: Refusal, unit: string | undefined): ForerunError {
  const name = refusal.error.replace(
    /^(?:org\.freedesktop\.systemd1|org\.freedesktop\.DBus\.Error|System\.Error)\./,
    '',
  )
  const known = refusals[name]
  const text = refusal.message.replace(/\.$/, '')
  return new ForerunError(known?.code ?? 'systemd', `cannot ${action}: ${text}`, {
    hint: known?.hint(unit ?? 'UNIT') ?? `${lookAt(unit)}, and: journalctl -b _PID=1.`,
    cause: refusal,
  })
}

function lookAt(unit: string | undefined): string {
  return unit === undefined ? 'See the state of the host: systemctl status' : `See its state: systemctl status ${unit}`
}

const asRoot = (): string => 'Run forerun as root.'
const verify = (unit: string): string => `Find the fault in the unit file: systemd-analyze verify ${unit}`
const missing = (unit: string): string => `See which unit files there are: systemctl cat ${unit}`
const jobs = (): string => 'See what systemd is doing: systemctl list-jobs. Try again when it is done.'
const again = (): string => 'systemd was restarted or limits how often it may be asked. Try again.'
const inTheWay = (): string => 'Move away the file that has the place of a link.'
const fullDisk = (): string => 'Make room where systemd writes: df /run /etc'

/**
 * Names of error replies without their prefix: those of systemd's manager, those of the D-Bus specification, and for what
 * has no name of its own, that of the system call's error (`System.Error.EROFS`).
 */
const refusals: Readonly<Record<string, { code: ErrorCode; hint: (unit: string) => string }>> = {
  AccessDenied: { code: 'permission', hint: asRoot },
  AuthFailed: { code: 'permission', hint: asRoot },
  InteractiveAuthorizationRequired: { code: 'permission', hint: asRoot },
  BadUnitSetting: { code: 'unit', hint: verify },
  LoadFailed: { code: 'unit', hint: verify },
  NoSuchUnit: { code: 'unit', hint: missing },
  InvalidArgs: { code: 'unit', hint: () => 'What a unit may be called: systemd.unit(5).' },
  FileNotFound: { code: 'unit', hint: missing },
  UnitMasked: { code: 'unit', hint: (unit) => `Allow it again: systemctl unmask ${unit}` },
  UnitGenerated: { code: 'unit', hint: missing },
  OnlyByDependency: {
    code: 'unit',
    hint: (unit) => `The unit refuses to be started or stopped by hand: systemctl cat ${unit}`,
  },
  JobTypeNotApplicable: { code: 'unit', hint: (unit) => `See what the unit allows: systemctl cat ${unit}` },
  TransactionOrderIsCyclic: { code: 'unit', hint: verify },
  TransactionIsDestructive: { code: 'systemd', hint: jobs },
  TransactionJobsConflicting: { code: 'systemd', hint: jobs },
  ShuttingDown: { code: 'systemd', hint: () => 'The host is shutting down. Try again after its next boot.' },
  DiskFull: { code: 'disk-full', hint: fullDisk },
  ENOSPC: { code: 'disk-full', hint: fullDisk },
  EROFS: { code: 'host-file', hint: () => 'See how /etc is mounted: findmnt -T /etc/systemd/system' },
  NoReply: { code: 'systemd', hint: again },
  Disconnected: { code: 'systemd', hint: again },
  LimitsExceeded: { code: 'systemd', hint: again },
  FileExists: { code: 'file-exists', hint: inTheWay },
  UnitExists: { code: 'file-exists', hint: inTheWay },
}
