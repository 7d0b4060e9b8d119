import type { Command } from 'commander'
import { ForerunError } from '../../errors.ts'
import type { SourceOptions } from '../../operations/context.ts'
import type { VerifyResult } from '../../operations/integrity/verify.ts'
import { printable } from '../output/printable.ts'
import { formatSize } from '../output/size.ts'
import { perform, resultCommand, type Session } from '../session.ts'
import { withSourceOptions } from './options.ts'

type VerifyOptions = SourceOptions & { all?: true; repair?: true }

export function verifyCommand(session: Session): Command {
  const verify = resultCommand('verify', {
    summary: 'compare the store and the checkouts with what they should be, and repair them; 1 when damage remains',
    examples: ['forerun verify', 'forerun verify etcd', 'forerun verify --repair', 'forerun verify --json etcd:3.5'],
  })
    .argument('[NAME|IMAGE]', 'a container and its image, or a stored image (default: everything)')
    .option('--all', 'everything')
    .option('--repair', 'put right what is damaged; what no other file of this host has is fetched again')
  return withSourceOptions(verify).action((words: string | undefined, { all, repair, ...options }: VerifyOptions) => {
    if (all && words !== undefined) {
      throw new ForerunError('usage', `'${words}' and --all cannot go together`, { hint: 'Leave one of them out.' })
    }
    return perform(
      session,
      async (context) => {
        const operation = await import('../../operations/integrity/verify.ts')
        const result = await operation.verify(words, { ...options, repair: repair ?? false }, context)
        if (result.remaining > 0) process.exitCode = 1
        return result
      },
      describe,
    )
  })
}

function describe({ images, containers, files, bytes, damaged, actions, remaining }: VerifyResult): string {
  const shown = damaged.map(
    ({ kind, of, part, problem, repaired }) => `${kind} ${of}: ${part} ${problem}${repaired ? ' (repaired)' : ''}`,
  )
  const read = `Read ${files} files (${formatSize(bytes)}) of ${images} images and ${containers} containers`
  const verdict = remaining > 0 ? `Damaged: ${remaining}` : damaged.length > 0 ? 'All repaired' : 'Undamaged'
  const hint = remaining > 0 && actions.length === 0 ? ['Repair it: forerun verify --repair'] : []
  return [...shown.map(printable), ...actions.map(printable), read, verdict, ...hint].join('\n')
}
