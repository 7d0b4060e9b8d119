import type { Command } from 'commander'
import type { SourceOptions } from '../../operations/context.ts'
import { command, perform, type Session } from '../session.ts'
import { withPlainValueOptions, withPlatformOption, withSourceOptions } from './options.ts'

interface Options extends SourceOptions {
  name?: string
  set?: string[]
  setFile?: string[]
  runtime?: string
}

export function runCommand(session: Session): Command {
  const described = command('run', {
    summary:
      'start the service of a container, and wait until it is up; or run a command in a container, or an image once',
    examples: [
      'forerun run etcd',
      'forerun run etcd sh',
      'forerun run etcd etcdctl endpoint health',
      'forerun run --set MODE=check registry.example.com/tools:1 check-disk',
    ],
  })
    .passThroughOptions()
    .argument(
      '<NAME|IMAGE>',
      "name of a container, or an image: words with ':' or '/', or the name of one that is stored",
    )
    .argument('[COMMAND...]', 'a command with its own options; of an image its own if there is none')
    .option('--name <NAME>', 'what the container of an image is called (default: made of its name)')
    .option('--runtime <PATH>', 'the OCI runtime (default: that of the container, of the settings, else runc)')
  const valued = withPlainValueOptions(described, 'give a template variable of an image a value')
  withPlatformOption(valued, 'run the image for this platform, which the host has to be able to run')
  return withSourceOptions(valued).action((target: string, words: string[], options: Options) =>
    perform(
      session,
      async (context) => {
        const { run } = await import('../../operations/containers/run.ts')
        process.exitCode = await run({ ...options, target, words }, context)
      },
      () => '',
    ),
  )
}
