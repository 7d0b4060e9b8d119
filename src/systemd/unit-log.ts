import { ProgramFailure, run } from '../host/run.ts'

/**
 * The last lines that a unit wrote to the journal, and systemd about it, without times; none where the journal cannot be
 * read. They come from the container: nobody has looked at what they hold.
 *
 * @param options.since Unix time in seconds.
 */
export async function lastLogLines(unit: string, { since }: { since: number }): Promise<string[]> {
  const words = ['--no-pager', '--quiet', '--output=cat', '--lines=15', `--since=@${since}`, `--unit=${unit}`]
  try {
    // What has just been written may not be in the files yet.
    await run('journalctl', ['--sync'], { timeout })
    const { status, stdout } = await run('journalctl', words, { timeout })
    const lines = status === 0 ? stdout.toString().split('\n') : []
    return lines.filter((line) => line !== '')
  } catch (error) {
    if (error instanceof ProgramFailure) return []
    throw error
  }
}

/** Milliseconds. */
const timeout = 30_000
