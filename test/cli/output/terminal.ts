import { type SpawnSyncReturns, spawnSync } from 'node:child_process'

/** Runs lines of a module in a process of its own, with standard error (and all else) on a real pseudo-terminal. */
export function onTerminal(module: string, { columns = 80 } = {}): string {
  const program = `${quoted(process.execPath)} --input-type=module -e ${quoted(module)}`
  const { stdout, status } = spawnSync('script', ['-qec', `stty cols ${columns} rows 24; ${program}`, '/dev/null'], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  if (status !== 0) throw new Error(`status ${status}: ${stdout}`)
  return stdout
}

/** The same with pipes. */
export function onPipes(module: string, env: NodeJS.ProcessEnv = process.env): SpawnSyncReturns<string> {
  return spawnSync(process.execPath, ['--input-type=module', '-e', module], { encoding: 'utf8', env })
}

/** The specifier of a module of the output, for the import line of such a module. */
export function outputModule(name: string): string {
  return JSON.stringify(new URL(`../../../src/cli/output/${name}`, import.meta.url).href)
}

/** What a terminal shows after some output: lines, as far as the few sequences that progress uses can make them. */
export function screen(output: string): string[] {
  const lines: string[] = ['']
  let row = 0
  // biome-ignore lint/suspicious/noControlCharactersInRegex: those are what is looked for.
  for (const [piece, up] of output.matchAll(/\x1b\[(\d*)A|\x1b\[J|\x1b\[\?25[hl]|\r|\n|[^\x1b\r\n]+/g)) {
    if (up !== undefined) row -= Number(up || 1)
    else if (piece === '\x1b[J') lines.length = row
    else if (piece === '\n') row++
    else if (!piece.startsWith('\x1b') && piece !== '\r') lines[row] = piece
    lines[row] ??= ''
  }
  return lines.filter((line) => line !== '')
}

/** What happens to the cursor, in order. */
export function cursorChanges(output: string): string[] {
  return output
    .split('\x1b[?25')
    .slice(1)
    .map((rest) => (rest.startsWith('l') ? 'hidden' : 'shown'))
}

function quoted(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`
}
