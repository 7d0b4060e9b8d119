import { spawn } from 'node:child_process'

export interface RunResult {
  /** The exit status; 128 plus the signal's number when a signal ended it. */
  readonly status: number
  readonly stdout: string
  readonly stderr: string
}

/** Runs a program to its end, without a shell and without standard input. @throws when it cannot be started, or the signal is raised. */
export function run(
  program: string,
  words: readonly string[],
  options: { signal?: AbortSignal } = {},
): Promise<RunResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, words, { stdio: ['ignore', 'pipe', 'pipe'], ...options })
    const output = { stdout: '', stderr: '' }
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output.stdout += text
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      output.stderr += text
    })
    child.on('error', reject)
    child.on('close', (code) => resolve({ status: code ?? 128, ...output }))
  })
}
