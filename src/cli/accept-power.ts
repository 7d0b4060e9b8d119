import type { ToldPrivilege } from '../bundle/privilege.ts'
import { ForerunError } from '../errors.ts'
import type { HostFileView } from '../operations/containers/host-files.ts'
import type { MorePower, WholePower } from '../operations/containers/power.ts'
import type { Context } from '../operations/context.ts'
import { hostFileLine } from './output/host-file-line.ts'
import { printable } from './output/printable.ts'
import { privilegeLines } from './output/privilege-lines.ts'
import { terminalPrompt } from './prompt.ts'
import type { Session } from './session.ts'

export interface Accepting {
  /** Everything, whatever it is. */
  readonly acceptPrivileges?: boolean | undefined
  /** Kinds, names or paths. */
  readonly acceptPrivilege?: readonly string[] | undefined
}

interface Asking extends Accepting {
  readonly session: Session
  readonly context: Context
}

/**
 * Tells what an image may do that is to be installed: at a terminal all of it, elsewhere what gives power over the host; on standard
 * error, and whatever is quiet. Power has to be accepted: by option or setting, or by whoever sits at the terminal. Where
 * nobody does it is, unless the setting is `no`.
 *
 * @throws ForerunError `privileges` when it is not accepted; `interrupted`.
 */
export async function acceptInstall({ privileges, files }: WholePower, asking: Asking): Promise<void> {
  const { context } = asking
  const ask = terminalPrompt(context.signal)
  const open = notAccepted({ privileges: privileges.filter(isPower), files: files.filter(hasPower) }, asking)
  const isOpen = open.privileges.length + open.files.length > 0
  if (ask !== undefined) tell('What this image may do on the host:', { privileges, files })
  else if (isOpen) tell('This image gets power over the host by this:', open)
  if (!isOpen || isYes(asking)) return
  if (ask === undefined && context.settings.install.acceptPrivileges !== 'no') return
  if (await isAnswered(ask, 'It gets power over the host, as marked by `!`. Install it all the same?')) return
  throw refused('the image was not given the power over the host that it asks for', open)
}

/**
 * Has accepted what a container may do more after an update: by option or setting, or by whoever sits at the terminal. Where nobody
 * does, the update stops.
 *
 * @throws as `acceptInstall`; the details of `privileges` are the list.
 */
export async function acceptUpdate(power: MorePower, asking: Asking): Promise<void> {
  const open = notAccepted(power, asking)
  if (open.privileges.length + open.files.length === 0 || isYes(asking)) return
  const ask = terminalPrompt(asking.context.signal)
  if (ask !== undefined) tell(`${power.name} may do this after the update, which it could not before:`, open)
  if (await isAnswered(ask, 'Update it all the same?')) return
  throw refused(`the update of ${power.name} takes privileges that it did not have`, open)
}

function isPower({ weight }: ToldPrivilege): boolean {
  return weight === 'power'
}

function hasPower({ power }: HostFileView): boolean {
  return power.length > 0
}

function isYes({ acceptPrivileges, session, context }: Asking): boolean {
  return acceptPrivileges === true || session.assumeYes || context.settings.install.acceptPrivileges === 'yes'
}

/** Without what an option names: a kind (`capability`), or something of it (`CAP_NET_ADMIN`, `/etc/cron.d/x`). */
function notAccepted({ privileges, files }: WholePower, { acceptPrivilege = [] }: Accepting): WholePower {
  const named = new Set(acceptPrivilege)
  return {
    privileges: privileges.filter(
      ({ kind, key }) => !named.has(kind) && !named.has(key) && !key.split(' ').some((word) => named.has(word)),
    ),
    files: files.filter(({ path }) => !named.has('host-file') && !named.has(path)),
  }
}

async function isAnswered(ask: ReturnType<typeof terminalPrompt>, question: string): Promise<boolean> {
  const answer = await ask?.(`${question} [y/N] `)
  return answer !== undefined && /^y(?:es)?$/i.test(answer.trim())
}

function tell(heading: string, power: WholePower): void {
  const lines = powerLines(power)
  process.stderr.write(
    [printable(heading), ...(lines.length === 0 ? ['  nothing'] : lines)].map((line) => `${line}\n`).join(''),
  )
}

/** A line each. Lines of tmpfiles.d are told once, though they are of both kinds. */
export function powerLines({ privileges, files }: WholePower): string[] {
  const hasLines = privileges.some(({ kind }) => kind === 'tmpfiles')
  const told = files.filter(({ kind }) => !(kind === 'line' && hasLines))
  return [...privilegeLines(privileges), ...told.map(hostFileLine)]
}

function refused(message: string, power: WholePower): ForerunError {
  return new ForerunError('privileges', message, {
    hint: 'Nothing was changed. To accept it, give --accept-privileges, or --accept-privilege WHAT for a part of it.',
    details: powerLines(power),
  })
}
