import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process'
import { constants } from 'node:os'
import { releaseAtEnd } from './at-end.ts'

/** The lab's way to run programs of the machine and of its hosts. */
export interface ExecResult {
  /** The exit status; 128 plus the signal's number when a signal ended it. */
  readonly status: number
  readonly stdout: string
  readonly stderr: string
}

export interface ExecOptions {
  /** Standard input; nothing when it is left out. */
  readonly input?: string | Uint8Array
  /** Milliseconds; then the whole process group is killed and the call throws. Default two minutes. */
  readonly timeout?: number
  /** Throw when the status is not 0. Default true. */
  readonly check?: boolean
  /** What to call it in an error, where the words are longer than what was asked for. */
  readonly title?: string
}

/**
 * Runs a program to its end in a process group of its own, which is killed when this process ends before.
 *
 * @throws with what it printed, when it fails or takes too long.
 */
export function execute(argv: readonly string[], options: ExecOptions & SpawnOptions = {}): Promise<ExecResult> {
  const { input, timeout, check, title, ...spawning } = options
  return started(argv, { input, timeout, check, title, ...spawning }).finished
}

export interface StartedProcess {
  readonly child: ChildProcess
  /** Settles as `execute` would. */
  readonly finished: Promise<ExecResult>
  /** Sends a signal to the process and to those that it started. */
  signal(name: NodeJS.Signals): void
}

/** As `execute`, for a program that is to be watched or signalled while it runs. */
export function started(
  argv: readonly string[],
  options: { [Key in keyof ExecOptions]: ExecOptions[Key] | undefined } & SpawnOptions,
): StartedProcess {
  const { input, timeout = 120_000, check = true, title = argv.join(' '), ...spawning } = options
  const [program = '', ...words] = argv
  const child = spawn(program, words, { detached: true, stdio: ['pipe', 'pipe', 'pipe'], ...spawning })
  const signal = (name: NodeJS.Signals) => signalGroup(child, name)
  const disarm = releaseAtEnd(() => signal('SIGKILL'))
  const finished = new Promise<ExecResult>((resolve, reject) => {
    const output = { stdout: '', stderr: '' }
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      output.stdout += text
    })
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      output.stderr += text
    })
    let late = false
    const timer = setTimeout(() => {
      late = true
      signal('SIGKILL')
    }, timeout)
    child.on('error', (error) => {
      disarm()
      reject(error)
    })
    child.on('close', (code, ended) => {
      disarm()
      clearTimeout(timer)
      const status = code ?? 128 + signalNumber(ended)
      const told = () => `\n${output.stdout}${output.stderr}`.trimEnd()
      if (late) reject(new Error(`${title} took longer than ${timeout / 1000} s${told()}`))
      else if (check && status !== 0) reject(new Error(`${title} ended with ${status}${told()}`))
      else resolve({ status, ...output })
    })
  })
  // The program may end before it has read all: its status tells what there is to tell.
  child.stdin?.on('error', () => {})
  child.stdin?.end(input ?? '')
  return { child, finished, signal }
}

function signalGroup(child: ChildProcess, name: NodeJS.Signals): void {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
  try {
    process.kill(-child.pid, name)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

function signalNumber(name: NodeJS.Signals | null): number {
  return name === null ? 0 : constants.signals[name]
}
