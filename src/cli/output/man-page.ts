import { spawn } from 'node:child_process'
import { stripVTControlCharacters } from 'node:util'

/** A man page as text for people: by man(1) where that is installed, else as it is written. Nothing in it steers the terminal. */
export async function renderManPage(source: string): Promise<string> {
  const rendered = /^[.']\s*(?:TH|Dd|SH|\\")/m.test(source) ? await byMan(source) : undefined
  return stripVTControlCharacters(rendered ?? source)
    .replace(/(?![\n\t])[\p{Cc}\p{Bidi_Control}\u2028\u2029]/gu, '')
    .trimEnd()
}

/** undefined where there is no man, or it cannot read the page. groff reads it in its safe mode, which runs and writes nothing. */
function byMan(source: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const width = String(Math.min(process.stdout.columns || 80, 100))
    const environment = { ...process.env, MANPAGER: 'cat', MANWIDTH: width, MAN_KEEP_FORMATTING: '' }
    const man = spawn('man', ['-l', '-'], { env: environment, stdio: ['pipe', 'pipe', 'ignore'] })
    const chunks: Buffer[] = []
    man.stdout.on('data', (chunk: Buffer) => chunks.push(chunk))
    man.on('error', () => resolve(undefined))
    man.on('close', (status) => resolve(status === 0 ? Buffer.concat(chunks).toString('utf8') : undefined))
    // One that ends early has told by its status.
    man.stdin.on('error', () => {})
    man.stdin.end(source)
  })
}
