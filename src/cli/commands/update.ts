import type { Command } from 'commander'
import { ForerunError } from '../../errors.ts'
import type { UpdateCheck } from '../../operations/containers/check-updates.ts'
import type { DownloadResult } from '../../operations/containers/download-updates.ts'
import type { MorePower } from '../../operations/containers/power.ts'
import type { UpdateRequest, UpdateResult } from '../../operations/containers/update.ts'
import type { Context } from '../../operations/context.ts'
import { type Accepting, acceptUpdate } from '../accept-power.ts'
import { shortDigest } from '../output/event-line.ts'
import { printable } from '../output/printable.ts'
import { differenceLines } from '../output/privilege-lines.ts'
import { formatSize } from '../output/size.ts'
import { perform, resultCommand, type Session } from '../session.ts'
import { settleOption, withAcceptOptions, withSourceOptions, withValueOptions } from './options.ts'

interface Options extends Omit<UpdateRequest, 'noStart' | 'acceptPower'>, Accepting {
  all?: boolean
  start: boolean
  check?: boolean
  downloadOnly?: boolean
  unattended?: boolean
}

/** The exit status of `--check` when there is something newer, as dnf(8) has it. */
const available = 100

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
    .option('--check', 'tell what registries have that is newer, and change nothing; the exit status is 100 then')
    .option('--download-only', 'fetch what an update would take, and change no container')
    .option('--no-start', 'leave the service stopped')
    .option('--at-boot', 'restart nothing: it runs from the next boot on, after which it is judged')
    .addOption(settleOption())
    .option('--unattended', 'with --all, as the timer does: only download outside of the window of the settings')
  withAcceptOptions(update)
  withValueOptions(update, 'give a template variable another value')
  return withSourceOptions(update).action(async (names: string[], options: Options) => {
    checkWords(names, options)
    if (options.check === true) {
      await check(names, { session, options })
      return
    }
    await perform(
      session,
      async (context) => {
        const {
          all: _,
          check: __,
          downloadOnly,
          unattended,
          start,
          acceptPrivileges,
          acceptPrivilege,
          ...words
        } = options
        const asking = { acceptPrivileges, acceptPrivilege, session, context }
        const acceptPower = (power: MorePower) => acceptUpdate(power, asking)
        const request = { ...words, noStart: !start, acceptPower }
        const results = await carriedOut(names, { request, downloadOnly, unattended }, context)
        if (results.some(({ outcome }) => outcome === 'failed')) process.exitCode = 1
        return results
      },
      (results) => results.map(describe).join('\n'),
    )
  })
}

/** By the one of three operations that the words ask for. */
async function carriedOut(
  names: readonly string[],
  options: { request: UpdateRequest; downloadOnly: boolean | undefined; unattended: boolean | undefined },
  context: Context,
): Promise<readonly (UpdateResult | DownloadResult)[]> {
  const { request, downloadOnly = false, unattended = false } = options
  if (downloadOnly) {
    const { downloadUpdates } = await import('../../operations/containers/download-updates.ts')
    return await downloadUpdates(names, request, context)
  }
  if (unattended) {
    const { updateUnattended } = await import('../../operations/containers/unattended-update.ts')
    return await updateUnattended(request, { now: new Date(), context })
  }
  const { updateContainers } = await import('../../operations/containers/update.ts')
  return await updateContainers(names, request, context)
}

async function check(
  names: readonly string[],
  { session, options }: { session: Session; options: Options },
): Promise<void> {
  await perform(
    session,
    async (context) => {
      const { checkUpdates } = await import('../../operations/containers/check-updates.ts')
      const checks = await checkUpdates(names, options, context)
      if (checks.some(({ outcome }) => outcome === 'available')) process.exitCode = available
      return checks
    },
    (checks) => checks.map(describeCheck).join('\n'),
  )
}

function describeCheck(found: UpdateCheck): string {
  switch (found.outcome) {
    case 'current':
      return `${found.name}: Latest version already installed.`
    case 'available': {
      const other = found.target === found.image ? '' : ` of ${printable(found.target)}`
      return `${found.name}: ${shortDigest(found.from)} can become ${shortDigest(found.to)}${other} (${formatSize(found.fetch)} to fetch)`
    }
    case 'left':
      return `${found.name}: left as it is: ${printable(found.reason)}`
    case 'unknown':
      return `${found.name}: not known: ${printable(found.reason)}`
  }
}

function checkWords(names: readonly string[], options: Options): void {
  const { all = false, rebase, check: isCheck = false } = options
  const changing = [rebase, options.set, options.setFile, options.setCredential].some((value) => value !== undefined)
  checkModes(options, changing)
  if (isCheck && (changing || !options.start || options.atBoot === true)) {
    throw new ForerunError('usage', '--check changes nothing', {
      hint: 'Leave out the options that say what to change.',
    })
  }
  if (options.atBoot === true && !options.start) {
    throw new ForerunError('usage', '--at-boot and --no-start cannot be used together', {
      hint: 'With --at-boot the service goes on as it is until the next boot.',
    })
  }
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

function checkModes({ all, check: isCheck, ...options }: Options, changing: boolean): void {
  const { downloadOnly = false, unattended = false, start, atBoot = false } = options
  if (downloadOnly && (changing || isCheck || unattended || !start || atBoot)) {
    throw new ForerunError('usage', '--download-only changes no container', {
      hint: 'Leave out the options that say what to change, and give them to the update after it.',
    })
  }
  if (unattended && (changing || isCheck || all !== true)) {
    throw new ForerunError('usage', '--unattended is for --all, without other values', {
      hint: 'Write: forerun update --all --unattended',
    })
  }
}

function describe(result: UpdateResult | DownloadResult): string {
  const { name } = result
  switch (result.outcome) {
    case 'current':
      return `${name}: Latest version already installed.`
    case 'left':
      return `${name}: left as it is: ${printable(result.reason)}`
    case 'downloaded':
      return `${name}: downloaded ${shortDigest(result.to)} of ${printable(result.image)}; forerun update ${name} takes it`
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
      const when = result.atBoot ? '; it runs from the next boot on' : result.running ? '; it is running' : ''
      return [`${name}: ${change}${when}`, ...differenceLines(result.privileges)].join('\n')
    }
  }
}
