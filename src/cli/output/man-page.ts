import { stripVTControlCharacters } from 'node:util'
import { ownEnvironment } from '../../host/own-environment.ts'
import { ProgramFailure, run } from '../../host/run.ts'

/** A man page as text for people: by man(1) where that is installed, else as it is written. Nothing in it steers the terminal. */
export async function renderManPage(source: string): Promise<string> {
  const rendered = /^[.']\s*(?:TH|Dd|SH|\\")/m.test(source) ? await byMan(source) : undefined
  return stripVTControlCharacters(rendered ?? source)
    .replace(/(?![\n\t])[\p{Cc}\p{Bidi_Control}\u2028\u2029]/gu, '')
    .trimEnd()
}

/** undefined where there is no man, or it cannot read the page. groff reads it in its safe mode, which runs and writes nothing. */
async function byMan(source: string): Promise<string | undefined> {
  const width = String(Math.min(process.stdout.columns || 80, 100))
  const environment = { ...ownEnvironment(), MANPAGER: 'cat', MANWIDTH: width, MAN_KEEP_FORMATTING: '' }
  try {
    const options = { input: source, environment, timeout: 30_000, outputLimit: 16 * 1024 * 1024 }
    const { status, stdout } = await run('man', ['-l', '-'], options)
    return status === 0 ? stdout.toString('utf8') : undefined
  } catch (error) {
    if (error instanceof ProgramFailure) return undefined
    throw error
  }
}
