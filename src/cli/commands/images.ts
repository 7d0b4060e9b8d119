import type { Command } from 'commander'
import { groupCommand, type Session } from '../session.ts'
import { deleteCommand } from './images/delete.ts'
import { helpCommand } from './images/help.ts'
import { infoCommand } from './images/info.ts'
import { inspectCommand } from './images/inspect.ts'
import { listCommand } from './images/list.ts'
import { pruneCommand } from './images/prune.ts'
import { tagCommand } from './images/tag.ts'
import { updateCommand } from './images/update.ts'
import { verifyCommand } from './images/verify.ts'
import { versionCommand } from './images/version.ts'

export function imagesCommand(session: Session): Command {
  return groupCommand('images', {
    summary: 'look at, name and remove stored images, and look at those that are not',
    examples: ['forerun images list', 'forerun images info --remote registry.example.com/etcd', 'forerun images prune'],
  })
    .addCommand(listCommand(session))
    .addCommand(infoCommand(session))
    .addCommand(inspectCommand(session))
    .addCommand(helpCommand(session))
    .addCommand(versionCommand(session))
    .addCommand(verifyCommand(session))
    .addCommand(updateCommand(session))
    .addCommand(tagCommand(session))
    .addCommand(deleteCommand(session))
    .addCommand(pruneCommand(session))
}
