import type { Command } from 'commander'
import type { SourceOptions } from '../../../operations/context.ts'
import { withPlatformOption, withSourceOptions } from '../options.ts'

export interface LookOptions extends SourceOptions {
  readonly remote?: boolean
}

/** Adds the argument and the options of commands that look at an image. */
export function withLookOptions(looking: Command): Command {
  const wanted = looking
    .argument('<IMAGE>', 'name or id of a stored image; with --remote, an image anywhere')
    .option('--remote', 'look where the image comes from, without pulling it; no policy is asked')
  return withSourceOptions(withPlatformOption(wanted, 'with --remote, look at the image for this platform'))
}
