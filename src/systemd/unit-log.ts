import { run } from '../host/run.ts'

/**
 * The last lines that a unit wrote to the journal, and systemd about it, without times; none where the journal cannot be
 * read. They come from the container: nobody has looked at what they hold.
 *
 * @param options.since Unix time in seconds.
 */
export async function lastLogLines(unit: string, { since }: { since: number }): Promise<string[]> {
  // What has just been written may not be in the files yet.
  await run('journalctl', ['--sync'], { timeout })
  const words = ['--no-pager', '--quiet', '--output=cat', '--lines=15', `--since=@${since}`, `--unit=${unit}`]
  const { status, stdout } = await run('journalctl', words, { timeout })
  return status === 0
    ? stdout
        .toString()
        .split('\n')
        .filter((line) => line !== '')
    : []
}

/** Milliseconds. */
const timeout = 30_000
