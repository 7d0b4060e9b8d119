import type { Command } from 'commander'
import { renderManPage } from '../../output/man-page.ts'
import { printable } from '../../output/printable.ts'
import { perform, resultCommand, type Session } from '../../session.ts'

export function helpCommand(session: Session): Command {
  return resultCommand('help', {
    summary: 'print the man page that a stored image carries',
    examples: ['forerun images help etcd'],
  })
    .argument('<IMAGE>', 'name or id of a stored image')
    .action((image: string) =>
      perform(
        session,
        async (context) => {
          const { imageHelp } = await import('../../../operations/images/image-help.ts')
          const help = imageHelp(image, context)
          return { ...help, shown: help.file === undefined ? '' : await renderManPage(help.text) }
        },
        ({ file, text, shown }) =>
          file === undefined ? `The image's help is a command, not run here: ${printable(text)}` : shown,
      ),
    )
}
