import { ForerunError } from '../errors.ts'
import type { HostFileView } from '../operations/containers/host-files.ts'
import type { Context } from '../operations/context.ts'
import { hostFileLine } from './output/host-file-line.ts'
import { terminalPrompt } from './prompt.ts'
import type { Session } from './session.ts'

/**
 * Tells, on standard error and whatever is quiet, which files of an image give power over the host, and has it accepted: by
 * option or setting, by whoever sits at the terminal, and where nobody does, unless the setting is `no`.
 *
 * @throws ForerunError `privileges` when it is not accepted; `interrupted`.
 */
export async function acceptPower(
  files: readonly HostFileView[],
  { accepted, session, context }: { accepted: boolean; session: Session; context: Context },
): Promise<void> {
  const lines = files.map((file) => `${hostFileLine(file)}\n`)
  process.stderr.write(`This image gets power over the host by these files:\n${lines.join('')}`)
  const setting = context.settings.install.acceptPrivileges
  if (accepted || session.assumeYes || setting === 'yes') return
  const ask = terminalPrompt(context.signal)
  if (ask === undefined && setting !== 'no') return
  const answer = await ask?.('Install it all the same? [y/N] ')
  if (answer !== undefined && /^y(?:es)?$/i.test(answer.trim())) return
  throw new ForerunError('privileges', 'the image was not given the power over the host that its files have', {
    hint: 'Nothing was changed. Look at the files with --display; to accept them, give --accept-privileges.',
  })
}
