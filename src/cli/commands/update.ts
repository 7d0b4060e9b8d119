import type { Command } from 'commander'
import { ForerunError } from '../../errors.ts'
import type { HostFileView } from '../../operations/containers/host-files.ts'
import type { UpdateRequest, UpdateResult } from '../../operations/containers/update.ts'
import { acceptPower } from '../accept-power.ts'
import { shortDigest } from '../output/event-line.ts'
import { printable } from '../output/printable.ts'
import { perform, resultCommand, type Session } from '../session.ts'
import { collect, withSourceOptions } from './options.ts'

interface Options extends Omit<UpdateRequest, 'noStart' | 'acceptPower'> {
  all?: boolean
  start: boolean
  acceptPrivileges?: boolean
}

/** `update`, and `containers update`. @param path the words before the name, for the examples. */
export function updateCommand(session: Session, path: string): Command {
  const update = resultCommand('update', {
    summary: 'take containers to a newer image or other values; one that does not stay up is put back',
    examples: [
      `${path} update etcd`,
      `${path} update --rebase registry.example.com/etcd:3.6 etcd`,
      `${path} update --set CLUSTER_TOKEN=two etcd`,
      `${path} update --all`,
    ],
  })
    .argument('[NAME...]', 'names of containers')
    .option('-a, --all', 'all containers')
    .option('--rebase <IMAGE>', 'go to this image')
    .option('--set <KEY=VALUE>', 'give a template variable another value; may be repeated', collect)
    .option('--set-file <KEY=FILE>', 'the same with the content of a file, which is kept secret', collect)
    .option(
      '--set-credential <KEY=FILE>',
      'have systemd hand this file to the service at each start; the value is where it lies then',
      collect,
    )
    .option('--no-start', 'leave the service stopped')
    .option('--accept-privileges', 'take new host files that give power over the host, without a question')
  return withSourceOptions(update).action(async (names: string[], options: Options) => {
    checkWords(names, options)
    await perform(
      session,
      async (context) => {
        const { updateContainers } = await import('../../operations/containers/update.ts')
        const { all: _, start, acceptPrivileges: accepted = false, ...request } = options
        const asked = (files: readonly HostFileView[]) => acceptPower(files, { accepted, session, context })
        const results = await updateContainers(names, { ...request, noStart: !start, acceptPower: asked }, context)
        if (results.some(({ outcome }) => outcome === 'failed')) process.exitCode = 1
        return results
      },
      (results) => results.map(describe).join('\n'),
    )
  })
}

function checkWords(names: readonly string[], { all = false, rebase }: Options): void {
  if (names.length > 0 === all) {
    throw new ForerunError('usage', all ? '--all and names at once' : 'no container is named', {
      hint: 'Name containers, or say --all for all of them.',
    })
  }
  if (rebase !== undefined && (all || names.length > 1)) {
    throw new ForerunError('usage', '--rebase is for one container', {
      hint: 'Name the container that is to go there.',
    })
  }
}

function describe(result: UpdateResult): string {
  const { name } = result
  switch (result.outcome) {
    case 'current':
      return `${name}: Latest version already installed.`
    case 'failed':
      return [
        `${name}: failed: ${printable(result.reason)}`,
        ...result.details.map((line) => `    ${printable(line)}`),
      ].join('\n')
    case 'updated': {
      const change =
        result.from === result.to
          ? 'installed anew with other values'
          : `updated from ${shortDigest(result.from)} to ${shortDigest(result.to)}`
      return `${name}: ${change}${result.running ? '; it is running' : ''}`
    }
  }
}
