import type { ToldPrivilege } from '../bundle/privilege.ts'
import { ForerunError } from '../errors.ts'
import type { HostFileView } from '../operations/containers/host-files.ts'
import type { Context } from '../operations/context.ts'
import { hostFileLine } from './output/host-file-line.ts'
import { privilegeLines } from './output/privilege-lines.ts'
import { terminalPrompt } from './prompt.ts'
import type { Session } from './session.ts'

interface Asking {
  readonly accepted: boolean
  readonly session: Session
  readonly context: Context
  /** What the image may do beside having those files: on an update, what it may do more. */
  readonly privileges?: readonly ToldPrivilege[]
  /** Words that the lines follow, in place of those for an installation. */
  readonly heading?: string
  readonly question?: string
  /** What to do where nobody sits at a terminal and the setting says neither `yes` nor `no`. Default `accept`. */
  readonly unasked?: 'accept' | 'refuse'
}

/**
 * Tells, on standard error and whatever is quiet, which files and privileges of an image give power over the host, and has them
 * accepted: by option or setting, by whoever sits at the terminal, and where nobody does, as `unasked` says, unless the
 * setting is `no`.
 *
 * @throws ForerunError `privileges` when it is not accepted; `interrupted`.
 */
export async function acceptPower(files: readonly HostFileView[], asking: Asking): Promise<void> {
  const { accepted, session, context, question = 'Install it all the same?', unasked = 'accept' } = asking
  process.stderr.write(powerText(files, asking))
  const setting = context.settings.install.acceptPrivileges
  if (accepted || session.assumeYes || setting === 'yes') return
  const ask = terminalPrompt(context.signal)
  if (ask === undefined && setting !== 'no' && unasked === 'accept') return
  const answer = await ask?.(`${question} [y/N] `)
  if (answer !== undefined && /^y(?:es)?$/i.test(answer.trim())) return
  throw refused(files, asking)
}

/** A heading, then a line each. Lines of tmpfiles.d are told once, though they are of both kinds. */
export function powerText(
  files: readonly HostFileView[],
  { privileges = [], heading }: Pick<Asking, 'privileges' | 'heading'>,
): string {
  const hasLines = privileges.some(({ kind }) => kind === 'tmpfiles')
  const told = files.filter(({ kind }) => !(kind === 'line' && hasLines))
  const means = privileges.length === 0 ? 'by these files' : 'by this'
  const lines = [...privilegeLines(privileges), ...told.map(hostFileLine)]
  return [heading ?? `This image gets power over the host ${means}:`, ...lines].map((line) => `${line}\n`).join('')
}

function refused(files: readonly HostFileView[], { privileges = [] }: Asking): ForerunError {
  if (privileges.length === 0) {
    return new ForerunError('privileges', 'the image was not given the power over the host that its files have', {
      hint: 'Nothing was changed. Look at the files with --display; to accept them, give --accept-privileges.',
    })
  }
  const what = files.length === 0 ? 'privileges' : 'privileges and the files'
  return new ForerunError('privileges', `the image was not given the ${what} that it asks for`, {
    hint: 'Nothing was changed. To accept what is listed, give --accept-privileges.',
  })
}
